"""
What wakes one waiting call, from any thread or event loop.

The waiting itself is anyio's. Ringing is done by hand, since anyio has nothing that reaches into a
loop from outside without waiting for it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["Bell", "TaskBell", "ThreadBell"]


class Bell(Protocol):
    """Wakes one call, once."""

    def ring(self) -> None:
        """Wake it, from any thread; nothing happens where it does not wait any more."""
        ...


class ThreadBell:
    """Wakes a thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        self._event.set()

    def wait(self, seconds: float | None) -> None:
        """Block until it rings, for *seconds* at most."""
        self._event.wait(seconds)


class TaskBell:
    """Wakes a task of the event loop, asyncio's or trio's, in which it was made."""

    def __init__(self) -> None:
        import anyio

        self._event = anyio.Event()
        self._call_soon = _call_soon()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed, and all that waited there is gone
            self._call_soon(self._event.set)

    async def wait(self, seconds: float | None) -> None:
        """Wait until it rings, for *seconds* at most."""
        import anyio

        with anyio.move_on_after(seconds):
            await self._event.wait()


def _call_soon() -> Callable[[Callable[[], object]], object]:
    """Return what runs a function in this event loop from any thread."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():  # before asyncio, which may be trio's host
        call_soon: Callable[[Callable[[], object]], object] = trio.lowlevel.current_trio_token().run_sync_soon
        return call_soon
    import asyncio

    return asyncio.get_running_loop().call_soon_threadsafe
