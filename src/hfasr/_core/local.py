"""One call over one local engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hfasr.backends import accepted
from hfasr.backends._leases import identity
from hfasr.errors import AudioTooLongError, BackendError, BackendLoadError, HfasrError
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

from .gather import NobodyWaits, Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from .context import CallContext
    from .prepared import PreparedAudio
    from .routes import LocalRoute
    from .shared import Shared

    T = TypeVar("T")

__all__ = ["LocalAnswer", "load_ahead", "revision_ahead", "run_locally"]


class LocalAnswer(NamedTuple):
    """A transcript, and what the engine says that it ran."""

    transcript: Transcript
    model: str | None
    revision: str | None


async def load_ahead(call: CallContext, route: LocalRoute) -> None:
    """
    Load *route*'s engine, and its model where the engine offers that; fetch it first, if that is allowed.

    Raises:
        BackendError: It cannot be found or loaded.
    """
    download = not call.config.local_only
    await call.io.offload(lambda: _load(call, route, {"download": download}), abandon=True, waits=True)


def revision_ahead(shared: Shared, route: LocalRoute, *, download: bool) -> str | None:
    """
    Load *route*'s engine and return the commit that it says it runs, ``None`` where that is not known. Blocks.

    An engine that cannot be loaded is no failure here: each call will say why.
    """
    try:
        engine = _ready(shared, route, {"download": download})
    except HfasrError:
        return None
    return _said(engine, "revision")


async def run_locally(
    call: CallContext, route: LocalRoute, options: TranscribeOptions, audio: PreparedAudio, window: float | None
) -> LocalAnswer:
    """
    Transcribe with *route*'s engine, within *window* seconds; together with other calls that wait for it.

    A running engine cannot be interrupted: the async call leaves it behind in its thread and goes
    on in time, the sync call goes on as soon as the engine returns. So it is with loading; what was
    left behind serves the next call.

    Raises:
        AudioError: The audio cannot be read, or is longer than the engine takes.
        BackendError: The engine failed, or did not finish in *window*.
        InvalidOptionError: It cannot take an option's value.
    """
    clock, began = call.io.clock, call.io.clock.now()
    expires = None if window is None else began + window
    loading: float | None = None

    given_up = False

    def time_left() -> float:
        # In any thread: nobody may be waiting any more, or no longer for this route.
        if given_up:
            return 0.0
        return math.inf if expires is None else expires - clock.now()

    async def in_time(work: Callable[[], T]) -> T:
        nonlocal given_up
        left = None if expires is None else max(0.0, expires - clock.now())
        done_in_time = False
        try:
            done = await call.io.within(left, call.io.offload(work, abandon=True, waits=True))
        except NobodyWaits:
            raise _late(call, route, loaded=True) from None
        except TimeoutError as error:
            if isinstance(error, HfasrError):
                raise
            raise _late(call, route, loaded=loading is not None) from error
        else:
            done_in_time = True
        finally:
            given_up = not done_in_time  # also where the call was cancelled
        return done

    try:
        how: dict[str, object] = {"download": call.may_download, "language": options.get("language")}
        engine, took = await in_time(lambda: _load(call, route, how))
        if time_left() <= 0:
            raise _late(call, route, loaded=False)
        loading = took
        decoded = await audio.waveform(_rate(engine), engine.max_duration_s)
        alike = identity(dict(options)), call.may_download
        seat: Seat[LocalAnswer] = Seat(decoded.audio, alike, time_left, call.io.check_cancelled)

        def run(clips: Sequence[Audio], check: Callable[[], None]) -> list[LocalAnswer]:
            return _run(engine, clips, options, {"check": check, "download": call.may_download})

        with call.recorded_if_cancelled(route.name, began, loading):
            answer = await in_time(lambda: call.shared.gatherer.run(engine, seat, run))
        if call.expired():  # what came after the route's share, but in time for the call, is not thrown away
            raise _late(call, route, loaded=True)
    except AudioTooLongError:
        raise  # the engine never ran
    except HfasrError as error:
        spent = clock.now() - began if loading is None else loading
        if isinstance(error, BackendLoadError) and not call.may_download:
            call.late = error  # a call that may download would get on: the engine is not at fault
        call.record(route.name, began, status=None, error=type(error).__name__, loading=spent)
        raise
    call.record(route.name, began, status=None, error=None, loading=loading)
    return answer


def _load(call: CallContext, route: LocalRoute, how: Mapping[str, object]) -> tuple[Backend, float]:
    """Return the engine, its model loaded where it offers that, and the seconds that it took. Blocks."""
    began = call.io.clock.now()
    engine = _ready(call.shared, route, how)
    return engine, call.io.clock.now() - began


def _ready(shared: Shared, route: LocalRoute, how: Mapping[str, object]) -> Backend:
    def load() -> Backend:
        engine = shared.engine(route)
        preload = getattr(engine, "preload", None)
        if callable(preload):
            preload(**accepted(preload, how))
        return engine

    return _typed(f"{route.name} could not be loaded", load)


def _typed(what: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except HfasrError:
        raise
    except Exception as error:
        raise BackendError(f"{what}: {type(error).__name__}: {error}") from error


def _rate(engine: Backend) -> int:
    rate = engine.sampling_rate
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise BackendError(f"{engine.name} must give its sampling_rate in Hz, above 0, not {rate!r}; it is at fault")
    return rate


def _run(
    engine: Backend, clips: Sequence[Audio], options: TranscribeOptions, how: Mapping[str, object]
) -> list[LocalAnswer]:
    def run() -> tuple[object, str | None, str | None]:
        transcribe: Callable[..., object] = engine.transcribe
        transcripts = transcribe(list(clips), options, **accepted(transcribe, how))
        return transcripts, _said(engine, "model"), _said(engine, "revision")

    transcripts, model, revision = _typed(f"{engine.name} failed", run)
    if isinstance(transcripts, list | tuple) and len(transcripts) == len(clips):
        answers = [LocalAnswer(each, model, revision) for each in transcripts if isinstance(each, Transcript)]
        if len(answers) == len(clips):
            return answers
    raise BackendError(f"{engine.name} must return a list of one Transcript per clip; it is at fault, not the audio")


def _said(engine: Backend, name: str) -> str | None:
    value = getattr(engine, name, None)  # no part of the protocol: an engine may keep anything there
    return value if isinstance(value, str) else None


def _late(call: CallContext, route: LocalRoute, *, loaded: bool) -> BackendError:
    if loaded:
        message = f"{route.name} did not finish in its share of the deadline; raise deadline=, or shorten the audio"
    else:
        message = (
            f"{route.name} was still loading at the end of its share of the deadline; "
            "raise deadline=, or call preload() ahead"
        )
    call.late = BackendError(message)
    return call.late
