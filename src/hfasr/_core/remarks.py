"""What is to be said of a transcript that was joined from chunks: a few lines, however many chunks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Remarks"]

MAX_KINDS = 20  # different warnings of chunks that are told one by one
MAX_PLACES = 5  # times that are named in one warning


class Remarks:
    """
    Counts the warnings of chunks and remembers where chunks do not fit.

    Example:
        >>> remarks = Remarks()
        >>> for i in range(3):
        ...     remarks.chunk(["the language was not passed on"] if i else [])
        >>> remarks.lines()
        ('the language was not passed on (in 2 of 3 chunks)',)
    """

    def __init__(self) -> None:
        self._chunks = 0
        self._counts: dict[str, int] = {}
        self._unnamed = 0
        self._repeated: list[float] = []
        self._missing: list[float] = []
        self._gaps: list[tuple[float, float]] = []
        self._error = ""

    def chunk(self, warnings: Iterable[str]) -> None:
        """Count one more chunk, with its *warnings*."""
        self._chunks += 1
        for warning in dict.fromkeys(warnings):
            if warning in self._counts or len(self._counts) < MAX_KINDS:
                self._counts[warning] = self._counts.get(warning, 0) + 1
            else:
                self._unnamed += 1

    def gap(self, start: float, end: float, error: str) -> None:
        """Count one more chunk, of which nothing is known between two times in seconds."""
        self._chunks += 1
        self._gaps.append((start, end))
        self._error = self._error or error

    def seam(self, at: float, doubt: str) -> None:
        """Remember a seam, at a time in seconds, where words may be ``"repeated"`` or ``"missing"``."""
        (self._repeated if doubt == "repeated" else self._missing).append(at)

    def lines(self) -> tuple[str, ...]:
        """Return them: chunks that failed first, then the seams, then the chunks' own."""
        lines = []
        if self._gaps:
            where = _places([f"{start:.1f} to {end:.1f} s" for start, end in self._gaps])
            lines.append(f"{self._share(len(self._gaps))} failed and left a gap, {where}: {self._error}")
        for places, what in ((self._repeated, "repeated"), (self._missing, "missing")):
            if places:
                where = _places([f"{at:.1f} s" for at in places])
                lines.append(f"words may be {what} where chunks meet, at {where}: they heard different words there")
        for warning, count in self._counts.items():
            lines.append(warning if self._chunks == 1 else f"{warning} (in {self._share(count)})")
        if self._unnamed:
            lines.append(f"{self._unnamed} more warnings of chunks are not shown")
        return tuple(lines)

    def _share(self, count: int) -> str:
        plural = "" if self._chunks == 1 else "s"
        return f"{count} of {self._chunks} chunk{plural}"


def _places(places: Sequence[str]) -> str:
    more = len(places) - MAX_PLACES
    return ", ".join(places[:MAX_PLACES]) + (f" and {more} more" if more > 0 else "")
