"""How a pace is found, kept, raised and given up: exact numbers, on times that are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from hfasr._core.pace import Hold, Pace, Ticket

SECOND = [round(0.1 * i, 1) for i in range(1, 11)]  # ten answers within one


class Asked:
    """A pace whose requests are told of one by one."""

    def __init__(self, *accepted: float, refused: float | None = None) -> None:
        self.pace = Pace()
        self._n = 0
        self.accept(accepted)
        if refused is not None:
            self.refuse(refused)

    def _ticket(self) -> Ticket:
        self._n += 1
        return Ticket(self._n, 2, False)

    def accept(self, times: Iterable[float]) -> None:
        for now in times:
            self.pace.accepted(self._ticket(), now)

    def refuse(self, now: float) -> None:
        self.pace.limited(self._ticket(), self._n, now)

    def rate(self) -> float:
        assert self.pace.rate is not None
        return self.pace.rate

    def raise_to(self, rate: float, now: float) -> float:
        """Ask as fast as it lets one, until *rate* is reached; return the time."""
        while self.rate() < rate:
            now += 0.01
            self.pace.enter(now)
        return now

    def growth(self, now: float) -> float:
        """Return by how much the rate grows at *now*, for each second."""
        self.pace.enter(now - 0.05)
        before = self.rate()
        self.pace.enter(now)
        return (self.rate() / before - 1) / 0.05


def at_ten() -> Asked:
    """Return a pace of 9.8 a second, found at 1.0 s."""
    return Asked(*SECOND, refused=1.0)


def test_hold() -> None:
    """A hold is over after its time and as many successes, and never longer than a minute."""
    hold = Hold()
    assert hold.length == 3.0
    assert hold.is_over(-1e9)
    hold.begin(10.0, 2.5)
    for _ in range(2):
        hold.count()
    assert not hold.is_over(99.0)
    hold.count()
    assert [hold.is_over(now) for now in (12.49, 12.5)] == [False, True]
    hold.begin(10.0, 99.0)
    assert hold.length == 60.0
    for _ in range(59):
        hold.count()
    assert not hold.is_over(70.0)
    hold.count()
    assert [hold.is_over(now) for now in (69.9, 70.0)] == [False, True]


@pytest.mark.parametrize(
    ("accepted", "refused", "rate"),
    [
        (SECOND, 1.0, 9.8),
        ([0.1] * 10, 0.2, 9.8),
        ([0.9] * 10, 1.0, 9.8),  # within less than a second counts as within one
        ([0.0, 1.0, 2.0, 3.0, 4.0], 5.0, 0.98),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 5.001, None),  # the first is too long ago
        ([0.0, 1.0, 2.0, 3.0], 4.0, None),  # too few
        ([0.0] * 50 + [6.0, 7.0, 8.0, 9.0, 10.0], 10.0, 1.225),
    ],
)
def test_first_refusal(accepted: list[float], refused: float, rate: float | None) -> None:
    """The first pace is a little less than what was accepted within five seconds."""
    asked = Asked(*accepted)
    assert (asked.pace.rate, asked.pace.wait(refused)) == (None, 0.0)
    asked.refuse(refused)
    assert asked.pace.rate == (None if rate is None else pytest.approx(rate))
    assert asked.pace.wait(refused) == (0.0 if rate is None else pytest.approx(1 / rate))


def test_slots() -> None:
    """Requests go one step after the other; who is late takes back a quarter of a step, or 20 ms."""
    step = 1 / 9.8
    pace = at_ten().pace
    assert pace.wait(1.0) == pytest.approx(step)
    assert pace.wait(1.0 + step) == pytest.approx(0.0)
    assert pace.wait(9.0) == 0.0
    pace.enter(1.11)
    assert pace.wait(1.11) == pytest.approx(1.0 + 2 * step - 1.11)
    pace.enter(5.0)
    assert pace.wait(5.0) == pytest.approx(0.75 * step)
    fast = Asked(*[0.9] * 100, refused=1.0).pace
    fast.enter(5.0)
    assert fast.wait(5.0) == 0.0
    fast.enter(5.0)
    assert fast.wait(5.0) == pytest.approx(2 / 98 - 0.02)


@pytest.mark.parametrize(
    ("entered", "last", "stays"),
    [
        ([], 61.0, True),
        ([], 61.001, False),
        ([1.1, 1.2], 61.1, True),
        ([1.1, 1.2], 61.201, False),
        ([1.1, 1.4], 61.001, False),  # not as fast as it may
    ],
)
def test_idle(entered: list[float], last: float, stays: bool) -> None:
    """A pace that nobody has come up to for a minute is dropped."""
    pace = at_ten().pace
    for now in (*entered, last):
        pace.enter(now)
    assert (pace.rate is not None) is stays
    assert stays or pace.wait(last) == 0.0


def test_hold_of_a_pace() -> None:
    """It grows only after three seconds and three successes at this very pace."""
    asked = at_ten()
    asked.pace.accepted(Ticket(11, 2, False), 1.1)  # sent before the refusal was known
    asked.accept([1.1, 1.2])
    assert asked.growth(4.1) == 0.0
    asked.accept([1.3])
    assert asked.growth(4.2) == pytest.approx(0.1)
    asked = at_ten()
    asked.accept([1.1] * 3)
    assert asked.growth(3.99) == 0.0
    assert asked.growth(4.04) == pytest.approx(0.1)


def test_growth() -> None:
    """It grows by a tenth a second, by three tenths where there seems to be no limit, and goes at four times."""
    asked, now = at_ten(), 4.0
    asked.accept([1.1] * 3)
    rates: list[float | None] = [asked.rate()]
    while asked.pace.rate is not None:
        asked.pace.enter(now := now + 0.02)
        rates.append(asked.pace.rate)
    assert rates.pop() is None
    known = [rate for rate in rates if rate is not None]
    for before, after in pairwise(known[1:]):
        assert after / before == pytest.approx(1.006 if before > 13.0 else 1.002)
    assert 39.7 < known[-1] <= 40.0
    assert asked.pace.wait(now) == 0.0


def test_same_limit_again() -> None:
    """A refusal of little more confirms the limit: the hold doubles, and growth is slow."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(9.9, 4.0)
    asked.accept([now - 0.1 * i for i in range(20, -1, -1)])
    rate = asked.rate()
    asked.refuse(now)
    assert asked.rate() == pytest.approx(0.98 * rate)
    asked.accept([now] * 6)
    assert asked.growth(now + 5.99) == 0.0
    assert asked.growth(now + 6.04) == pytest.approx(0.02)


