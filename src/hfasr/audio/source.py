"""
Audio that has been found and recognised, but not decoded: a file, bytes, or samples.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from hfasr.errors import AudioNotFoundError, AudioTooLongError

from .sniff import identify

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .containers import Container

__all__ = [
    "MAX_INPUT_BYTES",
    "AudioInfo",
    "BytesSource",
    "PathSource",
    "Source",
    "WaveformSource",
    "short_name",
    "too_large_to_read",
]

MAX_INPUT_BYTES = 2**30
"""
Most bytes that are held in memory for one input: what is sent as it is.

1 GiB is over nine hours of 16 kHz mono 16-bit WAV, or 102 minutes of CD audio. To decode a longer file it is
read in blocks.
"""

_HASH_BLOCK_BYTES = 2**20
_HASH_BLOCK_FRAMES = 2**16
_READ_AT_ONCE_BYTES = 2**19  # over half a minute of FLAC at 16 kHz
_HASH_AT_ONCE_BYTES = 2**24  # takes some 10 ms
_MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says. ``None``: it does not say, or not reliably."""

    duration: float | None = None
    """Seconds."""

    sampling_rate: int | None = None
    """Samples per second, Hz."""

    channels: int | None = None
    """Number of channels, 1 or more."""

    bits: int | None = None
    """Bits per sample; only of WAV and FLAC."""


class Source(Protocol):
    """Audio that can be opened again and again. Its methods block."""

    @property
    def name(self) -> str:
        """Short name for messages: a file's name without its folders, never a URL's query."""
        ...

    @property
    def container(self) -> Container | None:
        """What kind of file it is; ``None`` for samples."""
        ...

    @property
    def size(self) -> int:
        """Bytes; of samples, as float32."""
        ...

    def open(self) -> BinaryIO:
        """Open it for reading, at its start. Samples read as interleaved float32."""
        ...

    def read(self) -> bytes:
        """Return all bytes; of `BytesSource`, the very object that was given."""
        ...

    def sha256(self) -> str | None:
        """Return the hex digest of the bytes, or of the samples and their rate; worked out once."""
        ...

    def info(self) -> AudioInfo:
        """Look at the header, once and without decoding. Never fails: what is damaged is unknown."""
        ...


class BytesSource:
    """A whole file in memory."""

    __slots__ = ("_data", "_info", "_sha256", "container", "name", "size")

    def __init__(self, data: bytes, *, name: str) -> None:
        self._data = data
        self._sha256: str | None = None
        self._info: AudioInfo | None = None
        self.name = name
        self.size = len(data)
        self.container: Container = identify(lambda offset, n: data[offset : offset + n], name)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)  # shares the bytes until somebody writes

    def read(self) -> bytes:
        return self._data

    def sha256(self) -> str:
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(self._data).hexdigest()
        return self._sha256

    def info(self) -> AudioInfo:
        if self._info is None:
            from .headers import look

            self._info = look(self)
        return self._info


class PathSource:
    """
    A file on disk. A small one is read once, when it is found; a larger one is never read into
    memory as a whole unless it is sent as it is.
    """

    __slots__ = ("_check", "_data", "_info", "_sha256", "container", "name", "path", "size")

    def __init__(self, path: Path, *, check: Callable[[], None]) -> None:
        self.path = path
        self.name = short_name(path.name)
        self._check = check
        self._sha256: str | None = None
        self._info: AudioInfo | None = None
        self._data: bytes | None = None
        with self.open() as file:

            def read_at(offset: int, n_bytes: int) -> bytes:
                file.seek(offset)
                return file.read(n_bytes)

            self.size = os.fstat(file.fileno()).st_size
            self.container: Container = identify(read_at, self.name)
            if self.size <= _READ_AT_ONCE_BYTES:
                self._keep(read_at(0, self.size))

    def _keep(self, data: bytes) -> None:
        if len(data) == self.size:  # else somebody writes to it
            self._data = data
            self._sha256 = hashlib.sha256(data).hexdigest()

    @property
    def is_read(self) -> bool:
        """Whether all of it is in memory."""
        return self._data is not None

    def open(self) -> BinaryIO:
        if self._data is not None:
            return io.BytesIO(self._data)
        try:
            return self.path.open("rb")
        except OSError as error:
            raise AudioNotFoundError(
                f"{self.name} cannot be opened ({os.strerror(error.errno) if error.errno else type(error).__name__}); "
                "check the path and its permissions"
            ) from error

    def read(self) -> bytes:
        if self.size > MAX_INPUT_BYTES:
            raise too_large_to_read(self)
        if self._data is not None:
            return self._data
        with self.open() as file:
            data = file.read(MAX_INPUT_BYTES)
        if self._sha256 is None and len(data) <= _HASH_AT_ONCE_BYTES:
            self._sha256 = hashlib.sha256(data).hexdigest()  # of what is sent, and without reading it again
        return data

    def sha256(self) -> str:
        if self._sha256 is None:
            digest = hashlib.sha256()
            with self.open() as file:
                while block := file.read(_HASH_BLOCK_BYTES):
                    digest.update(block)
                    self._check()
            self._sha256 = digest.hexdigest()
        return self._sha256

    def info(self) -> AudioInfo:
        if self._info is None:
            from .headers import look

            self._info = look(self)
        return self._info


class WaveformSource:
    """Samples from the caller's own array or tensor."""

    __slots__ = ("_sha256", "container", "frames", "name", "sampling_rate", "size")

    def __init__(self, frames: npt.NDArray[np.float32], *, sampling_rate: int, name: str) -> None:
        self.frames = frames
        """Samples, float32, shape ``(n_frames, n_channels)``; may be the caller's own memory."""
        self.sampling_rate = sampling_rate
        self.name = name
        self.size = frames.size * 4
        self.container: Container | None = None
        self._sha256: str | None = None

    def open(self) -> BinaryIO:
        return io.BytesIO(self.read())

    def read(self) -> bytes:
        return self.frames.astype("<f4", copy=False).tobytes()

    def sha256(self) -> str:
        if self._sha256 is None:
            digest = hashlib.sha256()
            for start in range(0, len(self.frames), _HASH_BLOCK_FRAMES):
                digest.update(self.frames[start : start + _HASH_BLOCK_FRAMES].astype("<f4", copy=False).tobytes())
            digest.update(b" float32le %d Hz %d channels" % (self.sampling_rate, self.frames.shape[1]))
            self._sha256 = digest.hexdigest()
        return self._sha256

    def info(self) -> AudioInfo:
        n_frames, n_channels = self.frames.shape
        return AudioInfo(n_frames / self.sampling_rate, self.sampling_rate, n_channels)


def too_large_to_read(source: Source) -> AudioTooLongError:
    """Return the error for a file that is not held in memory."""
    return AudioTooLongError(
        f"{source.name} has {source.size} bytes, and at most {MAX_INPUT_BYTES} are sent as they are; "
        'split it, or use upload="flac"'
    )


def short_name(name: str) -> str:
    """Return the last part of the path *name*, cut to 80 characters."""
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name if len(name) <= _MAX_NAME_CHARS else f"{name[: _MAX_NAME_CHARS - 1]}…"
