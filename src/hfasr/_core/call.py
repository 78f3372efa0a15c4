"""
One piece of audio over the routes of a call: whole, or a part of something longer.

Written once. It awaits nothing but its `IO`, so the sync client runs it to the end with one
``send(None)``, and the async client on asyncio and trio.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._version import __version__
from hfasr.types import Provenance, TranscribeOptions, Transcript

from .config import HOSTED
from .failover import over_routes
from .guards import guarded
from .hosted import HostedCall
from .local import run_locally
from .options import engine_options, to_ask
from .routes import HostedRoute, LocalRoute, Route

if TYPE_CHECKING:
    from .context import CallContext
    from .prepared import PreparedAudio

__all__ = ["transcribe_piece"]

_INLINE_CHARS, _INLINE_SEGMENTS = 5_000, 500
"""Up to here a transcript is looked at on the event loop, in some 5 ms at most: that is more than 3 minutes say."""


async def transcribe_piece(
    call: CallContext, routes: tuple[Route, ...], audio: PreparedAudio, options: TranscribeOptions
) -> Transcript:
    """
    Transcribe *audio* by the first of *routes* that does.

    Raises:
        TakesLessError: Not in one piece.
        HfasrError: See `over_routes`.
    """

    async def take(route: Route, window: float | None) -> tuple[Transcript, Provenance]:
        call.turn_to(route)
        if isinstance(route, LocalRoute):
            return await _on_this_machine(call, route, audio, options, window)
        return await _hosted(call, route, audio, options, window)

    (transcript, origin), reason = await over_routes(call, routes, take, audio.shorter)
    call.tell()
    transcript = await _looked_at(call, transcript, audio)
    origin = replace(
        origin,
        audio_changes=audio.changes,
        attempts=tuple(call.attempts),
        fallback_reason=reason,
        hfasr_version=__version__,
    )
    return replace(transcript, provenance=origin, duration=audio.duration)


async def _looked_at(call: CallContext, transcript: Transcript, audio: PreparedAudio) -> Transcript:
    def look() -> Transcript:
        return guarded(transcript, duration=audio.duration, is_silent=audio.is_silent)

    large = len(transcript.text) > _INLINE_CHARS or len(transcript.segments) > _INLINE_SEGMENTS
    return await call.io.offload(look) if large else look()


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
