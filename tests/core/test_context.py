"""One call's clock, log and limits, step by step, with an IO that does nothing."""

from __future__ import annotations

import platform
import re
from types import SimpleNamespace
from typing import Any

import pytest

from hfasr import APIConnectionError, APITimeoutError, Attempt, DeadlineExceededError, HfasrError
from hfasr._core.config import Config
from hfasr._core.context import CallContext, user_agent
from hfasr._core.http import Reach
from hfasr._core.io import run_sync
from hfasr._core.shared import Shared
from hfasr._version import __version__
from hfasr.testing import FakeBackend, FakeClock
from hfasr.wire import Request


class IO:
    """Notes what is asked of it, and answers with what it is given, which may be an error."""

    def __init__(self, answer: Any = None, *, takes: float = 0.0) -> None:
        self.clock = FakeClock()
        self.asked: list[Any] = []
        self.cancelled = False
        self._answer = answer
        self._takes = takes

    def _do(self, *asked: Any) -> Any:
        self.asked.append(asked)
        self.clock.advance(self._takes)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def send(self, request: Any, *, timeout: float, expires_in: float | None, reach: Any) -> Any:
        return self._do(request, timeout, expires_in, reach)

    async def collect(self, chunks: Any, sink: Any, /, *, expires_in: float | None) -> None:
        self._do(chunks, sink, expires_in)

    async def wait(self, awaitable: Any, /, *, expires_in: float | None) -> Any:
        return self._do(awaitable, expires_in)

    async def offload(self, fn: Any, /) -> Any:
        return fn()

    async def sleep(self, seconds: float) -> None:
        self.clock.pause(seconds)

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise KeyboardInterrupt


def context(io: Any = None, deadline: float | None = None, **settings: Any) -> CallContext:
    waits: Any = io or IO()
    return CallContext(waits, Config(**settings), Shared(), deadline)


def clock_of(call: CallContext) -> Any:
    return call.io.clock


def test_left() -> None:
    """The deadline counts from the start of the call, and may be passed."""
    assert context().left() is None
    io = IO()
    io.clock.advance(100.0)
    call = context(io, deadline=5.0)
    clock_of(call).advance(2.0)
    assert call.left() == 3.0
    clock_of(call).advance(4.0)
    assert call.left() == -1.0


@pytest.mark.parametrize(("left", "expired"), [(0.011, False), (0.01, True), (0.0, True), (-1.0, True), (None, False)])
def test_expired(left: float | None, expired: bool) -> None:
    """A deadline has passed when a hundredth of a second is left, as a socket may be early."""
    assert context(deadline=left).expired() is expired


@pytest.mark.parametrize(
    ("deadline", "local_only", "may"),
    [(None, False, True), (5.0, False, False), (None, True, False), (5.0, True, False)],
)
def test_may_download(deadline: float | None, local_only: bool, may: bool) -> None:
    """A model is fetched only by a call that has all the time, and of a client that may."""
    assert context(deadline=deadline, local_only=local_only, backend=FakeBackend()).may_download is may


def test_deadline_error() -> None:
    """The error for a deadline says what it was and what went on, with the attempts and the last server's error."""
    call = context(deadline=2.5)
    call.record("hf", 0.0, status=None, error="APITimeoutError")
    last = APITimeoutError("late")
    call.last_api_error = last
    error = call.deadline_error("waiting")
    assert isinstance(error, DeadlineExceededError)
    assert str(error) == "the deadline of 2.5 s passed while waiting; raise deadline=, or shorten the audio"
    assert error.attempts == tuple(call.attempts)
    assert error.__cause__ is last
    assert context(deadline=2.0).deadline_error("waiting").__cause__ is None


def test_check() -> None:
    """A check raises where the deadline has passed, then where the call was cancelled."""
    io = IO()
    call = context(io, 1.0)
    call.check()
    io.cancelled = True
    with pytest.raises(KeyboardInterrupt):
        call.check()
    io.clock.advance(1.0)
    with pytest.raises(DeadlineExceededError, match=r"^the deadline of 1 s passed while reading the audio; "):
        call.check()


def test_record() -> None:
    """An attempt tells when it began and how long it took, and the pauses since the last one, each once."""
    io = IO()
    io.clock.advance(100.0)
    call = context(io)
    call.chunk, call.channel = 3, 1
    run_sync(call.sleep(2.0))
    call.count_wait(0.5)
    began = io.clock.now()
    io.clock.advance(4.0)
    call.record("hf", began, status=503, error="ServerError", request_id="r1", loading=1.5)
    call.record("hf", began, status=200, error=None)
    assert call.attempts == [
        Attempt("hf", 503, "ServerError", "r1", 2.0, 4.0, 2.5, 1.5, 3, 1),
        Attempt("hf", 200, None, None, 2.0, 4.0, 0.0, 0.0, 3, 1),
    ]
    assert io.clock.sleeps == [2.0]


