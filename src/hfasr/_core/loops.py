"""
Reaching an event loop from other threads, and giving it work of its own; asyncio's or trio's.

By hand, since anyio has nothing that reaches into a loop from outside without waiting for it, and no
task that outlives the one that made it.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Loop", "context_for_a_thread"]


def context_for_a_thread() -> contextvars.Context:
    """Return a copy of the caller's context, as code sees it that no event loop runs."""
    context = contextvars.copy_context()
    sniffio = sys.modules.get("sniffio")
    if sniffio is not None:  # or anyio.run() in there would say that a loop runs already
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


class Loop:
    """
    The event loop that runs now.

    Raises:
        RuntimeError: None does.
    """

    def __init__(self) -> None:
        trio = sys.modules.get("trio")
        self._trio: Any = None
        self._asyncio: Any = None
        if trio is not None and trio.lowlevel.in_trio_run():  # before asyncio, which may be trio's host
            self._trio = trio.lowlevel.current_trio_token()
        else:
            import asyncio

            self._asyncio = asyncio.get_running_loop()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Run *function* in the loop soon; from any thread. A loop that has ended runs nothing more."""
        with contextlib.suppress(RuntimeError):  # also what trio raises when its run has finished
            if self._trio is not None:
                self._trio.run_sync_soon(function)
            else:
                self._asyncio.call_soon_threadsafe(function)

    def is_current(self) -> bool:
        """Whether it is the loop that runs here and now."""
        try:
            now = Loop()
        except RuntimeError:
            return False
        return (now._trio, now._asyncio) == (self._trio, self._asyncio)

    @property
    def has_ended(self) -> bool:
        """Whether it was closed, and perhaps left tasks behind; trio's never are."""
        return self._asyncio is not None and self._asyncio.is_closed()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> object:
        """
        Run *work* in a task of its own, from within the loop, and return what keeps it alive.

        It belongs to no task group, and is cancelled when the loop ends. It must raise nothing: trio would end.
        """
        if self._trio is not None:
            context = contextvars.copy_context()  # as a task of asyncio gets it
            return sys.modules["trio"].lowlevel.spawn_system_task(work, name=name, context=context)
        task: object = self._asyncio.create_task(work(), name=name)
        return task
