"""
Decode by libsndfile: WAV, FLAC, Ogg, MP3 and the kinds of the old workstations.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from hfasr.errors import AudioDecodeError

from . import headers
from .ogg import read_ogg
from .readers import BLOCK_FRAMES, shortfall
from .source import AudioInfo, PathSource

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .source import Source

__all__ = ["SoundFileReader", "info"]

_MAX_FRAMES = 2**62  # libsndfile's largest number stands for "unknown"


class SoundFileReader:
    """Blocks by libsndfile."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.notes: list[str] = []
        self._file = _open(source, self._repaired_wav(source))
        self.sampling_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.n_frames = _n_frames(self._file)
        if source.container is not None and source.container.name == "ogg":
            self._look_at_the_end(source)

    def _look_at_the_end(self, source: Source) -> None:
        """Ogg says on its last page that it is the last; libsndfile does not ask."""
        if self.n_frames is None:  # 0 frames are counted where no page is whole
            self._file.close()
            raise AudioDecodeError(f"{source.name} is an Ogg file without its end; record or download it again")
        with source.open() as file:
            pages = read_ogg(file)
        if pages is not None and not pages.ends:
            self.notes.append("the Ogg file ends without its last page")

    def _repaired_wav(self, source: Source) -> bytes | None:
        """Note what is wrong with a WAV file's length; return the file with a length if it has none."""
        if source.container is None or source.container.name != "wav":
            return None
        with source.open() as file:
            header = headers.wav_header(file)
        if header is None:
            return None
        self.notes.extend(header.length_notes)
        return _with_length(source.read(), header) if header.streaming and header.declared == 0 else None

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        buffer = np.empty((BLOCK_FRAMES, self.channels), np.float32)
        total = 0
        while True:
            try:
                block = buffer[: self._file.buffer_read_into(buffer, "float32")]
            except soundfile.LibsndfileError as error:
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


class _Bytes(io.BytesIO):
    """A file in memory on which a wild seek has no effect, as on disk, instead of raising inside libsndfile."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OverflowError, ValueError):
            return self.tell()


def info(source: Source) -> AudioInfo:
    """
    Return what the header says.

    Raises:
        AudioDecodeError: libsndfile cannot open it.
    """
    with _open(source) as file:
        n_frames = _n_frames(file)
        return AudioInfo(n_frames / file.samplerate if n_frames else None, file.samplerate, file.channels)


def _open(source: Source, repaired: bytes | None = None) -> soundfile.SoundFile:
    with source.open():  # a file that is gone is not a damaged one
        pass
    # soundfile takes a file that is named .raw for headerless, whatever is in it
    if repaired is None and isinstance(source, PathSource) and source.path.suffix.lower() != ".raw":
        # libsndfile's own reading is faster than a Python file's. The name goes as bytes, since soundfile cannot
        # encode one that is no UTF-8 (and its types do not say that it takes them); Windows has only Unicode.
        where: Any = str(source.path) if os.name == "nt" else os.fsencode(source.path)
    else:
        where = _Bytes(source.read() if repaired is None else repaired)
    try:
        return soundfile.SoundFile(where)
    except soundfile.LibsndfileError as error:
        raise AudioDecodeError(
            f"{source.name} is damaged, or of a kind that libsndfile does not read; check that it plays elsewhere, "
            'or pip install "hfasr[av]" for more kinds'
        ) from error


def _n_frames(file: soundfile.SoundFile) -> int | None:
    """Return how many frames the header announces, if it does."""
    return file.frames if 0 < file.frames < _MAX_FRAMES else None


def _with_length(data: bytes, header: headers.WavHeader) -> bytes:
    """Return a WAV file with the length of its samples filled in."""
    order = ">" if header.big_endian else "<"
    length = np.array(min(header.available, 0xFFFF_FFFF), f"{order}u4").tobytes()
    return b"".join((data[: header.data_start - 4], length, data[header.data_start :]))
