"""One call over one hosted route: what is tried again and when, and what its server is found to speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfasr import APIConnectionError, AudioDecodeError, NotFoundError, ServerError, Transcript
from hfasr._core.hosted import HostedCall
from hfasr._core.io import run_sync
from hfasr._core.routes import DIALECTS, HostedRoute
from hfasr._hosted.dialect import Ask, Form
from hfasr._hosted.hf import HFDialect
from hfasr.wire import Request, Response
from tests.core.hosted_kit import BROKEN, NO_BODY, OK, URL, Case, Sound

if TYPE_CHECKING:
    from hfasr.audio import Upload


def test_an_answer() -> None:
    """The transcript comes with what was sent for it; nothing is waited for, and nothing learned."""
    case = Case(OK)
    answer = case.run()
    assert answer.transcript == Transcript("hi", duration=7.5, raw={"text": "hi"})
    assert (answer.upload.format, answer.upload.data) == ("first", b"x" * 100)
    assert case.sound.asked == [("first", HFDialect.accepts, None)]
    assert (case.clock.sleeps, case.errors, case.call.last_api_error) == ([], [None], None)
    assert case.shared.learned_form(case.server, case.ask) is None
    assert case.call.audio_refused is False


@pytest.mark.parametrize("router", [True, False])
def test_what_a_request_is_for(router: bool) -> None:
    """Each request says what it is for: the provider only behind the router."""
    case = Case(OK, route=HostedRoute("ours", "p", URL, "a/b", "hf", router, "0123456789abcdefghij"))
    case.call.stretch = stretch = object()  # type: ignore[assignment]  # whatever it is
    case.hosted = HostedCall(case.call, case.route, case.ask, case.sound, None)  # type: ignore[arg-type]
    case.run()
    told: Any = case.net.asked[0].about
    assert (told.provider, told.model) == ("p" if router else None, "a/b")
    assert (told.ask, told.source, told.channels, told.stretch) == (case.ask, case.sound.source, "mix", stretch)


@pytest.mark.parametrize(("model", "limit"), [("a/whisper", 30.0), ("a/b", None)])
@pytest.mark.parametrize("learned", [None, 12.0, 45.0])
def test_longest_audio(model: str, limit: float | None, learned: float | None) -> None:
    """The shorter of what the dialect and earlier refusals say is the limit, if there is one."""
    case = Case(OK, route=HostedRoute("ours", "p", URL, model, "hf", False, None))
    if learned is not None:
        case.shared.learn_longest(case.server, learned, 0.0)
    case.run()
    known = [seconds for seconds in (limit, learned) if seconds is not None]
    assert [asked[2] for asked in case.sound.asked] == [min(known) if known else None]


# Trying again


def test_trying_again() -> None:
    """Failures that may pass are tried again with longer and longer pauses, and are the call's last error."""
    case = Case(BROKEN, APIConnectionError("gone"), BROKEN, OK, wait_initial=1.0)
    assert case.run().transcript.text == "hi"
    assert case.clock.sleeps == [1.0, 2.0, 4.0]
    assert case.errors == ["ServerError", "APIConnectionError", "ServerError", None]
    assert [attempt.waited for attempt in case.call.attempts] == [0.0, 1.0, 2.0, 4.0]
    assert isinstance(case.call.last_api_error, ServerError)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_as_many_attempts_as_the_policy_allows(n: int) -> None:
    """After so many the last error is raised, as it is, without a last pause."""
    last = APIConnectionError("the last one")
    case = Case(*[BROKEN] * (n - 1), last, OK, max_attempts=n, wait_initial=1.0)
    with pytest.raises(APIConnectionError) as caught:
        case.run()
    assert caught.value is last
    assert case.call.last_api_error is last
    assert (len(case.net.asked), len(case.clock.sleeps)) == (n, n - 1)


def test_no_pause_at_all() -> None:
    """A policy without pauses makes none, neither first nor later."""
    case = Case(BROKEN, BROKEN, BROKEN, OK, wait_initial=0)
    case.run()
    assert case.clock.sleeps == [0.0, 0.0, 0.0]


def test_nothing_that_may_pass() -> None:
    """What will not pass is raised at once, also later than at first."""
    for earlier in (0, 2):
        case = Case(*[BROKEN] * earlier, Response(404), OK)
        with pytest.raises(NotFoundError):
            case.run()
        assert len(case.net.asked) == earlier + 1


def test_other_errors_are_not_tried_again() -> None:
    """An error that is no server's, of audio say, ends the call also after a failure that was."""
    case = Case(BROKEN, OK, sound=Sound(fails=""))
    upload = case.sound.upload

    async def once(step: str, accepts: frozenset[str], limit: float | None) -> Upload:
        if case.sound.asked:
            raise AudioDecodeError("gone")
        return await upload(step, accepts, limit)

    case.sound.upload = once  # type: ignore[method-assign]
    with pytest.raises(AudioDecodeError):
        case.run()
    assert len(case.net.asked) == 1


