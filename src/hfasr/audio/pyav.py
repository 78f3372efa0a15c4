"""
Decode by PyAV (FFmpeg): the kinds that libsndfile does not know, such as M4A, WebM, AMR and video.

Imported only where needed; raises `ImportError` where the extra ``av`` is not installed.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import av.error

from hfasr.errors import AudioDecodeError, HfasrError, UnsupportedAudioError

from .readers import BLOCK_FRAMES, shortfall
from .source import AudioInfo
from .waveforms import scaled

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    import numpy.typing as npt

    from .source import Source

__all__ = ["AVReader", "info"]

_WIDE = {"s64", "s64p"}  # 64-bit integers, of which PyAV makes no arrays
_LIVE = {"probesize": "2048", "analyzeduration": "0"}  # for a kind that is known, one packet is enough
_LIVE_BYTES = 1_024  # asked for at once: some demuxers want as many as that before they go on
_FAILURES = (av.error.FFmpegError, OSError, ValueError, LookupError)  # what PyAV raises for damaged files


class AVReader:
    """
    Blocks by PyAV.

    FFmpeg is told which demuxer to use, so that no bytes make it open a playlist, another file or an
    address; and it reads from our own file object.

    Args:
        source: What to read.

        is_live: Whether it still comes in: it is read from where it stands, and blocks are as small as they come.

        check: Called whenever FFmpeg reads, as it may look for a long time for what it can decode; raises to stop.
    """

    def __init__(self, source: Source, *, is_live: bool = False, check: Callable[[], None] | None = None) -> None:
        self._name = source.name
        self._n_damaged = 0
        self._n_packets = 0
        self.notes: list[str] = []
        self._to_float: Any = None
        self._block_frames = 1 if is_live else BLOCK_FRAMES
        self._handle = source.open()
        try:
            self._container, stream = _open(source, self._handle, is_live=is_live, check=check)
            self._frames = self._decode(stream)
            self._first: Any = next(self._frames, None)
            with _typed(self._name):
                # The first frame knows better than the header: HE-AAC's says half the rate.
                described = stream if self._first is None else self._first
                self.sampling_rate: int = int(described.rate or 0)
                self.channels: int = described.layout.nb_channels
                duration = _duration(self._container, stream)
        except BaseException:
            self._handle.close()
            raise
        if not self.channels:
            self.__exit__(None, None, None)
            raise _damaged(self._name)
        self.n_frames: int | None = round(duration * self.sampling_rate) if duration else None

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        total = 0
        for frame in self._gathered():
            block = self._samples(frame)
            total += len(block)
            yield block
        if self._n_damaged:
            self.notes.append(f"skipped {self._n_damaged} damaged packets of {self._n_packets}")
        self.notes.extend(shortfall(((self.n_frames or 0) - total) / self.sampling_rate))

    def _gathered(self) -> Iterator[Any]:
        """Give frames as long as a block: FFmpeg's are small, and an array of each takes as long as its decoding."""
        fifo, kind = av.AudioFifo(), None
        frame, self._first = self._first, None
        with _typed(self._name):
            while frame is not None:
                self._compare(frame)  # which the fifo does not: fewer channels than before would be read from nowhere
                if frame.format.name != kind:
                    if fifo.samples:
                        yield fifo.read()
                    fifo, kind = av.AudioFifo(), frame.format.name
                frame.pts = None  # where packets are missing, times do not go on as samples do
                fifo.write(frame)
                if fifo.samples >= self._block_frames:
                    yield fifo.read()
                frame = next(self._frames, None)
            if fifo.samples:
                yield fifo.read()

    def _decode(self, stream: Any) -> Iterator[Any]:
        """
        Give the frames, leaving out what is damaged, as players do: a packet is some 20 ms.

        A file with as many bad packets as good ones is not worth a transcript.
        """
        with _typed(self._name):
            for packet in self._packets(stream):
                self._n_packets += 1
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    self._n_damaged += 1
        if self._n_damaged * 2 > self._n_packets:
            raise _damaged(self._name)

    def _packets(self, stream: Any) -> Iterator[Any]:
        try:
            yield from self._container.demux(stream)
        except IndexError:  # PyAV fails to flush streams that appeared on the way, after it has flushed ours
            return

    def _compare(self, frame: Any) -> None:
        if frame.rate != self.sampling_rate or frame.layout.nb_channels != self.channels:
            raise AudioDecodeError(
                f"{self._name} changes its rate or channels on the way; convert it to FLAC and try again"
            )

    def _samples(self, frame: Any) -> npt.NDArray[np.float32]:
        with _typed(self._name):
            if frame.format.name in _WIDE:
                self._to_float = self._to_float or av.AudioResampler(format="fltp")
                (frame,) = self._to_float.resample(frame)
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
        with container, _typed(source.name):
            return AudioInfo(_duration(container, stream), stream.rate or None, stream.channels or None)


