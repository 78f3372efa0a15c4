"""
Writing a journal: lines from many threads, put on the disk in groups by one.

Source:
    Group commit: DeWitt et al., "Implementation Techniques for Main Memory Database Systems" (SIGMOD 1984),
    section 5.2. That a failed fsync must not be tried again, since the system may have dropped the
    pages and says so only once: Rebello et al., "Can Applications Recover from fsync Failures?" (ATC 2020).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hfasr.errors import JournalError

__all__ = ["GATHER_S", "Finish", "Line", "Writer", "closed_error", "sync_data", "write_all"]

GATHER_S = 0.05
"""Seconds between the beginnings of two groups, at least: 20 fsyncs a second wear out no disk."""

Finish: TypeAlias = Callable[[int, JournalError | None], None]
"""Called once: with the offset at which a line lies on the disk, or with why it does not."""

Line: TypeAlias = bytes | Callable[[], bytes]
"""Ends in a newline; or what makes it, in the writer's thread, or raises a `JournalError`."""

logger = logging.getLogger("hfasr")

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EFBIG: ("the file would be larger than is allowed", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the disk can only be read", "mount it for writing"),
}


class _Pending(NamedTuple):
    """A line that is to be written."""

    line: Line
    finish: Finish


class Writer:
    """
    The one thread that writes to a journal. Everybody may append; nobody waits for the disk.

    A line that comes when the last group was begun over `GATHER_S` ago is written at once, others with those
    that come until then. The first failure is the last write: the file is cut back to its last good line, and
    every later line fails as well.

    Args:
        fd: Where to, open for appending. Left open.

        size: Bytes that are in the file, all of them whole lines.

        name: What to call it.

        gather_s: Seconds between the beginnings of two groups.

        on_end: Called in the thread when it ends, after everything has been written.
    """

    def __init__(
        self,
        fd: int,
        size: int,
        *,
        name: str,
        on_end: Callable[[], None] = lambda: None,
        gather_s: float = GATHER_S,
    ) -> None:
        self._fd = fd
        self._size = size
        self._name = name
        self._gather_s = gather_s
        self._on_end = on_end
        self._queue: list[_Pending] = []
        self._n_queued = self._n_finished = self._n_flushing = 0
        self._began = 0.0  # of the last group, on the monotonic clock
        self._failure: Exception | None = None
        self._closing = False
        lock = threading.Lock()
        self._news = threading.Condition(lock)  # the thread waits for it,
        self._progress = threading.Condition(lock)  # and flush for this
        self._thread = threading.Thread(target=self._run, name="hfasr-journal", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._began = time.monotonic() - self._gather_s
        self._thread.start()

    def append(self, line: Line, finish: Finish) -> bool:
        """Queue *line*; ``False``: it is too late, and *finish* will not be called."""
        with self._news:
            if self._closing or not self._thread.is_alive():  # not alive: in a forked child
                return False
            self._queue.append(_Pending(line, finish))
            self._n_queued += 1
            if len(self._queue) == 1:
                self._news.notify()
            return True

    def flush(self) -> None:
        """
        Wait until all that was appended before is on the disk.

        Raises:
            JournalError: It could not be written.
        """
        with self._news:
            goal = self._n_queued
            self._n_flushing += 1
            self._news.notify()
            while self._n_finished < goal and self._thread.is_alive():
                self._progress.wait()
            self._n_flushing -= 1
            if self._failure is not None:
                raise _write_error(self._name, self._failure)

    def close(self) -> None:
        """Write what is queued, and end the thread. May be called twice; in the thread itself it does not wait."""
        with self._news:
            self._closing = True
            self._news.notify()
        if self._thread.ident is None:  # Ctrl-C came before it was started
            self._on_end()
        elif threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            while group := self._next_group():
                self._commit(group)
        finally:
            self._on_end()

    def _next_group(self) -> list[_Pending]:
        with self._news:
            while not self._queue:
                if self._closing:
                    return []
                self._news.wait()
            due = self._began + self._gather_s
            while not (self._closing or self._n_flushing) and (left := due - time.monotonic()) > 0:
                self._news.wait(left)
            self._began = time.monotonic()
            group, self._queue = self._queue, []
            return group

    def _commit(self, group: list[_Pending]) -> None:
        made = [(line, pending.finish) for pending in group if (line := self._made(pending)) is not None]
        if made and self._failure is None:
            try:
                write_all(self._fd, b"".join(line for line, _ in made))
                sync_data(self._fd)
            except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
                self._failure = error.with_traceback(None)  # whose frames hold the lines
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
        for line, finish in made:
            failure = None if self._failure is None else _write_error(self._name, self._failure)
            self._tell(finish, failure)
            if failure is None:
                self._size += len(line)
        with self._progress:
            self._n_finished += len(group)
            self._progress.notify_all()

    def _made(self, pending: _Pending) -> bytes | None:
        """Return the line; ``None``: it cannot be made, of which nobody else's hears."""
        if isinstance(pending.line, bytes):
            return pending.line
        try:
            return pending.line()
        except JournalError as error:
            self._tell(pending.finish, error)
            return None

    def _tell(self, finish: Finish, error: JournalError | None) -> None:
        try:
            finish(self._size, error)
        except Exception:
            logger.exception("%s: what waited for a record failed", self._name)


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, however many calls that takes."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def sync_data(fd: int) -> None:
    """Wait until what was written to *fd* is on the disk; its times need not be."""
    getattr(os, "fdatasync", os.fsync)(fd)  # macOS and Windows have no fdatasync


def closed_error(name: str) -> JournalError:
    """Return the error of whoever uses a journal after it was closed."""
    return JournalError(f"{name} has been closed; open it again, in this process")


def _write_error(name: str, error: Exception) -> JournalError:
    code = error.errno if isinstance(error, OSError) else None
    default = (os.strerror(code) if code else type(error).__name__, "check the disk")
    why, remedy = _REASONS.get(code or 0, default)
    made = JournalError(
        f"{name} cannot be written: {why}; {remedy} and run again: what is in the journal is not sent again"
    )
    made.__cause__ = error
    return made
