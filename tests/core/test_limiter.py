"""The limiter alone, on times that are passed in, and against simulated servers."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr._core.limiter import Limiter, Outcome, Ticket

RATE = 20
SETTLED_S = 15.0
END_S = 120.0


class Bucket:
    """Gives *rate* tokens a second, and saves up to *burst*."""

    def __init__(self, burst: float) -> None:
        self._burst = self._tokens = burst
        self._at = 0.0

    def takes(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def left(self) -> int:
        return int(self._tokens)

    def done(self) -> None:
        """End a request."""


class FixedWindow(Bucket):
    """Takes so many in each second of its own clock."""

    def __init__(self) -> None:
        super().__init__(RATE)
        self._second = -1

    def takes(self, now: float) -> bool:
        if int(now + 0.37) != self._second:
            self._second, self._tokens = int(now + 0.37), RATE
        self._tokens -= 1
        return self._tokens >= 0

    def left(self) -> int:
        return max(0, int(self._tokens))


class SlidingWindow(Bucket):
    """Takes so many in any second."""

    def __init__(self) -> None:
        super().__init__(RATE)
        self._taken: deque[float] = deque()

    def takes(self, now: float) -> bool:
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if len(self._taken) >= RATE:
            return False
        self._taken.append(now)
        return True

    def left(self) -> int:
        return RATE - len(self._taken)


class AtOnce(Bucket):
    """Takes so many at the same time."""

    def __init__(self, n: int) -> None:
        super().__init__(RATE)
        self._free = n

    def takes(self, now: float) -> bool:
        self._free -= 1
        if self._free < 0:
            self._free = 0
            return False
        return True

    def done(self) -> None:
        self._free += 1


class AtRandom(Bucket):
    """Refuses a *share* of what it is asked, however slowly it is asked."""

    def __init__(self, share: float) -> None:
        super().__init__(RATE)
        self._share = share
        self._random = random.Random(1)

    def takes(self, now: float) -> bool:
        return self._random.random() >= self._share


class Simulation:
    """*n_callers* that ask *server* again and again through one limiter, with the back-off of a call."""

    def __init__(
        self, server: Bucket, latency: float, n_callers: int, *, asked: float | None = None, headers: bool = False
    ) -> None:
        self.limiter = Limiter()
        self.answers: list[tuple[float, bool]] = []
        self._server, self._latency, self._asked, self._headers = server, latency, asked, headers
        self._chance = random.Random(1)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._waiting: deque[int] = deque()
        self._next_look = -math.inf
        self._failed = [0] * n_callers

    def run(self) -> Simulation:
        for caller in range(len(self._failed)):
            self._at(self._chance.random() * 0.01, self._ask, caller)
        while self._events[0][0] <= END_S:
            now, _, happens, arguments = heapq.heappop(self._events)
            happens(now, *arguments)
        return self

    def rates(self) -> tuple[float, float]:
        """Return accepted requests a second, and the share that was refused, once settled."""
        settled = [taken for now, taken in self.answers if now >= SETTLED_S]
        return sum(settled) / (END_S - SETTLED_S), settled.count(False) / len(settled)

    def _at(self, when: float, happens: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (when, next(self._count), happens, arguments))

    def _on_the_way(self) -> float:
        return 0.001 + 0.003 * self._chance.random()

    def _ask(self, now: float, caller: int) -> None:
        self._waiting.append(caller)
        self._let_in(now)

    def _let_in(self, now: float) -> None:
        while self._waiting:
            wait = self.limiter.wait(now)
            if wait > 0:
                if wait < math.inf and not now < self._next_look <= now + wait:
                    self._next_look = now + wait
                    self._at(now + wait + self._chance.random() * 0.002, self._let_in)
                return
            ticket = self.limiter.enter(now)
            self._at(now + self._on_the_way(), self._arrive, self._waiting.popleft(), ticket)

    def _arrive(self, now: float, caller: int, ticket: Ticket) -> None:
        if self._server.takes(now):
            took = self._latency * (0.8 + 0.4 * self._chance.random())
            self._at(now + took, self._answered, caller, ticket, self._server.left())
        else:
            self._at(now + self._on_the_way(), self._refused, caller, ticket)

    def _answered(self, now: float, caller: int, ticket: Ticket, left: int) -> None:
        self._server.done()
        if self._headers:
            self.limiter.note_quota(ticket, left, 1.0, now)
        self.limiter.leave(ticket, now, Outcome.ACCEPTED)
        self.answers.append((now, True))
        self._failed[caller] = 0
        self._ask(now, caller)

    def _refused(self, now: float, caller: int, ticket: Ticket) -> None:
        self.limiter.leave(ticket, now, Outcome.LIMITED, asked=self._asked, longest=120.0)
        self.answers.append((now, False))
        pause = 0.5 * 2 ** (self._failed[caller] % 4) * (1 - 0.25 * self._chance.random())
        self._failed[caller] += 1
        self._at(now + (pause if self._asked is None else self._asked), self._ask, caller)
        self._let_in(now)


@pytest.mark.parametrize("server", [lambda: Bucket(20), lambda: Bucket(100), FixedWindow, SlidingWindow])
@pytest.mark.parametrize(
    ("latency", "n_callers"), [(0.005, 4), (0.005, 64), (0.05, 4), (0.05, 32), (0.3, 16), (0.3, 64)]
)
@pytest.mark.parametrize(("asked", "headers"), [(None, False), (1.0, False), (1.0, True)])
def test_limited_rate(
    server: Callable[[], Bucket], latency: float, n_callers: int, asked: float | None, headers: bool
) -> None:
    """Whatever way a server counts its 20 requests a second, it gives 95 % of them and refuses under 3 %."""
    rate, refused = Simulation(server(), latency, n_callers, asked=asked, headers=headers).run().rates()
    assert rate >= 0.95 * RATE
    assert refused < 0.03


@pytest.mark.parametrize("n", [2, 4, 10, 30])
@pytest.mark.parametrize("latency", [0.05, 0.3])
@pytest.mark.parametrize("asked", [None, 1.0])
def test_limited_number_at_once(n: int, latency: float, asked: float | None) -> None:
    """A server that refuses what is too much at once is kept busy, and refuses under 3 %."""
    rate, refused = Simulation(AtOnce(n), latency, 64, asked=asked).run().rates()
    assert rate >= 0.85 * n / (latency + 0.003)
    assert refused < 0.03


@pytest.mark.parametrize(("share", "least"), [(0.02, 100), (0.1, 100), (0.5, 5)])
@pytest.mark.parametrize("asked", [None, 1.0])
def test_refusals_at_random(share: float, least: float, asked: float | None) -> None:
    """A server that refuses at random is not asked ever more slowly, which would help nobody."""
    rate, _ = Simulation(AtRandom(share), 0.1, 32, asked=asked).run().rates()
    assert rate >= least


def limiter_with(*outcomes: Outcome, asked: float | None = None, at: float = 0.0, longest: float = 120.0) -> Limiter:
    """Return one that has seen single requests end so, one after the other."""
    limiter = Limiter()
    for outcome in outcomes:
        limiter.leave(limiter.enter(at), at, outcome, asked=asked, longest=longest)
    return limiter


def let_in_all(limiter: Limiter, now: float) -> list[Ticket]:
    """Enter until the window is full."""
    tickets = []
    while limiter.wait(now) <= 0:
        tickets.append(limiter.enter(now))
    return tickets


def test_slow_start() -> None:
    """While it is full the window doubles with each round trip; from 16."""
    limiter = Limiter()
    sizes = []
    for now in range(4):
        tickets = let_in_all(limiter, float(now))
        sizes.append(len(tickets))
        assert limiter.window == len(tickets)
        for ticket in tickets:
            limiter.leave(ticket, now + 0.5, Outcome.ACCEPTED)
    assert sizes == [16, 32, 64, 128]


def test_unused_window_stays() -> None:
    """A window that is not full does not grow, however many succeed."""
    assert limiter_with(*[Outcome.ACCEPTED] * 1000).window == 16


def test_one_cut_for_one_flight() -> None:
    """Many push-backs of one flight halve the window once; one that was sent later halves it again."""
    limiter = Limiter()
    for ticket in let_in_all(limiter, 0.0):
        limiter.leave(ticket, 1.0, Outcome.OVERLOADED)
    first = limiter.window
    assert 1 <= first <= 8
    limiter.leave(limiter.enter(2.0), 3.0, Outcome.OVERLOADED)
    assert limiter.window == max(1, first // 2)


def test_never_below_one() -> None:
    """However often it pushes back, a server is asked one request at a time."""
    limiter = limiter_with(*[Outcome.OVERLOADED] * 100)
    assert limiter.window == 1
    assert limiter.wait(0.0) == 0


def test_recovers_after_push_back() -> None:
    """A window that was cut opens again while the server keeps up, and passes what it was."""
    limiter = Limiter()
    for ticket in let_in_all(limiter, 0.0):
        limiter.leave(ticket, 1.0, Outcome.OVERLOADED)
    for now in range(2, 90):
        for ticket in let_in_all(limiter, float(now)):
            limiter.leave(ticket, now + 0.5, Outcome.ACCEPTED)
    assert limiter.window > 16


def test_unknown_outcomes_change_nothing() -> None:
    """No answer, or one that says nothing of the load, leaves window and pace alone."""
    limiter = limiter_with(*[Outcome.UNKNOWN] * 50, asked=7.0)
    assert (limiter.window, limiter.pace, limiter.wait(0.0), limiter.n_inside) == (16, None, 0, 0)


def test_sequential_caller_gets_no_pace() -> None:
    """One call after the other is slowed down by its own back-off alone."""
    assert limiter_with(*[Outcome.ACCEPTED] * 20, Outcome.LIMITED).pace is None


@pytest.mark.parametrize("outcome", [Outcome.LIMITED, Outcome.OVERLOADED])
def test_stop_is_for_all(outcome: Outcome) -> None:
    """A time that a push-back names shuts everybody out until then."""
    limiter = limiter_with(outcome, asked=7.0)
    assert limiter.wait(2.0) == limiter.shut_for(2.0) == 5
    assert limiter.wait(7.0) == limiter.shut_for(7.0) == 0


@pytest.mark.parametrize("asked", [31_536_000.0, 1e300])
def test_hostile_stop(asked: float) -> None:
    """What is asked for is told in full, but the server is asked again after the longest pause of the policy."""
    limiter = limiter_with(Outcome.LIMITED, asked=asked)
    assert limiter.shut_for(20.0) == pytest.approx(asked - 20)
    assert limiter.wait(20.0) == 100
    assert limiter.wait(120.0) == limiter.shut_for(120.0) == 0
    limiter.leave(limiter.enter(121.0), 121.0, Outcome.LIMITED, asked=5.0, longest=120.0)
    assert limiter.shut_for(121.0) == 5  # the old one is over


def test_a_shorter_stop_does_not_end_a_longer_one() -> None:
    """Of two stops the later end counts."""
    limiter = Limiter()
    first, second = limiter.enter(0.0), limiter.enter(0.0)
    limiter.leave(first, 0.0, Outcome.LIMITED, asked=30.0)
    limiter.leave(second, 0.0, Outcome.LIMITED, asked=2.0)
    assert limiter.wait(0.0) == 30


def test_quota_that_is_used_up() -> None:
    """Nobody enters between an answer with nothing left and the time that it names."""
    limiter = Limiter()
    limiter.note_quota(limiter.enter(0.0), 0, 55.0, 0.0)
    assert limiter.wait(5.0) == limiter.shut_for(5.0) == 50
    assert limiter.wait(55.0) == 0


def test_quota_counts_requests_under_way() -> None:
    """No more are let in than are left, those under way taken off."""
    limiter = Limiter()
    tickets = [limiter.enter(0.0) for _ in range(4)]
    limiter.note_quota(tickets[0], 5, 30.0, 1.0)
    limiter.note_quota(tickets[1], 4, 30.0, 1.0)
    assert len(let_in_all(limiter, 1.0)) == 2
    assert limiter.wait(1.0) == 30


def test_older_answer_does_not_undo_a_newer_one() -> None:
    """Answers may come in any order; the last request's tells what is left."""
    limiter = Limiter()
    first, second = limiter.enter(0.0), limiter.enter(0.0)
    limiter.note_quota(second, 0, 30.0, 1.0)
    limiter.note_quota(first, 9, 30.0, 1.0)
    assert limiter.wait(1.0) == 30


