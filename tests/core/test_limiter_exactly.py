"""One limiter, request by request: exact windows, stops and quotas."""

from __future__ import annotations

import math

import pytest

from hfasr._core.limiter import Limiter, Outcome, Ticket, _Window

ACCEPTED, LIMITED, OVERLOADED, UNKNOWN = Outcome


def ticket(number: int, depth: int, *, full: bool = False) -> Ticket:
    return Ticket(number, depth, full)


def cut_to(depth: int, *, now: float = 0.0) -> _Window:
    """Return a window whose first ten requests were pushed back at *depth*."""
    window = _Window()
    window.pushed_back(ticket(10, depth), 10, now, to_blame=True)
    return window


def test_window_opens() -> None:
    """From 16 it opens by one for each success of one that is used."""
    window = _Window()
    window.succeeded(0.0, used=False)
    assert (window.size, window.ceiling) == (16.0, None)
    window.succeeded(0.0, used=True)
    assert window.size == 17.0


def test_window_halves() -> None:
    """A push-back that is not for the window halves it; it comes back at once, and beyond by one for each round."""
    window = _Window()
    window.pushed_back(ticket(1, 3), 4, 0.0, to_blame=False)
    assert (window.size, window.ceiling) == (8.0, 16.0)
    sizes = []
    for _ in range(10):
        window.succeeded(0.0, used=True)
        sizes.append(window.size)
    assert sizes == [*map(float, range(9, 17)), 16.0 + 1 / 16, pytest.approx(16.0625 + 1 / 16.0625)]
    window.pushed_back(ticket(5, 3), 5, 0.0, to_blame=False)
    assert window.ceiling == 16.0  # what is known stays known
    assert window.size == sizes[-1] / 2


@pytest.mark.parametrize(
    ("depth", "size", "ceiling"), [(10, 5.0, 9.0), (40, 8.0, 39.0), (3, 1.5, 2.0), (2, 1.0, 1.0), (1, 1.0, 1.0)]
)
def test_window_to_blame(depth: int, size: float, ceiling: float) -> None:
    """Where there were too many at once, one less was fine, and half of them are let in."""
    window = cut_to(depth)
    assert (window.size, window.ceiling) == (size, ceiling)


def test_same_flight() -> None:
    """Others of the flight that was cut only tell how many were fine."""
    window = cut_to(10)
    window.pushed_back(ticket(10, 4), 20, 0.0, to_blame=False)
    window.pushed_back(ticket(9, 12), 20, 0.0, to_blame=True)
    assert (window.size, window.ceiling) == (5.0, 9.0)
    window.pushed_back(ticket(10, 4), 20, 0.0, to_blame=True)
    assert (window.size, window.ceiling) == (3.0, 3.0)
    window.pushed_back(ticket(1, 1), 20, 0.0, to_blame=True)
    assert (window.size, window.ceiling) == (1.0, 1.0)
    first = _Window()
    first.pushed_back(ticket(1, 9), 10, 0.0, to_blame=False)
    first.pushed_back(ticket(11, 8), 11, 0.0, to_blame=True)
    assert (first.size, first.ceiling) == (4.0, 7.0)


@pytest.mark.parametrize(
    ("depth", "number", "beyond"),
    [(9, 11, False), (10, 11, True), (2, 10, True), (2, 11, False), (1, 10, False)],
)
def test_beyond(depth: int, number: int, beyond: bool) -> None:
    """More at once than were fine are beyond it, and any that were sent before the last cut."""
    assert cut_to(10).is_beyond(ticket(number, depth)) is beyond


def test_beyond_what_nobody_knows() -> None:
    """Where nothing is known only one at a time is known to be fine."""
    window = _Window()
    assert [window.is_beyond(ticket(1, depth)) for depth in (1, 2)] == [False, True]


def held_for(window: _Window, now: float) -> float:
    """Return for how many whole seconds after *now* a full window stays at its ceiling."""
    assert window.ceiling is not None
    for _ in range(100):
        window.succeeded(now, used=True)
    assert window.size == window.ceiling
    seconds = 0
    while window.size == window.ceiling:
        seconds += 1
        window.succeeded(now + seconds, used=True)
    return seconds


