"""From route to route, without a server: shares of the time, what ends a call, what is told, and who is ill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hfasr import (
    AllRoutesFailedError,
    APIConnectionError,
    AudioDecodeError,
    AudioTooLongError,
    AuthenticationError,
    BackendError,
    BackendLoadError,
    BadRequestError,
    DeadlineExceededError,
    HfasrError,
    InvalidOptionError,
    PaymentRequiredError,
    RetryPolicy,
    ServerError,
)
from hfasr._core.config import Config
from hfasr._core.context import CallContext
from hfasr._core.failover import TakesLessError, circuit, over_routes
from hfasr._core.io import BlockingIO, run_sync
from hfasr._core.routes import HostedRoute, LocalRoute, Route
from hfasr._core.shared import Shared
from hfasr.errors import PayloadTooLargeError
from hfasr.testing import FakeBackend, FakeClock

ONCE = RetryPolicy(breaker_threshold=1, breaker_recovery=30)


def engine(name: str) -> LocalRoute:
    return LocalRoute(name, None, None)


def server(name: str, token: str | None = None) -> HostedRoute:
    return HostedRoute(name, None, f"http://{name}", None, "hf", False, token)


A, B, C, D = (engine(name) for name in "abcd")
SERVER = server("s")


class Run:
    """One call over routes that do as they are told: fail, answer with a text, or call a function first."""

    def __init__(self, shared: Shared | None = None, *, deadline: float | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        unused: Any = None  # nothing is sent
        io = BlockingIO(unused, self.clock)
        config = Config(**{"retry": ONCE, **settings})
        self.call = CallContext(io, config, Shared() if shared is None else shared, deadline)
        self.taken: list[tuple[str, float | None]] = []

    def over(
        self,
        *steps: tuple[Route, Callable[[], object] | Exception | str],
        shorter: Callable[[HfasrError], float | None] = lambda error: None,
    ) -> tuple[str, str | None]:
        does = {route.name: step for route, step in steps}

        async def take(route: Route, window: float | None) -> str:
            self.taken.append((route.name, window))
            step = does[route.name]
            if callable(step):
                step = step()  # type: ignore[assignment]  # what comes of it
            if isinstance(step, Exception):
                raise step
            return str(step)

        return run_sync(over_routes(self.call, tuple(route for route, _ in steps), take, shorter))

    def sent(self, error: HfasrError) -> Callable[[], HfasrError]:
        """Fail with *error* after a request."""

        def send() -> HfasrError:
            self.call.record("s", self.clock.now(), status=500, error="x")
            return error

        return send


def is_shut_out(run: Run, route: Route) -> bool:
    return run.call.shared.breaker.shuts_out(circuit(run.call, route), ONCE, run.clock.now())


def test_first_that_answers() -> None:
    """Routes are taken in order up to the first that answers; without a deadline there is no limit."""
    run = Run()
    assert run.over((A, "text"), (B, "never")) == ("text", None)
    assert run.taken == [("a", None)]


def test_why_the_others_gave_none() -> None:
    """With the answer it is said why each route before gave none."""
    run = Run()
    assert run.over((A, BackendError("broken")), (B, "text")) == ("text", "BackendError: broken")
    run = Run()
    steps = (A, BackendError("broken")), (B, BackendLoadError("not here")), (C, "text")
    assert run.over(*steps) == ("text", "BackendError: broken; BackendLoadError: not here")
    run = Run(run.call.shared)
    run.clock.advance(0.5)
    text, reason = run.over(*steps)
    assert text == "text"
    assert reason == (
        "a was skipped: 1 call failed, the last with BackendError: broken; it is tried again in 30 s; "
        "b was skipped: 1 call failed, the last with BackendLoadError: not here; it is tried again in 30 s"
    )
    assert [(attempt.route, attempt.error) for attempt in run.call.attempts] == [("a", "skipped"), ("b", "skipped")]
    assert run.taken == [("c", None)]


def test_reasons_are_cut_to_their_shares() -> None:
    """Of three routes each may tell 120 characters; of one alone, as much as its error has."""
    prefix = "BackendError: "
    fits, longer = ("no way " * 20)[: 120 - len(prefix)], ("no way " * 20)[: 121 - len(prefix)]
    _, reason = Run().over((A, BackendError(fits)), (B, BackendError(longer)), (C, BackendError("z")), (D, "text"))
    assert reason == f"{prefix}{fits}; {prefix}{longer[:-2]}…; {prefix}z"
    long = "no way " * 60 + "out"
    assert Run().over((A, BackendError(long)), (B, "text")) == ("text", prefix + long)


def test_shares_of_the_deadline() -> None:
    """With n routes left one may use 1/n of what is left; a route that will be skipped has no share, but the last."""
    run = Run(deadline=12.0)

    def fail_after(seconds: float) -> Callable[[], Exception]:
        def fail() -> Exception:
            run.clock.advance(seconds)
            return BackendError("no")

        return fail

    run.over((A, fail_after(3.0)), (B, fail_after(1.0)), (C, "text"))
    assert run.taken == [("a", 4.0), ("b", 4.5), ("c", 8.0)]
    ill = Run(run.call.shared, deadline=12.0)
    ill.over((D, "text"), (A, "never"), (B, "never"), (C, "never"))
    assert ill.taken == [("d", 6.0)]
    ill = Run(run.call.shared, deadline=12.0)
    ill.over((D, "text"), (C, "never"), (B, "never"))
    assert ill.taken == [("d", 4.0)]
    ill = Run(run.call.shared, deadline=12.0)
    ill.over((D, "text"), (SERVER, "never"), (A, "never"))
    assert ill.taken == [("d", 4.0)]
    ill = Run(run.call.shared, deadline=12.0)
    ill.over((D, "text"), (A, "never"))
    assert ill.taken == [("d", 6.0)]


def test_out_of_time() -> None:
    """Where the deadline passed meanwhile no further route is begun, and the last server's error is the cause."""
    run = Run(deadline=12.0)
    error = APIConnectionError("down")

    def fail() -> HfasrError:
        run.clock.advance(12.0)
        run.call.last_api_error = error
        return error

    with pytest.raises(DeadlineExceededError) as caught:
        run.over((SERVER, fail), (B, "never"))
    assert str(caught.value) == "the deadline of 12 s passed while s was at work; raise deadline=, or shorten the audio"
    assert caught.value.__cause__ is error
    assert run.taken == [("s", 6.0)]


