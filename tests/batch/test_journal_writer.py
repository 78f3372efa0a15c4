"""The writer: lines are put on the disk in groups, and the first failure is the last write."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfasr._batch import journal_writer
from hfasr._batch.journal_writer import Finish, Writer
from hfasr.errors import JournalError

NEVER_S = 3600.0


class Disk:
    """Stands for fsync: counts, waits when told to, and fails when told to."""

    def __init__(self) -> None:
        self.n_syncs = 0
        self.error: Exception | None = None
        self.entered = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def sync(self, fd: int) -> None:
        self.n_syncs += 1
        self.entered.set()
        assert self.go.wait(60)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(journal_writer, "sync_data", made.sync)
    return made


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "out.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0))
    yield fd
    os.close(fd)


def content(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, size + 1)


def started(fd: int, gather_s: float = 0.05) -> Writer:
    writer = Writer(fd, 0, name="out.jsonl", gather_s=gather_s)
    writer.start()
    return writer


def nothing(offset: int, error: JournalError | None) -> None:
    """Wait for nothing."""


def noting(told: list[tuple[int, str]]) -> Finish:
    return lambda offset, error: told.append((offset, str(error or "")))


def test_lines_share_an_fsync(fd: int, disk: Disk) -> None:
    """What comes while the disk is at work goes out together, with one fsync, in order."""
    told: list[tuple[int, str]] = []
    disk.go.clear()
    writer = started(fd)
    writer.append(b"first\n", noting(told))
    assert disk.entered.wait(60)
    for n in range(100):
        assert writer.append(b"%02d\n" % n, noting(told))
    assert told == []  # nobody is told before the disk has it
    disk.go.set()
    writer.flush()
    assert disk.n_syncs == 2
    assert told == [(0, ""), *((6 + 3 * n, "") for n in range(100))]
    assert content(fd) == b"first\n" + b"".join(b"%02d\n" % n for n in range(100))
    writer.close()


def test_first_line_does_not_wait(fd: int, disk: Disk) -> None:
    """A line that comes after a pause is written at once; the next ones wait for the time, or for a flush."""
    writer = started(fd, NEVER_S)
    written = threading.Event()
    writer.append(b"a\n", lambda offset, error: written.set())
    assert written.wait(60)
    for _ in range(50):
        writer.append(b"b\n", nothing)
    writer.flush()
    assert disk.n_syncs == 2
    writer.append(b"c\n", nothing)
    writer.close()
    assert disk.n_syncs == 3
    assert content(fd) == b"a\n" + b"b\n" * 50 + b"c\n"


def test_groups_are_apart(fd: int, disk: Disk) -> None:
    """However fast lines come, there are at most 20 fsyncs a second and one, and each line gets out unasked."""
    writer = started(fd)
    last = threading.Event()
    began = time.monotonic()
    for n in range(3000):
        writer.append(b"x\n", nothing if n < 2999 else lambda offset, error: last.set())
        if n % 100 == 0:
            time.sleep(0.01)
    assert last.wait(60)
    assert disk.n_syncs <= 1 + (time.monotonic() - began) / 0.05
    writer.close()


def test_flush_of_nothing(fd: int, disk: Disk) -> None:
    """Flushing what is flushed returns, and does not go to the disk."""
    writer = started(fd)
    writer.flush()
    writer.append(b"a\n", nothing)
    writer.flush()
    writer.flush()
    assert disk.n_syncs == 1
    writer.close()


def test_closing_writes_what_is_left(fd: int, disk: Disk) -> None:
    """Everything that was appended before closing is written; what comes after is turned away."""
    told: list[tuple[int, str]] = []
    writer = started(fd, NEVER_S)
    for _ in range(10):
        assert writer.append(b"a\n", noting(told))
    writer.close()
    writer.close()
    assert told == [(2 * n, "") for n in range(10)]
    assert not writer.append(b"b\n", nothing)
    assert content(fd) == b"a\n" * 10


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "x"), f"{os.strerror(errno.EIO)}; check the disk and run again"),
        (OSError(errno.ENOSPC, "x"), "the disk is full; free some space and run again"),
        (OSError(errno.EDQUOT, "x"), "the disk quota is used up; free some space and run again"),
        (MemoryError(), "MemoryError; check the disk and run again"),
    ],
)
def test_failed_fsync_is_final(fd: int, disk: Disk, error: Exception, message: str) -> None:
    """After an fsync that failed the file is cut back, nothing is tried again, and everybody is told so."""
    told: list[tuple[int, str]] = []
    errors: list[JournalError | None] = []
    writer = started(fd)
    writer.append(b"good\n", noting(told))
    writer.flush()
    disk.error = error
    writer.append(b"bad\n", lambda offset, error: errors.append(error))
    with pytest.raises(JournalError, match="out.jsonl cannot be written") as caught:  # noqa: RUF043  # a file's name
        writer.flush()
    disk.error = None
    writer.append(b"later\n", lambda offset, error: errors.append(error))
    writer.close()
    assert disk.n_syncs == 2
    assert content(fd) == b"good\n"
    assert told == [(0, "")]
    assert {str(one) for one in [*errors, caught.value]} == {
        f"out.jsonl cannot be written: {message}: what is in the journal is not sent again"
    }
    assert errors[0] is not errors[1]  # each may be given what was not written
    assert caught.value.__cause__ is error


def test_write_in_pieces(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that writes a few bytes at a time writes all of them."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    journal_writer.write_all(fd, b"abcdefgh")
    assert content(fd) == b"abcdefgh"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_is_turned_away(fd: int) -> None:
    """A forked process, which has no thread that writes, is told so and does not wait for one."""
    writer = started(fd)
    writer.append(b"a\n", nothing)
    writer.flush()
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    child = os.fork()
    if child == 0:
        turned_away = not writer.append(b"b\n", nothing)
        writer.flush()
        writer.close()
        os._exit(0 if turned_away else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    assert content(fd) == b"a\n"


def test_closed_before_it_was_started(tmp_path: Path) -> None:
    """A writer that Ctrl-C has kept from being started is closed like any other, and lets go of its file."""
    ended: list[bool] = []
    fd = os.open(tmp_path / "journal", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    writer = Writer(fd, 0, name="journal", on_end=lambda: ended.append(True))
    writer.close()
    os.close(fd)
    assert ended == [True]