@pytest.mark.parametrize(("window", "n_asked"), [(4.9, 1), (5.0, 1), (5.1, 2)])
def test_pause_that_would_pass_the_deadline(window: float, n_asked: int) -> None:
    """A pause for which there is no time is not begun: the error is raised at once."""
    case = Case(BROKEN, OK, window=window, seconds=2.0, wait_initial=3.0)
    if n_asked == 1:
        with pytest.raises(ServerError):
            case.run()
    else:
        case.run()
    assert (len(case.net.asked), len(case.clock.sleeps)) == (n_asked, n_asked - 1)


def test_pause_that_would_pass_the_deadline_later() -> None:
    """The same of a later pause."""
    case = Case(BROKEN, BROKEN, OK, window=7.0, seconds=2.0, wait_initial=1.0)
    with pytest.raises(ServerError):
        case.run()
    assert (len(case.net.asked), case.clock.sleeps) == (2, [1.0])


def test_the_form_is_kept() -> None:
    """The next attempt begins with the form that was found, and one form is not complained of twice."""
    ask = Ask(language="de")
    case = Case(NO_BODY, BROKEN, OK, ask=ask)
    assert case.run().transcript.warnings == ("https://h.example cannot take language; it was left out",)
    assert case.types == ["application/json", "audio/first", "audio/first"]


# What a server speaks


def auto(base_url: str = URL) -> HostedRoute:
    return HostedRoute("ours", "p", base_url, "a/b", "auto", False, None)


ERROR_OF_OPENAI = Response(400, {}, b'{"error": {"message": "no file"}}')


@pytest.mark.parametrize(
    ("base_url", "answers", "name", "prefix", "url"),
    [
        (URL, [Response(404), Response(404)], "hf", None, f"{URL}/"),
        (URL, [ERROR_OF_OPENAI], "openai", "/v1", f"{URL}/v1/audio/transcriptions"),
        (URL, [Response(404), ERROR_OF_OPENAI], "openai", "/api/v1", f"{URL}/api/v1/audio/transcriptions"),
        (f"{URL}/v1", [], "openai", None, f"{URL}/v1/audio/transcriptions"),
    ],
)
def test_what_it_speaks(base_url: str, answers: list[Response], name: str, prefix: str | None, url: str) -> None:
    """It is asked once, without audio, and remembered for its address."""
    case = Case(*answers, route=auto(base_url))
    for _ in range(2):
        dialect, server = run_sync(case.hosted.find_server())
        assert (dialect, server.url, server.model) == (DIALECTS[name], url, "a/b")
    assert len(case.net.asked) == len(answers)
    assert case.shared.dialects == {base_url: (name, prefix)}
    assert all(b"audio" not in sent.content and sent.about is None for sent in case.net.asked)


@pytest.mark.parametrize("dialect", ["hf", "openai"])
def test_what_it_is_said_to_speak(dialect: Any) -> None:
    """Where the caller says what it speaks, nothing is asked or remembered."""
    case = Case(route=HostedRoute("ours", "p", URL, "a/b", dialect, False, None))
    found, server = run_sync(case.hosted.find_server())
    assert (found, server) == (DIALECTS[dialect], case.route.server(dialect))
    assert case.shared.dialects == {}


def test_neither_yes_nor_no() -> None:
    """A server that cannot say is not remembered; its answer is a failure like any other, and tried again."""
    case = Case(BROKEN, Response(404), Response(404), OK, route=auto())
    assert case.run().transcript.text == "hi"
    assert case.errors == ["ServerError", None, None, None]
    case = Case(Response(500, {}, b'{"error": "down"}'), route=auto(), max_attempts=1)
    with pytest.raises(ServerError, match=r"^https://h\.example answered 500: down;"):
        case.run()
    assert case.shared.dialects == {}


def test_probes_are_of_the_endpoint() -> None:
    """Probes go to an endpoint that may have to be started, with what it must know for that."""
    case = Case(Response(404), Response(404), route=auto())
    run_sync(case.hosted.find_server())
    assert {sent.headers["x-scale-up-timeout"] for sent in case.net.asked} == {"54"}


def test_requests_differ_from_the_route() -> None:
    """What a dialect builds is what is sent."""

    class Builds(HFDialect):
        def build(self, server: Any, ask: Ask, form: Form, upload: Upload) -> Request:
            return Request("POST", f"{server.url}built", {"x-form": form.body}, upload.data[:3])

    case = Case(OK)
    DIALECTS["hf"], before = Builds(), DIALECTS["hf"]
    try:
        case.run()
    finally:
        DIALECTS["hf"] = before
    (sent,) = case.net.asked
    assert (sent.url, sent.headers["x-form"], sent.content) == (f"{URL}/built", "raw", b"xxx")