def test_window_holds() -> None:
    """A limit that was found is kept for three seconds, for twice as long each time that it proves to be the same."""
    window, now = cut_to(10, now=0.0), 0.0
    assert held_for(window, now) == 3
    for number, depth, seconds in (
        (11, 11, 6),
        (12, 10, 12),
        (13, 12, 3),
        (14, 13, 6),
        (15, 40, 3),
        (16, 37, 6),
        (17, 33, 3),
    ):
        now += 100.0
        window.size = 50.0
        window.pushed_back(ticket(number, depth), number, now, to_blame=True)
        assert (window.size, window.ceiling) == (depth / 2, depth - 1.0)
        assert held_for(window, now) == seconds
    window.pushed_back(ticket(18, 33), 18, now + 99.0, to_blame=True)
    window.pushed_back(ticket(19, 20), 19, now + 101.0, to_blame=True)  # within its hold: that goes on
    assert window.ceiling == 19.0
    assert held_for(window, now + 101.0) == 4


def test_enter() -> None:
    """A ticket tells its number, how many are under way, and whether it took the last place."""
    limiter = Limiter()
    tickets = [limiter.enter(0.0) for _ in range(16)]
    assert (tickets[0], tickets[14], tickets[15]) == ((1, 1, False), (15, 15, False), (16, 16, True))
    assert limiter.wait(0.0) == math.inf
    limiter.leave(tickets[3], 0.0, UNKNOWN)
    assert limiter.wait(0.0) == 0
    assert limiter.enter(0.0) == (17, 16, True)


def test_used_window() -> None:
    """A success opens the window where it was sent before the window was last full, and not otherwise."""
    limiter = Limiter()
    limiter.leave(limiter.enter(0.0), 0.0, ACCEPTED)
    assert limiter.window == 16
    tickets = [limiter.enter(0.0) for _ in range(16)]
    for one in tickets:
        limiter.leave(one, 0.0, ACCEPTED)
    assert limiter.window == 32
    limiter.leave(limiter.enter(0.0), 0.0, ACCEPTED)
    assert limiter.window == 32


def accept(limiter: Limiter, depth: int, n: int, now: float) -> None:
    """Let *n* requests be accepted at *depth*."""
    for _ in range(n):
        tickets = [limiter.enter(now) for _ in range(depth)]
        limiter.leave(tickets.pop(), now, ACCEPTED)
        for one in tickets:
            limiter.leave(one, now, UNKNOWN)


def push_back(limiter: Limiter, depth: int, now: float, outcome: Outcome = LIMITED, asked: float | None = None) -> None:
    """Let one request be pushed back at *depth*."""
    tickets = [limiter.enter(now) for _ in range(depth)]
    limiter.leave(tickets.pop(), now, outcome, asked=asked)
    for one in tickets:
        limiter.leave(one, now, UNKNOWN)


@pytest.mark.parametrize(
    ("depths", "for_the_pace"),
    [
        ([2] * 38 + [6] * 2, True),
        ([2] * 38 + [7] * 2, True),
        ([2] * 39 + [6], False),
        ([2] * 38 + [5] * 2, False),
        ([6] * 32, True),
        ([6] * 31, False),  # too few to tell
        ([6] * 10 + [2] * 118, True),
        ([6] * 10 + [2] * 128, False),  # the oldest no longer count
    ],
)
def test_what_a_refusal_is_for(depths: list[int], for_the_pace: bool) -> None:
    """A 429 is for the pace at a depth that was fine for a twentieth of the last requests, else for the window."""
    limiter = Limiter()
    for depth in depths:
        accept(limiter, depth, 1, 0.5)
    push_back(limiter, 6, 1.0)
    if for_the_pace:
        assert limiter.pace == pytest.approx(0.98 * len(depths))
        assert limiter.window == 16
    else:
        assert (limiter.pace, limiter.window, limiter._window.ceiling) == (None, 3, 5.0)


def test_two_where_one_was_fine() -> None:
    """Where it was always one after the other, two at once are for the window; one alone never is."""
    limiter = Limiter()
    accept(limiter, 1, 40, 0.5)
    push_back(limiter, 2, 1.0)
    assert (limiter.pace, limiter.window, limiter._window.ceiling) == (None, 1, 1.0)


