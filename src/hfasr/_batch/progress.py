"""Showing how far a batch is: a bar on standard error, or the caller's own function."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Protocol

from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfasr.batches import BatchItem, Progress

__all__ = ["Reporter", "Watcher", "reporter"]

logger = logging.getLogger("hfasr")


class Watcher:
    """
    Counts a batch's items as they are handed out, and shows how far it is.

    Args:
        n_total: Items in all, where known.

        progress: See `transcribe_many`.
    """

    def __init__(self, n_total: int | None, progress: bool | Callable[[Progress], object]) -> None:
        self._tally = Tally(n_total)
        self._report = reporter(progress)

    def __call__(self, item: BatchItem, /) -> None:
        self._report(self._tally.add(item))

    def close(self) -> None:
        """Leave the screen as it should stay."""
        self._report.close()


class Reporter(Protocol):
    """Told how far it is, after each item."""

    def __call__(self, progress: Progress, /) -> object: ...

    def close(self) -> None:
        """Leave the screen as it should stay."""
        ...


def reporter(progress: bool | Callable[[Progress], object]) -> Reporter:
    """Return what shows `transcribe_many`'s *progress*."""
    if progress is True:
        return _Bar()
    return _Function(progress or None)


class _Function:
    def __init__(self, function: Callable[[Progress], object] | None) -> None:
        self._function = function

    def __call__(self, progress: Progress, /) -> None:
        if self._function is None:
            return
        try:
            self._function(progress)
        except Exception:
            logger.exception("the function passed as progress= failed; the batch goes on")  # and the item is handed out

    def close(self) -> None:
        pass


class _Bar:
    """Files, hours of audio, how many times as fast as it plays, and what went wrong."""

    def __call__(self, progress: Progress, /) -> None:
        bar = self._bar
        if bar.total != progress.n_total:
            bar.total = progress.n_total
        bar.set_postfix_str(_told(progress), refresh=False)
        bar.update(progress.n_done - bar.n)

    @functools.cached_property
    def _bar(self) -> Any:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]  # comes with huggingface_hub

        return tqdm(unit=" files", dynamic_ncols=True)

    def close(self) -> None:
        if "_bar" in self.__dict__:
            self._bar.close()


def _told(progress: Progress) -> str:
    """
    Return a batch's numbers in a few words.

    Example:
        >>> from hfasr import Progress
        >>> _told(Progress(9, 1, 2, 0, 3, None, 5400.0, 90.0))
        '1.5 h of audio, 60x, 1 failed, 2 from the journal, 3 retries'
    """
    told = [f"{progress.audio_s / 3600:.1f} h of audio", f"{progress.speed:.0f}x"]
    counts = {
        "failed": progress.n_failed,
        "from the journal": progress.n_resumed,
        "from the cache": progress.n_cached,
        "retries": progress.n_retries,
    }
    return ", ".join([*told, *(f"{n} {name}" for name, n in counts.items() if n)])