def test_refused_again_at_the_same_limit() -> None:
    """When the limit that was confirmed is refused within its hold, that doubles again, and little is lost."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(9.9, 4.0)
    asked.accept([now - 0.1 * i for i in range(20, -1, -1)])
    asked.refuse(now)
    rate = asked.rate()
    asked.accept([now + 0.01] * 100)
    asked.refuse(now + 2.0)
    assert asked.rate() == pytest.approx(0.98 * 1.03 * rate * 100 / 101)


@pytest.mark.parametrize(
    ("raised", "gap", "lowered", "hold", "growth"),
    [
        (12.0, 0.1, lambda _: 9.8, 6.0, 0.02),  # 10 a second: a burst
        (12.0, 0.01, lambda rate: 0.99 * rate, 3.0, 0.1),  # almost all that was asked for: a higher limit
        (13.5, 0.1, lambda _: 0.98 * 1.03 * 10.0, 3.0, 0.1),  # it was far beyond a burst
    ],
)
def test_what_a_burst_is(
    raised: float, gap: float, lowered: Callable[[float], float], hold: float, growth: float
) -> None:
    """A higher pace was a burst where its refusal leaves about the limit of before, which then holds for longer."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(raised, 5.0)
    asked.accept([now - 0.01 * i for i in range(500, -1, -1)])
    asked.refuse(now)
    rate = asked.rate()
    asked.accept([now + 0.05 + gap * i for i in range(round(2.1 / gap) + 1)])
    now += 2.15
    asked.refuse(now)
    assert asked.rate() == pytest.approx(lowered(rate))
    asked.accept([now] * 6)
    assert asked.growth(now + hold - 0.01) == 0.0
    assert asked.growth(now + hold + 0.04) == pytest.approx(growth)


def test_another_limit() -> None:
    """A refusal of clearly more is of another limit, between what was asked and what was accepted."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(12.0, 5.0)
    asked.accept([now - 0.125 * i for i in range(40, -1, -1)])  # 8 a second for 5 seconds
    rate = asked.rate()
    asked.refuse(now)
    assert asked.rate() == pytest.approx(0.98 * (8.0 + rate) / 2)
    asked.accept([now] * 3)
    assert asked.growth(now + 2.99) == 0.0
    assert asked.growth(now + 3.04) == pytest.approx(0.1)


def test_another_limit_of_late() -> None:
    """Of the last five and the last two seconds the higher rate counts, but no more than was asked for."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(12.0, 5.0)
    asked.accept([now - 5.0, *(now - 0.1 * i for i in range(20, -1, -1))])
    rate = asked.rate()
    asked.refuse(now)
    assert asked.rate() == pytest.approx(0.98 * (10.0 + rate) / 2)
    more = at_ten()
    more.accept([1.1] * 3)
    now = more.raise_to(12.0, 5.0)
    more.accept([now - 0.01 * i for i in range(500, -1, -1)])
    rate = more.rate()
    more.refuse(now)
    assert more.rate() == pytest.approx(0.98 * rate)


