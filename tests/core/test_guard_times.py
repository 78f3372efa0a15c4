"""How times that cannot be are told, at the borders, and what is put in their place."""

from __future__ import annotations

import math

import pytest

from hfasr import Segment, Word
from hfasr._core.guard_times import Room, fill, needs, room, sound, stuck_runs, words_room

LONG = "x" * 60  # one second of text
NAN = math.nan


@pytest.mark.parametrize(
    ("duration", "where"),
    [(5.0, Room(0.0, 5.0, 0.0, 5.0)), (0.0, Room(0.0, 0.0, 0.0, 0.0)), (None, Room(0.0, 1e9, 0.0, None))],
)
def test_room_of_segments(duration: float | None, where: Room) -> None:
    """Segments can be anywhere in their audio, and anywhere at all where nobody knows how long that is."""
    assert room(duration) == where


@pytest.mark.parametrize(
    ("start", "end", "floor", "top", "where"),
    [
        (2.0, 4.0, 0.5, 10.0, Room(1.0, 5.0, 2.0, 4.0)),
        (2.0, 4.0, 1.5, 10.0, Room(1.5, 5.0, 2.0, 4.0)),
        (2.0, 4.0, 3.0, 10.0, Room(3.0, 5.0, 3.0, 4.0)),
        (2.0, 4.0, 8.0, 10.0, Room(8.0, 8.0, 8.0, 4.0)),
        (2.0, 9.5, 0.0, 10.0, Room(1.0, 10.0, 2.0, 9.5)),
        (2.0, None, 0.0, 10.0, Room(1.0, 10.0, 2.0, None)),
    ],
)
def test_room_of_words(start: float, end: float | None, floor: float, top: float, where: Room) -> None:
    """Words are within a second of their segment, not before the words before it, and inside the audio."""
    assert words_room(start, end, floor, top) == where


def test_needs() -> None:
    """Each span needs the time of its text at the fastest pace, and a hundredth of a second without any."""
    assert needs([Segment(0.0, 1.0, LONG), Word(0.0, 1.0, "x" * 30), Segment(0.0, 1.0, ""), Word(0.0, 1.0, "")]) == [
        1.0,
        0.5,
        0.01,
        0.01,
    ]


@pytest.mark.parametrize(
    ("times", "duration", "holds"),
    [
        ([(0.0, 2.0), (1.0, 3.0), (1.0, 9.0)], 9.0, True),  # ends may overlap what follows
        ([(0.0, 2.0), (1.0, 9.1)], 9.0, False),
        ([(0.0, 2.0), (1.0, 9.1)], None, True),
        ([(0.0, 2.0), (1.0, 1e9)], None, True),
        ([(0.0, 2.0), (1.0, 1.1e9)], None, False),
        ([(0.0, 2.0), (2.1, 2.0)], 9.0, False),
        ([(2.0, 3.0), (1.9, 4.0)], 9.0, False),
        ([(-0.1, 3.0)], 9.0, False),
        ([(9.0, 9.0)], 9.0, False),  # stuck: the whole audio lies before it
        ([(NAN, 3.0)], 9.0, False),
        ([(1.0, NAN)], 9.0, False),
        ([(1.0, 2.0), (2.0, None)], None, True),
        ([(1.0, 2.0), (2.0, None)], 9.0, False),
        ([(1.0, None), (2.0, 3.0)], None, False),
        ([(1.0, 1.0), (1.0, 2.0)], 9.0, False),  # the second before it would do
        ([(0.0, 0.0), (0.25, 2.0)], 9.0, True),
        ([(0.0, 2.0), (2.0, 2.0)], 2.0, True),  # nowhere to go
    ],
)
def test_sound_segments(times: list[tuple[float, float | None]], duration: float | None, holds: bool) -> None:
    """Times are sound that are numbers, in order, inside the audio, known and not stuck."""
    assert sound([Segment(start, end, LONG) for start, end in times], duration) is holds


@pytest.mark.parametrize(
    ("rows", "holds"),
    [
        ([[(0.0, 1.0), (2.0, 3.0)], []], True),
        ([[(0.0, 1.0), (2.0, 3.01)], []], False),  # more than a second behind its segment
        ([[(0.0, 1.0), (3.0, 3.0)], [(2.9, 4.0)]], False),  # across segments
        ([[(0.0, 1.0), (2.9, 3.0)], [(2.9, 4.0)]], True),
        ([[], [(1.0, 4.0)]], True),
        ([[], [(0.9, 4.0)]], False),
        ([[], [(2.0, 4.0), (4.0, 10.0)]], False),
    ],
)
def test_sound_words(rows: list[list[tuple[float, float]]], holds: bool) -> None:
    """Words are sound that are in order across segments, each within a second of its own, and in the audio."""
    words = [tuple(Word(start, end, "word") for start, end in row) for row in rows]
    segments = [Segment(0.0, 2.0, "words", words[0]), Segment(2.0, 8.9, "words", words[1])]
    assert sound(segments, 9.0) is holds


