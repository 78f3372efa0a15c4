"""One route's requests: their headers, the token, redirects, the log of attempts, and what each answer means."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from hfasr import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    RetryPolicy,
)
from hfasr._core.about import About
from hfasr._core.cancel import Cancelled, CutOff
from hfasr._core.config import Config
from hfasr._core.context import CallContext, user_agent
from hfasr._core.exchange import Exchange
from hfasr._core.gates import gate_of
from hfasr._core.http import Reach
from hfasr._core.io import BlockingIO, run_sync
from hfasr._core.limiter import Outcome
from hfasr._core.routes import HostedRoute
from hfasr._core.shared import Shared
from hfasr._hosted.dialect import Ask, Server
from hfasr.testing import FakeClock
from hfasr.wire import Request, Response
from tests.core.hosted_kit import Net

URL = "https://h.example/models/a/b"
TOKEN = "0123456789abcdefghij"
SERVER = Server(URL, "a/b", "ours")
ENDPOINT = Server(URL, "a/b", "ours", endpoint=True)
ASK = Request("POST", URL, {"accept": "x/y"}, b"audio")


class Case:
    """An exchange over one route with a server that gives *answers*."""

    def __init__(
        self,
        *answers: Response | BaseException,
        token: str | None = TOKEN,
        router: bool = False,
        base_url: str = "https://h.example",
        window: float | None = None,
        deadline: float | None = None,
        seconds: float = 0.0,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.clock.advance(100.0)
        self.net = Net(self.clock, *answers, seconds=seconds)
        self.shared = Shared()
        net: Any = self.net
        self.call = CallContext(BlockingIO(net, self.clock), Config(**settings), self.shared, deadline)
        self.route = HostedRoute("ours", "p", base_url, "a/b", "hf", router, token)
        self.exchange = Exchange(self.call, self.route, None if window is None else self.clock.now() + window)

    def send(self, request: Request = ASK, server: Server = SERVER, about: Any = None) -> Response:
        return run_sync(self.exchange.send(request, server, about))

    @property
    def gate(self) -> Any:
        return gate_of(URL, self.clock)


def about(prompt: str | None) -> About:
    source: Any = None
    return About(None, None, Ask(prompt=prompt), source, "mix", None)


def redirect(status: int, location: str, **headers: str) -> Response:
    return Response(status, {"location": location, **headers})


def test_what_is_sent() -> None:
    """The request goes out with the route's headers and the call's limits, and comes back with its answer."""
    answer = Response(200, {"x-request-id": "r-1"}, b"{}")
    case = Case(answer, window=30.0, timeout=7.0)
    told = about(None)
    assert case.send(about=told) is answer
    (sent,) = case.net.asked
    assert (sent.method, sent.url, sent.content) == ("POST", URL, b"audio")
    assert sent.about is told
    trace = sent.headers["x-amzn-trace-id"]
    assert dict(sent.headers) == {
        "accept": "x/y",
        "user-agent": user_agent(),
        "x-amzn-trace-id": trace,
        "authorization": f"Bearer {TOKEN}",
    }
    assert (uuid.UUID(trace).version, str(uuid.UUID(trace))) == (4, trace)
    assert case.net.options == [{"timeout": 7.0, "expires_in": 30.0, "reach": Reach()}]


def test_each_request_has_an_id_of_its_own() -> None:
    """No two requests are told apart by chance alone in vain."""
    case = Case(*[Response(200)] * 9)
    for _ in range(9):
        case.send()
    assert len({sent.headers["x-amzn-trace-id"] for sent in case.net.asked}) == 9


def test_our_headers_go_before() -> None:
    """A header of the request's own does not replace the token."""
    case = Case(Response(200))
    case.send(Request("POST", URL, {"authorization": "x", "user-agent": "y"}))
    sent = case.net.asked[0].headers
    assert (sent["authorization"], sent["user-agent"]) == (f"Bearer {TOKEN}", user_agent())


@pytest.mark.parametrize(
    ("router", "bill_to", "expected"), [(True, "org", "org"), (False, "org", None), (True, None, None)]
)
def test_who_pays(router: bool, bill_to: str | None, expected: str | None) -> None:
    """Only the router is told who pays."""
    case = Case(Response(200), router=router, bill_to=bill_to)
    case.send()
    assert case.net.asked[0].headers.get("x-hf-bill-to") == expected


