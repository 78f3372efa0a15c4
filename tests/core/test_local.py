"""One call over one engine: what the engine is told, what is written down, whose fault it is, and when it is too late."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from hfasr import (
    Audio,
    AudioTooLongError,
    BackendError,
    BackendLoadError,
    DeadlineExceededError,
    InvalidOptionError,
    TranscribeOptions,
    Transcript,
)
from hfasr._core.gather import NobodyWaits, Seat
from hfasr._core.io import run_sync
from hfasr._core.local import LocalAnswer, load_ahead, revision_ahead, run_locally
from hfasr._core.prepared import PreparedAudio
from hfasr._core.routes import LocalRoute
from hfasr._core.shared import Shared
from hfasr.audio.source import BytesSource
from tests.core.call_kit import NotedIO, call_of

if TYPE_CHECKING:
    from hfasr._core.context import CallContext
    from hfasr.testing import FakeClock

UNFINISHED = "eng did not finish in its share of the deadline; raise deadline=, or shorten the audio"
UNLOADED = "eng was still loading at the end of its share of the deadline; raise deadline=, or call preload() ahead"
NO_LIST = "eng must return a list of one Transcript per clip; it is at fault, not the audio"
TEXT = Transcript("text")


class Engine:
    """An engine whose loading and running take time on a clock that holds still, and do what they are told."""

    name = "eng"
    sampling_rate: Any = 8_000
    max_duration_s: float | None = None

    def __init__(self, clock: FakeClock) -> None:
        self.model: object = "org/loaded"
        self.revision: object = None
        self.loading: Callable[[], object] = lambda: clock.advance(2.0)
        self.running: Callable[[], object] = lambda: clock.advance(3.0)
        self.told: list[dict[str, Any]] = []
        self.clips: list[Audio] = []
        self.returns: object = [TEXT]
        self.looks = False

    def preload(self, *, download: bool = True, language: str | None = None) -> None:
        self.told.append({"download": download, "language": language})
        self.loading()
        self.revision = "0123abc"

    def transcribe(
        self, batch: Sequence[Audio], options: TranscribeOptions, *, check: Any = None, download: bool = True
    ) -> Any:
        self.told.append({"download": download, "options": options})
        assert type(batch) is list
        self.clips = batch
        self.running()
        if self.looks:
            check()
        return self.returns

    def close(self) -> None:
        return None


class Run:
    """One call over one engine."""

    def __init__(
        self, wav: bytes, *, deadline: float | None = None, window: float | None = None, **settings: Any
    ) -> None:
        self.io = NotedIO()
        self.call = call_of(self.io, deadline=deadline, **settings)
        self.engine = Engine(self.io.time)
        self.window = window
        self.audio = PreparedAudio(self.call, BytesSource(wav, name="clip"))

    def __call__(self, options: TranscribeOptions | None = None) -> LocalAnswer:
        self.io.time.advance(1.0)
        route = LocalRoute("eng", "org/asked", self.engine)
        return run_sync(run_locally(self.call, route, options or {}, self.audio, self.window))

    def fails(self, kind: type[Exception]) -> Any:
        with pytest.raises(kind) as caught:
            self()
        return caught.value

    @property
    def written(self) -> list[tuple[str, str | None, float, float, float]]:
        return [(a.route, a.error, a.started, a.duration, a.loading) for a in self.call.attempts]


def fail_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_answer(wav: bytes) -> None:
    """The engine is loaded and run in turn, each told what it takes; the attempt says how long both took."""
    run = Run(wav)
    assert run({"language": "de"}) == LocalAnswer(TEXT, "org/loaded", "0123abc")
    assert run.engine.told == [
        {"download": True, "language": "de"},
        {"download": True, "options": {"language": "de"}},
    ]
    assert [(clip.sampling_rate, clip.waveform.shape) for clip in run.engine.clips] == [(8_000, (7_200,))]
    assert run.written == [("eng", None, 1.0, 5.0, 2.0)]
    assert run.call.attempts[0].status is None
    assert run.io.offloaded == [(True, True), (False, False), (True, True)]
    assert run.io.windows == [None, None]


@pytest.mark.parametrize(
    ("settings", "deadline"), [({}, 60.0), ({"local_only": True, "fallback": "pocketsphinx"}, None)]
)
def test_no_download(wav: bytes, settings: dict[str, Any], deadline: float | None) -> None:
    """A call with a deadline, or of a client that stays on this machine, lets its engine fetch nothing."""
    run = Run(wav, deadline=deadline, **settings)
    run()
    assert [told["download"] for told in run.engine.told] == [False, False]


def test_engine_that_takes_nothing_more(wav: bytes) -> None:
    """An engine of three methods is one, too; what it keeps as model or revision need be no text."""

    class Plain:
        name, sampling_rate, max_duration_s = "eng", 16_000, None
        model, revision = 7, b"1"

        def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> tuple[Transcript, ...]:
            return tuple(TEXT for _ in batch)

        def close(self) -> None:
            return None

    run = Run(wav)
    run.engine = Plain()  # type: ignore[assignment]  # that is what is tested
    assert run() == LocalAnswer(TEXT, None, None)
    del Plain.model
    assert run() == LocalAnswer(TEXT, None, None)


def test_time_is_shared_by_loading_and_running(wav: bytes) -> None:
    """Loading may take all of the window, and running what is left of it."""
    run = Run(wav, window=6.0)
    run()
    assert run.io.windows == [6.0, 4.0]
    run = Run(wav, window=2.5)
    run()
    assert run.io.windows == [2.5, 0.5]


@pytest.mark.parametrize(("cut_off", "message", "loading"), [(0, UNLOADED, 0.0), (1, UNFINISHED, 2.0)])
def test_cut_off(wav: bytes, cut_off: int, message: str, loading: float) -> None:
    """Where time is up while it loads or runs, it is told which; that says nothing of the engine's health."""
    run = Run(wav, window=6.0, deadline=60.0)
    run.io.too_late = {cut_off}
    error = run.fails(BackendError)
    assert str(error) == message
    assert type(error.__cause__) is TimeoutError
    assert run.call.late is error
    assert run.written == [("eng", "BackendError", 1.0, loading, loading)]


