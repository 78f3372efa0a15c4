"""Which times are mended and how, at the borders."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hfasr import Segment, Word
from hfasr._core.guard_mend import _clamped, _end, _spread, _unwound, longest_in_order, mended, n_moved

LONG = "x" * 60  # one second of text
ROUNDING = 0.0205

Times = list[tuple[float, float | None]]


def row(times: Times, text: str = LONG) -> tuple[Segment, ...]:
    return tuple(Segment(start, end, text) for start, end in times)


def words(times: Times) -> tuple[Word, ...]:
    return tuple(Word(start, end, "word") for start, end in times)


def times_of(spans: Any) -> Times:
    return [(span.start, span.end) for span in spans]


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        (-1.0, 0.0),
        (-1.001, None),
        (0.5, 0.5),
        (10.5, 10.0),
        (11.0, 10.0),
        (11.001, None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_coarse_start(time: float, kept: float | None) -> None:
    """A start that is off by a second at most is moved to the border; one that is off by more tells nothing."""
    assert _clamped(time, 0.0, 10.0) == kept


@pytest.mark.parametrize(
    ("end", "start", "kept"),
    [
        (9.5, 2.0, 9.5),
        (2.0 - ROUNDING, 2.0, 2.0),
        (1.97, 2.0, None),
        (11.0, 2.0, 10.0),
        (11.001, 2.0, None),
        (None, 2.0, None),
        (9.5, None, None),
        (math.nan, 2.0, None),
    ],
)
def test_coarse_end(end: float | None, start: float | None, kept: float | None) -> None:
    """An end is kept that is a rounding before its start, or a second behind the audio, at most."""
    assert _end(end, start, 10.0) == kept


def test_longest_in_order() -> None:
    """As few times as can be are taken out, equal ones stay, and what is unknown stays so."""
    assert longest_in_order([]) == []
    assert longest_in_order([None, None]) == [None, None]
    assert longest_in_order([None, 1.0, 1.0, 0.5, 2.0]) == [None, 1.0, 1.0, None, 2.0]
    assert longest_in_order([5.0, 1.0, 2.0]) == [None, 1.0, 2.0]


@pytest.mark.parametrize(
    ("times", "duration", "moved"),
    [
        ([(0.0, 5.0), (5.0, 15.0), (0.0, 15.0)], 30.01, [(0.0, 5.0), (5.0, 15.0), (15.0, 30.0)]),
        ([(0.0, 5.0), (5.0, 15.0), (0.0, 15.0)], 30.0, None),  # one window holds it
        ([(0.0, 5.0), (5.0, 15.0), (0.0, 15.0)], None, None),
        ([(0.0, 5.0), (5.0, 14.99), (0.0, 10.0)], 60.0, None),  # Whisper would have gone on listening
        ([(0.0, 5.0), (5.0, 20.0), (1.0, 20.0)], 60.0, [(0.0, 5.0), (5.0, 20.0), (21.0, 40.0)]),
        ([(0.0, 5.0), (5.0, 20.0), (1.01, 20.0)], 60.0, None),
        ([(0.0, 5.0), (5.0, 20.0)], 60.0, None),  # nothing begins again
        ([(0.0, 5.0), (5.0, None), (0.0, 20.0)], 60.0, None),
        ([(-0.1, 5.0), (5.0, 20.0), (0.0, 20.0)], 60.0, None),
        ([(0.0, 5.0), (5.0, 4.0), (6.0, 20.0), (0.0, 20.0)], 60.0, None),
        ([(0.0, 5.0), (5.0, 5.0), (0.5, 30.0 + ROUNDING), (0.0, 1.0)], 60.0, None),
        (
            [(0.0, 5.0), (5.0, 30.0 + ROUNDING), (0.0, 0.0)],
            60.0,
            [(0.0, 5.0), (5.0, 30.0 + ROUNDING), (30.0 + ROUNDING,) * 2],
        ),
        ([(0.0, 5.0), (5.0, 30.03), (0.0, 1.0)], 60.0, None),
        ([(ROUNDING, 20.0), (0.0, 20.0)], 60.0, None),  # that is rounding
        # The end of the last window may be a second beyond the audio.
        ([(0.0, 10.0), (10.0, 30.0), (0.0, 11.0)], 40.0, [(0.0, 10.0), (10.0, 30.0), (30.0, 41.0)]),
        ([(0.0, 10.0), (10.0, 30.0), (0.0, 11.01)], 40.0, None),
        (
            [(0.0, 10.0), (10.0, 30.0), (0.0, 9.0), (9.0, 30.0), (0.0, 0.25)],
            59.25,
            [(0.0, 10.0), (10.0, 30.0), (30.0, 39.0), (39.0, 60.0), (60.0, 60.25)],
        ),
    ],
)
def test_times_that_begin_again(times: Times, duration: float | None, moved: Times | None) -> None:
    """Windows are put one after the other only where it is plain that their times begin again."""
    found = _unwound(row(times), duration)
    assert (None if found is None else times_of(found)) == moved


def test_words_of_a_window() -> None:
    """Words move with their segment; an end that nobody knows stays so."""
    second = Segment(0.0, 20.0, "two words", words([(0.5, 1.0), (2.0, None)]))
    found = _unwound((*row([(0.0, 5.0), (5.0, 20.0)]), second), 60.0)
    assert found is not None
    assert times_of(found[-1].words) == [(20.5, 21.0), (22.0, None)]


@pytest.mark.parametrize(
    ("times", "duration", "after"),
    [
        # A step back that is a rounding is none.
        ([(2.02, 4.0), (2.01, 5.0)], 5.0, [(2.02, 4.0), (2.02, 5.0)]),
        ([(ROUNDING, 4.0), (0.0, 5.0)], 5.0, [(ROUNDING, 4.0), (ROUNDING, 5.0)]),
        ([(0.0, 1.0), (2.02, 4.0), (2.01, 5.0)], 5.0, [(0.0, 1.0), (2.02, 4.0), (2.02, 5.0)]),
        ([(1.0, None), (1.01, 5.0)], 5.0, [(1.0, 1.01), (1.01, 5.0)]),
        # What is stuck at one time goes on to the next start, or is spread from the end before.
        ([(5.0, 5.0)], 20.0, [(5.0, 20.0)]),
        ([(5.0, 5.0)], 5.0, [(0.0, 5.0)]),
        ([(0.0, 1.0), (5.0, 5.0), (5.0, 5.0)], 5.0, [(0.0, 1.0), (1.0, 3.0), (3.0, 5.0)]),
        ([(0.0, 1.0), (4.0, 4.0), (4.0, 4.0)], 9.0, [(0.0, 1.0), (4.0, 6.5), (6.5, 9.0)]),
        # A start that goes back is put between its neighbours.
        ([(0.0, 2.0), (7.0, 3.0), (4.0, 8.0)], 8.0, [(0.0, 2.0), (2.0, 4.0), (4.0, 8.0)]),
        ([(0.0, 2.0), (math.nan, math.nan)], 8.0, [(0.0, 2.0), (2.0, 8.0)]),
    ],
)
def test_mended(times: Times, duration: float | None, after: Times) -> None:
    """Starts stay where they can be; the others, and what is stuck, are spread between their neighbours."""
    assert times_of(mended(row(times), duration)) == after


def test_words_across_segments() -> None:
    """A word that lies before the last one of the segment before begins where that does."""
    first = Segment(0.0, 10.0, "a b c", words([(1.0, 1.5), (2.0, 2.5), (3.0, 3.5)]))
    second = Segment(2.5, 5.0, "d", words([(1.6, 4.0)]))
    done = mended((first, second), 10.0)
    assert done[0] == first
    assert times_of(done[1].words) == [(3.0, 5.0)]


def test_words_before_their_segment() -> None:
    """A first word that is later than the next goes before that, also where that lies before the segment's start."""
    segment = Segment(6.0, 10.0, "a b", words([(7.0, 7.5), (5.5, 8.0)]))
    (done,) = mended((segment,), 10.0)
    assert (done.start, done.end) == (6.0, 10.0)
    assert times_of(done.words) == [(5.5, 5.5), (5.5, 8.0)]