@pytest.mark.parametrize(
    ("timeout", "loading", "window", "expected"),
    [
        (60.0, 300.0, None, "54"),
        (60.0, 20.0, None, "18"),
        (60.0, 300.0, 10.0, "9"),
        (60.0, 300.0, 2.0, "1"),
        (0.5, 300.0, 2.0, "1"),
        (60.0, 300.0, 2.3, "2"),
    ],
)
def test_how_long_an_endpoint_may_hold_it(timeout: float, loading: float, window: float | None, expected: str) -> None:
    """An endpoint is told nine tenths of the shortest of what we wait for, in whole seconds, one at least."""
    case = Case(Response(200), window=window, timeout=timeout, retry=RetryPolicy(loading_timeout=loading))
    case.send(server=ENDPOINT)
    assert case.net.asked[0].headers["x-scale-up-timeout"] == expected


@pytest.mark.parametrize(
    ("token", "base_url", "known", "found", "expected"),
    [
        (TOKEN, "https://huggingface.co", "known", "found", TOKEN),
        (None, "https://huggingface.co", "known", "found", "known"),
        (None, "https://huggingface.co", None, "found", "found"),
        (None, "https://huggingface.co", None, None, None),
        (None, "https://h.example", "known", "found", None),
    ],
)
def test_which_token(
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    base_url: str,
    known: str | None,
    found: str | None,
    expected: str | None,
) -> None:
    """The token that was passed; else, for Hugging Face alone, the one that is known, or can be found."""
    case = Case(Response(200), token=token, base_url=base_url)
    case.shared.known_token = known
    monkeypatch.setattr(case.shared, "find_token", lambda: found)
    case.send()
    sent = case.net.asked[0].headers.get("authorization")
    assert sent == (None if expected is None else f"Bearer {expected}")


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be had without a token, nothing is sent."""
    case = Case(token=None, router=True, base_url="https://router.huggingface.co")
    monkeypatch.setattr(case.shared, "find_token", lambda: None)
    with pytest.raises(AuthenticationError) as caught:
        case.send()
    assert str(caught.value) == (
        "no Hugging Face token was found: run `hf auth login` or set HF_TOKEN, "
        'or choose a local engine such as backend="pocketsphinx"'
    )
    assert caught.value.status_code == 401
    assert (case.net.asked, case.call.attempts) == ([], [])


@pytest.mark.parametrize("status", [200, 300, 304, 305, 400])
def test_no_redirect(status: int) -> None:
    """Any other status is an answer, whatever it names as a location."""
    case = Case(redirect(status, "/x"))
    assert case.send().status_code == status


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://h.example/x"),
        ("c", "https://h.example/models/a/c"),
        ("?q=1", "https://h.example/models/a/b?q=1"),
        ("https://h.example:443/x", "https://h.example:443/x"),
        ("//h.example/x", "https://h.example/x"),
    ],
)
def test_redirect_within_the_server(status: int, location: str, url: str) -> None:
    """It is followed with all that was sent; each request is an attempt of its own."""
    told = about(None)
    case = Case(redirect(status, location), Response(200))
    assert case.send(about=told).status_code == 200
    first, second = case.net.asked
    assert (second.method, second.url, second.headers, second.content) == ("POST", url, first.headers, b"audio")
    assert second.about is told
    assert [(attempt.status, attempt.error) for attempt in case.call.attempts] == [(status, None), (200, None)]


@pytest.mark.parametrize("n_redirects", [3, 4])
def test_number_of_redirects(n_redirects: int) -> None:
    """Three in a row are followed; a fourth is a circle."""
    case = Case(*[redirect(307, "/x")] * n_redirects, Response(200))
    if n_redirects == 3:
        assert case.send().status_code == 200
    else:
        with pytest.raises(APIConnectionError) as caught:
            case.send()
        assert str(caught.value) == "ours redirects in circles; correct the address"
        assert caught.value.permanent
    assert len(case.net.asked) == 4


@pytest.mark.parametrize(
    ("status", "location", "where"),
    [
        (301, "/x", "a page"),
        (302, "/x", "a page"),
        (303, "/x", "a page"),
        (307, "", "a page"),
        (307, "http://h.example/x", "another server"),
        (308, "https://h.example:444/x", "another server"),
        (302, "https://i.example/x", "another server"),
        (307, "https://[", "another server"),
        (307, "https://h.example:x/", "another server"),
    ],
)
def test_redirect_that_is_not_followed(status: int, location: str, where: str) -> None:
    """Where it leads elsewhere, or to a page, nothing more is sent, and the attempt has the error's name."""
    case = Case(redirect(status, location, **{"x-request-id": "r-9"}), Response(200))
    with pytest.raises(APIStatusError) as caught:
        case.send()
    assert str(caught.value) == (
        f"ours answered {status} and points to {where}, where neither audio nor token is sent; "
        "set base_url= (or router_url=) to the right address"
    )
    assert (caught.value.status_code, caught.value.request_id) == (status, "r-9")
    assert len(case.net.asked) == 1
    (attempt,) = case.call.attempts
    assert (attempt.status, attempt.error, attempt.request_id) == (status, "APIStatusError", "r-9")