def test_time_up_after_loading(wav: bytes) -> None:
    """Where loading cannot be cut off, its end is looked at."""
    run = Run(wav, window=2.0, deadline=60.0)
    error = run.fails(BackendError)
    assert (str(error), run.call.late) == (UNLOADED, error)
    assert len(run.engine.told) == 1
    assert run.written == [("eng", "BackendError", 1.0, 2.0, 2.0)]
    assert Run(wav, window=2.001, deadline=60.0)().transcript is TEXT


def test_late_answer_is_kept(wav: bytes) -> None:
    """What comes after the route's share, but in time for the call, is kept; what comes later still is not."""
    assert Run(wav, window=4.0, deadline=7.0)().transcript is TEXT
    run = Run(wav, window=4.0, deadline=6.0)
    error = run.fails(BackendError)
    assert (str(error), run.call.late) == (UNFINISHED, error)
    assert run.written == [("eng", "BackendError", 1.0, 5.0, 2.0)]


def test_engine_that_looks_at_the_time(wav: bytes) -> None:
    """An engine that looks is told when nobody waits any more."""
    run = Run(wav, window=4.0, deadline=60.0)
    run.engine.looks = True
    error = run.fails(BackendError)
    assert (str(error), type(error), run.call.late, error.__cause__) == (UNFINISHED, BackendError, error, None)
    assert error.__suppress_context__
    run = Run(wav)
    run.engine.looks = True
    assert run().transcript is TEXT


def test_own_timeout_goes_through(wav: bytes) -> None:
    """The deadline's own error is not taken for the route's."""
    run = Run(wav)
    error = DeadlineExceededError("mine")
    run.engine.running = fail_with(error)
    assert run.fails(DeadlineExceededError) is error
    assert run.call.late is None


@pytest.mark.parametrize("error", [InvalidOptionError("no"), BackendError("mine"), BackendLoadError("damaged")])
def test_engines_own_errors(wav: bytes, error: Exception) -> None:
    """An error of hfasr's goes through as it is, from loading and running, and is written down."""
    run = Run(wav)
    run.engine.loading = fail_with(error)
    assert run.fails(type(error)) is error
    assert run.written == [("eng", type(error).__name__, 1.0, 0.0, 0.0)]
    run = Run(wav)
    run.engine.running = fail_with(error)
    assert run.fails(type(error)) is error
    assert run.written == [("eng", type(error).__name__, 1.0, 2.0, 2.0)]
    assert run.call.late is None


def test_other_errors(wav: bytes) -> None:
    """Any other error is named with what failed, and is the cause."""
    cause = RuntimeError("boom")
    run = Run(wav)

    def load() -> None:
        run.io.time.advance(0.5)
        raise cause

    run.engine.loading = load
    error = run.fails(BackendError)
    assert (str(error), error.__cause__) == ("eng could not be loaded: RuntimeError: boom", cause)
    assert run.written == [("eng", "BackendError", 1.0, 0.5, 0.5)]
    run = Run(wav)
    run.engine.running = fail_with(cause)
    error = run.fails(BackendError)
    assert (str(error), error.__cause__) == ("eng failed: RuntimeError: boom", cause)


@pytest.mark.parametrize(("deadline", "is_late"), [(60.0, True), (None, False)])
def test_forbidden_download_is_no_illness(wav: bytes, deadline: float | None, is_late: bool) -> None:
    """An engine that cannot be loaded without a download is well, where none was allowed."""
    run = Run(wav, deadline=deadline)
    error = BackendLoadError("not here")
    run.engine.loading = fail_with(error)
    assert run.fails(BackendLoadError) is error
    assert run.call.late is (error if is_late else None)
    run = Run(wav, deadline=60.0)
    run.engine.loading = fail_with(BackendError("broken"))
    run.fails(BackendError)
    assert run.call.late is None


