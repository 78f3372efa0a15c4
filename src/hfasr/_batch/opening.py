"""Opening what a batch needs, and closing it again. Blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hfasr._core.config import HOSTED

from .item import Job
from .keys import fingerprint

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr._core.shared import Shared
    from hfasr.cache import Cache
    from hfasr.types import TranscribeOptions

    from .journal import Journal
    from .settings import BatchSettings

__all__ = ["LOOK_AHEAD", "Opened", "n_workers", "window"]

LOOK_AHEAD = 32
"""Items that are in work at once for an engine on this machine, so that it has clips to pack by length."""


class Opened:
    """
    A batch's journal and cache, open.

    Raises:
        JournalError: The journal cannot be used.
        BatchError: The cache cannot be used.
    """

    def __init__(self, config: Config, shared: Shared, options: TranscribeOptions, settings: BatchSettings) -> None:
        self.journal: Journal | None = None
        self._own_cache: Any = None
        try:
            cache = self._cache(settings)
            if settings.journal is not None:
                from .journal import Journal

                journal = Journal(settings.journal)
                journal.open()
                self.journal = journal
        except BaseException:
            self.close()
            raise
        self.job = Job(
            config=config,
            shared=shared,
            options=options,
            fingerprint=fingerprint(config, options),
            revision=config.revision,
            journal=self.journal,
            cache=cache,
            verify=settings.verify,
            retry_failed=settings.retry_failed,
        )

    def _cache(self, settings: BatchSettings) -> Cache | None:
        if isinstance(settings.cache, str | os.PathLike):
            from hfasr.cache import TranscriptCache

            self._own_cache = TranscriptCache(settings.cache)
            return self._own_cache  # type: ignore[no-any-return]  # made above
        return settings.cache

    def close(self) -> None:
        """Close both. What was given to the journal is on the disk afterwards."""
        try:
            if self.journal is not None:
                self.journal.close()
        finally:
            if self._own_cache is not None:
                self._own_cache.close()


def n_workers(config: Config, settings: BatchSettings) -> int:
    """Return how many items are in work at once."""
    if config.backend == HOSTED:
        return settings.max_concurrency
    return max(settings.max_concurrency, LOOK_AHEAD)


def window(config: Config, settings: BatchSettings) -> int:
    """Return how many inputs are held at once: in work, waiting for it, or for their turn to come out."""
    n = n_workers(config, settings)
    return max(4 * n, 64) if settings.ordered else 2 * n
