"""What a batch is asked for, and opening what it needs for that."""

from __future__ import annotations

import os
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfasr._core.config import HOSTED
from hfasr._core.local import revision_ahead
from hfasr._core.room import Room
from hfasr._core.routes import LocalRoute, plan

from .item import Job
from .keys import fingerprint
from .progress import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfasr._core.config import Config
    from hfasr._core.shared import Shared
    from hfasr.cache import Cache
    from hfasr.types import TranscribeOptions

    from .journal import Journal
    from .settings import BatchSettings

__all__ = ["Opened", "Order"]

LOOK_AHEAD = 4
"""For an engine on this machine, so many times *max_concurrency* items are in work: clips to pack by length."""

MAX_LOOK_AHEAD = 32
"""Beyond that no more than *max_concurrency*: what an engine takes at once."""

MAX_DECODED_S = 1800.0
"""Seconds of audio that are held decoded for it, 115 MB at 16 kHz; a longer file goes alone."""


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

                self.journal = Journal(settings.journal)
                self.journal.open()
            self.job = Job(
                config=config,
                shared=shared,
                options=options,
                fingerprint=fingerprint(config, options),
                revision=None if cache is None else _revision(config, shared, options),
                journal=self.journal,
                cache=cache,
                verify=settings.verify,
                retry_failed=settings.retry_failed,
                room=None if config.backend == HOSTED else Room(MAX_DECODED_S),
                seats=_seats(config, settings),
            )
        except BaseException:
            self.close()
            raise

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


def _seats(config: Config, settings: BatchSettings) -> Room | None:
    """Return what lets chunks of all items be sent: no more at once than one of the two settings allows."""
    if config.backend != HOSTED:
        return None
    return Room(max(settings.max_concurrency, config.chunking.max_concurrency))


def _revision(config: Config, shared: Shared, options: TranscribeOptions) -> str | None:
    """Return the commit of the model, where an engine on this machine is asked first."""
    route = plan(config, options.get("model"))[0]
    if not isinstance(route, LocalRoute):
        return None
    download = not config.local_only and (options.get("deadline") or config.deadline) is None
    return revision_ahead(shared, route, download=download)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client is asked for by `transcribe_many`."""

    io: Any
    """The client's, of its colour."""
    config: Config
    shared: Shared
    audios: Any
    """The inputs: an iterable, or an async one."""
    options: TranscribeOptions
    settings: BatchSettings
    check_open: Callable[[], None]
    """Raises where the client has been closed."""

    def open(self) -> Opened:
        """Open the journal and the cache. Blocks."""
        return Opened(self.config, self.shared, self.options, self.settings)

    def watcher(self) -> Watcher:
        """Return what counts the items, and shows it."""
        return Watcher(self.n_total, self.settings.progress)

    @property
    def inputs(self) -> Any:
        """See `audios`."""
        return self.audios

    @property
    def what(self) -> str:
        """What to call it."""
        return "batch"

    @property
    def owns_inputs(self) -> bool:
        """The caller's, and not ours to close."""
        return False

    @property
    def max_waiting(self) -> int | None:
        """No limit but the window: inputs are small, or there already."""
        return None

    @property
    def ordered(self) -> bool:
        """Whether items come out in the order of the inputs."""
        return self.settings.ordered

    @property
    def n_total(self) -> int | None:
        """How many inputs there are, where they know."""
        try:
            return len(self.audios) if isinstance(self.audios, Sized) else None
        except (TypeError, ValueError, NotImplementedError):  # such as a loader of endless data
            return None

    @property
    def n_workers(self) -> int:
        """How many items are in work at once."""
        n = self.settings.max_concurrency
        if self.config.backend == HOSTED or n == 1:
            return n
        return max(n, min(LOOK_AHEAD * n, MAX_LOOK_AHEAD))

    @property
    def window(self) -> int:
        """How many inputs are held at once: in work, waiting for it, or for their turn to come out."""
        return max(4 * self.n_workers, 64) if self.settings.ordered else 2 * self.n_workers
