"""A few bytes stay in memory, more go on to the disk, and nothing of them is left there."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.audio import spool as spool_module
from hfasr.audio.source import BytesSource
from hfasr.audio.spool import IN_MEMORY_BYTES, Spool, SpooledSource
from hfasr.errors import AudioError, AudioTooLongError, EmptyAudioError, UnsupportedAudioError
from tests.audio.kit import encode, tone
from tests.audio.spool_kit import nothing_left_open, temporary_files

pytestmark = pytest.mark.usefixtures("disk")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="open files are read from Linux's /proc")
FLAC = b"fLaC" + random.Random(5).randbytes(IN_MEMORY_BYTES + 300_000)


def spooled(data: bytes = FLAC) -> SpooledSource:
    """Return *data* on the disk."""
    with Spool() as spool:
        for start in range(0, len(data), 65_536):
            spool.write(data[start : start + 65_536])
        source = spool.source("long.flac")
    assert isinstance(source, SpooledSource)
    return source


@on_linux
@pytest.mark.parametrize("n_bytes", [4, 60_000, IN_MEMORY_BYTES])
def test_little_stays_in_memory(n_bytes: int) -> None:
    """Up to the threshold there is no file, and of one chunk not even a copy."""
    with nothing_left_open():
        data = FLAC[:n_bytes]
        with Spool() as spool:
            spool.write(data)
            source = spool.source("a.flac")
            assert temporary_files() == []
    assert isinstance(source, BytesSource)
    assert source.read() is data


@on_linux
def test_more_goes_to_the_disk() -> None:
    """From the threshold on there is a file without a name, as long as its source; the digest is that of the bytes."""
    with nothing_left_open():
        source = spooled()
        assert len(temporary_files()) == 1
        assert (source.size, source.name, source.container.name) == (len(FLAC), "long.flac", "flac")
        assert source.sha256() == hashlib.sha256(FLAC).hexdigest()
        assert source.read() == FLAC
        del source


@given(
    lengths=st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
    threshold=st.sampled_from([0, 1, 4_095, 4_096, 20_000]),
    reads=st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 100_000)), max_size=8),
)
def test_any_chunks_are_the_same_bytes(lengths: list[int], threshold: int, reads: list[tuple[int, int]]) -> None:
    """However the bytes are cut into chunks, wherever the threshold is, and wherever one reads, they are the same."""
    data = FLAC[: sum(lengths) + 4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool_module, "IN_MEMORY_BYTES", threshold)
        patch.setattr(spool_module, "_PIECE_BYTES", 5_000)
        with Spool() as spool:
            at = 0
            for length in [4, *lengths]:
                spool.write(data[at : at + length])
                at += length
            assert spool.size == at == len(data)
            source = spool.source("a.flac")
    assert isinstance(source, SpooledSource) == (len(data) > threshold)
    assert source.read() == data
    assert source.sha256() == hashlib.sha256(data).hexdigest()
    with source.open() as file, io.BytesIO(data) as truth:
        for offset, n_bytes in reads:
            assert file.seek(offset) == truth.seek(offset)
            assert file.read(n_bytes) == truth.read(n_bytes)
        assert file.seek(-3, os.SEEK_END) == truth.seek(-3, os.SEEK_END)
        assert file.seek(1, os.SEEK_CUR) == truth.seek(1, os.SEEK_CUR)
        assert file.read() == truth.read()


@pytest.mark.parametrize("positional", [True, False])
def test_many_readers_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch, positional: bool) -> None:
    """Each opening has its own position, in any thread; also where the system cannot read from an offset."""
    if not positional:
        monkeypatch.delattr(os, "preadv", raising=False)
    source = spooled()
    wrong: list[int] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        with source.open() as file:
            for _ in range(200):
                offset, n_bytes = chance.randrange(len(FLAC)), chance.randrange(100_000)
                file.seek(offset)
                if file.read(n_bytes) != FLAC[offset : offset + n_bytes]:
                    wrong.append(offset)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@on_linux
def test_a_reader_keeps_the_file() -> None:
    """An open reader reads on when its source is gone, and closing it closes the file."""
    with nothing_left_open():
        source = spooled()
        file = source.open()
        del source
        assert file.read() == FLAC
        file.close()
        assert temporary_files() == []
        with pytest.raises(ValueError, match="closed"):
            file.read()


def test_wild_seeks_are_refused_as_on_disk() -> None:
    """Before the beginning nobody can read; beyond the end there is nothing."""
    with spooled().open() as file:
        with pytest.raises(OSError, match="Invalid argument"):
            file.seek(-1)
        file.seek(2**40)
        assert file.read(10) == b""


@on_linux
@pytest.mark.parametrize("data", [b"", b"<!doctype html>" + b" " * IN_MEMORY_BYTES, bytes(IN_MEMORY_BYTES + 1)])
def test_what_is_not_audio_leaves_nothing(data: bytes) -> None:
    """Something else than audio is refused by name, and its file is closed at once."""
    with nothing_left_open(), Spool() as spool:
        if data:
            spool.write(data)
        with pytest.raises((EmptyAudioError, UnsupportedAudioError), match="login"):
            spool.source("login.wav")


@on_linux
def test_the_cap_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than is allowed is refused, with the remedy, and its file is closed at once."""
    monkeypatch.setattr(spool_module, "MAX_SPOOLED_BYTES", len(FLAC) - 1)
    with nothing_left_open(), Spool() as spool:
        spool.write(FLAC[:2])
        spool.write(FLAC[2:-1])
        with pytest.raises(AudioTooLongError, match="save it and pass its path"):
            spool.write(FLAC[-1:])


