"""The cache of transcripts: kept by content, shared by threads and processes, never in a batch's way."""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import hfasr.cache
from hfasr import Attempt, BatchError, Provenance, Segment, Transcript, Word
from hfasr.cache import Cache, TranscriptCache, cache_key

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[TranscriptCache]:
    with TranscriptCache(path) as made:
        yield made


def rich() -> Transcript:
    """Return a transcript with something in every field."""
    word = Word(0.0, 0.5, "grüße \ud800", 0.9)
    origin = Provenance("hosted", "x", "org/m", "ab", 0.5, 1, "flac", (Attempt("x", 200, None, "id", 0, 1, 0),))
    return Transcript("grüße", (Segment(0.0, None, "grüße", (word,)),), "de", 0.5, origin, ("w",), {"raw": 1})


def noise(n_bytes: int, seed: int = 0) -> Transcript:
    """Return a transcript that compresses to at least *n_bytes*."""
    return Transcript(random.Random(seed).randbytes(n_bytes).hex())


def run(program: str, *args: object, **how: Any) -> subprocess.Popen[str]:
    """Start *program* in a Python of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def output(process: subprocess.Popen[str]) -> str:
    """Wait for *process*, and return what it printed; it must not have failed."""
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return stdout.strip()


def is_sound(path: Path) -> bool:
    """Whether the database is whole, and its sum that of its rows."""
    with closing(sqlite3.connect(path)) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        told = db.execute("SELECT n_bytes FROM total").fetchall()
        true = db.execute("SELECT COALESCE(SUM(LENGTH(value)), 0) FROM transcripts").fetchall()
    return whole and told == true


# Values and keys


def test_everything_but_raw_is_kept(cache: TranscriptCache) -> None:
    """A transcript comes back equal, field by field, without the route's own answer."""
    cache.put("a", rich())
    kept = cache.get("a")
    assert kept == rich()
    assert kept is not None
    assert kept.raw is None
    assert cache.get("b") is None


def test_a_key_has_one_value(cache: TranscriptCache, path: Path) -> None:
    """What is put again takes the place of what was there, also in the sum of the bytes."""
    for size in (100, 5000, 10):
        cache.put("a", noise(size))
    assert cache.get("a") == noise(10)
    assert len(cache) == 1
    assert is_sound(path)


def test_keys_tell_everything_apart() -> None:
    """Audio, options and revision are each part of the key, and none runs into the next."""
    keys = [
        cache_key("a", "b", "c"),
        cache_key("a", "b", ""),
        cache_key("a", "b"),
        cache_key("ab", "", "c"),
        cache_key("", "ab", "c"),
        cache_key("a", "bc", ""),
        cache_key("b", "a", "c"),
    ]
    assert len(set(keys)) == len(keys)
    assert all(key.isascii() and len(key) < 100 for key in keys)
    # Kept on disks from release to release.
    assert cache_key("a", "b", "c") == "hfasr:d33b202c020cbde1c4a7bb26d0b02e66645407dcef42c63543cff899b8f979c8"


def test_it_outlives_the_process(path: Path) -> None:
    """What one process put, another finds."""
    program = """
        import sys
        from hfasr import Transcript
        from hfasr.cache import TranscriptCache
        with TranscriptCache(sys.argv[1]) as cache:
            cache.put("a", Transcript("from elsewhere"))
    """
    output(run(program, path))
    with TranscriptCache(path) as cache:
        assert cache.get("a") == Transcript("from elsewhere")


def test_life(path: Path) -> None:
    """It is a `Cache`, true when empty, closes twice, and opens again at the next use."""
    cache = TranscriptCache(str(path), max_bytes=1000)
    assert isinstance(cache, Cache)
    assert cache
    assert len(cache) == 0
    assert repr(cache) == f"TranscriptCache({str(path)!r}, max_bytes=1000)"
    cache.put("a", Transcript("x"))
    cache.close()
    cache.close()
    assert cache.get("a") == Transcript("x")
    cache.close()


def test_it_pickles_as_its_path(cache: TranscriptCache) -> None:
    """A copy from another process works on the same file, with the same limit, and holds no handle until it is used."""
    cache.put("a", Transcript("x"))
    with pickle.loads(pickle.dumps(cache)) as copy:
        assert (copy.path, copy.max_bytes) == (cache.path, cache.max_bytes)
        assert copy._handles == {}
        assert copy.get("a") == Transcript("x")


