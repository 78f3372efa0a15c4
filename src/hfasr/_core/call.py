"""
The whole call: read the audio, take the routes in order, say how it went.

Written once. It awaits nothing but its `IO`, so the sync client runs it to the end with one
``send(None)``, and the async client on asyncio and trio.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._version import __version__
from hfasr.audio import load
from hfasr.errors import (
    AllRoutesFailedError,
    APIError,
    AudioError,
    AudioTooLongError,
    AuthenticationError,
    BackendError,
    HfasrError,
    PaymentRequiredError,
)
from hfasr.types import AudioInput, Provenance, TranscribeOptions, Transcript

from .context import CallContext, logger
from .hosted import HostedCall
from .local import run_locally
from .options import check_options, engine_options, to_ask
from .prepared import PreparedAudio
from .routes import HostedRoute, LocalRoute, Route, plan

if TYPE_CHECKING:
    from hfasr.audio import Upload

    from .config import Config
    from .io import IO
    from .shared import Shared

__all__ = ["transcribe"]


async def transcribe(
    io: IO, config: Config, shared: Shared, audio: AudioInput, options: TranscribeOptions
) -> Transcript:
    """Transcribe *audio*; see `ASRClient.transcribe`."""
    check_options(options)
    routes = plan(config, options.get("model"))
    deadline = options.get("deadline") or config.deadline
    call = CallContext(io, config, shared, deadline)
    try:
        source = await load(audio, call, allow_paths=config.allow_paths, allow_private_urls=config.allow_private_urls)
        return await _over_routes(call, routes, PreparedAudio(call, source), options)
    except HfasrError as error:
        call.stamp(error)
        raise


async def _over_routes(
    call: CallContext, routes: tuple[Route, ...], audio: PreparedAudio, options: TranscribeOptions
) -> Transcript:
    errors: list[HfasrError] = []
    waiting = list(routes)
    while waiting:
        route = waiting[0]
        left = call.left()
        try:
            transcript, provenance = await _over_route(call, route, audio, options, left and left / len(waiting))
        except (APIError, BackendError, AudioError) as error:
            # Faults of the audio are the caller's, unless another route may take what this one cannot.
            if call.audio_refused or (isinstance(error, AudioError) and not errors and not _is_the_routes(error)):
                raise
            call.stamp(error)
            errors.append(error)
        else:
            reason = f"{type(errors[0]).__name__}: {errors[0]}" if errors else None
            provenance = replace(provenance, fallback_reason=reason)
            return _complete(replace(transcript, provenance=provenance), audio.duration)
        if call.expired():
            raise call.deadline_error(f"{route.name} was at work")
        waiting = _still_worth_trying(waiting[1:], route, errors[-1])
        if waiting:
            logger.warning(
                "%s failed with %s; going on with %s", route.name, type(errors[-1]).__name__, waiting[0].name
            )
    if len(routes) == 1:
        raise errors[0]
    told = "; ".join(f"{type(error).__name__}: {str(error)[: 360 // len(errors)]}" for error in errors)
    skipped = len(routes) - len(errors)
    rest = f" ({skipped} left out, whose token was refused)" if skipped else ""
    raise AllRoutesFailedError(f"all routes failed{rest}: {told}", errors=errors)


def _is_the_routes(error: AudioError) -> bool:
    return isinstance(error, AudioTooLongError)


def _still_worth_trying(routes: list[Route], failed: Route, error: HfasrError) -> list[Route]:
    """Leave out the routes that would be refused for the same credential."""
    if not isinstance(failed, HostedRoute) or not isinstance(error, AuthenticationError | PaymentRequiredError):
        return routes
    refused = failed.credential
    return [r for r in routes if refused is None or not isinstance(r, HostedRoute) or r.credential != refused]


async def _over_route(
    call: CallContext,
    route: Route,
    audio: PreparedAudio,
    options: TranscribeOptions,
    window: float | None,
) -> tuple[Transcript, Provenance]:
    upload: Upload | None = None
    if isinstance(route, LocalRoute):
        transcript = await run_locally(call, route, engine_options(options), audio, window)
    else:
        transcript, upload = await HostedCall(call, route, to_ask(options), audio, window).run()
    provenance = Provenance(
        backend="hosted" if isinstance(route, HostedRoute) else route.name,
        provider=route.provider if isinstance(route, HostedRoute) else None,
        model=route.model,
        audio_sha256=audio.sha256,
        audio_duration=audio.duration,
        uploaded_bytes=len(upload.data) if upload else None,
        upload_format=upload.format if upload else None,
        attempts=tuple(call.attempts),
        audio_changes=audio.changes,
        hfasr_version=__version__,
    )
    return transcript, provenance


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
