"""Reaching an event loop from other threads, and giving it work of its own; asyncio and trio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Loop"]


class Loop:
    """
    The event loop that runs now.

    Raises:
        RuntimeError: None does.
    """

    def __init__(self) -> None:
        try:
            self._asyncio: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            self._asyncio = None
            self._trio = trio.lowlevel.current_trio_token()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Run *function* in the loop soon; from any thread. A loop that has ended runs nothing more."""
        if self._asyncio is not None:
            with contextlib.suppress(RuntimeError):
                self._asyncio.call_soon_threadsafe(function)
            return
        import trio

        with contextlib.suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(function)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> object:
        """
        Run *work* in a task of its own, from within the loop, and return what keeps it alive.

        It belongs to no task group, and is cancelled when the loop ends. It must raise nothing: trio would end.
        """
        if self._asyncio is not None:
            return self._asyncio.create_task(work(), name=name)
        import trio

        return trio.lowlevel.spawn_system_task(work, name=name)