def test_only_route() -> None:
    """The only route's own error is raised, with the attempts."""
    run = Run()
    error = ServerError("down", status_code=500)
    with pytest.raises(ServerError) as caught:
        run.over((SERVER, run.sent(error)))
    assert caught.value is error
    assert [attempt.route for attempt in error.attempts] == ["s"]


def test_all_failed() -> None:
    """Where several failed the error tells of each, and has their errors, each with the attempts up to it."""
    run = Run()
    errors = [BackendError("broken"), ServerError("down", status_code=500)]
    with pytest.raises(AllRoutesFailedError) as caught:
        run.over((A, errors[0]), (SERVER, run.sent(errors[1])))
    assert str(caught.value) == "all routes failed: BackendError: broken; ServerError: down"
    assert caught.value.errors == tuple(errors)
    assert [len(error.attempts) for error in errors] == [0, 1]
    again = Run(run.call.shared)
    with pytest.raises(AllRoutesFailedError) as caught:
        again.over((A, "never"), (SERVER, again.sent(errors[1])))
    assert str(caught.value) == (
        "all routes failed or were skipped: a was skipped: 1 call failed, the last with BackendError: broken; it is "
        "tried again in 30 s; ServerError: down"
    )
    assert caught.value.errors == (errors[1],)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AuthenticationError("no", status_code=401), "AuthenticationError: no"),
        (PaymentRequiredError("pay", status_code=402), "PaymentRequiredError: pay"),
    ],
)
def test_refused_token(error: HfasrError, told: str) -> None:
    """Servers that would get the same token are left out, which is said; others, and engines, are not."""
    first, second, third, other = server("s", "one"), server("t", "one"), server("u", "one"), server("v", "two")
    run = Run()
    with pytest.raises(AllRoutesFailedError) as caught:
        run.over((first, error), (second, "never"), (third, "never"))
    assert str(caught.value) == f"all routes failed (2 left out, whose token was refused): {told}"
    assert run.taken == [("s", None)]
    run = Run()
    with pytest.raises(AllRoutesFailedError, match=r"^all routes failed \(2 left out, whose token was refused\): "):
        run.over((first, error), (second, "never"), (other, error), (server("w", "two"), "never"))
    run = Run()
    run.over((first, error), (second, "never"), (A, BackendError("broken")), (other, "text"))
    assert [name for name, _ in run.taken] == ["s", "a", "v"]
    run = Run()
    run.over((server("s"), error), (server("t"), "text"))  # no token at all was refused
    assert [name for name, _ in run.taken] == ["s", "t"]
    run = Run()
    run.over((first, ServerError("down", status_code=500)), (second, "text"))
    assert [name for name, _ in run.taken] == ["s", "t"]


def test_callers_fault() -> None:
    """Audio that cannot be used is raised by the first route, and so is what no route is asked for more."""
    for error in (AudioDecodeError("damaged"), InvalidOptionError("num_beams must be 1 or more")):
        run = Run()
        with pytest.raises(type(error)) as caught:
            run.over((A, error), (B, "never"))
        assert caught.value is error
        assert run.taken == [("a", None)]