def test_only_a_burst() -> None:
    """A higher pace that is refused within its hold was a burst; the next burst as high is told at once."""
    asked = at_ten()
    asked.accept([1.1] * 3)
    now = asked.raise_to(12.0, 5.0)
    asked.accept([now - 0.125 * i for i in range(40, -1, -1)])
    asked.refuse(now)
    asked.accept([now + 0.1 * i for i in range(1, 19)])
    now += 2.0
    asked.refuse(now)  # 17 within 1.9 s
    assert asked.rate() == pytest.approx(0.98 * 1.03 * 17 / 1.9)
    asked.accept([now] * 6)
    assert asked.growth(now + 5.99) == 0.0
    assert asked.growth(now + 6.04) == pytest.approx(0.02)
    capacity = 1.03 * 17 / 1.9
    now = asked.raise_to(1.21 * capacity, now + 6.06)
    asked.accept([now - 0.1 * i for i in range(50, -1, -1)])
    asked.refuse(now)
    assert asked.rate() == pytest.approx(0.98 * 1.02 * capacity)
    asked.accept([now] * 12)
    assert asked.growth(now + 11.99) == 0.0
    assert asked.growth(now + 12.04) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("accepted", "capacity"),
    [
        ([1.1 + 0.1 * i for i in range(10)], 1.03 * 9.8 * 10 / 11),  # one of eleven was refused
        ([1.1 + 0.25 * i for i in range(5)], 1.03 * 4.0),  # 4 in the second up to 2.1
        ([1.1] * 200, 9.9),  # never more than a hundredth less than before
    ],
)
def test_refused_at_a_safe_pace(accepted: list[float], capacity: float) -> None:
    """A refusal within the hold lowers the pace to what was accepted, and by a hundredth at least."""
    asked = at_ten()
    asked.accept(accepted)
    asked.refuse(2.1)
    assert asked.rate() == pytest.approx(0.98 * capacity)
    asked.accept([2.2] * 3)
    assert asked.growth(5.05) == 0.0
    assert asked.growth(5.14) == pytest.approx(0.1)


def test_too_little_to_measure() -> None:
    """Less than five answers, or all within less than a second, change nothing; refusals meanwhile are counted."""
    asked = at_ten()
    asked.accept([1.1, 1.4, 1.7, 2.1])
    asked.refuse(2.2)
    asked.accept([2.2])
    asked.pace.limited(Ticket(5, 2, False), 99, 2.2)  # sent before the last change
    assert asked.rate() == pytest.approx(9.8)
    early = at_ten()
    early.accept([1.2] * 9)
    early.refuse(2.19)
    assert early.rate() == pytest.approx(9.8)
    asked.accept([2.3] * 40)
    asked.refuse(2.3)  # the second one of 47
    assert asked.rate() == pytest.approx(0.98 * min(9.9, 1.03 * 9.8 * 45 / 47))


def test_restart() -> None:
    """What is measured anew leaves out what came before; without a pace there is nothing to leave out."""
    asked = at_ten()
    asked.accept([1.1] * 20)
    asked.refuse(1.2)
    asked.pace.restart()
    asked.refuse(2.5)
    assert asked.rate() == pytest.approx(9.8)
    asked.accept([2.5 + 0.05 * i for i in range(20)])
    asked.refuse(3.9)
    assert asked.rate() == pytest.approx(0.98 * 1.03 * 9.8 * 20 / 22)
    fresh = Asked(*SECOND)
    fresh.pace.restart()
    fresh.refuse(1.0)
    assert fresh.rate() == pytest.approx(9.8)


def test_wait_after_a_refusal() -> None:
    """After a refusal the next request waits for a step, or for the slot that it had."""
    asked = at_ten()
    for _ in range(5):
        asked.pace.enter(1.0)
    before = asked.pace.wait(1.0)
    assert before == pytest.approx(6 / 9.8)
    asked.accept([0.0, *[1.0] * 9])
    asked.refuse(1.05)
    assert asked.rate() < 9.8
    assert asked.pace.wait(1.0) == pytest.approx(before)


def fall(asked: Asked, now: float) -> float:
    """Let a third of what it asks for be refused, for two seconds; return the time."""
    asked.accept([now + 0.05 * i for i in range(40)])
    for _ in range(20):
        asked.refuse(now + 2.0)
    return now + 2.0


def test_refusals_at_random() -> None:
    """When the falls after the second one in a row were in vain, refusals set no pace, for longer each time."""
    asked, now = Asked(), 0.0
    for seconds in (60.0, 120.0, 240.0, 480.0, 600.0, 600.0):
        now = fall(asked, now)
        rates = [asked.rate()]
        while not asked.pace.is_blind(now := fall(asked, now)):
            rates.append(asked.rate())
        first = 19.6 if seconds == 60.0 else 28.0  # with what was accepted meanwhile
        assert rates == pytest.approx([first * (0.98 * 1.03 * 40 / 60) ** i for i in range(4)])
        assert asked.pace.rate is None
        assert asked.pace.wait(now) == 0.0
        assert asked.pace.is_blind(now + seconds - 0.01)
        asked.accept([now + seconds - 0.1] * 20)
        asked.refuse(now + seconds - 0.01)
        assert asked.pace.rate is None
        now += seconds
        assert not asked.pace.is_blind(now)


def test_a_hold_that_passed() -> None:
    """Falls before a hold that passed without a refusal are forgiven."""
    asked, now = Asked(), 0.0
    for _ in range(3):
        for _ in range(4):
            now = fall(asked, now)
            assert not asked.pace.is_blind(now)
        asked.accept([now] * 40)
        now += 40.0
        asked.pace.enter(now)
        asked.pace.enter(now)
    n = 0
    while not asked.pace.is_blind(now := fall(asked, now)):
        n += 1
    assert n == 4