@pytest.mark.parametrize(
    ("starts", "ends", "needed", "left", "close", "runs"),
    [
        ([1.0], [1.0], [0.3], 0.0, 5.0, [(0, 1, True)]),
        ([1.0], [1.0], [0.25], 0.0, 5.0, []),  # it may only be rounded
        ([1.0], [1.1], [0.3], 0.0, 5.0, []),
        ([1.0], [None], [0.3], 0.0, 5.0, []),
        # Room around it, and behind it.
        ([1.0], [1.0], [0.5], 1.0, 1.25, []),
        ([1.0], [1.0], [0.5], 1.0, 1.375, [(0, 1, False)]),
        ([1.0], [1.0], [0.5], 1.0, 1.5, [(0, 1, True)]),
        ([5.0], [5.0], [0.5], 0.0, 5.0, [(0, 1, False)]),
        ([5.0], [5.0], [0.5], 0.0, 3.0, [(0, 1, False)]),
        ([5.0], [5.0], [0.5], 4.75, 3.0, []),
        ([5.0], [5.0], [0.5], 0.0, None, [(0, 1, False)]),
        ([5.0], [5.0], [0.5], 4.75, None, []),
        # The one before: its end, its start where nobody knows the end, and never later than the run.
        ([0.0, 2.0], [1.875, 2.0], [0.5, 0.5], 0.0, 2.0, []),
        ([0.0, 2.0], [None, 2.0], [0.5, 0.5], 0.0, 2.0, [(1, 2, False)]),
        ([0.0, 2.0], [3.0, 2.0], [0.5, 0.5], 0.0, 2.125, []),
        ([0.0, 2.0, 2.125], [1.0, 2.0, 3.0], [0.5] * 3, 0.0, 9.0, [(1, 2, False)]),
        ([1.0, 2.0, 2.125], [None, 2.0, 3.0], [0.5] * 3, 0.0, 9.0, [(1, 2, False)]),
        # Several at one time need what they need together.
        ([1.0, 1.0, 1.0, 4.0], [1.0, 1.0, 1.0, 5.0], [0.1] * 4, 0.0, 5.0, [(0, 3, True)]),
        ([1.0, 1.0, 4.0], [1.0, 1.0, 5.0], [0.1] * 3, 0.0, 5.0, []),
        ([1.0, 1.0, 3.0, 3.0], [1.0, 1.0, 3.0, 3.0], [0.2] * 4, 0.0, 3.0, [(0, 2, True), (2, 4, False)]),
        ([1.0, 1.0], [1.0, 2.0], [0.5, 0.5], 0.0, 5.0, [(0, 1, False)]),
    ],
)
def test_stuck_runs(
    starts: list[float],
    ends: list[float | None],
    needed: list[float],
    left: float,
    close: float | None,
    runs: list[tuple[int, int, bool]],
) -> None:
    """Speech without length is stuck where it is more than rounding and there is room around it."""
    assert stuck_runs(starts, ends, needed, left, close) == runs


@pytest.mark.parametrize(
    ("starts", "ends", "needed", "left", "close", "filled", "filled_ends"),
    [
        ([None, None], [None, None], [1.0, 3.0], 2.0, 10.0, [2.0, 4.0], [4.0, 10.0]),
        ([None, None], [None, None], [1.0, 3.0], 2.0, None, [2.0, 2.0], [2.0, None]),
        ([None, None], [None, None], [1.0, 3.0], 5.0, 3.0, [5.0, 5.0], [5.0, 5.0]),
        ([None, 5.0], [None, 9.0], [1.0, 1.0], 6.0, 9.0, [5.0, 5.0], [5.0, 9.0]),  # never behind the next
        ([1.0, 3.0], [None, None], [1.0, 1.0], 0.0, None, [1.0, 3.0], [3.0, None]),
        ([1.0, 3.0], [None, None], [1.0, 1.0], 0.0, 2.0, [1.0, 3.0], [3.0, 3.0]),
        ([1.0, 3.0], [1.5, 9.0], [1.0, 1.0], 0.0, 2.0, [1.0, 3.0], [1.5, 9.0]),
        # Behind an end they share what lies between it and the next start.
        (
            [0.0, None, None, 6.0],
            [2.0, None, None, None],
            [5.0, 1.0, 3.0, 1.0],
            0.0,
            8.0,
            [0.0, 2.0, 3.0, 6.0],
            [2.0, 3.0, 6.0, 8.0],
        ),
        ([0.0, None, 6.0], [6.0, None, 7.0], [1.0, 1.0, 1.0], 0.0, 8.0, [0.0, 6.0, 6.0], [6.0, 6.0, 7.0]),
        ([1.0, None], [4.0, None], [1.0, 1.0], 0.0, None, [1.0, 4.0], [4.0, None]),
        # Where the one before has no end, or none that can be, it shares as well.
        (
            [0.0, None, None, 6.0],
            [None, None, None, None],
            [2.0, 1.0, 3.0, 1.0],
            0.0,
            8.0,
            [0.0, 2.0, 3.0, 6.0],
            [2.0, 3.0, 6.0, 8.0],
        ),
        ([0.0, None, 6.0], [7.0, None, 7.0], [1.0, 1.0, 1.0], 0.0, 8.0, [0.0, 3.0, 6.0], [7.0, 6.0, 7.0]),
        (
            [0.0, 2.0, 3.0, None, 9.0],
            [1.0, 2.5, None, None, 9.5],
            [1.0, 1.0, 2.0, 1.0, 1.0],
            0.0,
            9.5,
            [0.0, 2.0, 3.0, 7.0, 9.0],
            [1.0, 2.5, 7.0, 9.0, 9.5],
        ),
        ([1.0, None], [None, None], [1.0, 1.0], 0.0, None, [1.0, 1.0], [1.0, None]),
    ],
)
def test_fill(
    starts: list[float | None],
    ends: list[float | None],
    needed: list[float],
    left: float,
    close: float | None,
    filled: list[float],
    filled_ends: list[float | None],
) -> None:
    """Starts that are missing share the time between their neighbours by what they need; an end is the next start."""
    assert fill(starts, ends, needed, left, close) == filled
    assert ends == filled_ends