def test_shortest_reset_stops_nobody() -> None:
    """A quota whose time is the shortest that a header can say may be full again in 50 ms."""
    limiter = Limiter()
    limiter.note_quota(limiter.enter(0.0), 0, 1.0, 0.0)
    assert limiter.wait(0.0) == 0


def test_pace_is_dropped_when_nobody_needs_it() -> None:
    """A pace that binds nobody for minutes is forgotten."""
    limiter = Simulation(Bucket(20), 0.05, 32).run().limiter
    assert limiter.pace is not None
    now = END_S + 1
    for _ in range(10):
        now += 30
        limiter.leave(limiter.enter(now), now + 0.05, Outcome.ACCEPTED)
    assert limiter.pace is None


@given(
    st.lists(
        st.tuples(
            st.floats(0, 100),
            st.sampled_from(Outcome),
            st.none() | st.floats(0, 1e12),
            st.none() | st.tuples(st.integers(0, 10**18), st.floats(0, 1e12)),
        ),
        max_size=60,
    )
)
def test_any_history(history: list[tuple[float, Outcome, float | None, tuple[int, float] | None]]) -> None:
    """Whatever a server answers, and when, somebody may enter again within the longest pause."""
    limiter, now, inside = Limiter(), 0.0, deque[Ticket]()
    for gap, outcome, asked, quota in history:
        now += gap
        inside.append(limiter.enter(now))
        if len(inside) < 3:
            continue
        ticket = inside.popleft()
        if quota is not None:
            limiter.note_quota(ticket, *quota, now, longest=120.0)
        limiter.leave(ticket, now, outcome, asked=asked, longest=120.0)
        assert limiter.window >= 1
    for ticket in inside:
        limiter.leave(ticket, now, Outcome.UNKNOWN)
    assert limiter.n_inside == 0
    assert 0 <= limiter.wait(now) <= 120.001
    assert limiter.wait(now + 121) == 0
