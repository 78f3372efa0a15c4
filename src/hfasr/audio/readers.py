"""
Give a source's samples block by block: from libsndfile, PyAV, or the caller's own array.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from hfasr.errors import AudioDecodeError, UnsupportedAudioError

from . import headers
from .source import PathSource, WaveformSource

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .pyav import AVReader
    from .source import Source

__all__ = ["BLOCK_FRAMES", "Reader", "open_reader", "shortfall"]

BLOCK_FRAMES = 65_536
"""Frames per block: about a second and a half of CD audio, small enough for the processor's cache."""

# libmpg123, by which libsndfile reads these, writes to the process's standard error about frames that every
# decoder conceals, and cannot be told not to. PyAV gives the same samples, within 2e-6, and keeps quiet.
_NOISY = {"mp3", "mp2"}
_SLACK_S = 0.5  # headers count the padding that decoders drop, and round


class Reader(Protocol):
    """Samples that are read once, from the start."""

    sampling_rate: int
    """Hz, as the file says."""

    channels: int
    """Number of channels, as the file says."""

    n_frames: int | None
    """Number of frames that the header announces; not to be trusted."""

    notes: list[str]
    """What had to be worked around; complete after the last block."""

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        """Give blocks of shape ``(n_frames, channels)``, each valid until the next is asked for."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_reader(source: Source) -> Reader:
    """
    Open *source* with whoever can read it: libsndfile first, then PyAV where it is installed.

    Raises:
        AudioDecodeError: Damaged.

        UnsupportedAudioError: Only PyAV can read it, and it is not installed; or nobody can.
    """
    if isinstance(source, WaveformSource):
        return WaveformReader(source)
    container = source.container
    assert container is not None
    if not container.libsndfile:
        av_reader = _av_reader()
        if av_reader is None:
            raise UnsupportedAudioError(
                f'{source.name} is {container.name}, which only PyAV decodes: pip install "hfasr[av]", or make it FLAC'
            )
        return av_reader(source)
    if container.name in _NOISY and (av_reader := _av_reader()) is not None:
        return av_reader(source)
    try:
        return SoundFileReader(source)
    except AudioDecodeError:
        av_reader = _av_reader()
        if av_reader is None:
            raise
        reader = av_reader(source)
        reader.notes.append("decoded by PyAV, as libsndfile could not open it")
        return reader


def _av_reader() -> type[AVReader] | None:
    try:
        from .pyav import AVReader
    except ImportError:
        return None
    return AVReader


class WaveformReader:
    """Blocks of an array that is in memory."""

    def __init__(self, source: WaveformSource) -> None:
        self._frames = source.frames
        self.sampling_rate = source.sampling_rate
        self.n_frames: int | None
        self.n_frames, self.channels = source.frames.shape
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, len(self._frames), BLOCK_FRAMES):
            yield np.ascontiguousarray(self._frames[start : start + BLOCK_FRAMES])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class SoundFileReader:
    """Blocks by libsndfile."""

    def __init__(self, source: Source) -> None:
        import soundfile

        self._source = source
        self._errors = soundfile.LibsndfileError
        self.notes: list[str] = []
        self._handle, where = self._prepare(source)
        try:
            self._file = soundfile.SoundFile(where)
        except self._errors as error:
            self._close_handle()
            raise AudioDecodeError(
                f"{source.name} is damaged, or of a kind that libsndfile does not read; check that it plays elsewhere, "
                'or pip install "hfasr[av]" for more kinds'
            ) from error
        self.sampling_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.n_frames: int | None = self._file.frames if 0 < self._file.frames < 2**62 else None
        if self.n_frames is None and source.container is not None and source.container.name == "ogg":
            self._file.close()  # libsndfile counts 0 frames where the last page is missing
            raise AudioDecodeError(f"{source.name} is an Ogg file without its end; record or download it again")

    def _prepare(self, source: Source) -> tuple[BinaryIO | None, Any]:
        """Open the file where libsndfile would trip over its name or its header."""
        if source.container is not None and source.container.name == "wav":
            with source.open() as file:
                header = headers.wav_header(file)
            if header is not None and header.streaming:
                self.notes.append("took the WAV file's length from its size, as its header does not say")
                if header.declared == 0:
                    return None, io.BytesIO(_with_length(source.read(), header))
            elif header is not None and header.declared > header.available + header.block_align:
                missing = header.declared - header.available
                self.notes.append(f"the WAV file ends {missing} bytes before its header says")
        if isinstance(source, PathSource) and source.path.suffix.lower() != ".raw":
            return None, str(source.path)  # libsndfile's own reading is faster than a Python file's
        handle = source.open()
        # soundfile takes a file that is named .raw for headerless, whatever is in it
        return handle, io.BytesIO(handle.read()) if isinstance(source, PathSource) else handle

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        buffer = np.empty((BLOCK_FRAMES, self.channels), np.float32)
        total = 0
        while True:
            try:
                block = buffer[: self._file.buffer_read_into(buffer, "float32")]
            except self._errors as error:
                at = total / self.sampling_rate
                raise AudioDecodeError(
                    f"{self._source.name} is damaged or cut off, between {at:.1f} s and "
                    f"{at + BLOCK_FRAMES / self.sampling_rate:.1f} s; record or download it again"
                ) from error
            if len(block) == 0:
                break
            total += len(block)
            yield block
        self._compare(total)

    def _compare(self, total: int) -> None:
        """A file with a promised length that ends earlier has lost something."""
        container = self._source.container
        missing_s = ((self.n_frames or 0) - total) / self.sampling_rate
        if container is not None and container.name == "flac" and missing_s > 0:
            raise AudioDecodeError(
                f"{self._source.name} is cut off: {missing_s:.1f} s are missing; record or download it again"
            )
        self.notes.extend(shortfall(missing_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._close_handle()

    def _close_handle(self) -> None:
        if self._handle is not None:
            self._handle.close()


def shortfall(missing_s: float) -> list[str]:
    """Return the note about *missing_s* seconds that a header promised, if they are more than rounding."""
    return [f"the file ends {missing_s:.1f} s before its header says"] if missing_s > _SLACK_S else []


def _with_length(data: bytes, header: headers.WavHeader) -> bytes:
    """Return a WAV file with the length of its samples filled in."""
    order = ">" if header.big_endian else "<"
    length = np.array(min(header.available, 0xFFFF_FFFF), f"{order}u4").tobytes()
    return b"".join((data[: header.data_start - 4], length, data[header.data_start :]))