def test_record_skip() -> None:
    """A route that was skipped is written down at its time, and takes none of the pauses."""
    io = IO()
    io.clock.advance(100.0)
    told: list[Attempt] = []
    call = context(io, on_attempt=told.append)
    call.chunk, call.channel = 3, 1
    io.clock.advance(2.0)
    call.record_skip("hf")
    skipped = Attempt("hf", None, "skipped", None, 2.0, 0.0, 0.0, 0.0, 3, 1)
    assert call.attempts == [skipped]
    assert told == [skipped]


def test_recorded_if_cancelled() -> None:
    """A run that is given up is written down; one that fails is not, as whoever made it does that."""
    call = context()
    with call.recorded_if_cancelled("engine", 0.0, 0.5):
        pass
    with pytest.raises(ValueError, match="no"), call.recorded_if_cancelled("engine", 0.0, 0.5):
        raise ValueError("no")
    assert call.attempts == []
    clock_of(call).advance(2.0)
    with pytest.raises(KeyboardInterrupt), call.recorded_if_cancelled("engine", 0.0, 0.5):
        raise KeyboardInterrupt
    assert call.attempts == [Attempt("engine", None, "cancelled", None, 0.0, 2.0, 0.0, 0.5)]


def test_tell() -> None:
    """Each attempt is told of once, when it can no longer change: with the next, a pause, another route or the end."""
    told: list[str | None] = []
    call = context(on_attempt=lambda attempt: told.append(attempt.error))
    route: Any = object()
    call.record("hf", 0.0, status=500, error="1")
    assert told == []
    call.record("hf", 0.0, status=500, error="2")
    assert told == ["1"]
    run_sync(call.sleep(1.0))
    assert told == ["1", "2"]
    call.record("hf", 0.0, status=500, error="3")
    call.turn_to(route)
    assert told == ["1", "2", "3"]
    assert call.route is route
    call.record("hf", 0.0, status=200, error=None)
    call.failed(HfasrError("no answer"))
    assert told == ["1", "2", "3", "HfasrError"]
    assert (call.attempts[-1].status, call.attempts[-1].error) == (200, "HfasrError")
    call.tell()
    assert len(told) == 4


def test_take_over() -> None:
    """Attempts of parts become the call's own, in the order in which they are given, and are not told of again."""
    told: list[str] = []
    call = context(on_attempt=lambda attempt: told.append(attempt.route))
    call.record("a", 0.0, status=500, error=None)
    part = call.part(call.io)
    part.record("b", 0.0, status=200, error=None)
    part.tell()
    inner = part.part(call.io)
    inner.record("c", 0.0, status=200, error=None)
    assert [attempt.route for attempt in call.every_attempt()] == ["a", "b", "c"]
    assert told == ["b"]
    call.take_over(reversed(call.every_attempt()))
    assert [attempt.route for attempt in call.attempts] == ["c", "b", "a"]
    assert call.parts == []
    call.tell()
    assert told == ["b", "a"]


def test_part() -> None:
    """A part has its call's clock, deadline and place, and a log of its own."""
    io: Any = IO()
    call = context(io, 9.0)
    stretch: Any = object()
    seats: Any = object()
    call.chunk, call.channel, call.stretch, call.seats, call.span = 2, 1, stretch, seats, None
    call.record("a", 0.0, status=200, error=None)
    io.clock.advance(3.0)
    other: Any = IO()
    part = call.part(other)
    assert (part.io, part.config, part.shared, part.started) == (other, call.config, call.shared, 0.0)
    assert (part.chunk, part.channel, part.stretch, part.seats, part.span) == (2, 1, stretch, seats, None)
    assert part.attempts == []
    assert call.parts == [part]
    config = Config(timeout=1.0)
    second = call.part(io, chunk=0, config=config)
    assert (second.chunk, second.config) == (0, config)
    assert second.left() == 6.0
    assert call.parts == [part, second]


def test_stamp() -> None:
    """An error gets the attempts of the call and its parts, unless it has some."""
    call = context()
    call.record("a", 0.0, status=200, error=None)
    part = call.part(call.io)
    part.record("b", 0.0, status=200, error=None)
    error, known = HfasrError("no"), HfasrError("no", attempts=(call.attempts[0],))
    call.stamp(error)
    call.stamp(known)
    assert [attempt.route for attempt in error.attempts] == ["a", "b"]
    assert known.attempts == (call.attempts[0],)