def test_a_path_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the folder of the moment, and no name means a database in memory."""
    monkeypatch.chdir(tmp_path)
    with TranscriptCache(":memory:" if os.name != "nt" else "memory") as cache:
        monkeypatch.chdir(tmp_path.parent)
        cache.close()
        cache.put("a", Transcript("x"))
    assert [file.parent for file in tmp_path.iterdir()] == [tmp_path]


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, True, "1"])
def test_bad_limits(path: Path, max_bytes: Any) -> None:
    """A limit that makes no sense is refused, and no file is made."""
    with pytest.raises(ValueError, match="max_bytes"):
        TranscriptCache(path, max_bytes=max_bytes)
    assert not path.exists()


def test_nothing_heavy_is_imported() -> None:
    """The module is there without SQLite, which is loaded with the first cache."""
    assert output(run("import sys, hfasr.cache; print('sqlite3' in sys.modules)")) == "False"


# The limit


def test_what_was_not_used_for_longest_goes(path: Path) -> None:
    """Above the limit old entries go until nine tenths are left; one that was read lately stays."""
    with TranscriptCache(path, max_bytes=100_000) as cache:
        for i in range(30):
            cache.put(f"{i}", noise(4000, i))
        assert 18 <= len(cache) <= 25
        kept = [i for i in range(30) if cache.get(f"{i}") is not None]
        assert kept == list(range(kept[0], 30))
        assert cache.get(f"{kept[0]}") is not None
        for i in range(30, 40):
            assert cache.get(f"{kept[0]}") is not None
            cache.put(f"{i}", noise(4000, i))
        assert cache.get(f"{kept[1]}") is None
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT n_bytes FROM total").fetchone()[0] <= 100_000
    assert is_sound(path)


def test_entries_go_many_at_a_time(path: Path) -> None:
    """Once entries went, some more fit before any goes again."""
    sizes = []
    with TranscriptCache(path, max_bytes=200_000) as cache:
        for i in range(150):
            cache.put(f"{i}", noise(1500, i))
            sizes.append(len(cache))
    shrunk = [before - after for before, after in pairwise(sizes) if after < before]
    assert shrunk
    assert min(shrunk) >= 5


def test_larger_than_all(path: Path) -> None:
    """A transcript larger than the limit is not kept, and drives nothing else out."""
    with TranscriptCache(path, max_bytes=5000) as cache:
        cache.put("a", Transcript("x"))
        cache.put("b", noise(9000))
        assert cache.get("b") is None
        assert cache.get("a") == Transcript("x")


def test_reading_seldom_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a use is written with the next write, on closing, or when many have come together."""
    monkeypatch.setattr(hfasr.cache, "MAX_TOUCHED", 3)

    def used() -> dict[str, float]:
        with closing(sqlite3.connect(path)) as db:
            return dict(db.execute("SELECT key, used FROM transcripts"))

    with TranscriptCache(path) as cache:
        for key in "abc":
            cache.put(key, Transcript(key))
        first = used()
        cache.get("a")
        assert used() == first
        cache.put("d", Transcript("d"))
        second = used()
        assert second["a"] > first["a"]
        cache.get("b")
        cache.get("c")
        assert {key: used()[key] for key in "bc"} == {key: first[key] for key in "bc"}
        cache.get("a")
        third = used()
        assert all(third[key] > second[key] for key in "abc")
        cache.get("d")
    assert used()["d"] > third["d"]


def test_clear(cache: TranscriptCache, path: Path) -> None:
    """Clearing forgets everything, and gives the room back."""
    for i in range(20):
        cache.put(f"{i}", noise(50_000, i))
    before = sum(file.stat().st_size for file in path.parent.iterdir())
    cache.clear()
    assert len(cache) == 0
    assert cache.get("1") is None
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < before / 10
    cache.put("a", Transcript("x"))
    assert cache.get("a") == Transcript("x")
    assert is_sound(path)


# Who may read it, and whose file it is


@posix
@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_private(path: Path, there: bool) -> None:
    """The file and those beside it are the owner's alone, whatever the umask, from the start."""
    if there:
        path.touch()
        path.chmod(0o644)
    before = os.umask(0)
    try:
        with TranscriptCache(path) as cache:
            cache.put("a", Transcript("x"))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["cache.sqlite", "cache.sqlite-wal", "cache.sqlite-shm"], 0o600)