def test_what_is_recorded() -> None:
    """An answer is an attempt with its id, and the time from when it was sent."""
    case = Case(Response(404, {"x-request-id": "r-2"}), seconds=2.5)
    case.send()
    (attempt,) = case.call.attempts
    assert (attempt.route, attempt.status, attempt.error, attempt.request_id) == ("ours", 404, None, "r-2")
    assert (attempt.started, attempt.duration, attempt.waited) == (0.0, 2.5, 0.0)


def test_what_is_recorded_of_a_failure() -> None:
    """An error is an attempt with its name, and its status where it has one; what it echoes is hidden."""
    failed = APIResponseError(f"no {TOKEN}", status_code=206)
    case = Case(failed, APIConnectionError("gone"))
    with pytest.raises(APIResponseError) as caught:
        case.send()
    assert caught.value is failed
    assert str(failed) == "no ***"
    with pytest.raises(APIConnectionError):
        case.send()
    assert [(attempt.route, attempt.status, attempt.error) for attempt in case.call.attempts] == [
        ("ours", 206, "APIResponseError"),
        ("ours", None, "APIConnectionError"),
    ]


@pytest.mark.parametrize(
    ("error", "recorded"),
    [(KeyboardInterrupt(), ["cancelled"]), (CutOff(), ["cancelled"]), (Cancelled(), [])],
    ids=["interrupted", "cut off", "not begun"],
)
def test_given_up(error: BaseException, recorded: list[str]) -> None:
    """What is given up while it is under way is an attempt; what was never begun is none."""
    case = Case(error)
    with pytest.raises(type(error)):
        case.send()
    assert [(attempt.route, attempt.status, attempt.error) for attempt in case.call.attempts] == [
        ("ours", None, name) for name in recorded
    ]
    assert case.gate.is_idle


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_no_time_left(left: float) -> None:
    """Without time for the route nothing is sent, and nobody waits for a turn."""
    case = Case(Response(200), window=left)
    assert case.exchange.left() == left
    with pytest.raises(APITimeoutError) as caught:
        case.send()
    assert str(caught.value) == "the time for this route was used up before the request could be sent"
    assert (case.net.asked, case.call.attempts) == ([], [])


def test_time_left() -> None:
    """What is left runs down on the call's clock; without a window there is no limit."""
    case = Case(Response(200), Response(200), window=10.0, seconds=4.0)
    assert case.exchange.left() == 10.0
    case.send()
    assert case.exchange.left() == 6.0
    case.send()
    assert [options["expires_in"] for options in case.net.options] == [10.0, 6.0]
    assert Case().exchange.left() is None


def test_waiting_for_a_turn() -> None:
    """The wait for a turn is counted for the attempt that follows it, and is not the attempt's own time."""
    case = Case(Response(429, {"retry-after": "3"}), Response(200), seconds=1.0)
    case.send()
    case.send()
    assert case.clock.sleeps == [3.0]
    assert [attempt.waited for attempt in case.call.attempts] == [0.0, 3.0]
    assert [attempt.started for attempt in case.call.attempts] == [0.0, 4.0]
    assert [attempt.duration for attempt in case.call.attempts] == [1.0, 1.0]


@pytest.mark.parametrize(("window", "longest"), [(2.5, 120.0), (None, 2.0)])
def test_turn_that_comes_too_late(window: float | None, longest: float) -> None:
    """A stop that is longer than the route's time, or than the policy waits, is the server's refusal, by its name."""
    retry = RetryPolicy(max_retry_after=longest)
    case = Case(Response(429, {"retry-after": "3"}), Response(200), window=window, retry=retry)
    case.gate.leave(case.gate.try_enter(), Outcome.LIMITED, response=Response(429, {"retry-after": "3"}))
    with pytest.raises(APIStatusError, match=r"^ours has asked to wait: .* another 3 s"):
        case.send()
    assert case.net.asked == []


