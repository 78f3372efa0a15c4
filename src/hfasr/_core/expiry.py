"""Until when the sockets of the current call may work."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["EXPIRES"]

EXPIRES: ContextVar[float | None] = ContextVar("hfasr_expires", default=None)
"""When the request of this context must be over, on ``time.monotonic``; ``None``: no limit."""