@pytest.mark.parametrize("rate", [0, -1, True, 16_000.0, None])
def test_rate_that_is_none(wav: bytes, rate: object) -> None:
    """An engine that gives no rate is at fault."""
    run = Run(wav)
    run.engine.sampling_rate = rate
    message = f"eng must give its sampling_rate in Hz, above 0, not {rate!r}; it is at fault"
    assert str(run.fails(BackendError)) == message


@pytest.mark.parametrize("returns", [None, [], [TEXT, TEXT], ["text"], {TEXT.text: TEXT}, iter([TEXT])])
def test_answers_that_are_none(wav: bytes, returns: object) -> None:
    """An engine that gives not one transcript for each clip is at fault."""
    run = Run(wav)
    run.engine.returns = returns
    assert str(run.fails(BackendError)) == NO_LIST


def test_too_long_audio(wav: bytes) -> None:
    """Audio that is longer than the engine takes never gets to it, and is no attempt."""
    run = Run(wav)
    run.engine.max_duration_s = 0.5
    assert str(run.fails(AudioTooLongError)).startswith("clip ")
    assert (len(run.engine.told), run.written) == (1, [])


def test_given_up(wav: bytes) -> None:
    """A run that is broken off is written down as cancelled."""
    run = Run(wav)
    run.engine.running = fail_with(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run()
    assert run.written == [("eng", "cancelled", 1.0, 2.0, 2.0)]


class Line:
    """In the place of the lines before engines: keeps who comes, and answers or fails."""

    def __init__(self, does: Callable[[], LocalAnswer]) -> None:
        self.engines: list[object] = []
        self.seats: list[Seat[LocalAnswer]] = []
        self.left: list[float] = []
        self._does = does

    def run(self, engine: object, seat: Seat[LocalAnswer], work: Any) -> LocalAnswer:
        self.engines.append(engine)
        self.seats.append(seat)
        self.left.append(seat.left())
        return self._does()


def test_how_long_it_waits_in_line(wav: bytes) -> None:
    """It waits as long as its window allows, or for ever; once it has gone or failed, not at all."""
    answer = LocalAnswer(TEXT, None, None)
    for window, left in ((None, math.inf), (6.0, 4.0)):
        run = Run(wav, window=window)
        line: Any = Line(lambda: answer)
        run.call.shared._gatherer = line
        assert run() == answer
        assert line.left == [left]
        assert line.engines == [run.engine]
        assert line.seats[0].left() == left
        assert line.seats[0].check == run.io.check_cancelled
    for error in (RuntimeError("x"), NobodyWaits(), KeyboardInterrupt()):
        run = Run(wav)
        line = Line(fail_with(error))  # type: ignore[arg-type]  # it gives no answer
        run.call.shared._gatherer = line
        with pytest.raises(BaseException):  # noqa: B017  # which one is others' business
            run()
        assert line.left == [math.inf]
        assert line.seats[0].left() == 0.0


def test_who_goes_together(wav: bytes) -> None:
    """Calls with the same options go together, unless only one of them may download."""
    line: Any = Line(lambda: LocalAnswer(TEXT, None, None))
    for deadline, language in ((None, "de"), (None, "de"), (None, "en"), (60.0, "de")):
        run = Run(wav, deadline=deadline)
        run.call.shared._gatherer = line
        run({"language": language})
    first, *others = line.seats
    assert [first.goes_with(other) for other in others] == [True, False, False]


# Ahead of a call


def ahead(**settings: Any) -> tuple[NotedIO, CallContext, Engine]:
    io = NotedIO()
    return io, call_of(io, **settings), Engine(io.time)


@pytest.mark.parametrize("local_only", [True, False])
def test_load_ahead(local_only: bool) -> None:
    """Loading ahead may download, unless the client stays on this machine, and under a deadline as well."""
    io, call, engine = ahead(deadline=5.0, local_only=local_only, fallback="pocketsphinx")
    run_sync(load_ahead(call, LocalRoute("eng", None, engine)))
    assert engine.told == [{"download": not local_only, "language": None}]
    assert io.offloaded == [(True, True)]
    engine.loading = fail_with(RuntimeError("boom"))
    with pytest.raises(BackendError, match=r"^eng could not be loaded: RuntimeError: boom$"):
        run_sync(load_ahead(call, LocalRoute("eng", None, engine)))


@pytest.mark.parametrize("download", [True, False])
def test_revision_ahead(download: bool) -> None:
    """The commit that an engine says it runs is known once it is loaded, and not where that fails."""
    _, _, engine = ahead()
    route = LocalRoute("eng", None, engine)
    assert revision_ahead(Shared(), route, download=download) == "0123abc"
    assert engine.told == [{"download": download, "language": None}]
    engine.loading = fail_with(RuntimeError("boom"))
    assert revision_ahead(Shared(), route, download=download) is None


def test_engine_by_name(wav: bytes) -> None:
    """An engine that is named is the one that the client's calls share."""
    run = Run(wav)
    run.call.shared._engines["eng", "org/asked", None, None] = run.engine
    route = LocalRoute("eng", "org/asked", None)
    assert run_sync(run_locally(run.call, route, {}, run.audio, None)).transcript is TEXT
