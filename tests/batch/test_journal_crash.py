"""Crashes for real: a process that is killed as it writes, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfasr._batch.journal import Journal
from hfasr._batch.keys import content_key
from hfasr.errors import JournalError

WRITE = """
import itertools, os, sys
from hfasr import BatchItem, Transcript
from hfasr._batch.journal import Journal
from hfasr._batch.keys import content_key

path, first = sys.argv[1], int(sys.argv[2])
journal = Journal(path)
journal.open()
failed = []

def told(n, error):
    if error is None:
        os.write(1, b"%d\\n" % n)
    elif not failed:
        failed.append(error)

for n in itertools.count(first):
    journal.append(content_key(str(n), "f"), BatchItem(n, f"{n}.wav", Transcript(f"{n} " * 200)), lambda e, n=n: told(n, e))
    if n % 20 == 0:
        try:
            journal.flush()
        except Exception:
            break
journal.close()
os.write(2, str(failed[0]).encode())
"""


def text_of(journal: Journal, n: int) -> str | None:
    entry = journal.find(content_key(str(n), "f"))
    return None if entry is None or entry.transcript is None else entry.transcript.text


def check(path: Path, acknowledged: list[int]) -> None:
    """See that the journal holds each acknowledged item whole, and takes another one."""
    with Journal(path) as journal:
        assert [n for n in acknowledged if text_of(journal, n) != f"{n} " * 200] == []
    whole = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"}\n") for line in whole)


def test_killed_in_mid_write(tmp_path: Path) -> None:
    """However often a process is killed as it writes, everything that was acknowledged is in the journal."""
    path = tmp_path / "out.jsonl"
    acknowledged: list[int] = []
    chance = random.Random(7)
    for _ in range(8):
        first = acknowledged[-1] + 1 if acknowledged else 0
        with subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(first)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 300)):
                acknowledged += [int(process.stdout.readline())]
            process.kill()
            acknowledged += [int(line) for line in process.stdout if line.endswith(b"\n")]
        check(path, acknowledged)
    assert acknowledged == list(range(len(acknowledged)))


def run_out(path: Path, before: str = "") -> tuple[list[int], str]:
    """Write until the disk is full; return what was acknowledged, and the error."""
    done = subprocess.run(
        [sys.executable, "-c", before + WRITE, str(path), "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(n) for n in done.stdout.split()], done.stderr


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limit")
def test_file_may_not_grow(tmp_path: Path) -> None:
    """At a limit to the file's size each item is either in the journal or reported, and a later run goes on."""
    path = tmp_path / "out.jsonl"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    acknowledged, error = run_out(path, limit)
    assert error == (
        "out.jsonl cannot be written: the file would be larger than is allowed; raise the limit (ulimit -f) "
        "and run again: what is in the journal is not sent again"
    )
    assert path.stat().st_size <= 100_000
    check(path, acknowledged)
    assert 20 < len(acknowledged) < 1000


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 128 kB."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("needs Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # lazily: a test that fails may leave a file open


def test_disk_is_full(tiny_disk: Path) -> None:
    """On a full disk the same holds, and once there is room a later run goes on."""
    ballast, path = tiny_disk / "ballast", tiny_disk / "out.jsonl"
    ballast.write_bytes(b"x" * 40_000)
    acknowledged, error = run_out(path)
    assert "the disk is full; free some space and run again" in error
    assert acknowledged
    check(path, acknowledged)
    ballast.unlink()
    size = path.stat().st_size
    more, _ = run_out(path)
    assert more
    assert path.stat().st_size > size
    check(path, sorted({*acknowledged, *more}))


def test_full_disk_when_a_journal_is_made(tiny_disk: Path) -> None:
    """Where not even the first line fits, opening says so."""
    with contextlib.suppress(OSError), (tiny_disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(JournalError, match="free some space"):
        Journal(tiny_disk / "out.jsonl").open()
    (tiny_disk / "ballast").unlink()
    with Journal(tiny_disk / "out.jsonl") as journal:
        assert text_of(journal, 0) is None
