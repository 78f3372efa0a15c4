"""Counting what a batch has done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hfasr._core.context import SKIPPED
from hfasr.batches import BatchItem, Progress
from hfasr.errors import HfasrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr.types import Attempt

__all__ = ["CACHE_ROUTE", "Tally"]

CACHE_ROUTE = "cache"
"""In `Attempt.route`, for a transcript that came from the cache."""


class Tally:
    """
    The numbers of one batch.

    Args:
        n_total: Items in all, where known.
    """

    def __init__(self, n_total: int | None) -> None:
        self._n_total = n_total
        self._began = time.monotonic()
        self._n_done = self._n_failed = self._n_resumed = self._n_cached = self._n_retries = 0
        self._audio_s = 0.0

    def add(self, item: BatchItem) -> Progress:
        """Count *item*, and return where the batch stands."""
        self._n_done += 1
        self._n_failed += item.error is not None
        self._n_resumed += item.resumed
        if not item.resumed:
            attempts = _attempts(item)
            cached = len(attempts) == 1 and attempts[0].route == CACHE_ROUTE
            self._n_cached += cached
            n_failed = sum(attempt.error not in {None, SKIPPED} for attempt in attempts)
            self._n_retries += n_failed if item.ok else max(0, n_failed - 1)  # after the last one of all nothing came
            duration = None if item.transcript is None else item.transcript.duration
            self._audio_s += duration if isinstance(duration, int | float) else 0.0  # a cache may give anything
        return Progress(
            n_done=self._n_done,
            n_failed=self._n_failed,
            n_resumed=self._n_resumed,
            n_cached=self._n_cached,
            n_retries=self._n_retries,
            n_total=self._n_total,
            audio_s=self._audio_s,
            elapsed_s=time.monotonic() - self._began,
        )


def _attempts(item: BatchItem) -> Sequence[Attempt]:
    if item.transcript is not None:
        origin = item.transcript.provenance
        return origin.attempts if origin is not None else ()
    return item.error.attempts if isinstance(item.error, HfasrError) else ()
