"""A clock that only moves when something waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from hfasr import ASRClient, AsyncASRClient

    AnyClient = TypeVar("AnyClient", ASRClient, AsyncASRClient)

__all__ = ["FakeClock"]


class FakeClock:
    """
    Time and chance for tests: pauses take no time, and are written down.

    Only pauses (back-off, ``Retry-After``, loading) pass on this clock; sockets still take real time.

    Args:
        jitter: What chance gives, from 0 up to 1: 0 takes nothing away from a pause, 1 the most.

        wall: Seconds since 1970 at the start, for dates that servers send.

    Example:
        >>> from hfasr import ASRClient
        >>> clock = FakeClock()
        >>> asr = clock.attach(ASRClient())
        >>> clock.sleeps
        []
    """

    def __init__(self, *, jitter: float = 0.0, wall: float = 1_700_000_000.0) -> None:
        self._now = 0.0
        self._wall = wall
        self._jitter = jitter
        self.sleeps: list[float] = []
        """Every pause so far, seconds."""

    def attach(self, client: AnyClient) -> AnyClient:
        """Let *client*, and the clients made from it later, run on this clock; return it."""
        client._io.clock = self  # noqa: SLF001  # the one door for tests
        return client

    @property
    def slept(self) -> float:
        """Sum of all pauses, seconds."""
        return sum(self.sleeps)

    def now(self) -> float:
        """Return seconds since this clock was made."""
        return self._now

    def wall(self) -> float:
        """Return seconds since 1970."""
        return self._wall + self._now

    def random(self) -> float:
        """Return *jitter*."""
        return self._jitter

    def advance(self, seconds: float) -> None:
        """Let *seconds*, 0 or more, pass, as if something had taken so long; `sleeps` does not count them."""
        self._now += seconds

    def pause(self, seconds: float) -> float:
        """Let *seconds* pass on this clock, and none in truth."""
        self.sleeps.append(seconds)
        self._now += seconds
        return 0.0
