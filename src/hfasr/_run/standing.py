"""How a run stands: what it hands out next, and when and how it ends. The same for threads and tasks."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from hfasr.errors import JournalError

from .outlet import Outlet

__all__ = ["NOT_YET", "NotYet", "Standing"]

Item = TypeVar("Item")


class NotYet:
    """Nothing is ready, and the run has not ended."""


NOT_YET: Final = NotYet()


class Standing(Generic[Item]):
    """
    Waits for nothing and locks nothing; its owner tells it what happens.

    Args:
        ordered: See `Outlet`.

        window: See `Outlet`.
    """

    def __init__(self, *, ordered: bool, window: int) -> None:
        self.outlet: Outlet[Item] = Outlet(ordered=ordered, window=window)
        self.n_pending = 0
        """Items in work, or on their way to the disk."""

        self.fed = False
        """Whether no more inputs come."""

        self.inputs_error: BaseException | None = None
        """What the inputs raised; raised once those before it are done."""

        self.failure: BaseException | None = None
        """Why the run ends early; raised once what is in work is done."""

        self._unwritten: list[Any] = []

    def done(self, index: int, item: Item) -> None:
        """Count an input as no longer in work: this came of it."""
        self.outlet.put(index, item)
        self.dropped()

    def dropped(self) -> None:
        """Count an input as no longer in work."""
        self.n_pending -= 1
        if self.failure is not None and not self.n_pending:
            self.outlet.release()

    def fail(self, error: BaseException) -> None:
        """End the run with *error*, unless it ends with another one already."""
        if self.failure is None:
            self.failure = error

    def not_written(self, item: Item, error: JournalError) -> None:
        """End the run with *error*, in which *item*, which was finished, is kept."""
        self._unwritten.append(item)
        self.fail(error)
        self.dropped()

    def next(self) -> Item | NotYet | None:
        """
        Return the next item, ``None`` at the end.

        Raises:
            BaseException: Why the run ends early.
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
