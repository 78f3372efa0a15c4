"""Finished items on their way out: in order or as they come, and never too many of them."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Outlet"]

Item = TypeVar("Item")


class Outlet(Generic[Item]):
    """
    Counts what goes in and comes out, and puts it in order. It waits for nothing and locks nothing.

    Args:
        ordered: Whether items come out in the order of the inputs.

        window: Most inputs that are taken and not given out again, 1 or more: what is held in memory.
    """

    def __init__(self, *, ordered: bool, window: int) -> None:
        self._ordered = ordered
        self._window = window
        self._n_taken = 0
        self._n_given = 0
        self._ready: deque[Item] = deque()
        self._early: dict[int, Item] = {}  # finished before an input that came earlier

    @property
    def has_room(self) -> bool:
        """Whether another input may be taken."""
        return self._n_taken - self._n_given < self._window

    @property
    def is_empty(self) -> bool:
        """Whether everything that was taken has been given out."""
        return self._n_taken == self._n_given

    @property
    def all_finished(self) -> bool:
        """Whether everything that was taken is finished, given out or not."""
        return self._n_taken == self._n_given + len(self._ready) + len(self._early)

    def take(self) -> int:
        """Count an input that is taken, and return its index."""
        self._n_taken += 1
        return self._n_taken - 1

    def put(self, index: int, item: Item) -> None:
        """Put in the finished item of that index; never ``None``."""
        if not self._ordered:
            self._ready.append(item)
            return
        self._early[index] = item
        while (following := self._early.pop(self._n_given + len(self._ready), None)) is not None:
            self._ready.append(following)

    def pop(self) -> Item | None:
        """Return the next item, ``None`` where none is ready."""
        if not self._ready:
            return None
        self._n_given += 1
        return self._ready.popleft()

    def release(self) -> None:
        """Give out whatever is finished, without its turn: what came earlier will not be."""
        self._ordered = False
        self._ready.extend(self._early[index] for index in sorted(self._early))
        self._early.clear()
