"""
How many requests one server may be sent at once, and how many a second: a state machine that does no waiting.

Two controls. The *window* bounds requests under way: it opens by one for each success while it is
full, and halves at a push-back; it comes back at once to what was fine, and only after a hold, which
doubles each time the limit proves to be the same, beyond. The *pace* bounds requests a second; see `pace`.

Which of the two a 429 is for is not said. More requests at once than were fine of late speak for the
window; a number that was fine speaks for the pace.

Sources: slow start, and one cut per round trip, RFC 5681 and RFC 6582; no growth of a window that
is not used, RFC 7661; ``RateLimit``, draft-ietf-httpapi-ratelimit-headers-09.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

from .pace import HOLD_MIN_S, SAME, Hold, Pace, Ticket

__all__ = ["Limiter", "Outcome", "Ticket"]

_WINDOW_START = 16
_HEADER_RESOLUTION_S = 1.0  # headers count whole seconds: this may mean any time up to it
_DEPTHS_MIN, _DEPTHS_MAX = 32, 128
_DEEP = 0.05  # a depth at which a smaller part was accepted is beyond what the server takes
_FLOOD = 0.5  # share of refused requests, above which everybody stops
_FLOOD_WEIGHT = 1 / 32  # of one answer in that share


class Outcome(Enum):
    """What an answer says about the server's load."""

    ACCEPTED = "accepted"
    """It dealt with the request."""

    LIMITED = "limited"
    """429: it takes no more requests of ours for now."""

    OVERLOADED = "overloaded"
    """503, 408 or 504: it cannot keep up."""

    UNKNOWN = "unknown"
    """No answer, or one that says nothing of its load."""


class _Window:
    """How many requests may be under way."""

    def __init__(self) -> None:
        self.size = float(_WINDOW_START)
        self.ceiling: float | None = None
        """The most that was fine, once more was not."""

        self._hold = Hold()
        self._cut_at = 0  # tickets up to this one were sent before the last cut

    def succeeded(self, now: float, *, used: bool) -> None:
        self._hold.count()
        if not used:
            return
        if self.ceiling is None:
            self.size += 1
        elif self.size < self.ceiling:
            self.size = min(self.size + 1, self.ceiling)
        elif self._hold.is_over(now):
            self.size += 1 / self.size

    def is_beyond(self, ticket: Ticket) -> bool:
        """Whether more were under way than is known to be fine."""
        return ticket.depth > (self.ceiling or 1) or (ticket.depth > 1 and ticket.number <= self._cut_at)

    def pushed_back(self, ticket: Ticket, newest: int, now: float, *, to_blame: bool) -> None:
        if ticket.number <= self._cut_at:
            if to_blame and self.ceiling is not None:  # of the same flight
                self.ceiling = max(1.0, min(self.ceiling, ticket.depth - 1.0))
                self.size = min(self.size, self.ceiling)
            return
        self._cut_at = newest
        if to_blame:
            self.size = min(self.size, float(ticket.depth))
            found = max(1.0, ticket.depth - 1.0)
            if self._hold.is_over(now):
                known = self.ceiling is not None and abs(found - self.ceiling) <= max(1.0, SAME * self.ceiling)
                self._hold.begin(now, 2 * self._hold.length if known else HOLD_MIN_S)
            self.ceiling = found
        elif self.ceiling is None:  # it comes back as fast as it can
            self.ceiling = self.size
        self.size = max(1.0, self.size / 2)


