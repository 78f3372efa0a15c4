"""
The gate in front of each server: who may send now, and who waits, for all calls of a process.

A gate is shared by threads and event loops. Whoever has to wait stands in one queue, first come,
first served. Only the first in it looks at the limiter and knows a time; it wakes the next when it
goes in, and whoever comes out wakes the first. So nobody polls, and nothing is woken in vain.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

from hfasr._forks import in_child
from hfasr._hosted.servers import origin
from hfasr._hosted.waits import asked_wait, quota
from hfasr.errors import APITimeoutError, RateLimitError

from .clock import SystemClock
from .limiter import Limiter, Outcome, Ticket

if TYPE_CHECKING:
    from hfasr.wire import Response

    from .bells import Bell
    from .clock import Clock
    from .io import IO

__all__ = ["Gate", "Gates", "gate_of", "reset"]

_MAX_GATES = 256


class _Waiter:
    """One call in the queue."""

    __slots__ = ("bell", "until")

    def __init__(self) -> None:
        self.bell: Bell | None = None
        """Wakes it while it sleeps."""

        self.until = math.inf
        """When it wakes of itself."""


class Gate:
    """
    Lets requests to one server in, as its limiter says. Safe from many threads and event loops.

    Args:
        clock: What all who come here wait on.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.limiter = Limiter()
        self._queue: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nobody is inside or waits."""
        return not self._queue and not self.limiter.n_inside

    @property
    def n_waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    def try_enter(self) -> Ticket | None:
        """Return leave to send one request, ``None`` where that takes waiting. The ticket must come back to `leave`."""
        now = self.clock.now()
        with self._lock:
            return self.limiter.enter(now) if not self._queue and self.limiter.wait(now) <= 0 else None

    async def enter(self, io: IO, name: str, *, expires: float | None, longest: float) -> Ticket:
        """
        Stand in line for leave to send one request. The ticket must come back to `leave`.

        Args:
            io: How to wait.

            name: The server's, for messages.

            expires: Until when the caller has time, on the clock; ``None`` for no limit.

            longest: Longest stop that the caller would wait for, seconds.

        Raises:
            RateLimitError: The server takes no request for longer than the caller has, or would wait.
            APITimeoutError: The time passed in the queue.
        """
        waiter = _Waiter()
        with self._lock:
            self._queue.append(waiter)
        try:
            return await self._queued(waiter, io, name, expires, longest)
        finally:
            self._forget(waiter)

    async def _queued(self, waiter: _Waiter, io: IO, name: str, expires: float | None, longest: float) -> Ticket:
        while True:
            bell = io.bell()
            now = self.clock.now()
            left = math.inf if expires is None else expires - now
            with self._lock:
                shut = self.limiter.shut_for(now)
                if shut > longest or (shut > 0 and shut >= left):
                    raise _shut(name, shut)
                wait = self.limiter.wait(now) if self._queue[0] is waiter else math.inf
                if wait <= 0:
                    return self.limiter.enter(now)
                if left <= wait < math.inf:
                    raise _shut(name, wait)
                waiter.bell, waiter.until = bell, now + wait
            if left <= 0:
                raise APITimeoutError(
                    f"the time for this route was used up while earlier requests to {name} had their turn; "
                    "raise deadline=, or ask less at once"
                )
            seconds = self.clock.pause(wait) if wait < math.inf else left
            await io.hear(bell, seconds if seconds < math.inf else None)

    def _forget(self, waiter: _Waiter) -> None:
        """Take *waiter* out of the queue, however it ended, and let the next one look."""
        with self._lock:
            was_first = self._queue[0] is waiter
            self._queue.remove(waiter)
            if was_first and self._queue:
                _ring(self._queue[0])

    def leave(
        self, ticket: Ticket, outcome: Outcome, *, response: Response | None = None, longest: float = math.inf
    ) -> None:
        """
        Give *ticket* back.

        Args:
            ticket: What `enter` gave.

            outcome: What the answer says of the server's load.

            response: The answer, whose headers may tell how long to wait and how much is left.

            longest: Seconds after which the server is asked again, whatever it said.
        """
        now, asked, left = self.clock.now(), None, None
        if response is not None:
            wall = self.clock.wall()
            left = quota(response.headers, wall)
            if outcome is Outcome.LIMITED or outcome is Outcome.OVERLOADED:
                asked = asked_wait(response.headers, wall)
                if left is not None and asked is not None:
                    left = left[0], asked  # Retry-After takes precedence over RateLimit, as its draft says
        limiter = self.limiter
        with self._lock:
            shut = limiter.shut_for(now)
            if left is not None:
                limiter.note_quota(ticket, *left, now, longest=longest)
            limiter.leave(ticket, now, outcome, asked=asked, longest=longest)
            if limiter.shut_for(now) > shut:
                for waiter in self._queue:  # each looks whether it has the time to wait for that
                    _ring(waiter)
            elif self._queue and now + limiter.wait(now) < self._queue[0].until:
                _ring(self._queue[0])


def _ring(waiter: _Waiter) -> None:
    bell, waiter.bell = waiter.bell, None
    if bell is not None:
        bell.ring()


def _shut(name: str, seconds: float) -> RateLimitError:
    return RateLimitError(
        f"{name} has asked to wait: by its rate limit it takes no request for another {seconds:.3g} s, so none was "
        "sent; try again then, or set a fallback=",
        status_code=429,
        retry_after=seconds,
    )


class Gates:
    """
    The gates of a process, by origin. Safe from many threads.

    Servers may come from strangers, so there is a cap: those that nobody uses are forgotten, the
    longest unused first.
    """

    def __init__(self) -> None:
        self._gates: OrderedDict[Hashable, Gate] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._gates)

    def of(self, url: str, clock: Clock) -> Gate:
        """Return the gate of *url*'s server. Times of different clocks cannot be compared, so each has its own."""
        key = origin(url), None if type(clock) is SystemClock else id(clock)
        with self._lock:
            gate = self._gates.get(key)
            if gate is None:
                self._make_room()
                gate = self._gates[key] = Gate(clock)
            else:
                self._gates.move_to_end(key)
            return gate

    def _make_room(self) -> None:
        if len(self._gates) >= _MAX_GATES:
            unused = next((key for key, gate in self._gates.items() if gate.is_idle), None)
            if unused is not None:
                del self._gates[unused]


_gates = Gates()


def gate_of(url: str, clock: Clock) -> Gate:
    """Return this process's gate to *url*'s server."""
    return _gates.of(url, clock)


def reset() -> None:
    """Forget all gates: in a child process, whose parent's requests are none of its own, and between tests."""
    global _gates  # noqa: PLW0603  # a lock that was held while forking stays locked in the child
    _gates = Gates()


in_child(reset)
