"""
What wakes one waiting call, from any thread or event loop.

The waiting itself is anyio's.
"""

from __future__ import annotations

import threading
from typing import Protocol

from .loops import Loop

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
        self._loop = Loop()

    def ring(self) -> None:
        self._loop.call_soon(self._event.set)

    async def wait(self, seconds: float | None) -> None:
        """Wait until it rings, for *seconds* at most."""
        import anyio

        with anyio.move_on_after(seconds):
            await self._event.wait()
