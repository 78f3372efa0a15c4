"""A recording with one speaker a channel: each is transcribed alone, then they are put together by time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfasr._core.watch import Watched
from hfasr._run.order import Settled
from hfasr.errors import AllRoutesFailedError, APIError, AudioError, BackendError, HfasrError
from hfasr.types import Segment, Transcript

from .merged import Merged, unasked
from .pieces import of_any_length, placed
from .work import WorkOrder, each

if TYPE_CHECKING:
    from hfasr._core.context import CallContext
    from hfasr._core.io import IO
    from hfasr._core.routes import Route
    from hfasr.audio import Source
    from hfasr.types import Attempt, TranscribeOptions

    from .memory import PieceMemory

__all__ = ["by_channel"]


@dataclass(frozen=True, slots=True)
class _Channel:
    """Exactly one of *transcript* and *error* is set."""

    number: int
    transcript: Transcript | None
    error: HfasrError | None
    attempts: tuple[Attempt, ...]


async def by_channel(
    call: CallContext,
    routes: tuple[Route, ...],
    source: Source,
    options: TranscribeOptions,
    memory: PieceMemory | None,
) -> Transcript:
    """
    Transcribe each channel of *source*, and interleave their segments by time.

    Segments are asked for in any case: without times nobody could tell who spoke when.

    Raises:
        HfasrError: A channel failed; with ``on_chunk_error="gap"`` only where all did.
    """
    n_channels = await call.offload(lambda: _n_channels(source))
    timed: TranscribeOptions = {**options, "return_timestamps": options.get("return_timestamps") or True}
    at_once = min(n_channels, call.config.chunking.max_concurrency)
    job = _ChannelJob(call, routes=routes, source=source, options=timed, memory=memory, at_once=at_once)
    order = WorkOrder(call.io, range(n_channels), job, n_workers=at_once, what="transcription")
    channels: list[_Channel] = []
    try:
        await each(order, channels.append)
        failed = [channel.error for channel in channels if channel.error is not None]
        if len(failed) == len(channels):
            raise placed(failed[0], f"channel {channels[0].number}", ())
    except HfasrError as error:
        error.attempts = call.every_attempt()
        raise
    call.take_over([*call.attempts, *(attempt for channel in channels for attempt in channel.attempts)])
    return _interleaved(channels, Merged(unasked(routes[0]), what="channels"))


def _n_channels(source: Source) -> int:
    from hfasr.audio.readers import open_reader

    with open_reader(source) as reader:
        return reader.channels


class _ChannelJob:
    def __init__(
        self,
        call: CallContext,
        *,
        routes: tuple[Route, ...],
        source: Source,
        options: TranscribeOptions,
        memory: PieceMemory | None,
        at_once: int,
    ) -> None:
        self._call = call
        self._routes = routes
        self._source = source
        self._options = options
        self._memory = memory
        self._keeps_going = options.get("on_chunk_error") == "gap"
        chunking = call.config.chunking
        shared = replace(chunking, max_concurrency=chunking.max_concurrency // at_once)
        self._config = replace(call.config, chunking=shared)

    async def settle(self, io: IO, _index: int, number: int, /) -> Settled[_Channel]:
        part = self._call.part(io, config=replace(self._config, channels=number))
        part.channel = number
        with Watched("channel", lambda: {"hfasr.channel": number}, part) as watched:
            try:
                transcript = await of_any_length(part, self._routes, self._source, self._options, self._memory)
            except (APIError, BackendError, AudioError, AllRoutesFailedError) as error:
                attempts = part.every_attempt()
                if not self._keeps_going:
                    raise placed(error, f"channel {number}", attempts) from error.__cause__
                watched.failed(error)
                return Settled(_Channel(number, None, error, attempts), None)
            watched.answered(transcript)
            return Settled(_Channel(number, transcript, None, tuple(part.attempts)), None)


def _interleaved(channels: list[_Channel], merged: Merged) -> Transcript:
    answers = [channel.transcript for channel in channels if channel.transcript is not None]
    duration = answers[0].duration
    segments: list[Segment] = []
    warnings: dict[str, None] = {}
    for channel in channels:
        number, transcript = channel.number, channel.transcript
        merged.add(transcript, channel.attempts)
        if transcript is None:
            error = f"{type(channel.error).__name__}: {channel.error}"
            segments.append(Segment(0.0, duration, "", channel=number, error=error))
            warnings[f"channel {number} failed and left a gap: {error}"] = None
            continue
        segments += (replace(segment, channel=number) for segment in _segments(transcript))
        warnings.update(dict.fromkeys(f"channel {number}: {warning}" for warning in transcript.warnings))
    segments.sort(key=lambda segment: (segment.start, segment.channel))
    languages = {transcript.language for transcript in answers if transcript.text}
    origins = [transcript.provenance for transcript in answers if transcript.provenance is not None]
    sha256 = next((origin.audio_sha256 for origin in origins), None)
    provenance = merged.provenance(sha256=sha256, duration=duration, changes=())
    return Transcript(
        " ".join(segment.text for segment in segments if segment.text),
        segments=tuple(segments),
        language=languages.pop() if len(languages) == 1 else None,
        duration=duration,
        provenance=replace(provenance, chunks=sum(origin.chunks for origin in origins)),
        warnings=(*warnings, *merged.warnings),
        raw=tuple(transcript.raw for transcript in answers),
    )


def _segments(transcript: Transcript) -> tuple[Segment, ...]:
    """Return its segments; where the route gave none, one for all that was said."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return (Segment(0.0, transcript.duration, transcript.text),)
