"""Runs for async code: an iterator over what tasks have done."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from hfasr._core.cancel import Cancelled

from .tasks import Tasks

if TYPE_CHECKING:
    from types import TracebackType

    from .order import Order

__all__ = ["AsyncRunner"]

Item = TypeVar("Item")


class AsyncRunner(Generic[Item]):
    """
    Finished items, one by one; an async iterator and an async context manager.

    No async generator: its workers live in one task of its own, so that leaving the loop half-way
    cancels them, on asyncio and on trio. Nothing begins before the first item is asked for.

    See `Runner`; the inputs may be an async iterable.
    """

    def __init__(self, order: Order[Any, Item]) -> None:
        self._run = Tasks(order)
        self._watcher = order.watcher()
        self._finalizer = weakref.finalize(self, self._run.abandon)
        self._finalizer.atexit = False  # the loop has ended by then, and the task with it

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self._run.enter()
        try:
            item = await self._run.next()
        except (Exception, Cancelled):
            await self.aclose()
            raise
        finally:
            self._run.leave()
        if item is None:
            await self.aclose()
            raise StopAsyncIteration
        if self._watcher is not None:
            self._watcher(item)
        return item

    async def aclose(self) -> None:
        """Cancel what is under way, and close what was opened. May be called twice."""
        self._finalizer.detach()
        await self._run.close()
        if self._watcher is not None:
            self._watcher.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