def test_what_is_too_large_for_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`read` has the cap that it has for paths."""
    source = spooled()
    monkeypatch.setattr(spool_module, "MAX_INPUT_BYTES", 1_000)
    with pytest.raises(AudioTooLongError, match=f"has {len(FLAC)} bytes"):
        source.read()


def test_tiny_chunks_need_no_memory_of_their_own() -> None:
    """A hundred thousand chunks of two bytes are not as many objects."""
    tracemalloc.start()
    try:
        with Spool() as spool:
            spool.write(b"fLaC")
            for _ in range(100_000):
                spool.write(bytes((1, 2)))
            assert tracemalloc.get_traced_memory()[1] < 2 * spool.size
    finally:
        tracemalloc.stop()


def test_a_header_is_read_once() -> None:
    """What the header says is known without reading the file."""
    data = encode(tone(duration=70, sampling_rate=44_100), 44_100)
    source = spooled(data)
    assert source.info() is source.info()
    assert (source.info().duration, source.info().sampling_rate, source.info().bits) == (70, 44_100, 16)


CANNOT = "the audio cannot be kept in a temporary file"
REMEDY = "point TMPDIR to a folder with room for it, or save the audio and pass its path"
FILL = """
import sys
from hfasr.audio.spool import Spool
from tests.audio.spool_kit import temporary_files
try:
    with Spool() as spool:
        for _ in range(200):
            spool.write(b"fLaC" + bytes(99_996))
except ValueError as error:
    print(type(error).__name__, str(error), len(temporary_files()), sep="|")
"""


def run_out(before: str = "", **environment: str) -> list[str]:
    """Write 20 MB where there is no room; return the error's name and text, and how many files are open."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + FILL],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip().split("|")


@on_linux
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """At a limit to the file's size the error says so, and what to do."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, 9_000_000))\n"
    assert run_out(limit, TMPDIR=str(tmp_path)) == [
        "AudioError",
        f"{CANNOT}: the file would be larger than is allowed; {REMEDY}",
        "0",
    ]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 6 MB."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("needs Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # lazily: a test that fails may leave a file open


def test_a_full_disk(tiny_disk: Path) -> None:
    """On a full disk the error says so, and the room is free again."""
    kind, message, n_open = run_out(TMPDIR=str(tiny_disk))
    assert (kind, n_open) == ("AudioError", "0")
    assert message == f"{CANNOT}: the disk is full; {REMEDY}"
    assert shutil.disk_usage(tiny_disk).used == 0


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no file can be made at all, that is an error of the audio, too, and no path is shown."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(AudioError, match="cannot be kept in a temporary file: No such file") as caught:
        spooled()
    assert "gone" not in str(caught.value)


@on_linux
def test_killed_in_mid_write(tmp_path: Path) -> None:
    """A process that is killed leaves no file behind."""
    program = """
from hfasr.audio.spool import Spool
spool = Spool()
while True:
    spool.write(b"fLaC" + bytes(999_996))
    print(spool.size, flush=True)
    if spool.size > 20_000_000:
        input()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdout is not None
        for _ in range(21):
            process.stdout.readline()
        process.kill()
    assert list(tmp_path.iterdir()) == []


@on_linux
def test_memory_is_no_disk(tmp_path: Path) -> None:
    """/tmp may lie in memory, so /var/tmp is taken unless somebody chose a folder."""
    program = """
from pathlib import Path
from hfasr.audio.spool import Spool
with Spool() as spool:
    spool.write(bytes(5_000_000))
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists() or link.is_symlink()]
    print(*{Path(link).parent for link in links if link.endswith("(deleted)")})
"""
    clean = {name: value for name, value in os.environ.items() if name not in {"TMPDIR", "TEMP", "TMP"}}
    for chosen, taken in ((None, "/var/tmp"), ("/tmp", "/tmp"), (str(tmp_path), str(tmp_path))):
        environment = clean if chosen is None else {**clean, "TMPDIR": chosen}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.split() == [taken]
