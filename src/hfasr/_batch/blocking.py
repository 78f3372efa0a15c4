"""The sync client's batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr._run.blocking import Runner
from hfasr.batches import BatchItem

if TYPE_CHECKING:
    from .opening import Order

__all__ = ["Batch"]


class Batch(Runner[BatchItem]):
    """
    Finished items of a batch, one by one; an iterator and a context manager.

    Nothing begins before the first item is asked for. Leave it half-way with ``break`` in a ``with``
    block, or call `close`: requests under way are cut off, and no thread is left.

    The inputs are read from a thread of the batch's own, and no further than need be.
    """

    def __init__(self, order: Order) -> None:
        super().__init__(order)
