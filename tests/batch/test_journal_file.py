"""The journal's file: who may have it, what is taken for one, and how a torn end is mended."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hfasr import BatchItem, Transcript
from hfasr._batch import journal_file
from hfasr._batch.journal import Journal
from hfasr._batch.journal_lines import encode, header
from hfasr._batch.keys import content_key
from hfasr.errors import JournalError

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no modes, pipes or umask")
KEYS = [content_key(str(n), "f") for n in range(3)]


def line(n: int, text: str) -> bytes:
    return encode(KEYS[n], BatchItem(0, f"{n}.wav", Transcript(text)))


def texts(journal: Journal) -> list[str | None]:
    entries = [journal.find(key) for key in KEYS]
    return [entry.transcript.text if entry is not None and entry.transcript is not None else None for entry in entries]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_torn_at_every_byte(path: Path) -> None:
    """Cut anywhere within its last record, a journal keeps the ones before, takes new ones, and stays whole."""
    whole = header() + line(0, "first") + line(1, "second")
    for size in range(len(header() + line(0, "first")), len(whole) + 1):
        path.write_bytes(whole[:size])
        path.chmod(0o600)
        last = "second" if size >= len(whole) - 1 else None  # only the newline is missing: it was written
        for third in (None, "third"):
            with Journal(path) as journal:
                assert texts(journal) == ["first", last, third]
                if third is None:
                    journal.append(KEYS[2], BatchItem(0, "2.wav", Transcript("third")), lambda error: None)
        assert path.read_bytes().endswith(b"}\n")


def test_torn_header_at_every_byte(path: Path) -> None:
    """A journal whose writer died at its birth, or an empty file, becomes one."""
    for size in range(len(header())):
        path.write_bytes(header()[:size])
        path.chmod(0o600)
        with Journal(path):
            pass
        assert path.read_bytes() == header()


@pytest.mark.parametrize(
    "tail", [b"\0" * 5000, b'{"key":"' + b"\xff" * 50 + b"\n", b"x" * 200_000, b"[" * 5000 + b"\n"]
)
def test_garbage_at_the_end(path: Path, tail: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a crash left behind the last record is cut off, and told."""
    good = header() + line(0, "first")
    path.write_bytes(good + tail)
    path.chmod(0o600)
    with caplog.at_level(logging.INFO, "hfasr"), Journal(path) as journal:
        assert texts(journal) == ["first", None, None]
    assert path.read_bytes() == good
    assert [record.getMessage() for record in caplog.records] == [
        f"out.jsonl: a last line of {len(tail)} bytes was cut off when it was written, and is taken away"
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"hello",
        b"\n",
        b"\0" * 100,
        b"RIFF\x24\0\0\0WAVEfmt ",
        b'{"text": "mine"}\n',
        b'{"text": "mine"}',
        b'[{"hfasr_journal":1}]\n',
        b'{"hfasr_journal":"1"}\n',
        b'{"hfasr_journal":true}\n',
        b'{"hfasr_journal":0}\n',
        b'{"hfasr_journal":' + b"1" * 5000,
        b"[" * 3000 + b"\n",
        line(0, "no header"),
    ],
)
def test_other_files_stay_untouched(path: Path, content: bytes) -> None:
    """A file that is no journal, given by mistake, is refused, and neither it nor its folder changes."""
    path.write_bytes(content)
    before = path.stat()
    with pytest.raises(JournalError, match=r"out\.jsonl is no journal of hfasr, and was left as it is; give another"):
        Journal(path).open()
    after = path.stat()
    assert path.read_bytes() == content
    assert (after.st_mtime_ns, after.st_mode, after.st_ino) == (before.st_mtime_ns, before.st_mode, before.st_ino)
    assert names(path.parent) == ["out.jsonl"]


