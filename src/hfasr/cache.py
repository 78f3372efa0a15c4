"""
Transcripts by content, in one file that threads and processes share.

What was transcribed once need not be sent again, whatever the file is called by then. The file is
a SQLite database in WAL mode: readers do not wait for a writer, and a process that is killed in
mid-write leaves what was there before.

Source:
    WAL: https://www.sqlite.org/wal.html; why no other handle of the file may be opened and closed
    in this process, and none taken over by a fork: https://www.sqlite.org/howtocorrupt.html.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from .errors import BatchError
from .types import Transcript

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["Cache", "TranscriptCache", "cache_key"]

logger = logging.getLogger("hfasr")

SCHEMA_VERSION = 1
"""Goes up with every change of the tables, or of what a value holds."""

APPLICATION_ID = int.from_bytes(b"hfas", "big")
"""Tells our databases from others, in the place that SQLite has for that."""

BUSY_S = 5.0
"""How long a write waits for those of others, each of which takes about a millisecond; then it is left out."""

KEEP_SHARE = 0.9
"""Of the limit, that is left after old entries went, so that they go many at a time."""

MAX_TOUCHED = 1024
"""Entries whose last use is remembered before it is written down, so that a read is seldom a write."""

MAX_JSON_BYTES = 64 * 2**20
"""Size of one transcript as JSON, at most; two days of speech with the times of all words have less."""

_LEFT_OUT = "could not %s the cache %s (%s: %s); going on without; delete it if it is damaged, or make room"

_TABLES = (
    "CREATE TABLE transcripts (key TEXT PRIMARY KEY, value BLOB NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL)",
    "CREATE INDEX transcripts_by_use ON transcripts (used, size)",
    "CREATE TABLE total (n_bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


@runtime_checkable
class Cache(Protocol):
    """
    Where transcripts are kept by key: anything of this shape can be ``cache=`` of `transcribe_many`.

    It is called from worker threads, several at a time, and may block. What it raises is logged, and
    costs no item.
    """

    def get(self, key: str, /) -> Transcript | None:
        """Return what is kept as *key*, ``None`` where there is nothing."""
        ...

    def put(self, key: str, transcript: Transcript, /) -> None:
        """Keep *transcript* as *key*."""
        ...


def cache_key(sha256: str, fingerprint: str, revision: str | None = None) -> str:
    """
    Return the key of a transcript: what was said, what was asked for, and who listened. Never a file's name.

    Args:
        sha256: Hex digest of the audio.

        fingerprint: Of everything else that may change the transcript: route, model and options.

        revision: Commit of the model, where known.

    Returns:
        A short string of ASCII, the same on every machine.

    Example:
        >>> cache_key("aa", "bb") == cache_key("aa", "bb"), cache_key("aa", "bb") == cache_key("a", "abb")
        (True, False)
    """
    parts = json.dumps([sha256, fingerprint, revision])
    return f"hfasr:{hashlib.sha256(parts.encode()).hexdigest()}"


class _Handle:
    """One process's connection, and what it has not written yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.touched: dict[str, float] = {}


