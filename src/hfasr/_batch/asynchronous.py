"""The async client's batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr._run.asynchronous import AsyncRunner
from hfasr.batches import BatchItem

if TYPE_CHECKING:
    from .opening import Order

__all__ = ["AsyncBatch"]


class AsyncBatch(AsyncRunner[BatchItem]):
    """
    Finished items of a batch, one by one; an async iterator and an async context manager.

    No async generator: its workers live in one task of its own, so that leaving the loop half-way
    cancels them, on asyncio and on trio. Nothing begins before the first item is asked for.

    See `Batch`; the inputs may be an async iterable.
    """

    def __init__(self, order: Order) -> None:
        super().__init__(order)
