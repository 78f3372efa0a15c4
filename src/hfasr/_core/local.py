"""One call over one local engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.errors import BackendError, HfasrError
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

if TYPE_CHECKING:
    from .context import CallContext
    from .prepared import PreparedAudio
    from .routes import LocalRoute

__all__ = ["load_engine", "run_locally"]


async def load_engine(call: CallContext, route: LocalRoute) -> Backend:
    """
    Return *route*'s engine, ready to run.

    Raises:
        BackendError: It cannot be found or loaded.
    """

    def load() -> Backend:
        engine = call.shared.engine(route)
        preload = getattr(engine, "preload", None)  # engines that load lazily may offer to do it ahead
        if callable(preload):
            preload()
        return engine

    try:
        return await call.io.offload(load)
    except HfasrError:
        raise
    except Exception as error:
        raise BackendError(f"{route.name} could not be loaded: {type(error).__name__}: {error}") from error


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
    try:
        engine = await load_engine(call, route)
        decoded = await audio.waveform(engine.sampling_rate, engine.max_duration_s)
        left = None if window is None else max(0.0, window - (clock.now() - began))
        work = call.io.offload(lambda: _run(engine, decoded.audio, options), abandon=True)
        try:
            transcript = await call.io.within(left, work)
        except TimeoutError as error:
            if isinstance(error, HfasrError):
                raise
            raise _late(route) from error
        if window is not None and clock.now() - began >= window:
            raise _late(route)
    except HfasrError as error:
        call.record(route.name, began, status=None, error=type(error).__name__)
        raise
    call.record(route.name, began, status=None, error=None)
    return transcript


def _run(engine: Backend, audio: Audio, options: TranscribeOptions) -> Transcript:
    try:
        transcripts = engine.transcribe([audio], options)
    except HfasrError:
        raise
    except Exception as error:
        raise BackendError(f"{engine.name} failed: {type(error).__name__}: {error}") from error
    one = isinstance(transcripts, list | tuple) and len(transcripts) == 1 and isinstance(transcripts[0], Transcript)
    if not one:
        raise BackendError(
            f"{engine.name} must return a list of one Transcript per clip; it is at fault, not the audio"
        )
    return transcripts[0]


def _late(route: LocalRoute) -> BackendError:
    return BackendError(
        f"{route.name} did not finish in its share of the deadline; raise deadline=, or shorten the audio"
    )
