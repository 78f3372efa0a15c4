"""Room for what goes on at the same time, shared by many calls: seconds of audio in memory, or chunks in work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bells import Bell
    from .io import IO

__all__ = ["Room"]


class Room:
    """
    Lets in so much at once, and what is more than that alone. For threads and tasks.

    Args:
        size: How much, in whatever unit, above 0.
    """

    def __init__(self, size: float) -> None:
        self._size = size
        self._taken = 0.0
        self._n_inside = 0
        self._waiting: list[Bell] = []
        self._lock = threading.Lock()

    async def enter(self, io: IO, amount: float, *, left: Callable[[], float | None] = lambda: None) -> None:
        """
        Wait until there is room for *amount*, and take it. It must be given back by `leave`.

        Args:
            io: What to wait with.

            amount: How much, in the room's unit.

            left: Gives the seconds that are left for waiting; ``None``: any number.

        Raises:
            TimeoutError: There was none in time; nothing was taken.
        """
        while True:
            bell = io.bell()
            with self._lock:
                if not self._n_inside or self._taken + amount <= self._size:
                    self._taken += amount
                    self._n_inside += 1
                    return
                self._waiting.append(bell)
            seconds = left()
            if seconds is not None and seconds <= 0:
                raise TimeoutError
            await io.hear(bell, seconds)

    def leave(self, amount: float) -> None:
        """Give back what `enter` took."""
        with self._lock:
            self._taken -= amount
            self._n_inside -= 1
            waiting, self._waiting = self._waiting, []
        for bell in waiting:
            bell.ring()
