"""
Decode by libsndfile: WAV, FLAC, Ogg, MP3 and the kinds of the old workstations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import soundfile

from hfasr.errors import AudioDecodeError, AudioNotFoundError, HfasrError

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

_Patch: TypeAlias = tuple[int, bytes]  # an offset, and what stands there
_SOUGHT_IN = {"ogg", "mp3", "mp2"}  # for the next page or frame, as far as there may be one
_MAX_FRAMES = 2**62  # libsndfile's largest number stands for "unknown"


class SoundFileReader:
    """Blocks by libsndfile."""

    def __init__(self, source: Source, *, check: Callable[[], None] | None = None) -> None:
        self._source = source
        self.notes: list[str] = []
        self._file, self._handle = _open(source, self._missing_length(source), check)
        self.sampling_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.n_frames = _n_frames(self._file)
        if source.container is not None and source.container.name == "ogg":
            try:
                self._look_at_the_end(source)
            except BaseException:
                self._close()
                raise

    def _look_at_the_end(self, source: Source) -> None:
        """Ogg says on its last page that it is the last; libsndfile does not ask."""
        if self.n_frames is None:  # 0 frames are counted where no page is whole
            raise AudioDecodeError(f"{source.name} is an Ogg file without its end; record or download it again")
        with source.open() as file:
            pages = read_ogg(file)
        if pages is not None and not pages.ends:
            self.notes.append("the Ogg file ends without its last page")

    def _missing_length(self, source: Source) -> _Patch | None:
        """Note what is wrong with a WAV file's length; return the length where the header has none."""
        if source.container is None or source.container.name != "wav":
            return None
        with source.open() as file:
            header = headers.wav_header(file)
        if header is None:
            return None
        self.notes.extend(header.length_notes)
        return _length(header) if header.streaming and header.declared == 0 else None

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
        if self._handle is not None:
            self._handle.complain(self._source.name)
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
        self._close()

    def _close(self) -> None:
        self._file.close()
        if self._handle is not None:
            self._handle.close()


class _File:
    """
    A source for libsndfile, with the length of a WAV file filled in.

    Nothing is raised inside libsndfile: a wild seek has no effect, as on disk, and what cannot be read is the end.
    """

    def __init__(self, file: Any, patch: _Patch | None, check: Callable[[], None] | None) -> None:
        self._file = file
        self._patch = patch
        self._check = check
        self.tell = file.tell
        self.close = file.close
        self.failed: BaseException | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return int(self._file.seek(offset, whence))
        except (OSError, OverflowError, ValueError):
            return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell() if self._patch else 0
        try:
            if self._check is not None:
                self._check()
            n_bytes = int(self._file.readinto(buffer))
        except BaseException as error:  # noqa: BLE001  # raised by `complain`
            self.failed = error
            return 0
        if self._patch:
            start, data = self._patch
            for i in range(max(at, start), min(at + n_bytes, start + len(data))):
                buffer[i - at] = data[i - start : i - start + 1]
        return n_bytes

    def complain(self, name: str) -> None:
        """Raise what was kept from libsndfile, for which it was the end of the file *name*."""
        failed, self.failed = self.failed, None
        if isinstance(failed, OSError) and not isinstance(failed, HfasrError):
            raise AudioNotFoundError(f"{name} cannot be read any further; check the disk") from failed
        if failed is not None:
            raise failed


def info(source: Source) -> AudioInfo:
    """
    Return what the header says.

    Raises:
        AudioDecodeError: libsndfile cannot open it.
    """
    sound, handle = _open(source)
    try:
        n_frames = _n_frames(sound)
        return AudioInfo(n_frames / sound.samplerate if n_frames else None, sound.samplerate, sound.channels)
    finally:
        sound.close()
        if handle is not None:
            handle.close()


def _open(
    source: Source, patch: _Patch | None = None, check: Callable[[], None] | None = None
) -> tuple[soundfile.SoundFile, _File | None]:
    """Open *source*; return it, and what to close after it."""
    is_sought_in = check is not None and source.container is not None and source.container.name in _SOUGHT_IN
    file = source.open()  # a file that is gone is not a damaged one
    handle = None
    # soundfile takes a file that is named .raw for headerless, whatever is in it
    if patch is None and not is_sought_in and isinstance(source, PathSource) and source.path.suffix.lower() != ".raw":
        file.close()
        # libsndfile's own reading is faster than a Python file's. The name goes as bytes, since soundfile cannot
        # encode one that is no UTF-8 (and its types do not say that it takes them); Windows has only Unicode.
        where: Any = str(source.path) if os.name == "nt" else os.fsencode(source.path)
    else:
        where = handle = _File(file, patch, check if is_sought_in else None)
    try:
        sound = soundfile.SoundFile(where)
    except soundfile.LibsndfileError as error:
        file.close()
        if handle is not None:
            handle.complain(source.name)
        raise AudioDecodeError(
            f"{source.name} is damaged, or of a kind that libsndfile does not read; check that it plays elsewhere, "
            'or pip install "hfasr[av]" for more kinds'
        ) from error
    if handle is not None and handle.failed is not None:
        sound.close()
        file.close()
        handle.complain(source.name)
    return sound, handle


def _n_frames(file: soundfile.SoundFile) -> int | None:
    """Return how many frames the header announces, if it does."""
    return file.frames if 0 < file.frames < _MAX_FRAMES else None


def _length(header: headers.WavHeader) -> _Patch:
    """Return the length of the samples, and where it belongs."""
    length = min(header.available, 0xFFFF_FFFF)
    return header.data_start - 4, length.to_bytes(4, "big" if header.big_endian else "little")
