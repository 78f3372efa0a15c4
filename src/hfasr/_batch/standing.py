"""How a batch stands: what it hands out next, and when and how it ends. The same for threads and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfasr.errors import JournalError

from .outlet import Outlet

if TYPE_CHECKING:
    from hfasr.batches import BatchItem

__all__ = ["NOT_YET", "NotYet", "Standing"]


class NotYet:
    """Nothing is ready, and the batch has not ended."""


NOT_YET: Final = NotYet()


class Standing:
    """
    Waits for nothing and locks nothing; its owner tells it what happens.

    Args:
        ordered: See `Outlet`.

        window: See `Outlet`.
    """

    def __init__(self, *, ordered: bool, window: int) -> None:
        self.outlet = Outlet(ordered=ordered, window=window)
        self.n_pending = 0
        """Items in work, or on their way to the disk."""

        self.fed = False
        """Whether no more inputs come."""

        self.inputs_error: BaseException | None = None
        """What the inputs raised; raised once those before it are done."""

        self.failure: BaseException | None = None
        """Why the batch ends early; raised once what is in work is done."""

        self._unwritten: list[BatchItem] = []

    def done(self, item: BatchItem | None) -> None:
        """Count an item as no longer in work; ``None``: it came to nothing."""
        self.n_pending -= 1
        if item is not None:
            self.outlet.put(item)
        if self.failure is not None and not self.n_pending:
            self.outlet.release()

    def fail(self, error: BaseException) -> None:
        """End the batch with *error*, unless it ends with another one already."""
        if self.failure is None:
            self.failure = error

    def not_written(self, item: BatchItem, error: JournalError) -> None:
        """End the batch with *error*, in which *item*, which was finished, is kept."""
        self._unwritten.append(item)
        self.fail(error)
        self.done(None)

    def next(self) -> BatchItem | NotYet | None:
        """
        Return the next item, ``None`` at the end.

        Raises:
            BaseException: Why the batch ends early.
        """
        item = self.outlet.pop()
        if item is not None:
            return item
        if self.failure is not None and not self.n_pending:
            if isinstance(self.failure, JournalError):
                self.failure.unwritten = tuple(self._unwritten)
            raise self.failure
        if self.fed and self.outlet.is_empty:
            if self.inputs_error is not None:
                raise self.inputs_error
            return None
        return NOT_YET
