"""Finding, locking, making and mending the file of a journal. Nothing that is no journal is touched."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hfasr.errors import JournalError

from .journal_index import Index, scan
from .journal_lines import HEAD_BYTES, check_header, header
from .journal_writer import sync_data, write_all

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["check_place", "explained", "load", "lock", "open_to_append"]

logger = logging.getLogger("hfasr")

_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows would turn newlines
_PRIVATE = 0o600


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what the system says of the file *name* into a `JournalError`."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise JournalError(
            f"{name} cannot be used as a journal: {why}; free some space where the disk is full, "
            "or choose a folder that you may write in"
        ) from error


def check_place(path: Path, name: str) -> None:
    """
    See that there is a journal at *path*, or room for one, without changing anything.

    Raises:
        JournalError: A folder, a device, another file, or a folder that does not exist.
        OSError: It cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise JournalError(f"{name} cannot be made: its folder does not exist; make that first") from None
        return
    if stat.S_ISDIR(mode):
        raise JournalError(f"{name} is a folder; give the name of a file for the journal")
    if not stat.S_ISREG(mode):
        raise JournalError(f"{name} is a pipe or a device; give the name of a file for the journal")
    with path.open("rb") as file:
        check_header(file.read(HEAD_BYTES), name)


def lock(path: Path, name: str) -> BaseFileLock:
    """
    Lock the journal at *path* by a file beside it, until the lock is released or the process ends.

    That file stays: to remove it would let two processes lock two files of one name.

    Raises:
        JournalError: Another batch has it.
        OSError: The file beside it cannot be made.
    """
    from filelock import FileLock, Timeout

    # Not thread local: the writer's thread releases it.
    made = FileLock(f"{path}.lock", timeout=0, mode=_PRIVATE, thread_local=False)
    try:
        made.acquire()
    except Timeout:
        raise JournalError(
            f"{name} is in use by another batch, of this or another process; wait for it to end, "
            "or give each batch a journal of its own"
        ) from None
    return made


def open_to_append(path: Path, name: str) -> int:
    """
    Open the journal at *path*, or make one that none but its owner may read. The lock is held.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        fd = os.open(path, _FLAGS)
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if os.name == "posix" and mode & 0o077:  # somebody's choice, which is not ours to undo
            logger.warning("%s holds transcripts and is open to others (mode %03o): chmod 600 it", name, mode)
        return fd
    _sync_folder(path.parent)
    return fd


def load(fd: int, file: IO[bytes], name: str) -> tuple[Index, int]:
    """
    Read a journal, mend its end, and put it on the disk. The lock is held.

    Args:
        fd: The file, open for appending.

        file: The same file, for reading.

        name: What to call it.

    Returns:
        Where its records are, and its size in bytes.

    Raises:
        JournalError: It is no journal.
        OSError: It cannot be read or written.
    """
    file.seek(0)
    start = check_header(file.read(HEAD_BYTES), name)
    if not start:
        os.ftruncate(fd, 0)
        write_all(fd, header())
        start = len(header())
    found = scan(file, start)
    size = found.n_bytes
    n_torn = os.fstat(fd).st_size - size
    if n_torn > 0:
        os.ftruncate(fd, size)
        logger.info("%s: a last line of %d bytes was cut off when it was written, and is taken away", name, n_torn)
    if found.open_end:
        write_all(fd, b"\n")
        size += 1
    if found.n_damaged:
        logger.warning("%s: damaged lines are skipped: %d; their items are tried again", name, found.n_damaged)
    sync_data(fd)  # what a killed process wrote may not have got there, and will be taken for done
    return found.index, size


def _sync_folder(folder: Path) -> None:
    """Put the file's name on the disk as well; Windows has no such thing, and some file systems neither."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
