"""One call without a network, for tests of its steps: what blocks is done on the spot, and noted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hfasr._core.config import Config
from hfasr._core.context import CallContext
from hfasr._core.io import BlockingIO
from hfasr._core.shared import Shared
from hfasr.testing import FakeClock

__all__ = ["NotedIO", "call_of"]

T = TypeVar("T")


class NotedIO(BlockingIO):
    """The sync client's, on a clock that holds still, which notes what it was asked to do."""

    def __init__(self) -> None:
        unused: Any = None  # nothing is sent
        super().__init__(unused, FakeClock())
        self.offloaded: list[tuple[bool, bool]] = []
        """Of each work off the event loop: whether it may be abandoned, and whether it may wait long."""
        self.windows: list[float | None] = []
        """Seconds within which work was to be done."""
        self.too_late: set[int] = set()
        """Which of them are to end with their time up, from 0, and are not begun."""

    @property
    def time(self) -> FakeClock:
        """Its clock."""
        assert isinstance(self.clock, FakeClock)
        return self.clock

    async def offload(self, fn: Callable[[], T], /, *, abandon: bool = False, waits: bool = False) -> T:
        self.offloaded.append((abandon, waits))
        return fn()

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        self.windows.append(seconds)
        if len(self.windows) - 1 in self.too_late:
            work.close()
            raise TimeoutError("cut off")
        return await work


def call_of(
    io: NotedIO, *, deadline: float | None = None, shared: Shared | None = None, **settings: Any
) -> CallContext:
    """Return one call of a client with these settings."""
    return CallContext(io, Config(**settings), Shared() if shared is None else shared, deadline)