def test_errors() -> None:
    """A call begins without errors, and forgets those that it had."""
    call = context()
    assert (call.last_api_error, call.late, call.audio_refused, call.route) == (None, None, False, None)
    call.last_api_error, call.late = APITimeoutError("late"), HfasrError("late")
    call.forget_errors()
    found: Any = (call.last_api_error, call.late)
    assert found == (None, None)


def test_get() -> None:
    """Audio is asked for without a token, into the sink, in what is left of the time."""
    io = IO("response")
    call: Any = context(io, 9.0, timeout=7.0, token="hf_" + "x" * 34)
    io.clock.advance(2.0)
    sink: Any = object()
    assert run_sync(call.get("https://a.example/b.wav", allow_private=False, max_bytes=99, sink=sink)) == "response"
    ((request, timeout, expires_in, reach),) = io.asked
    headers = {"accept": "audio/*, video/*;q=0.9, */*;q=0.5", "user-agent": user_agent()}
    assert request == Request("GET", "https://a.example/b.wav", headers)
    assert (timeout, expires_in) == (7.0, 7.0)
    assert reach == Reach(audio=True, private=False, max_bytes=99, sink=sink)


def test_user_agent() -> None:
    """Servers are told the versions of hfasr and Python."""
    assert user_agent() == f"hfasr/{__version__}; python/{platform.python_version()}"
    assert re.fullmatch(r"hfasr/\d\S*; python/3\.\S+", user_agent())


def test_get_hides_the_signature() -> None:
    """What follows the first question mark of a URL is in no error; an error in time stays what it is."""
    error = APIConnectionError("cannot reach a.example/b?sig=abcdefgh?ijklmnop")
    sink: Any = object()
    call = context(IO(error), 9.0)
    with pytest.raises(APIConnectionError) as caught:
        run_sync(call.get("https://a.example/b?sig=abcdefgh?ijklmnop", allow_private=True, max_bytes=9, sink=sink))
    assert caught.value is error
    assert str(error) == "cannot reach a.example/b?***"


def late(what: str) -> Any:
    """Return what *what* is waited for with, and the error that comes when the time is up."""
    sink: Any = object()
    if what == "get":
        return APITimeoutError("late"), lambda call: call.get("https://a/b", allow_private=True, max_bytes=9, sink=sink)
    if what == "collect":
        return TimeoutError(), lambda call: call.collect("chunks", "sink")
    return TimeoutError(), lambda call: call.wait("file")


@pytest.mark.parametrize(
    ("what", "doing"), [("get", "fetching the audio"), ("collect", "reading the audio"), ("wait", "reading the audio")]
)
def test_deadline_while_reading(what: str, doing: str) -> None:
    """Time that ends while audio is read is the deadline's; before that, the error is what it is."""
    error, wait = late(what)
    with pytest.raises(DeadlineExceededError) as caught:
        run_sync(wait(context(IO(error, takes=3.0), 3.0)))
    assert str(caught.value) == f"the deadline of 3 s passed while {doing}; raise deadline=, or shorten the audio"
    assert caught.value.__cause__ is error
    for deadline in (None, 3.1):
        with pytest.raises((APITimeoutError, TimeoutError)) as other:
            run_sync(wait(context(IO(error, takes=3.0), deadline)))
        assert other.value is error
    with pytest.raises(OSError, match=r"^gone$"):
        run_sync(wait(context(IO(OSError("gone"), takes=3.0), 3.0)))


def test_what_is_waited_for() -> None:
    """Chunks and files are waited for in what is left of the time; work goes to the IO."""
    io = IO("bytes")
    call: Any = context(io, 9.0)
    io.clock.advance(2.0)
    run_sync(call.collect("chunks", "sink"))
    assert run_sync(call.wait("file")) == "bytes"
    assert io.asked == [("chunks", "sink", 7.0), ("file", 7.0)]
    assert run_sync(call.offload(lambda: "done")) == "done"


def test_spans_and_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a span an attempt is told to that as well, with its route and the time at which it ended."""
    told: list[Any] = []
    monkeypatch.setattr("time.time_ns", lambda: 77)
    monkeypatch.setattr(
        "hfasr._core.telemetry.record_attempt",
        lambda span, attempt, route, ended: told.append((span, attempt.route, route, ended)),
    )
    call = context()
    span, route = SimpleNamespace(), SimpleNamespace()
    call.span = span
    call.route = route  # type: ignore[assignment]  # nothing is asked of it
    call.record("a", 0.0, status=200, error=None)
    call.tell()
    assert told == [(span, "a", route, 77)]
