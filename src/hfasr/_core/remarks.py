"""What is to be said of a transcript that was joined from chunks: a few lines, however many chunks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from hfasr.errors import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Doubt", "Remarks"]

Doubt: TypeAlias = Literal["repeated", "missing", "again"]
"""What may be wrong with a seam: words twice, or words lost, as they differ or as the same are said more than once."""

_DOUBTS: dict[Doubt, str] = {
    "repeated": "words may be repeated where chunks meet, at {}: they heard different words there",
    "missing": "words may be missing where chunks meet, at {}: they heard different words there",
    "again": "words may be missing where chunks meet, at {}: the same words are said more than once there",
}

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
        self._seams: dict[Doubt, _Places] = {doubt: _Places() for doubt in _DOUBTS}
        self._gaps = _Places()
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
        self._gaps.add(f"{start:.1f} to {end:.1f} s")
        self._error = self._error or error

    def seam(self, at: float, doubt: Doubt) -> None:
        """Remember a seam, at a time in seconds, and what may be wrong with it."""
        self._seams[doubt].add(f"{at:.1f} s")

    def lines(self) -> tuple[str, ...]:
        """Return them: chunks that failed first, then the seams, then the chunks' own."""
        lines = []
        if self._gaps.n:
            lines.append(clean(f"{self._share(self._gaps.n)} failed and left a gap, {self._gaps}: {self._error}"))
        lines += [_DOUBTS[doubt].format(places) for doubt, places in self._seams.items() if places.n]
        for warning, count in self._counts.items():
            lines.append(warning if self._chunks == 1 else f"{warning} (in {self._share(count)})")
        if self._unnamed:
            lines.append(f"{self._unnamed} more warnings of chunks are not shown")
        return tuple(lines)

    def _share(self, count: int) -> str:
        plural = "" if self._chunks == 1 else "s"
        return f"{count} of {self._chunks} chunk{plural}"


class _Places:
    """How many, and the first of them: a live stream may have any number."""

    def __init__(self) -> None:
        self.n = 0
        self._first: list[str] = []

    def add(self, place: str) -> None:
        self.n += 1
        if self.n <= MAX_PLACES:
            self._first.append(place)

    def __str__(self) -> str:
        more = self.n - MAX_PLACES
        return ", ".join(self._first) + (f" and {more} more" if more > 0 else "")