class Limiter:
    """
    What is known of one server's limits. Not safe from many threads: its gate's lock guards it.

    All times are seconds on one clock, given by the caller.

    Example:
        >>> limiter = Limiter()
        >>> ticket = limiter.enter(0.0)
        >>> limiter.leave(ticket, 0.1, Outcome.LIMITED, asked=7.0, longest=120.0)
        >>> limiter.wait(2.1)
        5.0
    """

    def __init__(self) -> None:
        self.n_inside = 0
        """Requests under way."""

        self._window = _Window()
        self._pace = Pace()
        self._depths: deque[int] = deque(maxlen=_DEPTHS_MAX)  # of requests that were accepted
        self._newest = 0
        self._full_at = 0  # the last ticket that found, or made, the window full
        self._refused_share = 0.0
        self._shut_until = self._told_until = -math.inf
        self._quota = 0
        self._quota_told_to = 0
        self._quota_until = self._quota_told_until = -math.inf

    @property
    def window(self) -> int:
        """How many requests may be under way, 1 or more."""
        return int(self._window.size)

    @property
    def pace(self) -> float | None:
        """Requests a second, ``None`` for no limit."""
        return self._pace.rate

    def shut_for(self, now: float) -> float:
        """Return for how many more seconds the server has asked to be left alone; 0: it has not."""
        if now < self._shut_until:
            return self._told_until - now
        if now < self._quota_until and self._quota < 1:
            return self._quota_told_until - now
        return 0.0

    def wait(self, now: float) -> float:
        """Return the seconds after which to ask again; 0: enter; infinite: not before a request leaves."""
        if now < self._shut_until:
            return self._shut_until - now
        wait = self._pace.wait(now)
        if now < self._quota_until and self._quota < 1:
            wait = max(wait, self._quota_until - now)
        if wait <= 0 and self.n_inside >= self.window:
            return math.inf
        return wait

    def enter(self, now: float) -> Ticket:
        """Count a request that is about to be sent. It must `leave`."""
        self.n_inside += 1
        self._newest += 1
        self._pace.enter(now)
        if now < self._quota_until:
            self._quota -= 1
        full = self.n_inside >= self.window
        if full:
            self._full_at = self._newest
        return Ticket(self._newest, self.n_inside, full)

    def leave(
        self, ticket: Ticket, now: float, outcome: Outcome, *, asked: float | None = None, longest: float = math.inf
    ) -> None:
        """
        Count a request as answered, or given up.

        Args:
            ticket: What `enter` gave.

            now: The time.

            outcome: What the answer says.

            asked: Seconds that a push-back asks to wait, 0 or more.

            longest: Seconds after which the server is asked again, whatever it said.
        """
        self.n_inside -= 1
        if outcome is Outcome.UNKNOWN:
            return
        if outcome is Outcome.ACCEPTED:
            self._refused_share *= 1 - _FLOOD_WEIGHT
            self._window.succeeded(now, used=ticket.number <= self._full_at)
            self._pace.accepted(ticket, now)
            self._depths.append(ticket.depth)
            return
        self._refused_share += (1 - self._refused_share) * _FLOOD_WEIGHT
        stop = asked is not None and (outcome is Outcome.OVERLOADED or not self._is_stray(asked, now))
        deep = outcome is Outcome.OVERLOADED or self._is_too_deep(ticket)
        alone = ticket.depth == 1 and self.window > 1  # one call after the other: its own back-off does
        if not deep and not (alone and self._pace.rate is None):
            self._pace.limited(ticket, self._newest, now)
        blind = outcome is Outcome.LIMITED and self._pace.is_blind(now)
        if not blind and (deep or self._pace.rate is None):
            self._window.pushed_back(ticket, self._newest, now, to_blame=deep)
        if asked is not None and stop:
            self._told_until = max(self._told_until, now + asked) if now < self._shut_until else now + asked
            self._shut_until = max(self._shut_until, now + min(asked, longest))
            if self._refused_share < _FLOOD:
                self._pace.restart()

    def _is_too_deep(self, ticket: Ticket) -> bool:
        """Whether a 429 is for too many requests at once, and not for too many a second."""
        if len(self._depths) >= _DEPTHS_MIN:
            n_as_deep = sum(depth >= ticket.depth for depth in self._depths)
            return n_as_deep < _DEEP * len(self._depths)
        return self._window.is_beyond(ticket) and (ticket.full or self._pace.rate is None)

    def _is_stray(self, asked: float, now: float) -> bool:
        """
        Whether a 429 is a single one at a pace that is otherwise fine, with the shortest time that a header can say.

        Then the request itself waits, and the pace goes back, but not all stop for what may be 50 ms.
        """
        if asked > _HEADER_RESOLUTION_S:
            return False
        known = self._pace.rate is not None or self._window.ceiling is not None
        return (known and self._refused_share < _FLOOD) or self._pace.is_blind(now)

    def note_quota(
        self, ticket: Ticket, remaining: int, reset: float, now: float, *, longest: float = math.inf
    ) -> None:
        """
        Take in what an answer says of its quota.

        Args:
            ticket: The request's.

            remaining: Requests that are left after this one.

            reset: Seconds until there are more.

            now: The time.

            longest: As for `leave`.
        """
        if ticket.number < self._quota_told_to:
            return
        self._quota_told_to = ticket.number
        if reset <= _HEADER_RESOLUTION_S:
            self._quota_until = -math.inf
            return
        self._quota = remaining - (self._newest - ticket.number)
        self._quota_told_until = now + reset
        self._quota_until = now + min(reset, longest)
