"""One call over one local engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.errors import AudioTooLongError, BackendError, HfasrError
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from .context import CallContext
    from .prepared import PreparedAudio
    from .routes import LocalRoute

__all__ = ["load_ahead", "run_locally"]


async def load_ahead(call: CallContext, route: LocalRoute) -> None:
    """
    Load *route*'s engine, and its model where the engine offers that (a method ``preload``).

    Raises:
        BackendError: It cannot be found or loaded.
    """

    def load() -> None:
        engine = call.shared.engine(route)
        preload = getattr(engine, "preload", None)
        if callable(preload):
            preload()

    await call.io.offload(lambda: _typed(f"{route.name} could not be loaded", load))


async def run_locally(
    call: CallContext, route: LocalRoute, options: TranscribeOptions, audio: PreparedAudio, window: float | None
) -> Transcript:
    """
    Transcribe with *route*'s engine, within *window* seconds.

    A running engine cannot be interrupted: the async call leaves it behind in its thread and goes
    on in time, the sync call goes on as soon as the engine returns.

    Raises:
        AudioError: The audio cannot be read, or is longer than the engine takes.
        BackendError: The engine failed, or did not finish in *window*.
    """
    clock, began = call.io.clock, call.io.clock.now()
    expires = None if window is None else began + window

    async def in_time(work: Callable[[], object]) -> object:
        left = None if expires is None else max(0.0, expires - clock.now())
        try:
            done = await call.io.within(left, call.io.offload(work, abandon=True))
        except TimeoutError as error:
            if isinstance(error, HfasrError):
                raise
            raise _late(route) from error
        if expires is not None and clock.now() >= expires:
            raise _late(route)
        return done

    try:
        engine = await in_time(lambda: _typed(f"{route.name} could not be loaded", lambda: call.shared.engine(route)))
        assert isinstance(engine, Backend)
        decoded = await audio.waveform(_rate(engine), engine.max_duration_s)
        transcript = await in_time(lambda: _run(engine, decoded.audio, options))
    except AudioTooLongError:
        raise  # the engine never ran
    except HfasrError as error:
        call.record(route.name, began, status=None, error=type(error).__name__)
        raise
    call.record(route.name, began, status=None, error=None)
    assert isinstance(transcript, Transcript)
    return transcript


def _typed(what: str, work: Callable[[], object]) -> object:
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


def _run(engine: Backend, audio: Audio, options: TranscribeOptions) -> Transcript:
    transcripts = _typed(f"{engine.name} failed", lambda: engine.transcribe([audio], options))
    if isinstance(transcripts, list | tuple) and len(transcripts) == 1 and isinstance(transcripts[0], Transcript):
        return transcripts[0]
    raise BackendError(f"{engine.name} must return a list of one Transcript per clip; it is at fault, not the audio")


def _late(route: LocalRoute) -> BackendError:
    return BackendError(
        f"{route.name} did not finish in its share of the deadline; raise deadline=, or shorten the audio"
    )