class TranscriptCache:
    """
    Transcripts in a SQLite file; pass one as ``cache=`` of `transcribe_many`, or its path.

    Threads may share one object, processes one file: it pickles as its path, and works on in a forked
    child. Every method blocks. The file and the two beside it (``-wal``, ``-shm``) can be read by their
    owner alone. On a network file system it does not work: SQLite's WAL needs memory that is shared.

    A cache never breaks a batch: where the file is damaged or the disk full, `get` finds nothing and
    `put` keeps nothing, and the log says so once.

    Args:
        path: The file; it is made where there is none. Its folder must be there.

        max_bytes: Size of all transcripts (compressed), 1 or more; those that were not used for the
            longest time go. The file is somewhat larger.

    Raises:
        BatchError: It is no ordinary file or no cache, was written by a newer version, or cannot be opened.

    Example:
        >>> import tempfile
        >>> from hfasr import Transcript
        >>> with tempfile.TemporaryDirectory() as folder, TranscriptCache(f"{folder}/cache.sqlite") as cache:
        ...     cache.put("key", Transcript("hello"))
        ...     cache.get("key").text
        'hello'

    .. versionadded:: 0.1.0
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = 2**30) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise ValueError(f"max_bytes must be a whole number of 1 or more, not {max_bytes!r}")
        self.path = Path(path).absolute()
        """Where the file is."""
        self.max_bytes = max_bytes
        """Size of all transcripts at most, bytes."""
        self._prepare()
        with self._errors("be opened"), self._connected():
            pass  # so that a wrong file is told now, not after an hour

    def get(self, key: str, /) -> Transcript | None:
        """Return what is kept as *key*; ``None`` where there is nothing, or it cannot be read."""
        with self._quietly("read"):
            with self._connected() as (handle, db):
                row = db.execute("SELECT value FROM transcripts WHERE key = ?", (key,)).fetchone()
            if row is not None:
                transcript = Transcript.from_dict(json.loads(_inflated(row[0])))
                self._touch(handle, key)
                return transcript
        return None

    def put(self, key: str, transcript: Transcript, /) -> None:
        """
        Keep *transcript* as *key*, in the place of what was there; its `raw` is not kept.

        One that is larger than the whole cache may be, or has over 64 MiB as JSON, is not kept at all.
        """
        with self._quietly("write"):
            plain = json.dumps(transcript.to_dict()).encode()
            value = zlib.compress(plain)
            if len(plain) <= MAX_JSON_BYTES and len(value) <= self.max_bytes:
                with self._connected() as (handle, db), _transaction(db):
                    _write_touched(handle, db)
                    _insert(db, key, value)
                    self._evict(db)

    def clear(self) -> None:
        """
        Forget everything, and give the room back to the disk.

        Raises:
            BatchError: The file cannot be written.
        """
        with self._errors("be cleared"), self._connected() as (handle, db):
            handle.touched.clear()
            with _transaction(db):
                db.execute("DELETE FROM transcripts")
                db.execute("UPDATE total SET n_bytes = 0")
            with suppress(_sqlite_error()):  # others are reading: the room is used again anyhow
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Write what is pending, and close the file. May be called twice; the next use opens it again."""
        handle = self._handle()
        with handle.lock:
            db, handle.connection = handle.connection, None
            if db is not None:
                try:
                    with self._quietly("write"), _transaction(db):
                        _write_touched(handle, db)
                finally:
                    handle.touched.clear()
                    db.close()

    def __len__(self) -> int:
        with self._errors("be read"), self._connected() as (_, db):
            return int(db.execute("SELECT COUNT(*) FROM transcripts").fetchone()[0])

    def __bool__(self) -> bool:
        return True  # an empty cache is one, too

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> tuple[Path, int]:
        return self.path, self.max_bytes

    def __setstate__(self, state: tuple[Path, int]) -> None:
        self.path, self.max_bytes = state
        self._prepare()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, max_bytes={self.max_bytes})"

    def _prepare(self) -> None:
        # By process: a child may neither use nor close what it has from its parent, so it stays here.
        self._handles: dict[int, _Handle] = {}
        self._told: set[str] = set()

    def _handle(self) -> _Handle:
        pid = os.getpid()
        return self._handles.get(pid) or self._handles.setdefault(pid, _Handle())

    @contextmanager
    def _connected(self) -> Iterator[tuple[_Handle, sqlite3.Connection]]:
        handle = self._handle()
        with handle.lock:
            if handle.connection is None:
                handle.connection = self._open()
            yield handle, handle.connection

    def _touch(self, handle: _Handle, key: str) -> None:
        """Note that *key* was used; it is written down with the next write, or when much has come together."""
        with handle.lock:
            handle.touched[key] = time.time()
            is_much = len(handle.touched) >= MAX_TOUCHED
        if is_much:
            with self._quietly("write"), self._connected() as (now, db), _transaction(db):
                _write_touched(now, db)

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        mode = _create_private(self.path)
        if os.name == "posix" and mode & 0o077 and "mode" not in self._told:  # somebody's choice: not ours to undo
            self._told.add("mode")
            logger.warning("%s holds transcripts and is open to others (mode %03o): chmod 600 it", self.path, mode)
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if self._is_ready(db):
                db.execute("PRAGMA journal_mode = WAL")  # kept in the file; here it shows whether that can be written
            else:
                _use_wal(db)
                with _transaction(db):
                    if not self._is_ready(db):  # another process was not faster
                        _make_anew(db)
            db.execute("PRAGMA synchronous = NORMAL")  # whole after a kill, and after a power cut but for the last
        except BaseException:
            db.close()
            raise
        return db

    def _is_ready(self, db: sqlite3.Connection) -> bool:
        """Whether the tables are there; ``False``: they may be made."""
        owner = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        is_empty = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
        if owner != APPLICATION_ID and not (is_empty and owner == version == 0):
            raise BatchError(f"{self.path} is a database, but no cache of transcripts; name another file")
        if version > SCHEMA_VERSION:
            raise BatchError(
                f"{self.path} was written by a newer hfasr (schema {version}, here {SCHEMA_VERSION}); update hfasr, "
                "or name another file"
            )
        return bool(version == SCHEMA_VERSION)

    def _evict(self, db: sqlite3.Connection) -> None:
        """Let the entries go that were not used for the longest time, if there is too much."""
        n_bytes = db.execute("SELECT n_bytes FROM total").fetchone()[0]
        if n_bytes <= self.max_bytes:
            return
        gone: list[tuple[int]] = []
        oldest = db.execute("SELECT rowid, size FROM transcripts ORDER BY used, rowid")
        for row, size in oldest:
            if n_bytes <= self.max_bytes * KEEP_SHARE:
                break
            gone.append((row,))
            n_bytes -= size
        oldest.close()
        db.executemany("DELETE FROM transcripts WHERE rowid = ?", gone)
        db.execute("UPDATE total SET n_bytes = ?", (n_bytes,))

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, _sqlite_error()) as error:
            raise BatchError(
                f"{self.path} cannot {doing} as a cache of transcripts ({error}); name another file, or delete this one"
            ) from error

    @contextmanager
    def _quietly(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # a cache never breaks a batch, whatever others wrote into it
            kind = getattr(error, "sqlite_errorname", type(error).__name__)
            if kind not in self._told:
                self._told.add(kind)
                logger.warning(_LEFT_OUT, doing, self.path, kind, error)


def _sqlite_error() -> type[Exception]:
    import sqlite3

    return sqlite3.Error


def _create_private(path: Path) -> int:
    """
    Make the file, readable by its owner alone from the start; SQLite gives those beside it the same mode.

    An empty one that is there is made private, too, but not through a link, and nothing that is no file.

    Returns:
        Its mode.

    Raises:
        BatchError: A folder, a pipe or a device.
    """
    # Opened only where there is none: closing a second handle of a file would take away SQLite's locks on it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise BatchError(f"{path} cannot be opened as a cache: it is no ordinary file; name another") from None
        if found.st_size == 0 and not path.is_symlink():
            path.chmod(0o600)
    return stat.S_IMODE(path.stat().st_mode)


def _inflated(value: bytes) -> bytes:
    """
    Return what *value* was compressed from, whoever wrote it.

    Raises:
        ValueError: It is cut off, or larger than anything that is put.
        zlib.error: It is damaged.
    """
    inflating = zlib.decompressobj()
    plain = inflating.decompress(value, MAX_JSON_BYTES)
    if not inflating.eof:
        raise ValueError(f"it is cut off, or has over {MAX_JSON_BYTES} bytes")
    return plain


def _use_wal(db: sqlite3.Connection) -> None:
    """Go over to WAL; SQLite does not wait for other processes that do so at the same time."""
    import sqlite3

    until = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _make_anew(db: sqlite3.Connection) -> None:
    """Make the tables, in the place of an older version's: a cache may be thrown away."""
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        db.execute('DROP TABLE "{}"'.format(name.replace('"', '""')))
    for statement in _TABLES:
        db.execute(statement)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            with suppress(_sqlite_error()):
                db.execute("ROLLBACK")
        raise


def _insert(db: sqlite3.Connection, key: str, value: bytes) -> None:
    before = db.execute("SELECT size FROM transcripts WHERE key = ?", (key,)).fetchone()
    db.execute("INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?, ?)", (key, value, len(value), time.time()))
    db.execute("UPDATE total SET n_bytes = n_bytes + ?", (len(value) - (before[0] if before else 0),))


def _write_touched(handle: _Handle, db: sqlite3.Connection) -> None:
    """Write down when entries were used last."""
    if handle.touched:
        touched, handle.touched = handle.touched, {}
        used = [(when, key, when) for key, when in touched.items()]
        db.executemany("UPDATE transcripts SET used = ? WHERE key = ? AND used < ?", used)
