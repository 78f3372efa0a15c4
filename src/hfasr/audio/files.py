"""
Local inputs: paths, file objects and iterables of chunks.
"""

from __future__ import annotations

import inspect
import os
import re
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfasr.errors import AudioError, AudioNotFoundError, HfasrError

from .source import PathSource, short_name

if TYPE_CHECKING:
    from ._io import AudioIO
    from .spool import Spool

__all__ = [
    "AsyncChunks",
    "check_allowed",
    "file_name",
    "given_name",
    "open_path",
    "pour",
    "read_file",
    "without_secrets",
]

_READ_BYTES = 2**20
_PATH_OF_URL = re.compile(r"[a-z0-9+.-]{2}:[/\\]", re.IGNORECASE)  # pathlib makes one slash of two
_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?((?:[^/?#;@:\[\]]*|\[[0-9a-f:.]+\])(?::[0-9]*)?(?:/[^?#;]*)?)(?:[?#;].*)?",
    re.IGNORECASE | re.DOTALL,
)
_SCHEMES = re.compile(r"[a-z][a-z0-9+.-]*(?:::[a-z][a-z0-9+.-]*)*(?=:)", re.IGNORECASE)
_CLOSED = "the audio file is closed; open it again, or pass its path"


def check_allowed(*, allow_paths: bool) -> None:
    """Refuse local files where strings come from strangers."""
    if not allow_paths:
        raise AudioNotFoundError("local files are not opened with allow_paths=False; pass the audio's bytes or a URL")


def open_path(path: str | bytes, check: Callable[[], None]) -> PathSource:
    """
    Recognise the regular file at *path*.

    Pipes and devices are refused before they are opened: some block, some never end.

    Raises:
        AudioNotFoundError: No such regular file, or it cannot be read.
    """
    text = os.fsdecode(path)
    name = short_name(without_secrets(text))
    try:
        mode = Path(text).stat().st_mode if text else 0
    except (OSError, ValueError) as error:  # ValueError: a NUL, or a lone surrogate
        raise AudioNotFoundError(f"{name} cannot be opened: {_why(text, error)}") from error
    if not text:
        raise AudioNotFoundError("an empty string is no path; pass the audio's path, URL or bytes")
    if stat.S_ISDIR(mode):
        raise AudioNotFoundError(f"{name} is a folder; pass the files in it, one a call")
    if not stat.S_ISREG(mode):
        raise AudioNotFoundError(f"{name} is a pipe or a device; open it yourself and pass the file object")
    return PathSource(Path(text), check=check)


async def read_file(file: Any, spool: Spool, io: AudioIO) -> None:
    """
    Read *file* from its position to its end into *spool*, and put the position back where it can seek.

    Async files (aiofiles, anyio, trio) are awaited on async clients. Of Starlette's ``UploadFile`` the
    plain file inside is read, on either colour.

    Raises:
        TypeError: A text file; or an async one on a sync client.

        AudioError: The file is closed.

        AudioNotFoundError: Reading failed.

        AudioTooLongError: More than *spool* takes.
    """
    inner = getattr(file, "file", None)
    if inspect.iscoroutinefunction(file.read) and callable(getattr(inner, "read", None)):
        file = inner
    if getattr(file, "closed", False) is True:
        raise AudioError(_CLOSED)
    if not inspect.iscoroutinefunction(file.read):
        await io.offload(lambda: _read_blocking(file, spool, io.check))
        return
    start = await _async_position(file, io)
    try:
        while block := as_bytes(await io.wait(file.read(_READ_BYTES))):
            io.check()
            spool.add(block)
            if spool.due:
                await io.offload(spool.flush)
    except HfasrError:  # too large; or the deadline's, which is an OSError, too
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    if start is not None:
        await io.wait(file.seek(start))


def pour(chunks: Iterable[Any], spool: Spool, check: Callable[[], None]) -> None:
    """
    Write the chunks of an iterable to *spool*.

    Raises:
        TypeError: A chunk is not bytes.

        AudioTooLongError: More than *spool* takes.
    """
    for chunk in chunks:
        check()
        spool.write(as_bytes(chunk))


class AsyncChunks:
    """The chunks of an async iterable, each checked to be bytes."""

    def __init__(self, chunks: AsyncIterable[Any]) -> None:
        self._chunks = aiter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return as_bytes(await anext(self._chunks))

    async def aclose(self) -> None:
        """Close the generator behind it, if there is one; what else can be closed is the caller's."""
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()


def as_bytes(chunk: Any) -> bytes:
    """Return *chunk* as bytes; raise `TypeError`, naming the remedy, for what is not bytes-like."""
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    if isinstance(chunk, str):
        raise TypeError('the audio reads as text; open a file with open(path, "rb"), and pass one path a call')
    if chunk is None:
        raise TypeError("the audio file does not block and has no data yet; read it yourself and pass the bytes")
    raise TypeError(
        f"the audio's chunks must be bytes, not {type(chunk).__name__}; "
        "for samples pass hfasr.Audio(waveform, sampling_rate)"
    )


def file_name(file: Any) -> str:
    """Return a short name for a file object: that of the upload or of the file, without its folders."""
    return given_name(getattr(file, "filename", None), "") or given_name(getattr(file, "name", None), "the file")


def given_name(name: Any, default: str) -> str:
    """Return *name* cut short if it is a usable one, else *default*."""
    usable = isinstance(name, str | bytes | os.PathLike)
    return (short_name(without_secrets(os.fsdecode(name))) if usable else "") or default


def without_secrets(name: str) -> str:
    """
    Return *name*; where it looks like a URL, without user, password, parameters, query and fragment.

    Of one that is not well formed, or a chain of fsspec's, only the scheme and the last part of the path are
    left: nobody knows what the rest is.

    Example:
        >>> without_secrets("https://user:secret@example.com/a.flac?token=secret"), without_secrets("what?.flac")
        ('https://example.com/a.flac', 'what?.flac')
        >>> without_secrets("simplecache::https://user:secret@example.com/a.flac")
        'simplecache::https://…/a.flac'
    """
    url = name.strip()
    if not _looks_like_url(url):
        return name
    plain = _URL.fullmatch(url)
    if plain and ":" not in plain[2].rpartition("@")[0]:  # else a password with a slash
        return f"{plain[1]}://{plain[2]}"
    schemes = _SCHEMES.match(url)
    shown = re.split("[?#;]", url, maxsplit=1)[0]
    last = re.split(r"[/\\@]", shown)[-1]
    if ":" in last or "@" in url[len(shown) :]:  # user and password, or their beginning
        last = ""
    return f"{schemes[0] if schemes else ''}://…{last and '/'}{last}"


def _looks_like_url(name: str) -> bool:
    return "://" in name or _PATH_OF_URL.search(name) is not None


def _read_blocking(file: Any, spool: Spool, check: Callable[[], None]) -> None:
    try:
        seekable = file.seekable()
    except (AttributeError, OSError, ValueError):
        seekable = False
    try:
        start = file.tell() if seekable else None
        try:
            pour(iter(lambda: _some(file), b""), spool, check)
        finally:
            if start is not None:
                file.seek(start)
    except HfasrError:  # too large; or the deadline's, which is an OSError, too
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def _some(file: Any) -> bytes:
    return as_bytes(file.read(_READ_BYTES))


async def _async_position(file: Any, io: AudioIO) -> int | None:
    if not (inspect.iscoroutinefunction(getattr(file, "seek", None)) and callable(getattr(file, "tell", None))):
        return None
    try:
        position = await io.wait(file.tell())
    except (OSError, ValueError):
        return None
    return position if isinstance(position, int) else None


def _unreadable(error: Exception) -> AudioError:
    return AudioNotFoundError(
        f"the audio file cannot be read ({type(error).__name__}); open it again, or pass its path"
    )


def _why(path: str, error: Exception) -> str:
    if path.startswith("~"):
        return 'a path is used as it is; expand "~" yourself, with pathlib.Path.expanduser'
    if path.startswith("data:"):
        return "data URLs are not read; decode the base64 and pass the bytes"
    if isinstance(error, PermissionError):
        return "permission denied; check the rights of the file and its folders"
    if _looks_like_url(path):
        return "there is no such file; pass a URL as a string that begins with its scheme"
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    return "the path is not valid; check its spelling"
