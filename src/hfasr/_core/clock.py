"""Time and chance, in one place, so that tests can hold them still."""

from __future__ import annotations

import random
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the core reads time and chance from; `hfasr.testing.FakeClock` is one, too."""

    virtual: bool
    """Whether pauses only advance this clock, instead of passing."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970, for dates that servers send."""
        ...

    def random(self) -> float:
        """Return a number from 0 up to 1, for jitter."""
        ...

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; only called where `virtual`."""
        ...


class SystemClock:
    """The machine's own."""

    virtual = False

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def random(self) -> float:
        return random.random()

    def advance(self, seconds: float) -> None:
        raise RuntimeError("the system's clock cannot be advanced")
