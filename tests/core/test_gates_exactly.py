"""One gate, step by step, with a limiter that says what it is told to; and what wakes those who wait."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hfasr import APITimeoutError, RateLimitError
from hfasr._core import gates as module
from hfasr._core.gates import Gate, Gates, gate_of, reset
from hfasr._core.io import run_sync
from hfasr._core.limiter import Outcome, Ticket
from hfasr.testing import FakeClock
from hfasr.wire import Response
from tests.core.waiting_kit import Bell, Waits

TICKET = Ticket(1, 1, False)


class Limits:
    """In the place of a limiter: what it says is set by hand, and what it is told is kept."""

    def __init__(self) -> None:
        self.n_inside = 0
        self.waits = 0.0
        self.shut = 0.0
        self.shut_after = 0.0
        self.told: list[Any] = []

    def shut_for(self, now: float) -> float:
        return self.shut

    def wait(self, now: float) -> float:
        return self.waits

    def enter(self, now: float) -> Ticket:
        self.told.append(("enter", now))
        return TICKET

    def note_quota(self, *quota: Any, longest: float) -> None:
        self.told.append(("quota", *quota, longest))

    def leave(self, ticket: Ticket, now: float, outcome: Outcome, *, asked: float | None, longest: float) -> None:
        self.told.append(("leave", ticket, now, outcome, asked, longest))
        self.shut = self.shut_after


class Kit:
    """A gate whose clock and limits are held still."""

    def __init__(self, *, waits: float = 0.0, shut: float = 0.0) -> None:
        self.clock = FakeClock(wall=1000.0)
        self.gate = Gate(self.clock)
        self.limits = Limits()
        self.limits.waits, self.limits.shut = waits, shut
        limiter: Any = self.limits
        self.gate.limiter = limiter

    def enter(self, io: Any = None, *, expires: float | None = None, longest: float = 100.0) -> Ticket:
        waits: Any = io or Waits()
        return run_sync(self.gate.enter(waits, "a.example", expires=expires, longest=longest))

    def lets_in(self) -> None:
        self.limits.waits = self.limits.shut = 0.0


def test_at_once() -> None:
    """Where nobody waits and the limiter says nothing, one goes in at once."""
    kit = Kit()
    kit.clock.advance(3.0)
    assert kit.gate.try_enter() is TICKET
    assert kit.enter() is TICKET
    assert kit.limits.told == [("enter", 3.0)] * 2
    kit.limits.waits = 0.1
    assert kit.gate.try_enter() is None
    assert (kit.gate.n_waiting, kit.gate.is_idle) == (0, True)
    kit.limits.n_inside = 1
    assert not kit.gate.is_idle


def test_wait_that_is_known() -> None:
    """The first in line pauses for as long as the limiter says, on the clock, and looks again."""
    kit = Kit(waits=4.0)
    io = Waits(kit.lets_in)
    assert kit.enter(io) is TICKET
    assert kit.clock.sleeps == [4.0]
    assert io.heard == [0.0]  # what a fake clock lets truly pass
    assert kit.limits.told == [("enter", 4.0)]
    assert kit.gate.is_idle


@pytest.mark.parametrize(("expires", "seconds"), [(None, None), (9.0, 7.0)])
def test_wait_that_is_not_known(expires: float | None, seconds: float | None) -> None:
    """Where only a request that leaves can help, one waits to be woken, or as long as one has."""
    kit = Kit(waits=math.inf)
    kit.clock.advance(2.0)
    io = Waits(kit.lets_in)
    kit.enter(io, expires=expires)
    assert io.heard == [seconds]
    assert kit.clock.sleeps == []


@pytest.mark.parametrize(
    ("shut", "waits", "expires"),
    [
        (100.0, 100.0, None),
        (7.9, 7.9, 10.0),
        (0.0, 7.9, 10.0),
        (0.0, 200.0, None),  # for its turn one waits as long as it takes
    ],
)
def test_not_too_long(shut: float, waits: float, expires: float | None) -> None:
    """A stop is waited for up to the longest pause, and anything for as long as the caller has."""
    kit = Kit(waits=waits, shut=shut)
    kit.clock.advance(2.0)
    assert kit.enter(Waits(kit.lets_in), expires=expires) is TICKET
    assert kit.clock.sleeps == [waits]


@pytest.mark.parametrize(
    ("shut", "waits", "expires", "seconds"),
    [(100.25, 100.25, None, "100"), (8.0, 8.0, 10.0, "8"), (0.0, 8.0, 10.0, "8"), (50.0, math.inf, 3.0, "50")],
)
def test_too_long(shut: float, waits: float, expires: float | None, seconds: str) -> None:
    """What takes longer is an error with that time, at once."""
    kit = Kit(waits=waits, shut=shut)
    kit.clock.advance(2.0)
    io = Waits()
    with pytest.raises(RateLimitError) as caught:
        kit.enter(io, expires=expires)
    assert str(caught.value) == (
        f"a.example has asked to wait: by its rate limit it takes no request for another {seconds} s, so none was "
        "sent; try again then, or set a fallback="
    )
    assert (caught.value.status_code, caught.value.retry_after) == (429, shut or waits)
    assert io.heard == []
    assert kit.gate.n_waiting == 0


def test_time_that_is_up() -> None:
    """Whose time passes in the queue is told so; who comes in time goes in, with no time left as well."""
    kit = Kit(waits=math.inf)
    io = Waits(lambda: kit.clock.advance(5.0))
    with pytest.raises(APITimeoutError) as caught:
        kit.enter(io, expires=5.0)
    assert str(caught.value) == (
        "the time for this route was used up while earlier requests to a.example had their turn; "
        "raise deadline=, or ask less at once"
    )
    assert kit.gate.n_waiting == 0
    kit.lets_in()
    assert kit.enter(expires=0.0) is TICKET


def test_line() -> None:
    """Only the first in line looks at the limiter; when it goes, the next one is woken, and only that one."""
    kit = Kit(waits=3.0)
    second, third = Waits(lambda: None), Waits(lambda: None)

    def meanwhile() -> None:
        for io in (second, third):
            with pytest.raises(IndexError):  # it waits on, where this IO has nothing more to do
                kit.enter(io)
        assert second.heard == third.heard == [None, None]
        kit.lets_in()
        assert kit.gate.try_enter() is None  # nobody is passed over

    kit.enter(Waits(meanwhile))
    assert kit.clock.sleeps == [3.0]
    assert kit.gate.is_idle


class Queue(Kit):
    """A gate with *n* who wait, the first of them for *wait* seconds."""

    def __init__(self, n: int, wait: float) -> None:
        super().__init__(waits=wait)
        self.bells = [Bell() for _ in range(n)]
        for bell in self.bells:
            waiter = module._Waiter()
            waiter.bell = bell
            waiter.until = wait if bell is self.bells[0] else math.inf
            self.gate._queue.append(waiter)

    def rung(self) -> list[int]:
        return [bell.n_rung for bell in self.bells]


@pytest.mark.parametrize(
    ("waits", "shut", "rung"),
    [
        (9.0, 0.0, [0, 0]),  # no sooner than it wakes anyway
        (8.9, 0.0, [1, 0]),
        (math.inf, 0.0, [0, 0]),
        (math.inf, 5.0, [1, 1]),
    ],
)
def test_who_is_woken(waits: float, shut: float, rung: list[int]) -> None:
    """A request that leaves wakes the first who may now go sooner, and everybody where the server asks for a stop."""
    queue = Queue(2, 10.0)
    queue.clock.advance(1.0)
    queue.limits.waits, queue.limits.shut_after = waits, shut
    queue.gate.leave(TICKET, Outcome.ACCEPTED)
    assert queue.rung() == rung
    queue.gate.leave(TICKET, Outcome.ACCEPTED)
    assert queue.rung() == rung  # each bell rings once
    assert queue.limits.told == [("leave", TICKET, 1.0, Outcome.ACCEPTED, None, math.inf)] * 2


def test_a_stop_that_is_no_longer() -> None:
    """A stop that was there already wakes nobody again."""
    queue = Queue(2, 10.0)
    queue.limits.waits, queue.limits.shut, queue.limits.shut_after = 10.0, 5.0, 5.0
    queue.gate.leave(TICKET, Outcome.LIMITED)
    assert queue.rung() == [0, 0]


def test_who_goes_away() -> None:
    """When the first goes the next is woken; when another goes nobody is."""
    queue = Queue(3, 10.0)
    first, second, _ = queue.gate._queue
    queue.gate._forget(second)
    assert queue.rung() == [0, 0, 0]
    queue.gate._forget(first)
    assert queue.rung() == [0, 0, 1]
    assert queue.gate.n_waiting == 1


@pytest.mark.parametrize(
    ("outcome", "headers", "quota", "asked"),
    [
        (Outcome.LIMITED, {"retry-after": "7"}, None, 7.0),
        (Outcome.OVERLOADED, {"retry-after": "7"}, None, 7.0),
        (Outcome.ACCEPTED, {"retry-after": "7"}, None, None),
        (Outcome.UNKNOWN, {"retry-after": "7"}, None, None),
        (Outcome.ACCEPTED, {"ratelimit": '"api";r=3;t=55'}, (3, 55.0), None),
        (Outcome.LIMITED, {"ratelimit": '"api";r=3;t=55'}, (3, 55.0), None),
        (Outcome.LIMITED, {"ratelimit": '"api";r=0;t=55'}, (0, 55.0), 55.0),
        (Outcome.LIMITED, {"ratelimit": '"api";r=3;t=55', "retry-after": "7"}, (3, 7.0), 7.0),
        (Outcome.LIMITED, {"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, None, 8.0),  # the clock's wall: 1002 s
        (Outcome.ACCEPTED, {"ratelimit-remaining": "3", "ratelimit-reset": "100001050"}, (3, 1e8 + 48.0), None),
        (Outcome.LIMITED, {}, None, None),
    ],
)
def test_what_an_answer_tells(
    outcome: Outcome, headers: dict[str, str], quota: tuple[int, float] | None, asked: float | None
) -> None:
    """A push-back tells how long to wait, any answer how much is left; Retry-After takes precedence."""
    kit = Kit()
    kit.clock.advance(2.0)
    kit.gate.leave(TICKET, outcome, response=Response(429, headers), longest=60.0)
    left = ("leave", TICKET, 2.0, outcome, asked, 60.0)
    noted = [] if quota is None else [("quota", TICKET, *quota, 2.0, 60.0)]
    assert kit.limits.told == [*noted, left]


def test_gates_of_a_process() -> None:
    """The process has one gate for each server, until they are forgotten."""
    reset()
    clock = FakeClock()
    gate = gate_of("https://a.example/x", clock)
    assert gate.clock is clock
    assert gate_of("https://a.example/y", clock) is gate
    assert gate_of("https://b.example/x", clock) is not gate
    reset()
    assert gate_of("https://a.example/x", clock) is not gate
    reset()


def test_room_for_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the cap the longest unused gate goes for a new one; where all are in use none does."""
    monkeypatch.setattr(module, "_MAX_GATES", 2)
    gates, clock = Gates(), FakeClock()
    a, b = gates.of("https://a", clock), gates.of("https://b", clock)
    assert (len(gates), gates.of("https://a", clock)) == (2, a)
    gates.of("https://c", clock)
    assert len(gates) == 2
    assert gates.of("https://a", clock) is a
    fresh = gates.of("https://b", clock)
    assert fresh is not b
    for gate in (a, fresh):
        gate.limiter.n_inside = 1
    gates.of("https://d", clock)
    assert len(gates) == 3