def test_newer_journals_are_refused(path: Path) -> None:
    """A journal of a version to come is not touched."""
    path.write_bytes(b'{"hfasr_journal":2,"hfasr_version":"9.0"}\n' + line(0, "x"))
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"newer hfasr \(version 2, known here: 1\); update hfasr"):
        Journal(path).open()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "is a folder; give the name of a file"),
        ("none/out.jsonl", "its folder does not exist; make that first"),
        ("file/out.jsonl", "out.jsonl cannot be "),
        ("nul\0.jsonl", "cannot be used as a journal"),
        ("x" * 400, "cannot be used as a journal"),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, place: str, message: str) -> None:
    """A folder, or a place where there can be no file, is a JournalError that says what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match=message):
        Journal(f"{tmp_path}/{place}").open()
    assert names(tmp_path) == ["file"]


@posix
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    """A pipe is refused without opening it, which would block, and so is a device."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(JournalError, match="pipe or a device"):
            Journal(place).open()


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written(path: Path) -> None:
    """A folder without the right to write is told with its remedy."""
    path.parent.chmod(0o500)
    try:
        with pytest.raises(JournalError, match="choose a folder that you may write in"):
            Journal(path).open()
    finally:
        path.parent.chmod(0o700)


@posix
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_new_files_are_private(path: Path, umask: int) -> None:
    """The journal and its lock are for their owner alone, also where the umask is lax."""
    before = os.umask(umask)
    try:
        with Journal(path):
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"out.jsonl": 0o600, "out.jsonl.lock": 0o600}


@posix
def test_rights_of_a_file_that_is_there(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rights of a file that is there are its owner's choice, and only a warning is given."""
    path.touch()
    path.chmod(0o640)
    with Journal(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert caplog.messages == ["out.jsonl holds transcripts and is open to others (mode 640): chmod 600 it"]


def test_two_in_one_process(path: Path) -> None:
    """A journal that is open is refused at once, and free again once it is closed."""
    with Journal(path) as journal:
        for other in (Journal(path), journal):
            with pytest.raises(JournalError, match=r"out\.jsonl is in use by another batch.* a journal of its own"):
                other.open()
        journal.append(KEYS[0], BatchItem(0, "a", Transcript("x")), lambda error: None)
    with Journal(path) as journal:
        assert texts(journal) == ["x", None, None]


@posix
def test_links_are_one_journal(path: Path) -> None:
    """By a link it is the same journal, with the lock beside the file itself, also before that is there."""
    link = path.parent / "link.jsonl"
    link.symlink_to(path)
    with Journal(link), pytest.raises(JournalError, match="in use"):
        Journal(path).open()
    assert link.is_symlink()
    assert names(path.parent) == ["link.jsonl", "out.jsonl", "out.jsonl.lock"]


@posix
@pytest.mark.parametrize("there", [True, False], ids=["file", "nothing"])
def test_link_at_the_locks_place(path: Path, there: bool) -> None:
    """A link where the lock is to be, which anybody may have put into the folder, is refused, and its target kept."""
    target = path.parent / "precious"
    if there:
        target.write_bytes(b"precious")
    Path(f"{path}.lock").symlink_to(target)
    with pytest.raises(JournalError, match="cannot be used as a journal"):
        Journal(path).open()
    assert [file.read_bytes() for file in path.parent.glob("precious")] == [b"precious"] * there


def test_two_processes(path: Path) -> None:
    """Another process is refused while one has the journal, and may have it when that one was killed."""
    code = (
        "import sys; from hfasr._batch.journal import Journal; journal = Journal(sys.argv[1]); journal.open(); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"open"
        before = path.read_bytes()
        with pytest.raises(JournalError, match="in use by another batch"):
            Journal(path).open()
        assert path.read_bytes() == before
        process.kill()
        process.wait()
    with Journal(path):
        pass


def test_opening_puts_the_file_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process wrote is synced before it is taken for done, also after its end was mended."""
    path.write_bytes(header() + line(0, "first") + line(1, "second")[:-1])
    path.chmod(0o600)
    sizes: list[int] = []
    monkeypatch.setattr(journal_file, "sync_data", lambda fd: sizes.append(os.fstat(fd).st_size))
    with Journal(path):
        pass
    assert sizes == [len(header() + line(0, "first") + line(1, "second"))]


@pytest.mark.parametrize("broken", ["write_all", "sync_data"])
def test_failure_while_opening(path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A disk that fails when a journal is made is told, and nothing stays locked or open."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_file, broken, fail)
        with pytest.raises(JournalError, match="No space left on device; free some space"):
            Journal(path).open()
    with Journal(path) as journal:
        assert texts(journal) == [None, None, None]
