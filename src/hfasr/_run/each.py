"""Running an order to its end, for code that is written once for both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hfasr._core.io import BlockingIO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .order import Order

__all__ = ["each"]

Item = TypeVar("Item")


async def each(order: Order[Any, Item], deliver: Callable[[Item], Awaitable[object] | None]) -> None:
    """
    Work on every input, and give each item to *deliver*; nothing runs any more when this returns or raises.

    Where the order's `IO` blocks, so does this, and never suspends.

    Args:
        order: What to do.

        deliver: Called here, in the order's own order, and awaited where it returns something: it waits for nothing
            but the order's `IO`. What it raises ends the run, and is raised.
    """
    if isinstance(order.io, BlockingIO):
        from .blocking import Runner

        with Runner(order) as items:
            for item in items:
                if (more := deliver(item)) is not None:
                    await more
                del item  # or it stays in memory while the next one is awaited
        return
    from .asynchronous import AsyncRunner

    async with AsyncRunner(order) as items_to_come:
        async for item in items_to_come:
            if (more := deliver(item)) is not None:
                await more
            del item