def told_to_the_gate(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Note what the gate is told of each request that has ended."""
    told: list[tuple[Any, dict[str, Any]]] = []
    leave = case.gate.leave

    def noted(ticket: Any, outcome: Outcome, **options: Any) -> None:
        told.append((outcome, options))
        leave(ticket, outcome, **options)

    monkeypatch.setattr(case.gate, "leave", noted)
    return told


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"", Outcome.ACCEPTED),
        (404, b"", Outcome.ACCEPTED),
        (429, b"", Outcome.LIMITED),
        (499, b"", Outcome.ACCEPTED),
        (408, b"", Outcome.OVERLOADED),
        (504, b"", Outcome.OVERLOADED),
        (500, b"", Outcome.UNKNOWN),
        (502, b"", Outcome.UNKNOWN),
        (503, b'{"error": "busy"}', Outcome.OVERLOADED),
        (503, b'{"error": "Model a/b is currently loading"}', Outcome.UNKNOWN),
    ],
)
def test_what_an_answer_means(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, outcome: Outcome) -> None:
    """The server's gate is told once what each answer says of its load, together with the answer."""
    answer = Response(status, {}, body)
    case = Case(answer, retry=RetryPolicy(max_retry_after=9.0))
    told = told_to_the_gate(case, monkeypatch)
    assert case.send() is answer
    assert told == [(outcome, {"response": answer, "longest": 9.0})]
    assert case.gate.is_idle


def test_no_answer_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no answer came, its gate is told that nothing is known, and the turn is given back."""
    case = Case(APIConnectionError("gone"))
    told = told_to_the_gate(case, monkeypatch)
    with pytest.raises(APIConnectionError):
        case.send()
    assert [(outcome, options["response"]) for outcome, options in told] == [(Outcome.UNKNOWN, None)]
    assert case.gate.is_idle


@pytest.mark.parametrize(
    ("status", "forgets", "unlearns"), [(401, True, False), (404, False, True), (400, False, False)]
)
def test_what_a_failure_proves_wrong(status: int, forgets: bool, unlearns: bool) -> None:
    """A token that was refused is looked for anew, and a server that is gone asked anew what it speaks."""
    case = Case(Response(status, {}, f'{{"error": "bad {TOKEN}"}}'.encode()))
    case.shared.known_token = "known"
    case.shared.dialects = {"https://h.example": ("hf", None), "https://i.example": ("hf", None)}
    failure = case.exchange.diagnose(case.send(), ENDPOINT, None)
    assert (case.shared.known_token is None) is forgets
    assert set(case.shared.dialects) == {"https://i.example", *(() if unlearns else ("https://h.example",))}
    assert TOKEN not in str(failure.error)
    assert "***" in str(failure.error)
    assert [attempt.error for attempt in case.call.attempts] == [type(failure.error).__name__]


def test_failure_of_a_server_not_known_yet() -> None:
    """A 404 of a server of which nothing was learned is no more than that."""
    case = Case(Response(404))
    assert case.exchange.diagnose(case.send(), ENDPOINT, None).error.status_code == 404  # type: ignore[attr-defined]


def test_dates_and_duration_of_a_failure() -> None:
    """A date to wait until is read by the call's clock, and audio that is too long is named with its length."""
    case = Case(
        Response(429, {"retry-after": "Tue, 14 Nov 2023 22:15:10 GMT"}),
        Response(400, {}, b'{"error": "audio too long"}'),
    )
    failed: Any = case.exchange.diagnose(case.send(), SERVER, None).error
    assert failed.retry_after == 10.0  # the clock began at 22:13:20, and 100 s have passed
    case.clock.advance(10.0)
    assert "61" in str(case.exchange.diagnose(case.send(), SERVER, 61.0).error)


def test_prompt_is_hidden() -> None:
    """What the server echoes of the prompt is hidden as the token is, also in an answer's id."""
    prompt = "names to expect: Oleander Quist"
    case = Case(Response(200, {"x-request-id": f"id-{TOKEN}"}), APIConnectionError(f"no {prompt}!"))
    case.send(about=about(prompt))
    assert case.call.attempts[0].request_id == "id-***"
    with pytest.raises(APIConnectionError, match=r"^no …!$"):
        case.send(about=about(prompt))


def test_failed() -> None:
    """An answer that turns out to be none is named so in its attempt, with nothing secret in it."""
    case = Case(Response(200))
    case.send()
    error = APIResponseError(f"no text but {TOKEN}")
    case.exchange.failed(error)
    assert str(error) == "no text but ***"
    assert [(attempt.status, attempt.error) for attempt in case.call.attempts] == [(200, "APIResponseError")]