class _Pipe:
    """A file for FFmpeg in which it cannot seek."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read


class _File:
    """A file for FFmpeg. A wild seek fails there, with FFmpeg's own word for it, not in a traceback on stderr."""

    def __init__(self, file: BinaryIO, check: Callable[[], None] | None) -> None:
        self._file = file
        self._check = check
        self.tell = file.tell

    def read(self, n_bytes: int) -> bytes:
        if self._check is not None:
            self._check()  # PyAV raises what is raised here
        return self._file.read(n_bytes)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL


@contextmanager
def _typed(name: str) -> Iterator[None]:
    """Raise what PyAV raises about the file *name* as our own error."""
    try:
        yield
    except HfasrError:  # ours are some of those, too
        raise
    except av.error.DemuxerNotFoundError as error:
        raise UnsupportedAudioError(
            f"{name} is of a kind that this FFmpeg does not read; convert it to FLAC"
        ) from error
    except _FAILURES as error:
        raise _damaged(name) from error


def _damaged(name: str) -> AudioDecodeError:
    return AudioDecodeError(f"{name} is damaged or cut off; record or download it again")


def _open(
    source: Source, file: BinaryIO, *, is_live: bool = False, check: Callable[[], None] | None = None
) -> tuple[Any, Any]:
    """Open the container; return it and its first audio stream."""
    demuxer = source.container.demuxer if source.container else None
    if demuxer is None:
        raise UnsupportedAudioError(f"{source.name} is of a kind that nobody here decodes; convert it to FLAC")
    with _typed(source.name):
        if is_live:
            container = av.open(
                _Pipe(file),
                "r",
                demuxer,
                metadata_errors="ignore",
                options={**_LIVE, **_only_sound()},
                buffer_size=_LIVE_BYTES,
            )
        else:
            container = av.open(
                _File(file, check), mode="r", format=demuxer, metadata_errors="ignore", options=_only_sound()
            )
    if not container.streams.audio:
        container.close()
        raise UnsupportedAudioError(f"{source.name} has no sound in it, only pictures; pass audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        container.close()
        raise UnsupportedAudioError(f"{source.name} holds a codec that FFmpeg does not know; convert it to FLAC")
    return container, stream


@functools.cache
def _only_sound() -> dict[str, str]:
    """
    Let FFmpeg look at no pictures: to learn about a stream it decodes some of it, and of 8K that takes 100 MB.

    Source: ``codec_whitelist`` of https://ffmpeg.org/ffmpeg-formats.html#Format-Options
    """
    found = []
    for name in sorted(av.codecs_available):
        try:
            codec = av.Codec(name, "r")
        except ValueError:  # it only encodes
            continue
        if codec.type == "audio":
            found.append(name)
    return {"codec_whitelist": ",".join(found)}


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds, where the container or the stream knows."""
    if container.duration:
        return float(container.duration / av.time_base)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return None