def test_audio_that_another_may_take() -> None:
    """Too long audio, and what a later route cannot read, lead to the next; what a server says is damaged does not."""
    assert Run().over((A, AudioTooLongError("long")), (B, "text")) == ("text", "AudioTooLongError: long")
    steps = (A, BackendError("broken")), (B, AudioDecodeError("damaged")), (C, "text")
    assert Run().over(*steps) == ("text", "BackendError: broken; AudioDecodeError: damaged")
    run = Run()
    error = BadRequestError("damaged", status_code=400)

    def refuse() -> HfasrError:
        run.call.audio_refused = True
        return error

    with pytest.raises(BadRequestError) as caught:
        run.over((SERVER, refuse), (B, "never"))
    assert caught.value is error


def test_shorter_audio() -> None:
    """Where shorter audio may pass it is said how short, on which routes, and why those before gave no answer."""
    error = AudioTooLongError("too long")

    def shorter(found: HfasrError) -> float | None:
        return 30.0 if found is error else None

    with pytest.raises(TakesLessError) as caught:
        Run().over((A, BackendError("broken")), (B, error), (C, "never"), shorter=shorter)
    assert (caught.value.longest_s, caught.value.routes, caught.value.reason) == (30.0, (B, C), "BackendError: broken")
    assert caught.value.args == (30.0,)
    assert caught.value.__cause__ is error
    run = Run()
    with pytest.raises(TakesLessError) as caught:
        run.over((A, error), shorter=shorter)
    assert (caught.value.routes, caught.value.reason) == ((A,), None)
    assert not is_shut_out(run, A)


TOO_LARGE = PayloadTooLargeError("too large", status_code=413)


@pytest.mark.parametrize(
    ("route", "error", "was_sent", "chunk", "counts"),
    [
        (A, BackendError("broken"), False, None, True),
        (A, AudioTooLongError("long"), False, None, False),
        (SERVER, ServerError("down", status_code=500), True, None, True),
        (SERVER, ServerError("down", status_code=500), False, None, False),
        (SERVER, AuthenticationError("none found", status_code=401), False, None, False),
        (SERVER, BadRequestError("no", status_code=400), True, None, False),
        (SERVER, TOO_LARGE, True, None, False),
        (SERVER, TOO_LARGE, True, 0, True),
    ],
)
def test_what_tells_of_a_routes_health(
    route: Route, error: HfasrError, was_sent: bool, chunk: int | None, counts: bool
) -> None:
    """Failures of engines and of servers that were asked count; what is wrong with a call, or its audio, does not."""
    run = Run()
    run.call.chunk = chunk
    run.over((route, run.sent(error) if was_sent else error), (B, "text"))
    assert is_shut_out(run, route) is counts


def test_late_engine_is_not_ill() -> None:
    """An engine that was cut short does not count as one that failed."""
    run = Run()
    run.call.late = BackendError("late")
    run.over((A, run.call.late), (B, "text"))
    assert not is_shut_out(run, A)


def test_circuits() -> None:
    """A success closes a route's circuit; a failure counts from when it came; a probe that says nothing gives way."""
    run = Run()
    run.clock.advance(5.0)
    run.over((A, BackendError("broken")), (B, "text"))
    run.clock.advance(29.9)
    assert is_shut_out(run, A)
    run.clock.advance(0.1)
    with pytest.raises(InvalidOptionError):
        run.over((A, InvalidOptionError("no")), (B, "never"))
    assert not is_shut_out(run, A)
    run.over((A, "text"), (B, "never"))
    key = circuit(run.call, A)
    assert not run.call.shared.breaker.shuts_out(key, ONCE, 5.0)  # there is nothing left to recover from


def test_last_route_is_tried_anyway() -> None:
    """A route that is shut out is tried where it is the last."""
    run = Run()
    run.over((A, BackendError("broken")), (B, "text"))
    assert is_shut_out(run, A)
    assert run.over((A, "text")) == ("text", None)
    assert not is_shut_out(run, A)


def test_what_tells_routes_apart() -> None:
    """Servers by all of the route and who pays, engines by name, model and revision, the caller's by identity."""
    run, paid = Run(), Run(bill_to="org")
    one, other = FakeBackend("x"), FakeBackend("x")
    routes: list[Route] = [
        SERVER,
        server("s", "token"),
        A,
        B,
        LocalRoute("a", "m", None),
        LocalRoute("a", None, None, "v1"),
        LocalRoute("a", None, one),
        LocalRoute("a", None, other),
    ]
    keys = [circuit(run.call, route) for route in routes]
    assert len({*keys, circuit(paid.call, SERVER)}) == len(routes) + 1
    assert keys == [circuit(Run().call, route) for route in routes]
    assert circuit(paid.call, A) == circuit(run.call, LocalRoute("a", None, None, None, "token"))
