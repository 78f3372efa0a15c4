"""Runs for code that blocks: an iterator over what threads have done."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from .threads import Threads

if TYPE_CHECKING:
    from types import TracebackType

    from .order import Order

__all__ = ["Runner"]

Item = TypeVar("Item")


class Runner(Generic[Item]):
    """
    Finished items, one by one; an iterator and a context manager.

    Nothing begins before the first item is asked for. The inputs are read from a thread of its own, and no
    further than need be. Within a call of another run it ends with that one: whoever asks for an item is told
    so by `Cancelled`.
    """

    def __init__(self, order: Order[Any, Item]) -> None:
        self._run = Threads(order)
        self._watcher = order.watcher()
        self._finalizer = weakref.finalize(self, Threads.abandon, self._run)
        self._finalizer.atexit = False  # the threads are daemons, and no more can be started by then

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        self._run.enter()
        try:
            item = self._run.next()
        except BaseException:
            self.close()
            raise
        finally:
            self._run.leave()
        if item is None:
            self.close()
            raise StopIteration
        if self._watcher is not None:
            self._watcher(item)
        return item

    def close(self) -> None:
        """Stop, wait for what cannot be cut off, and close what was opened. May be called twice."""
        self._run.close()
        self._finalizer.detach()  # not before: Ctrl-C may come in between
        if self._watcher is not None:
            self._watcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