def moved(old: tuple[float, float | None], new: tuple[float, float | None], duration: float | None) -> bool:
    """Return whether the last segment counts as moved."""
    return n_moved(row([old]), row([new]), duration) == (1, 0)


@pytest.mark.parametrize(
    ("old", "new", "duration", "counts"),
    [
        ((0.0, 5.0), (0.0, 5.0), 9.0, False),
        ((ROUNDING, 5.0), (0.0, 5.0), 9.0, False),
        ((0.021, 5.0), (0.0, 5.0), 9.0, True),
        ((math.nan, 5.0), (0.0, 5.0), 9.0, True),
        ((0.0, ROUNDING), (0.0, 0.0), 9.0, False),
        ((0.0, 0.021), (0.0, 0.0), 9.0, True),
        ((0.0, math.nan), (0.0, 9.0), 9.0, True),
        ((0.0, None), (0.0, 9.0), 9.0, False),
        ((0.0, None), (0.0, None), None, False),
        ((0.0, 5.0), (0.0, None), None, True),
        # A little beyond the audio.
        ((0.0, 9.5), (0.0, 9.0), 9.0, False),
        ((0.0, 10.0), (0.0, 9.0), 9.0, False),
        ((0.0, 10.01), (0.0, 9.0), 9.0, True),
        ((0.0, 9.5), (0.0, 9.0), None, True),
        ((0.0, 9.5), (0.0, 8.0), 9.0, True),
        ((0.0, 8.5), (0.0, 9.0), 9.0, True),
    ],
)
def test_moved(
    old: tuple[float, float | None], new: tuple[float, float | None], duration: float | None, counts: bool
) -> None:
    """Times that differ by more than rounding count as moved, but for ends that models often leave out or overrun."""
    assert moved(old, new, duration) is counts


