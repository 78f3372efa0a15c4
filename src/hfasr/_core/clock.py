"""Time and chance, in one place, so that tests can hold them still."""

from __future__ import annotations

import random
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the core reads time and chance from; `hfasr.testing.FakeClock` is one, too."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970, for dates that servers send."""
        ...

    def random(self) -> float:
        """Return a number from 0 up to 1, for jitter."""
        ...

    def pause(self, seconds: float) -> float:
        """Begin a pause of *seconds*; return how many of them must really pass."""
        ...


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def random(self) -> float:
        return random.random()

    def pause(self, seconds: float) -> float:
        return seconds
