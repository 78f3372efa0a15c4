"""Room for audio that is decoded at the same time, so that long files do not fill the memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfasr._core.bells import Bell
    from hfasr._core.io import IO

__all__ = ["Room"]


class Room:
    """
    Lets in so many seconds of audio at once; what is longer than that, alone. For threads and tasks.

    Args:
        seconds: How many.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken = 0.0
        self._n_inside = 0
        self._waiting: list[Bell] = []
        self._lock = threading.Lock()

    async def enter(self, io: IO, seconds: float) -> None:
        """Wait until there is room for *seconds*, and take it. It must be given back by `leave`."""
        while True:
            bell = io.bell()
            with self._lock:
                if not self._n_inside or self._taken + seconds <= self._seconds:
                    self._taken += seconds
                    self._n_inside += 1
                    return
                self._waiting.append(bell)
            await io.hear(bell, None)

    def leave(self, seconds: float) -> None:
        """Give back what `enter` took."""
        with self._lock:
            self._taken -= seconds
            self._n_inside -= 1
            waiting, self._waiting = self._waiting, []
        for bell in waiting:
            bell.ring()
