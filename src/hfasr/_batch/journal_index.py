"""Where in a journal each item's last record is: 24 bytes a record, for files larger than the memory."""

from __future__ import annotations

import threading
from array import array
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from .journal_lines import is_json, place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .keys import ItemKey

__all__ = ["Index", "Scan", "scan"]

_MIN_MERGED = 10_000  # entries: a dictionary of so many takes 2 MB
_MERGED_PART = 8  # merged again when it has grown by an eighth, so that the work stays linear

_Columns = tuple["npt.NDArray[np.uint64]", "npt.NDArray[np.uint64]", "npt.NDArray[np.uint64]"]


class Index:
    """
    Finds the last record of a key.

    What was there at the start lies in three sorted columns: the halves of the key, and the offset. What has
    come since lies in a dictionary, which joins them when it has grown. Safe for one thread that puts and many
    that find.

    Args:
        highs: First halves of the keys, in the order of the file.

        lows: Second halves.

        offsets: Of each line, in bytes.
    """

    def __init__(self, highs: array[int], lows: array[int], offsets: array[int]) -> None:
        import numpy as np

        self._columns = _last_of_each(*(np.frombuffer(part, np.uint64) for part in (highs, lows, offsets)))
        self._new: dict[ItemKey, int] = {}
        self._lock = threading.Lock()

    def find(self, key: ItemKey) -> int | None:
        """Return the offset of the last record of *key*."""
        with self._lock:
            offset = self._new.get(key)
            highs, lows, offsets = self._columns
        if offset is not None:
            return offset
        import numpy as np

        high, low = np.uint64(int(key[:16], 16)), int(key[16:], 16)
        at = int(highs.searchsorted(high))
        while at < len(highs) and highs[at] == high:
            if lows[at] == low:
                return int(offsets[at])
            at += 1
        return None

    def put(self, key: ItemKey, offset: int) -> None:
        """Remember a record that was written at *offset*. In one thread alone."""
        with self._lock:
            self._new[key] = offset
        if len(self._new) >= max(_MIN_MERGED, len(self._columns[0]) // _MERGED_PART):
            self._merge()

    def _merge(self) -> None:
        import numpy as np

        highs = array("Q", (int(key[:16], 16) for key in self._new))
        lows = array("Q", (int(key[16:], 16) for key in self._new))
        new = (np.frombuffer(part, np.uint64) for part in (highs, lows, array("Q", self._new.values())))
        joined = _last_of_each(*(np.concatenate(pair) for pair in zip(self._columns, new, strict=True)))
        with self._lock:  # not before: others find while the columns are sorted
            self._columns = joined
            self._new = {}


def _last_of_each(
    highs: npt.NDArray[np.uint64], lows: npt.NDArray[np.uint64], offsets: npt.NDArray[np.uint64]
) -> _Columns:
    """Sort by key, and keep the last of those that are equal."""
    import numpy as np

    order = np.lexsort((lows, highs))  # stable: equal keys stay in the order of the file
    highs, lows = highs[order], lows[order]
    last = np.ones(len(order), bool)
    last[:-1] = (highs[1:] != highs[:-1]) | (lows[1:] != lows[:-1])
    return highs[last], lows[last], offsets[order[last]]


@dataclass(frozen=True, slots=True)
class Scan:
    """What one reading of a journal found."""

    index: Index
    """Of its records."""

    n_damaged: int
    """Lines that are no records, a torn last one left out."""

    n_bytes: int
    """Bytes up to the end of the last whole line."""

    open_end: bool
    """Whether that line has no newline yet."""


def scan(file: IO[bytes], start: int) -> Scan:
    """
    Read the records of *file* from *start* to its end, line by line, and without parsing any but the last.

    A last line that is not JSON was torn when its writer died, and is left out. A whole one counts, even
    where it lacks its newline.
    """
    columns = _Records()
    line = b""
    offset = start
    file.seek(start)
    for line in file:
        if not line.endswith(b"\n"):
            break
        columns.add(line, offset)
        offset += len(line)
    if not line:
        return Scan(columns.index(), 0, offset, open_end=False)
    if line.endswith(b"\n"):
        torn = not is_json(line)
        if torn:
            offset -= len(line)
            columns.forget(line)
        return Scan(columns.index(), columns.n_damaged, offset, open_end=False)
    whole = is_json(line)
    if whole:
        columns.add(line + b"\n", offset)
        offset += len(line)
    return Scan(columns.index(), columns.n_damaged, offset, open_end=whole)


class _Records:
    """The columns of an `Index`, while they grow."""

    def __init__(self) -> None:
        self._columns = (array("Q"), array("Q"), array("Q"))
        self.n_damaged = 0

    def add(self, line: bytes, offset: int) -> None:
        """Note what *line* begins with."""
        found = place(line)
        if found is None:
            self.n_damaged += 1
            return
        highs, lows, offsets = self._columns
        highs.append(found.high)
        lows.append(found.low)
        offsets.append(offset)

    def forget(self, line: bytes) -> None:
        """Undo `add` of *line*, the last one."""
        if place(line) is None:
            self.n_damaged -= 1
            return
        for column in self._columns:
            column.pop()

    def index(self) -> Index:
        """Sort them."""
        return Index(*self._columns)