def test_late_refusal() -> None:
    """With a pace a refusal of what was sent before the last cut, with room left, is not for the window."""
    limiter = Limiter()
    early = [limiter.enter(0.0) for _ in range(3)]
    push_back(limiter, 13, 0.1, OVERLOADED)
    accept(limiter, 6, 20, 0.5)
    push_back(limiter, 6, 1.0)
    assert limiter.pace is not None
    assert limiter._window.ceiling == 15.0
    limiter.leave(early[2], 1.1, LIMITED)
    assert limiter._window.ceiling == 15.0


def test_overload_is_for_the_window() -> None:
    """A server that cannot keep up is asked less at once, whatever was fine of late; that sets no pace."""
    limiter = Limiter()
    accept(limiter, 6, 40, 0.5)
    push_back(limiter, 6, 1.0, OVERLOADED)
    assert (limiter.pace, limiter.window, limiter._window.ceiling) == (None, 3, 5.0)


def test_one_after_the_other() -> None:
    """A single request that is refused only halves the window; once there is a pace, that is lowered."""
    limiter = Limiter()
    accept(limiter, 1, 40, 0.5)
    push_back(limiter, 1, 1.0)
    assert (limiter.pace, limiter.window) == (None, 8)
    paced = Limiter()
    accept(paced, 6, 40, 0.5)
    push_back(paced, 6, 1.0)
    accept(paced, 1, 10, 1.1)
    push_back(paced, 1, 2.1)
    assert paced.window == 16
    assert paced.pace == pytest.approx(0.98 * 1.03 * 9.0)


def test_alone_at_a_window_of_one() -> None:
    """Where no more than one may be under way, it is the pace that a refusal is for."""
    limiter = Limiter()
    for _ in range(4):
        push_back(limiter, 1, 0.0, OVERLOADED)
    assert limiter.window == 1
    accept(limiter, 1, 40, 0.5)
    limiter._window.size = 1.0
    push_back(limiter, 1, 1.0)
    assert limiter.pace == pytest.approx(0.98 * 40)


@pytest.mark.parametrize(
    ("known", "outcome", "asked", "stops"),
    [
        (None, LIMITED, 1.0, True),
        (None, OVERLOADED, 1.0, True),
        ("pace", LIMITED, 1.0, False),
        ("pace", LIMITED, 1.001, True),
        ("pace", OVERLOADED, 1.0, True),
        ("window", LIMITED, 1.0, False),
        ("window", LIMITED, 0.0, False),
        ("window", LIMITED, None, False),
        ("window", OVERLOADED, 0.5, True),
    ],
)
def test_stray_refusals(known: str | None, outcome: Outcome, asked: float | None, stops: bool) -> None:
    """One 429 with the shortest time that a header can say stops nobody else, where a limit is known already."""
    limiter = Limiter()
    if known == "pace":
        accept(limiter, 6, 40, 0.5)
        push_back(limiter, 6, 1.0)
        assert limiter.pace is not None
    elif known == "window":
        push_back(limiter, 2, 1.0, OVERLOADED)
    push_back(limiter, 1, 2.0, outcome, asked)
    assert limiter.shut_for(2.0) == (asked if stops else 0.0)


@pytest.mark.parametrize(
    ("n_refused", "n_accepted", "stops"), [(21, 0, True), (20, 0, False), (21, 1, False), (22, 1, True)]
)
def test_flood(n_refused: int, n_accepted: int, stops: bool) -> None:
    """Where half of what was asked of late is refused, everybody stops for the shortest time, too."""
    limiter = Limiter()
    for _ in range(n_refused):
        push_back(limiter, 1, 1.0)
    accept(limiter, 1, n_accepted, 1.0)
    push_back(limiter, 1, 2.0, asked=1.0)
    assert limiter.shut_for(2.0) == (1.0 if stops else 0.0)


