"""
The whole call: read the audio, take the routes in order, say how it went.

Written once. It awaits nothing but its `IO`, so the sync client runs it to the end with one
``send(None)``, and the async client on asyncio and trio.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from hfasr._version import __version__
from hfasr.audio import load
from hfasr.errors import HfasrError
from hfasr.types import AudioInput, Provenance, TranscribeOptions, Transcript

from .config import HOSTED
from .context import CallContext, logger
from .failover import over_routes
from .hosted import HostedCall
from .local import run_locally
from .options import check_options, engine_options, to_ask
from .prepared import PreparedAudio
from .routes import HostedRoute, LocalRoute, Route, plan
from .story import answered, gave_up

if TYPE_CHECKING:
    from hfasr.audio import Source

    from .config import Config
    from .io import IO
    from .shared import Shared

__all__ = ["Memory", "transcribe"]


class Memory(Protocol):
    """What was transcribed before: a batch's journal and cache."""

    async def recall(self, call: CallContext, source: Source) -> Transcript | None:
        """Return what *source* was transcribed as, ``None`` where that is not known."""
        ...

    async def keep(self, call: CallContext, source: Source, transcript: Transcript) -> None:
        """Remember *transcript*."""
        ...


async def transcribe(
    io: IO,
    config: Config,
    shared: Shared,
    audio: AudioInput,
    options: TranscribeOptions,
    *,
    memory: Memory | None = None,
) -> Transcript:
    """Transcribe *audio*, or take what *memory* has; see `ASRClient.transcribe`."""
    check_options(options)
    routes = plan(config, options.get("model"))
    deadline = options.get("deadline") or config.deadline
    call = CallContext(io, config, shared, deadline)
    try:
        source = await load(
            audio,
            call,
            allow_paths=config.allow_paths,
            allow_private_urls=config.allow_private_urls,
            local_only=config.local_only,
        )
        known = None if memory is None else await memory.recall(call, source)
        if known is not None:
            return known
        transcript = await _over_routes(call, routes, PreparedAudio(call, source), options)
        if memory is not None:
            await memory.keep(call, source, transcript)
    except HfasrError as error:
        call.stamp(error)
        if error.attempts:
            logger.log(_level(memory), "%s", gave_up(error))
        raise
    _log(transcript.provenance, _level(memory))
    return transcript


def _level(memory: Memory | None) -> int:
    return logging.WARNING if memory is None else logging.INFO  # a batch may have a million of them


def _log(origin: Provenance | None, level: int) -> None:
    """Write one line about a call that did not go straight."""
    if origin is None:
        return
    if origin.fallback_reason is not None:
        logger.log(level, "%s", answered(origin))
    elif any(attempt.error is not None for attempt in origin.attempts):
        logger.info("%s", answered(origin))  # the first route itself, after all


async def _over_routes(
    call: CallContext, routes: tuple[Route, ...], audio: PreparedAudio, options: TranscribeOptions
) -> Transcript:
    async def take(route: Route, window: float | None) -> tuple[Transcript, Provenance]:
        if isinstance(route, LocalRoute):
            return await _on_this_machine(call, route, audio, options, window)
        return await _hosted(call, route, audio, options, window)

    (transcript, origin), reason = await over_routes(call, routes, take)
    origin = replace(
        origin,
        audio_changes=audio.changes,
        attempts=tuple(call.attempts),
        fallback_reason=reason,
        hfasr_version=__version__,
    )
    return _complete(replace(transcript, provenance=origin), audio.duration)


async def _on_this_machine(
    call: CallContext, route: LocalRoute, audio: PreparedAudio, options: TranscribeOptions, window: float | None
) -> tuple[Transcript, Provenance]:
    transcript, model, revision = await run_locally(call, route, engine_options(options), audio, window)
    wanted = options.get("model")
    if wanted and model and wanted != model and call.config.backend != HOSTED:
        transcript = _with_warning(transcript, f"{route.name} runs {model!r:.80}; model={wanted!r:.80} was not used")
    asked = call.config.revision
    if asked is not None and route.backend is not None:
        transcript = _with_warning(
            transcript, f"{route.name} was loaded by the caller; revision={asked!r:.60} was not used"
        )
    return transcript, Provenance(
        backend=route.name,
        provider=None,
        model=model or route.model,
        audio_sha256=audio.sha256,
        audio_duration=audio.duration,
        uploaded_bytes=None,
        upload_format=None,
        revision=revision,
    )


async def _hosted(
    call: CallContext, route: HostedRoute, audio: PreparedAudio, options: TranscribeOptions, window: float | None
) -> tuple[Transcript, Provenance]:
    transcript, upload = await HostedCall(call, route, to_ask(options), audio, window).run()
    asked = call.config.revision
    if asked is not None:
        transcript = _with_warning(
            transcript, f"{route.name} runs a revision of its own; revision={asked!r:.60} was not used"
        )
    return transcript, Provenance(
        backend="hosted",
        provider=route.provider,
        model=route.model,
        audio_sha256=audio.sha256,
        audio_duration=audio.duration,
        uploaded_bytes=len(upload.data),
        upload_format=upload.format,
    )


def _with_warning(transcript: Transcript, warning: str) -> Transcript:
    return replace(transcript, warnings=(*transcript.warnings, warning))


def _complete(transcript: Transcript, duration: float | None) -> Transcript:
    """Fill in what the audio tells: its duration, and the end of a last segment that nobody knows."""
    if duration is None:
        return transcript
    segments = tuple(
        replace(
            segment,
            end=duration if segment.end is None else segment.end,
            words=tuple(replace(word, end=duration) if word.end is None else word for word in segment.words),
        )
        for segment in transcript.segments
    )
    return replace(transcript, segments=segments, duration=duration)
