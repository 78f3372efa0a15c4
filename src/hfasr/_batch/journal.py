"""The journal of a batch: what is finished is on the disk, and found again after a crash."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from hfasr.audio.source import short_name
from hfasr.errors import JournalError

from . import journal_file
from .journal_lines import Entry, decode, encode
from .journal_writer import Line, Writer, closed_error
from .records import error_to_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hfasr.batches import BatchItem

    from .journal_index import Index
    from .keys import ItemKey

__all__ = ["Entry", "Journal"]

logger = logging.getLogger("hfasr")

_INLINE_CHARS = 2_000
"""Of a transcript whose record is made at once. With a word in six characters, each with times, that takes 5 ms."""


class Journal:
    """
    A file of finished items, one line each, that only grows. For one batch at a time.

    Safe from many threads, but for `open`. A new file is for its owner alone (mode 0600).

    Args:
        path: Where it is, or is to be. Symbolic links are followed: by whatever link, it is one journal. Hard
            links are not seen through: two batches must not use two of them.

    Example:
        >>> import tempfile
        >>> from hfasr import BatchItem, Transcript
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Journal(f"{folder.name}/out.jsonl") as journal:
        ...     journal.append("0" * 32, BatchItem(0, "a.flac", Transcript("hello")), lambda error: None)
        ...     journal.flush()
        ...     journal.find("0" * 32).transcript.text
        'hello'
        >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._name = short_name(os.fspath(path)) or "the journal"
        self._index: Index | None = None
        self._writer: Writer | None = None
        self._file: IO[bytes] | None = None
        self._reading = threading.Lock()
        self._held = contextlib.ExitStack()
        self._n_damaged = 0

    def open(self) -> None:
        """
        Lock the file, make or mend it, and see what is in it. Blocks: some seconds for a million records.

        Raises:
            JournalError: It is in use, no journal, of a newer version, or cannot be read or written.
        """
        with journal_file.explained(self._name), contextlib.ExitStack() as stack:
            path = Path(os.path.realpath(self._path))
            journal_file.check_place(path, self._name)  # first without the lock, whose file would lie beside it
            stack.callback(journal_file.lock(path, self._name).release)
            fd = journal_file.open_to_append(path, self._name)
            stack.callback(os.close, fd)
            file = stack.enter_context(path.open("rb"))
            index, size = journal_file.load(fd, file, self._name)
            writer = Writer(fd, size, name=self._name, on_end=self._release)
            # Before it is started: Ctrl-C may come then, and `close` must find all of it.
            self._held, self._file, self._index, self._writer = stack.pop_all(), file, index, writer
            writer.start()

    def find(self, key: ItemKey) -> Entry | None:
        """
        Return the last record of *key*, ``None`` where there is none or it is damaged. Blocks for one read.

        Raises:
            JournalError: The file cannot be read, or is not open.
        """
        if self._index is None:
            raise closed_error(self._name)
        offset = self._index.find(key)
        if offset is None:
            return None
        with self._reading:
            if self._file is None:
                raise closed_error(self._name)
            try:
                self._file.seek(offset)
                line = self._file.readline()
            except OSError as error:
                raise JournalError(f"{self._name} cannot be read: {error.strerror}; check the disk") from error
        entry = decode(line, key)
        if entry is None and not self._n_damaged:
            self._n_damaged = 1
            logger.warning("%s: a damaged record is skipped; its item is tried again", self._name)
        return entry

    def append(
        self,
        key: ItemKey,
        item: BatchItem,
        done: Callable[[JournalError | None], None],
        *,
        chunk: int | None = None,
    ) -> None:
        """
        Write down what came of an item. Never waits for the disk, and never raises.

        Args:
            key: What to find it by.

            item: Finished.

            chunk: Which chunk of long audio it is, from 0; ``None``: a whole item.

            done: Called once, with ``None`` when the record is on the disk, or with why it is not. In the
                writer's thread, those without an error in the order of the calls; where nothing can be written at
                all, or a short record not be made, in this one.
        """
        name = self._name

        def make_line() -> bytes:
            try:
                return encode(key, item, chunk=chunk)
            except Exception as error:  # noqa: BLE001  # whatever an engine's or a caller's own objects raise
                why = error_to_dict(error)["message"]
                raise JournalError(f"{name} cannot hold the transcript of an engine: {why}; mend the engine") from None

        line: Line = make_line  # by the writer, where it takes long: this may be an event loop's thread
        if _is_small(item):
            try:
                line = make_line()
            except JournalError as error:
                done(error)
                return
        index, writer = self._index, self._writer

        def finish(offset: int, error: JournalError | None) -> None:
            if error is None and index is not None:
                index.put(key, offset)
            done(error)

        if writer is None or not writer.append(line, finish):
            done(closed_error(self._name))

    def flush(self) -> None:
        """
        Wait until everything that was appended is on the disk. Not to be called by a ``done``.

        Raises:
            JournalError: It could not be written, or the journal is not open.
        """
        if self._writer is None:
            raise closed_error(self._name)
        self._writer.flush()

    def close(self) -> None:
        """Write what was appended, end the thread and release the lock. May be called twice."""
        if self._writer is not None:
            self._writer.close()

    def _release(self) -> None:
        """Let go of the file. In the writer's thread, as the last thing that it does."""
        with self._reading:
            self._file = None
            try:
                self._held.close()
            except OSError:  # what counts was put on the disk before
                logger.warning("%s could not be closed cleanly", self._name, exc_info=True)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _is_small(item: BatchItem) -> bool:
    transcript = item.transcript
    try:
        return transcript is None or (
            len(transcript.text) <= _INLINE_CHARS and len(transcript.segments) <= _INLINE_CHARS // 10
        )
    except TypeError:  # an engine's own notion of a transcript, of which `encode` will tell
        return True
