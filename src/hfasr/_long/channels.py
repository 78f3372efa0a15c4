"""A recording with one speaker a channel: each is transcribed alone, then they are put together by time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfasr._run.order import Settled
from hfasr.types import Segment, Transcript

from .merged import Merged
from .pieces import of_any_length
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
    number: int
    transcript: Transcript
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
        HfasrError: A channel failed.
    """
    n_channels = await call.offload(lambda: _n_channels(source))
    timed: TranscribeOptions = {**options, "return_timestamps": options.get("return_timestamps") or True}
    job = _ChannelJob(call, routes=routes, source=source, options=timed, memory=memory, n_channels=n_channels)
    order = WorkOrder(call.io, range(n_channels), job, n_workers=n_channels, what="transcription")
    channels: list[_Channel] = []
    await each(order, channels.append)
    call.attempts += [attempt for channel in channels for attempt in channel.attempts]
    return _interleaved(channels, routes[0].name)


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
        n_channels: int,
    ) -> None:
        self._call = call
        self._routes = routes
        self._source = source
        self._options = options
        self._memory = memory
        chunking = call.config.chunking
        shared = replace(chunking, max_concurrency=max(1, chunking.max_concurrency // n_channels))
        self._config = replace(call.config, chunking=shared)

    async def settle(self, io: IO, _index: int, number: int, /) -> Settled[_Channel]:
        part = self._call.part(io, config=replace(self._config, channels=number))
        transcript = await of_any_length(part, self._routes, self._source, self._options, self._memory)
        return Settled(_Channel(number, transcript, tuple(part.attempts)), None)


def _interleaved(channels: list[_Channel], backend: str) -> Transcript:
    merged = Merged(backend)
    segments: list[Segment] = []
    warnings: dict[str, None] = {}
    n_chunks = 0
    for channel in channels:
        transcript = channel.transcript
        merged.add(transcript, channel.attempts)
        segments += (replace(segment, channel=channel.number) for segment in _segments(transcript))
        warnings.update(dict.fromkeys(f"channel {channel.number}: {warning}" for warning in transcript.warnings))
        n_chunks += transcript.provenance.chunks if transcript.provenance is not None else 0
    segments.sort(key=lambda segment: (segment.start, segment.channel))
    first = channels[0].transcript
    languages = {channel.transcript.language for channel in channels if channel.transcript.text}
    origin = first.provenance
    sha256 = None if origin is None else origin.audio_sha256
    provenance = merged.provenance(sha256=sha256, duration=first.duration, changes=())
    return Transcript(
        " ".join(segment.text for segment in segments if segment.text),
        segments=tuple(segments),
        language=languages.pop() if len(languages) == 1 else None,
        duration=first.duration,
        provenance=replace(provenance, chunks=n_chunks),
        warnings=(*warnings, *merged.warnings),
        raw=tuple(channel.transcript.raw for channel in channels),
    )


def _segments(transcript: Transcript) -> tuple[Segment, ...]:
    """Return its segments; where the route gave none, one for all that was said."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return (Segment(0.0, transcript.duration, transcript.text),)
