"""
Decode by PyAV (FFmpeg): the kinds that libsndfile does not know, such as M4A, WebM, AMR and video.

Imported only where needed; raises `ImportError` where the extra ``av`` is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np

from hfasr.errors import AudioDecodeError, AudioError, UnsupportedAudioError

from .readers import BLOCK_FRAMES, shortfall
from .source import AudioInfo
from .waveforms import scaled

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .source import Source

__all__ = ["AVReader", "info"]


class AVReader:
    """
    Blocks by PyAV.

    FFmpeg is told which demuxer to use, so that no bytes make it open a playlist, another file or an
    address; and it reads from our own file object.
    """

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._n_damaged = 0
        self._n_packets = 0
        self.notes: list[str] = []
        self._handle = source.open()
        try:
            self._container, stream = _open(source, self._handle)
            self._frames = self._decode(stream)
            self._first: Any = next(self._frames, None)
        except BaseException:
            self._handle.close()
            raise
        # The first frame knows better than the header: HE-AAC's says half the rate.
        described = stream if self._first is None else self._first
        self.sampling_rate: int = int(described.rate or 0)
        self.channels: int = len(described.layout.channels)
        duration = _duration(self._container, stream)
        self.n_frames: int | None = round(duration * self.sampling_rate) if duration else None

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        parts: list[npt.NDArray[np.float32]] = []
        held = total = 0
        frame, self._first = self._first, None
        while frame is not None:
            parts.append(self._samples(frame))
            held += len(parts[-1])
            if held >= BLOCK_FRAMES:  # FFmpeg's frames are small: work on many at once
                yield np.concatenate(parts)
                total += held
                parts, held = [], 0
            frame = next(self._frames, None)
        if held:
            yield np.concatenate(parts)
        if self._n_damaged:
            self.notes.append(f"skipped {self._n_damaged} damaged packets of {self._n_packets}")
        self.notes.extend(shortfall(((self.n_frames or 0) - total - held) / self.sampling_rate))

    def _decode(self, stream: Any) -> Iterator[Any]:
        """
        Give the frames, leaving out what is damaged, as players do: a packet is some 20 ms.

        A file with as many bad packets as good ones is not worth a transcript.
        """
        try:
            for packet in self._container.demux(stream):
                self._n_packets += 1
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    self._n_damaged += 1
        except (av.error.FFmpegError, ValueError) as error:
            raise self._damaged() from error
        if self._n_damaged * 2 > self._n_packets:
            raise self._damaged()

    def _damaged(self) -> AudioDecodeError:
        return AudioDecodeError(f"{self._name} is damaged or cut off; record or download it again")

    def _samples(self, frame: Any) -> npt.NDArray[np.float32]:
        if frame.rate != self.sampling_rate or len(frame.layout.channels) != self.channels:
            raise AudioDecodeError(
                f"{self._name} changes its rate or channels on the way; convert it to FLAC and try again"
            )
        samples = scaled(frame.to_ndarray())  # planar: (channels, n); packed: (1, n * channels)
        return samples.T if frame.format.is_planar else samples.reshape(-1, self.channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()
        self._handle.close()


def info(source: Source) -> AudioInfo:
    """
    Return what the header says.

    Raises:
        AudioError: It is damaged, or there is no audio in it.
    """
    with source.open() as file:
        container, stream = _open(source, file)
        with container:
            return AudioInfo(_duration(container, stream), stream.rate or None, stream.channels or None)


def _open(source: Source, file: Any) -> tuple[Any, Any]:
    """Open the container; return it and its first audio stream."""
    demuxer = source.container.demuxer if source.container else None
    if demuxer is None:
        raise UnsupportedAudioError(f"{source.name} is of a kind that nobody here decodes; convert it to FLAC")
    try:
        container = av.open(file, mode="r", format=demuxer, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise _damaged(source, error) from error
    if not container.streams.audio:
        container.close()
        raise UnsupportedAudioError(f"{source.name} has no sound in it, only pictures; pass audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        container.close()
        raise UnsupportedAudioError(f"{source.name} holds a codec that FFmpeg does not know; convert it to FLAC")
    return container, stream


def _damaged(source: Source, error: Exception) -> AudioError:
    if isinstance(error, av.error.DemuxerNotFoundError):
        return UnsupportedAudioError(f"{source.name} is of a kind that this FFmpeg does not read; convert it to FLAC")
    return AudioDecodeError(f"{source.name} is damaged or cut off; record or download it again")


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds, where the container or the stream knows."""
    if container.duration:
        return float(container.duration / av.time_base)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return None
