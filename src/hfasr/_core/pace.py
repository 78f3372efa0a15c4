"""
How many requests a second one server may be sent, found from its 429s.

There is no pace until a 429 comes. Then it is a little less than what the server was seen to
accept. After a hold a little more is tried; at the next 429 it is known whether the limit is the
same (the hold doubles, so that refusals become rare), a higher one, or only seemed higher because
the server had saved up a burst (the higher pace is refused within its own hold, and is given up).

Some servers refuse now and then however slowly they are asked (one provider of Hugging Face was seen to
refuse half of all requests, huggingface_hub issue 4703). There a lower pace only costs time: where it has
been lowered again and again and no hold passed without a refusal, there is none for a while.

Sources: the virtual scheduling form of GCRA, ITU-T I.371. The numbers are this library's own, found
with the simulated servers in ``tests/core/test_limiter.py``.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import NamedTuple

__all__ = ["HOLD_MIN_S", "SAME", "Hold", "Pace", "Ticket"]

HOLD_MIN_S = 3.0
_HOLD_MAX_S = 60.0
SAME = 0.1
"""Limits that differ by no larger part are one and the same."""

_CLOSE = 0.03  # what a measurement may be wrong by
_CREEP = 0.02  # how much a limit that was confirmed may rise, lest one that was set too low stays
_SHARE = 0.98  # of what is accepted: the pace
_SPAN_S = 5.0  # over which that is measured
_SPAN_SHORT_S = 2.0  # while it grows
_SPAN_MIN_S = 1.0
_MIN_ACCEPTED = 5  # of fewer no rate can be told: a call's own back-off has to do
_GROWTH = 0.02  # per second, where the limit is known
_SEARCH = 0.1  # per second, where it is not
_RUSH = 0.3  # per second, where there seems to be none
_FORGET = 1.3  # times the estimate, without a 429: there is another limit, or none
_DROP = 4.0
_IDLE_S = 60.0  # so long without need of it, it is dropped, too
_BLIND_FALL = 0.6  # to so much of what was believed, in falls one after the other: refusals do not obey the pace
_N_FALLS = 2  # the first ones after a burst are true
_BLIND_S = 60.0  # so long 429s then set no pace; the double each time
_BLIND_MAX_S = 600.0
_LATENESS_S = 0.02  # a thread may wake that late without loss of rate


class Ticket(NamedTuple):
    """One request under way."""

    number: int
    """Counts up from 1."""

    depth: int
    """Requests under way when it entered, with itself."""

    full: bool
    """Whether it took the last place in the window."""


class Hold:
    """How long a limit that was found is believed before a little more is tried: seconds, and as many successes."""

    __slots__ = ("_left", "_until", "length")

    def __init__(self) -> None:
        self.length = HOLD_MIN_S
        self._until = -math.inf
        self._left = 0.0

    def begin(self, now: float, length: float) -> None:
        self.length = min(length, _HOLD_MAX_S)
        self._until = now + self.length
        self._left = self.length

    def count(self) -> None:
        self._left -= 1

    def is_over(self, now: float) -> bool:
        return now >= self._until and self._left <= 0


class Pace:
    """How many requests a second may be sent."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._capacity = 0.0  # what the server is believed to give, requests a second
        self._known = False  # whether that was confirmed
        self._reach = 1.0  # how far above the capacity a burst that was saved up has carried
        self._before: tuple[float, float, float] | None = None  # capacity, hold and reach while a higher one is tried
        self._hold = Hold()
        self._slot = 0.0  # when the next request may go
        self._entered = -math.inf
        self._bound = -math.inf  # when requests last came as fast as it lets them
        self._accepted: deque[float] = deque(maxlen=1024)  # when answers to requests at this pace came
        self._n_refused = 0  # requests at this pace
        self._judged = 0  # tickets up to this one were sent at an earlier pace
        self._n_falls = 0  # one after the other, with no hold that passed in between
        self._fallen = 1.0  # to how much of what was believed, by those after the first ones
        self._blind_until = -math.inf
        self._blind_s = _BLIND_S

    def is_blind(self, now: float) -> bool:
        """Whether 429s were found not to depend on the pace."""
        return now < self._blind_until

    def wait(self, now: float) -> float:
        return 0.0 if self.rate is None else max(0.0, self._slot - now)

    def enter(self, now: float) -> None:
        gap, self._entered = now - self._entered, now
        if self.rate is None:
            return
        if gap * self.rate < 2:
            self._bound = now
            self._grow(gap, now)
        elif now - self._bound > _IDLE_S:
            self.rate = None
        if self.rate is not None:
            step = 1 / self.rate
            self._slot = max(self._slot, now - max(_LATENESS_S, step / 4)) + step

    def _grow(self, gap: float, now: float) -> None:
        assert self.rate is not None
        if not self._hold.is_over(now):
            return
        self._before = None  # the higher one has held
        self._n_falls, self._fallen = 0, 1.0
        far = self.rate > _FORGET * self._capacity
        if far:
            self._known = False
        self.rate *= 1 + gap * (_GROWTH if self._known else _RUSH if far else _SEARCH)
        if self.rate > _DROP * self._capacity:
            self.rate = None

    def accepted(self, ticket: Ticket, now: float) -> None:
        if ticket.number > self._judged:
            self._accepted.append(now)
            self._hold.count()

    def limited(self, ticket: Ticket, newest: int, now: float) -> None:
        if ticket.number <= self._judged or self.is_blind(now):
            return
        self._n_refused += 1
        measured = self._measure(now, _SPAN_S)
        if measured is None:
            return
        if self.rate is None:
            self._known, self._before, self._reach = False, None, 1.0
            capacity, hold = measured, HOLD_MIN_S
        elif self._hold.is_over(now):
            capacity, hold = self._after_growth(max(measured, self._measure(now, _SPAN_SHORT_S) or 0.0))
        else:
            n_accepted = len(self._accepted)
            asked_for = self.rate * n_accepted / (n_accepted + self._n_refused)
            capacity, hold = self._after_hold(min(measured, asked_for))
            if self._falls_in_vain(capacity, now):
                return
        self._capacity = capacity
        self.rate = _SHARE * capacity
        self._hold.begin(now, hold)
        self._slot = max(self._slot, now + 1 / self.rate)
        self._bound = now
        self._judged = newest
        self._accepted.clear()
        self._n_refused = 0

    def _after_growth(self, measured: float) -> tuple[float, float]:
        """Return capacity and hold after a 429 that came while more was tried."""
        assert self.rate is not None
        reach, capacity, hold = self.rate / self._capacity, self._capacity, self._hold.length
        if 1 + _CLOSE < reach <= self._reach + _CLOSE:  # a burst again
            self._known = True
            return min(self.rate, (1 + _CREEP) * capacity), 2 * hold
        self._before = (capacity, hold, reach) if reach < _FORGET else None
        self._known = reach <= 1 + SAME
        if self._known:
            return self.rate, 2 * hold
        return (min(measured, self.rate) + self.rate) / 2, HOLD_MIN_S  # what is measured lags behind the growth

    def _after_hold(self, measured: float) -> tuple[float, float]:
        """Return capacity and hold after a 429 that came at a pace which was believed to be safe."""
        if self._before is not None:
            capacity, length, reach = self._before
            self._before = None
            if measured <= (1 + SAME) * capacity:  # it was a burst, and no higher limit
                self._known, self._reach = True, max(self._reach, reach)
                return max(measured, min(capacity, (1 + _CLOSE) * measured)), 2 * length
        return min((1 - _CLOSE / 3) * self._capacity, (1 + _CLOSE) * measured), self._hold.length

    def _falls_in_vain(self, capacity: float, now: float) -> bool:
        self._n_falls += 1
        if self._n_falls > _N_FALLS:
            self._fallen *= min(1.0, capacity / self._capacity)
        if self._fallen >= _BLIND_FALL:
            return False
        self._blind_until = now + self._blind_s
        self._blind_s = min(2 * self._blind_s, _BLIND_MAX_S)
        self.rate, self._n_falls, self._fallen = None, 0, 1.0
        return True

    def _measure(self, now: float, span: float) -> float | None:
        """Return how many requests a second were accepted within *span* seconds, ``None`` where too few were."""
        if self.rate is not None:
            span = max(span, 2 * _MIN_ACCEPTED / self.rate)
        lately = list(itertools.takewhile(lambda when: when >= now - span, reversed(self._accepted)))
        if len(lately) < _MIN_ACCEPTED:
            return None
        if self.rate is None:  # nothing may have been asked of it before
            return len(lately) / max(now - lately[-1], _SPAN_MIN_S)
        since_first = now - lately[-1]
        return (len(lately) - 1) / since_first if since_first >= _SPAN_MIN_S else None

    def restart(self) -> None:
        """Measure anew, so that a stop is left out."""
        if self.rate is not None:
            self._accepted.clear()
            self._n_refused = 0
