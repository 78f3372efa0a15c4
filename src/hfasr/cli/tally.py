"""Counting what a batch of the command has done, and saying so in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfasr.errors import clean

from .report import told

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Tally"]

_MAX_KINDS = 5
_MAX_EXAMPLE_CHARS = 160


@dataclass(slots=True)
class _Kind:
    n: int
    example: str


class Tally:
    """
    The numbers of a batch.

    Args:
        journal: What keeps it, if anything.

    Example:
        >>> tally = Tally(None)
        >>> tally.done()
        >>> tally.failed("a.wav", ValueError("too loud; turn it down"))
        >>> tally.summary()
        '1 of 2 files failed: 1 ValueError (a.wav: too loud; turn it down)'
    """

    def __init__(self, journal: Path | None) -> None:
        self._journal = journal
        self.n_done = 0
        self.n_failed = 0
        self._kinds: dict[str, _Kind] = {}

    def done(self) -> None:
        """Count a file that has its transcript."""
        self.n_done += 1

    def failed(self, name: str, error: Exception) -> None:
        """Count a file that has none, and remember the first one of each kind."""
        self.n_failed += 1
        kind = type(error).__name__
        if kind in self._kinds:
            self._kinds[kind].n += 1
        else:
            self._kinds[kind] = _Kind(1, clean(told(name, error), limit=_MAX_EXAMPLE_CHARS))

    def summary(self) -> str:
        """Return how many failed, of what kind, and what to do; the commonest kinds first."""
        ranked = sorted(self._kinds.items(), key=lambda pair: -pair[1].n)
        kinds = [
            f"{kind.n:,} {name} ({'first: ' if kind.n > 1 else ''}{kind.example})" for name, kind in ranked[:_MAX_KINDS]
        ]
        if rest := ranked[_MAX_KINDS:]:
            kinds.append(f"{sum(kind.n for _, kind in rest):,} of other kinds")
        failed = f"{self.n_failed:,} of {_files(self.n_done + self.n_failed)} failed: {', '.join(kinds)}"
        return failed + ("; run again with --resume to try those that may work" if self._journal is not None else "")

    def so_far(self) -> str:
        """Return what is done, and how to go on, for a batch that ended early."""
        done = f"{_files(self.n_done)} {'is' if self.n_done == 1 else 'are'} done"
        if self._journal is None:
            return f"{done}; add --journal FILE to be able to go on where a run has stopped"
        return f"{done}, and kept in {self._journal}; run again with --resume to go on"


def _files(n: int) -> str:
    return f"{n:,} file{'' if n == 1 else 's'}"
