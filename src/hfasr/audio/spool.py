"""
Take an input's bytes as they arrive: a few in memory, more in a temporary file without a name.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import weakref
from typing import TYPE_CHECKING, BinaryIO

from hfasr.errors import AudioError, AudioTooLongError

from .sniff import identify
from .source import MAX_INPUT_BYTES, BytesSource, too_large_to_read

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from _typeshed import WriteableBuffer

    from .containers import Container
    from .source import AudioInfo

__all__ = ["IN_MEMORY_BYTES", "MAX_SPOOLED_BYTES", "Spool", "SpooledSource"]

IN_MEMORY_BYTES = 4 * 2**20
"""Up to here an input stays in memory: two minutes of 16 kHz mono 16-bit WAV."""

MAX_SPOOLED_BYTES = 2**32
"""
Most bytes that are taken from a URL, a file object or chunks: 4 GiB, as much as a WAV file can have, and over
six hours of CD audio. A longer file is given as a path.

Source: a RIFF file says its length in 32 bits, "Multimedia Programming Interface and Data Specifications 1.0".
"""

_PIECE_BYTES = 2**20  # written at once; takes some milliseconds, with the hash
_SMALL_BYTES = 4_096  # chunks below this are gathered: a million of them, each an object, would take much memory
_BUFFER_BYTES = 65_536
_WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
}


class Spool:
    """
    Takes the bytes of one input, and becomes its source.

    `write` blocks. On an event loop, `add` takes the bytes, and a thread does `flush` whenever it is `due`.
    Leaving the context closes the temporary file, unless a source has taken it over.

    Raises:
        AudioTooLongError: More than `MAX_SPOOLED_BYTES`.

        AudioError: The temporary file cannot be written.

    Example:
        >>> with Spool() as spool:
        ...     spool.write(b"fLaC")
        ...     source = spool.source("a.flac")
        >>> source.container.name, source.size
        ('flac', 4)
    """

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes | bytearray] = []
        self._n_held = 0
        self._digest = hashlib.sha256()
        self._disk: _Disk | None = None

    def add(self, chunk: bytes) -> None:
        """Take *chunk*, in memory."""
        self.size += len(chunk)
        if self.size > MAX_SPOOLED_BYTES:
            raise AudioTooLongError(
                f"the audio has more than {MAX_SPOOLED_BYTES} bytes; save it and pass its path, which is read in blocks"
            )
        self._n_held += len(chunk)
        parts = self._parts
        if not parts or len(chunk) >= _SMALL_BYTES:
            parts.append(chunk)
        elif isinstance(parts[-1], bytearray):
            parts[-1] += chunk
        else:
            parts.append(bytearray(chunk))

    @property
    def due(self) -> bool:
        """Whether so much is in memory that it belongs on the disk."""
        return self._n_held > (IN_MEMORY_BYTES if self._disk is None else _PIECE_BYTES)

    def flush(self) -> None:
        """Write what is in memory to the disk. Blocks."""
        try:
            if self._disk is None:
                self._disk = _Disk()
            for part in self._parts:
                self._disk.append(part)
                self._digest.update(part)
        except OSError as error:
            why = _WHY.get(error.errno or 0) or error.strerror or type(error).__name__
            raise AudioError(
                f"the audio cannot be kept in a temporary file: {why}; point TMPDIR to a folder with room for "
                "it, or save the audio and pass its path"
            ) from error
        self._parts.clear()
        self._n_held = 0

    def write(self, chunk: bytes) -> None:
        """Take *chunk*, and keep no more in memory than is allowed. Blocks."""
        self.add(chunk)
        if self.due:
            self.flush()

    def source(self, name: str) -> BytesSource | SpooledSource:
        """
        Recognise what has come, once all of it has. Blocks.

        Raises:
            EmptyAudioError: Nothing has.

            UnsupportedAudioError: It is not audio.
        """
        if self._disk is None:
            return BytesSource(b"".join(self._parts), name=name)  # of one chunk, the same object
        self.flush()
        source = SpooledSource(self._disk, size=self.size, sha256=self._digest.hexdigest(), name=name)
        self._disk = None
        return source

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._parts.clear()
        if self._disk is not None:
            self._disk.close()


class SpooledSource:
    """A file that came from elsewhere and is too large for memory. It is gone when nobody uses it any more."""

    __slots__ = ("_disk", "_info", "_sha256", "container", "name", "size")

    def __init__(self, disk: _Disk, *, size: int, sha256: str, name: str) -> None:
        self._disk = disk
        self._sha256 = sha256
        self._info: AudioInfo | None = None
        self.name = name
        self.size = size
        with self.open() as file:

            def read_at(offset: int, n_bytes: int) -> bytes:
                file.seek(offset)
                return file.read(n_bytes)

            self.container: Container = identify(read_at, name)

    def open(self) -> BinaryIO:
        return io.BufferedReader(_View(self._disk, self.size), _BUFFER_BYTES)

    def read(self) -> bytes:
        if self.size > MAX_INPUT_BYTES:
            raise too_large_to_read(self)
        with self.open() as file:
            return file.read(self.size)

    def sha256(self) -> str:
        return self._sha256

    def info(self) -> AudioInfo:
        if self._info is None:
            from .headers import look

            self._info = look(self)
        return self._info


class _Disk:
    """A temporary file without a name, closed with the last that refers to this."""

    def __init__(self) -> None:
        import tempfile

        self._file = tempfile.TemporaryFile(  # noqa: SIM115  # stays open
            buffering=0, prefix="hfasr-", dir=_folder(tempfile.gettempdir())
        )
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, self._file.close)

    def append(self, data: bytes | bytearray) -> None:
        with memoryview(data) as view:
            written = 0
            while written < len(view):
                written += int(self._file.write(view[written:]))

    def read_into(self, buffer: WriteableBuffer, offset: int) -> int:
        """Read from *offset*; from any thread, and whatever others read."""
        if hasattr(os, "preadv"):
            return int(os.preadv(self._file.fileno(), [buffer], offset))
        with self._lock:  # Windows
            self._file.seek(offset)
            return int(self._file.readinto(buffer))


class _View(io.RawIOBase):
    """A file for reading, with a position of its own."""

    def __init__(self, disk: _Disk, size: int) -> None:
        self._disk: _Disk | None = disk
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._disk is None:
            raise ValueError("the file is closed")
        n_bytes = self._disk.read_into(buffer, self._at)
        self._at += n_bytes
        return n_bytes

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        at = offset + (0, self._at, self._size)[whence]
        if at < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = at
        return at

    def close(self) -> None:
        self._disk = None
        super().close()


def _folder(default: str) -> str | None:
    """
    Return where to put large temporary files, ``None`` for the usual place.

    Where the user has chosen none, that is ``/tmp``, which lies in memory on many systems.

    Source: https://systemd.io/TEMPORARY_DIRECTORIES/
    """
    if default == "/tmp" and not os.environ.get("TMPDIR") and os.access("/var/tmp", os.W_OK):  # noqa: S108  # no name in it
        return "/var/tmp"  # noqa: S108
    return None