def test_moved_in_number() -> None:
    """Segments and words are counted one by one; an end is missing without a fault only in the last of its row."""

    def segment(*ends: float | None) -> Segment:
        return Segment(0.0, 9.0, "words", words([(0.0, end) for end in ends]))

    before = (segment(None, None, 5.0), segment(5.0, 9.5))
    assert n_moved(before, (segment(1.0, 9.0, 5.0), segment(6.0, 9.0)), 9.0) == (0, 3)
    assert n_moved(row([(0.0, None), (1.0, None)]), row([(0.0, 1.0), (1.0, 9.0)]), 9.0) == (1, 0)
    assert n_moved(row([(0.0, 1.0), (1.0, 2.0)]), row([(3.0, 4.0), (4.0, 5.0)]), 9.0) == (2, 0)


@pytest.mark.parametrize(
    ("times", "duration", "after"),
    [
        ([(7.0, 3.0), (7.0, 3.0)], 8.0, [(0.0, 4.0), (4.0, 8.0)]),
        ([(7.0, 3.0), (6.0, 5.0)], None, [(0.0, 3.5), (3.5, 7.0)]),
        ([(0.5, None), (-1.0, 1e9)], None, [(0.0, 5e8), (5e8, 1e9)]),
        ([(0.5, math.inf), (0.25, 1.1e9)], None, [(0.0, 0.25), (0.25, 0.5)]),
        ([(math.nan, None), (-1.0, math.inf)], None, [(0.0, 0.0), (0.0, 0.0)]),
    ],
)
def test_by_force(times: Times, duration: float | None, after: Times) -> None:
    """Where nothing else helps, segments lie one after the other, up to the latest time that can be one."""
    assert times_of(_spread(row(times), duration)) == after


def test_words_by_force() -> None:
    """Words are spread over what their segment is given; everything else of both stays."""
    said = (Word(9.0, 1.0, "good", 0.5), Word(8.0, None, "days"))
    first, second = _spread((Segment(3.0, 1.0, "good days", said, channel=1), Segment(3.0, 1.0, "good days")), 8.0)
    assert (first, second) == (
        Segment(0.0, 4.0, "good days", (Word(0.0, 2.0, "good", 0.5), Word(2.0, 4.0, "days")), channel=1),
        Segment(4.0, 8.0, "good days"),
    )