def test_measured_anew_after_a_stop() -> None:
    """What was accepted before a stop is not counted after it."""
    limiter = Limiter()
    accept(limiter, 6, 40, 0.5)
    push_back(limiter, 6, 1.0)
    accept(limiter, 1, 4, 1.1)
    push_back(limiter, 1, 1.2, asked=3.0)
    accept(limiter, 1, 1, 4.2)
    push_back(limiter, 1, 4.3)
    assert limiter.pace == pytest.approx(39.2)


def test_waits() -> None:
    """A stop is told before a full window; a pace and a quota are kept together."""
    limiter = Limiter()
    tickets = [limiter.enter(0.0) for _ in range(16)]
    limiter.note_quota(tickets[0], 15, 30.0, 0.0)
    assert limiter.wait(10.0) == 20.0
    assert limiter.shut_for(10.0) == 20.0
    assert limiter.wait(30.0) == math.inf
    assert limiter.shut_for(30.0) == 0.0
    limiter.leave(tickets[0], 10.0, LIMITED, asked=7.0)
    assert limiter.wait(11.0) == 6.0
    assert limiter.shut_for(11.0) == 6.0
    assert limiter.shut_for(17.0) == 13.0  # the quota's


def test_pace_with_a_quota() -> None:
    """Of a pace and a quota the longer wait counts."""
    limiter = Limiter()
    accept(limiter, 6, 40, 0.5)
    push_back(limiter, 6, 1.0)
    step = limiter.wait(1.0)
    assert 0.0 < step < 0.2
    limiter.note_quota(limiter.enter(1.0), 1, 5.0, 1.0)
    assert limiter.wait(1.0) == pytest.approx(2 * step)
    limiter.n_inside = limiter.window  # what is known is told, also where it will be full then
    assert limiter.wait(1.0) == pytest.approx(2 * step)
    limiter.note_quota(limiter.enter(1.0), 0, 5.0, 1.0)
    assert limiter.wait(1.0) == 5.0


def test_quota() -> None:
    """A quota counts down with each request until its time; the shortest time that can be said ends it."""
    limiter = Limiter()
    first = limiter.enter(0.0)
    limiter.note_quota(first, 2, 1.001, 0.0)
    assert limiter.wait(0.0) == 0.0
    limiter.enter(0.0)
    assert limiter.wait(0.0) == limiter.shut_for(0.0) == 0.0
    second = limiter.enter(0.0)
    assert limiter.wait(0.0) == limiter.shut_for(0.0) == 1.001
    assert limiter.wait(1.001) == 0.0
    limiter.note_quota(first, 0, 1.0, 0.0)
    assert limiter.wait(0.0) == 0.0
    limiter.note_quota(second, 1, 9.0, 5.0)
    assert limiter.wait(5.0) == 0.0
    limiter.enter(14.0)  # after its time: it counts no more
    assert limiter.wait(13.9) == 0.0


def test_longest_quota() -> None:
    """A quota is told in full, but the server is asked again after the longest pause."""
    limiter = Limiter()
    limiter.note_quota(limiter.enter(0.0), 0, 500.0, 10.0, longest=120.0)
    assert (limiter.wait(20.0), limiter.shut_for(20.0)) == (110.0, 490.0)
    assert (limiter.wait(130.0), limiter.shut_for(130.0)) == (0.0, 0.0)


def test_longest_of_a_stop() -> None:
    """By default a stop lasts as long as the server asks; the later end of two is told."""
    limiter = Limiter()
    tickets = [limiter.enter(0.0) for _ in range(3)]
    limiter.leave(tickets[0], 0.0, LIMITED, asked=900.0)
    limiter.leave(tickets[1], 0.0, LIMITED, asked=90.0, longest=60.0)
    assert (limiter.wait(0.0), limiter.shut_for(0.0)) == (900.0, 900.0)
    limiter.leave(tickets[2], 0.0, LIMITED, asked=1000.0, longest=950.0)
    assert (limiter.wait(1.0), limiter.shut_for(1.0)) == (949.0, 999.0)


def test_nothing_was_asked() -> None:
    """A push-back that names no time stops nobody."""
    limiter = Limiter()
    push_back(limiter, 1, 0.0)
    push_back(limiter, 1, 0.0, OVERLOADED)
    assert (limiter.wait(0.0), limiter.shut_for(0.0), limiter.n_inside) == (0.0, 0.0, 0)