@posix
def test_open_to_others(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rights of a cache that is there are its owner's choice, and only a warning is given, once."""
    TranscriptCache(path).close()
    path.chmod(0o640)
    with TranscriptCache(path) as cache:
        cache.close()
        cache.put("a", Transcript("x"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert caplog.messages == [f"{path} holds transcripts and is open to others (mode 640): chmod 600 it"]


@posix
def test_empty_file_behind_a_link(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rights of what a link leads to stay as they are: somebody else may have put the link there."""
    target = path.parent / "target"
    target.touch()
    target.chmod(0o644)
    path.symlink_to(target)
    with TranscriptCache(path) as cache:
        cache.put("a", Transcript("x"))
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert "open to others (mode 644)" in caplog.text


@posix
def test_pipes_and_devices_are_refused(path: Path) -> None:
    """A pipe or a device, also behind a link, is refused by name, and its rights stay as they are."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    os.mkfifo(path)
    path.chmod(0o666)
    link = path.parent / "link"
    link.symlink_to(path)
    for place in (path, link):
        with pytest.raises(BatchError, match="cannot be opened as a cache: it is no ordinary file; name another"):
            TranscriptCache(place)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_some_other_file(path: Path) -> None:
    """A file that is no database is refused by name, and left as it is."""
    path.write_bytes(b"my thesis\n" * 1000)
    with pytest.raises(BatchError, match=r"cache\.sqlite cannot be opened .*name another file"):
        TranscriptCache(path)
    assert path.read_bytes() == b"my thesis\n" * 1000
    assert [file.name for file in path.parent.iterdir()] == ["cache.sqlite"]


def test_some_other_database(path: Path) -> None:
    """Another program's database is refused, and left as it is."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE transcripts (mine TEXT)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(BatchError, match="no cache of transcripts; name another file"):
        TranscriptCache(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, 1])
def test_empty_database_of_somebody_else(path: Path, version: int) -> None:
    """A database without tables that says that it is another program's is not taken over."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(f"PRAGMA application_id = {1 - version}")
        db.commit()
    with pytest.raises(BatchError, match="no cache"):
        TranscriptCache(path)


def test_newer_schema_is_left_alone(path: Path) -> None:
    """A cache of a newer version is refused with the remedy, and keeps what it has."""
    with TranscriptCache(path) as cache:
        cache.put("a", Transcript("x"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(BatchError, match=r"newer hfasr \(schema 99, here 1\); update hfasr"):
        TranscriptCache(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT COUNT(*) FROM transcripts").fetchone() == (1,)


def test_older_schema_is_made_anew(path: Path) -> None:
    """A cache of an older version is emptied and used, whatever its tables were."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE transcripts (old TEXT)")
        db.execute('CREATE TABLE "odd "" name" (old TEXT)')
        db.execute(f"PRAGMA application_id = {hfasr.cache.APPLICATION_ID}")
        db.commit()
    with TranscriptCache(path) as cache:
        assert len(cache) == 0
        cache.put("a", Transcript("x"))
        assert cache.get("a") == Transcript("x")
    assert is_sound(path)


@pytest.mark.parametrize("name", ["no/folder/cache", ".", "nul\0byte"])
def test_path_that_cannot_be(tmp_path: Path, name: str) -> None:
    """A path where no file can be is refused by name."""
    with pytest.raises(BatchError, match=r"cannot be opened as a cache"):
        TranscriptCache(tmp_path / name)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody for a while, where this is root, who may write anywhere."""
    if sys.platform == "win32" or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@posix
def test_read_only_folder(caplog: pytest.LogCaptureFixture) -> None:
    """In a folder that cannot be written, neither a new cache nor one that is there opens, and the error is typed."""
    folder = Path(tempfile.mkdtemp())  # pytest's own cannot be entered by others
    try:
        TranscriptCache(folder / "there").close()
        (folder / "there").chmod(0o444)
        folder.chmod(0o555)
        with without_privileges():
            for name in ("there", "new"):
                with pytest.raises(BatchError, match=f"{name} cannot be opened as a cache"):
                    TranscriptCache(folder / name)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


# It never breaks a batch


def damage(path: Path, start: int) -> None:
    """Write noise over the file from *start* on."""
    content = path.read_bytes()
    assert len(content) > start
    path.write_bytes(content[:start] + random.Random(0).randbytes(len(content) - start))


def test_damaged_pages(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With damaged pages everything is a miss, nothing is kept, and the log says so once, with the file's name."""
    with TranscriptCache(path) as cache:
        for i in range(200):
            cache.put(f"{i}", noise(500, i))
    damage(path, 4096)  # the first page, with the tables' names, stays
    with caplog.at_level(logging.WARNING, "hfasr"), TranscriptCache(path) as cache:
        assert [cache.get(f"{i}") for i in range(200)] == [None] * 200
        cache.put("new", Transcript("x"))
        with pytest.raises(BatchError, match="cannot be read as a cache"):
            len(cache)
        with pytest.raises(BatchError, match="cannot be cleared as a cache"):
            cache.clear()
    (record,) = caplog.records
    assert str(path) in record.getMessage()
    assert "delete it if it is damaged" in record.getMessage()


def test_damaged_beginning(path: Path) -> None:
    """A cache whose first page is damaged is refused on opening, with the remedy."""
    with TranscriptCache(path) as cache:
        cache.put("a", Transcript("x"))
    damage(path, 0)
    with pytest.raises(BatchError, match="delete this one"):
        TranscriptCache(path)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"junk",
        zlib.compress(b"{"),
        zlib.compress(b'{"no": 1}'),
        zlib.compress(b'{"text": "x", "duration": "long"}'),
        zlib.compress(b"[" * 200_000),
        zlib.compress(b"\xff"),
        zlib.compress(b'{"text": "x"}')[:-1],
        None,
        7,
        "text",
    ],
)
def test_one_damaged_value(cache: TranscriptCache, path: Path, value: object) -> None:
    """A value that cannot be read is a miss, and is mended by the next put."""
    cache.put("a", Transcript("x"))
    with closing(sqlite3.connect(path)) as db:
        # Not null is what the table says; damage does not ask.
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = REPLACE(sql, 'value BLOB NOT NULL', 'value BLOB')")
        db.commit()
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE transcripts SET value = ?", (value,))
        db.commit()
    assert cache.get("a") is None
    cache.put("a", Transcript("y"))
    assert cache.get("a") == Transcript("y")


def test_memory_that_is_not_there(cache: TranscriptCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading a value takes more memory than there is, that is a miss."""

    def fail(text: bytes) -> object:
        raise MemoryError

    cache.put("a", Transcript("x"))
    monkeypatch.setattr(json, "loads", fail)
    assert cache.get("a") is None


def test_a_small_value_that_inflates(cache: TranscriptCache, path: Path) -> None:
    """A value that somebody made to fill the memory is a miss, and is inflated to the limit at most."""
    bomb = zlib.compress(bytes(2**29))
    cache.put("a", Transcript("x"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE transcripts SET value = ?", (bomb,))
        db.commit()
    tracemalloc.start()
    try:
        assert cache.get("a") is None
        assert tracemalloc.get_traced_memory()[1] < 3 * hfasr.cache.MAX_JSON_BYTES
    finally:
        tracemalloc.stop()


def test_more_json_than_is_read(cache: TranscriptCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be too large to be read is not kept, and what just fits is."""
    size = len(json.dumps(Transcript("x" * 5000).to_dict()))
    monkeypatch.setattr(hfasr.cache, "MAX_JSON_BYTES", size)
    cache.put("a", Transcript("x" * 5000))
    cache.put("b", Transcript("x" * 5001))
    assert cache.get("a") == Transcript("x" * 5000)
    assert len(cache) == 1


def test_what_json_cannot_carry(cache: TranscriptCache, caplog: pytest.LogCaptureFixture) -> None:
    """A transcript of an engine that keeps odd objects in it is not kept, and costs a line in the log."""
    cache.put("a", Transcript("x", duration=object()))  # type: ignore[arg-type]  # an engine's fault
    assert cache.get("a") is None
    assert "TypeError" in caplog.text


def test_file_taken_away(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache whose folder is gone when it opens again finds and keeps nothing, and says so once."""
    path = path.parent / "folder" / "cache"
    path.parent.mkdir()
    cache = TranscriptCache(path)
    cache.close()
    shutil.rmtree(path.parent)
    for _ in range(3):
        assert cache.get("a") is None
        cache.put("a", Transcript("x"))
    assert len(caplog.records) == 1


@posix
def test_full_disk(path: Path) -> None:
    """Where the disk is full, a put keeps nothing and does not raise; with room again, it does keep."""
    program = """
        import logging, resource, sys
        logging.basicConfig(format="%(levelname)s", stream=sys.stdout)
        from hfasr import Transcript
        from hfasr.cache import TranscriptCache
        cache = TranscriptCache(sys.argv[1])
        cache.put("before", Transcript("x"))
        # No file may grow beyond this: the kernel refuses the write, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        for i in range(100):
            cache.put(f"{i}", Transcript(__import__("random").Random(i).randbytes(20_000).hex()))
        found = [cache.get(f"{i}") is not None for i in range(100)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        cache.put("after", Transcript("y"))
        print(any(found), all(found), cache.get("before").text, cache.get("after").text)
        cache.close()
    """
    lines = output(run(program, path)).splitlines()
    assert lines == ["WARNING", "True False x y"]
    assert is_sound(path)


def test_full_database(cache: TranscriptCache, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite's own complaint of a full disk is a warning, once."""
    with cache._connected() as (_, db):
        db.execute("PRAGMA max_page_count = 12")
    for i in range(20):
        cache.put(f"{i}", noise(5000, i))
    assert 0 < len(cache) < 20
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SQLITE_FULL" in caplog.text
    assert is_sound(path)


# Threads and processes


def test_many_threads(cache: TranscriptCache, path: Path) -> None:
    """Sixteen threads read and write at once, and each finds what it wrote."""
    errors: list[object] = []

    def work(thread: int) -> None:
        for i in range(40):
            key = f"{thread}/{i}"
            cache.put(key, Transcript(key))
            cache.put("shared", Transcript("the same"))
            if cache.get(key) != Transcript(key) or cache.get("shared") != Transcript("the same"):
                errors.append(key)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cache) == 16 * 40 + 1
    assert is_sound(path)


WRITER = """
    import logging, sys, time
    from hfasr import Transcript
    from hfasr.cache import TranscriptCache
    logging.basicConfig(level="WARNING")
    sys.stdin.readline()  # so that all begin at once
    with TranscriptCache(sys.argv[1], max_bytes=int(sys.argv[4])) as cache:
        for i in range(int(sys.argv[3])):
            cache.put(f"{sys.argv[2]}/{i}", Transcript(__import__("random").Random(i).randbytes(500).hex()))
            cache.get(f"{sys.argv[2]}/{i // 2}")
            print(i, flush=True)
"""


def test_many_processes(path: Path) -> None:
    """Processes that make the cache at the same moment and write at once lose nothing."""
    writers = [run(WRITER, path, n, 100, 2**30, stdin=subprocess.PIPE) for n in range(5)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, stderr = writer.communicate(timeout=60)
        assert (writer.returncode, stderr) == (0, "")
    with TranscriptCache(path) as cache:
        assert len(cache) == 500
        assert all(cache.get(f"{n}/{i}") is not None for n in range(5) for i in range(100))
    assert is_sound(path)


def test_opening_waits_for_who_makes_it(path: Path) -> None:
    """While another process is about to make the same file, opening waits for it."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
        timer.start()
        TranscriptCache(path).close()
        timer.join()
    assert is_sound(path)


def test_many_processes_over_the_limit(path: Path) -> None:
    """Processes that drive each other's entries out keep to the limit together."""
    writers = [run(WRITER, path, n, 100, 50_000, stdin=subprocess.PIPE) for n in range(3)]
    for writer in writers:
        _, stderr = writer.communicate("go\n", timeout=60)
        assert (writer.returncode, stderr) == (0, "")
    with closing(sqlite3.connect(path)) as db:
        assert 0 < db.execute("SELECT n_bytes FROM total").fetchone()[0] <= 50_000
    assert is_sound(path)


@posix
def test_killed_in_mid_write(path: Path) -> None:
    """A process that is killed while it writes leaves a sound file with everything that it had put."""
    chance = random.Random(0)
    for n in range(8):
        writer = run(WRITER, path, n, 100_000, 300_000 if n % 2 else 2**30, stdin=subprocess.PIPE)
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "0\n"
        time.sleep(chance.random() * 0.3)
        writer.kill()
        stdout, _ = writer.communicate()
        last = int((["0"] + [line for line in stdout.split("\n")[:-1] if line])[-1])
        with TranscriptCache(path) as cache:
            assert cache.get(f"{n}/{last}") is not None
        assert is_sound(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork(path: Path) -> None:
    """A forked child opens the file itself: both go on, also where the parent was in the middle of a use."""
    program = """
        import os, sys
        from hfasr import Transcript
        from hfasr.cache import TranscriptCache
        cache = TranscriptCache(sys.argv[1])
        cache.put("parent", Transcript("p"))
        with cache._connected():
            child = os.fork()
        if child == 0:
            ok = cache.get("parent") == Transcript("p")
            for i in range(50):
                cache.put(f"child {i}", Transcript("c"))
            cache.close()
            os._exit(0 if ok else 1)
        for i in range(50):
            cache.put(f"parent {i}", Transcript("p"))
        assert os.waitpid(child, 0)[1] == 0
        print(len(cache))
        cache.close()
    """
    # Within the block the parent holds its lock, which in the child nobody would ever release.
    assert output(run(program, path)) == "101"
    assert is_sound(path)
