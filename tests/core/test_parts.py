"""Segments of chunks in the whole audio's times."""

from __future__ import annotations

import pytest

from hfasr._core.parts import Chunk, Part, Span, joined, meet, one_a_chunk, placed, squeeze
from hfasr.types import Segment, Word

CHUNK = Chunk(Span(0.0, 10.0, 0.0, 2.0))


def part(start: float, end: float | None, *words: tuple[float, float | None]) -> Part:
    spoken = tuple(Word(at, until, f"w{i}", 0.5) for i, (at, until) in enumerate(words))
    return Part(Segment(start, end, " ".join(word.word for word in spoken), spoken), CHUNK)


def times(one: Part) -> list[tuple[float, float | None]]:
    return [(one.segment.start, one.segment.end), *((word.start, word.end) for word in one.segment.words)]


def test_squeeze() -> None:
    """Both sides of an overlap get a half of it: the earlier the first, the later the second; what is outside stays."""
    earlier = part(4.0, 12.0, (4.0, 5.0), (8.0, 8.0), (8.5, 9.0), (9.5, None), (10.0, 12.0))
    later = part(7.0, 14.0, (7.0, 8.0), (8.5, 9.0), (9.5, None), (10.0, 11.0), (13.0, 14.0))
    squeeze([earlier], [later], 8.0, 10.0)
    assert times(earlier) == [(4.0, 9.0), (4.0, 5.0), (8.0, 8.0), (8.25, 8.5), (8.75, None), (9.0, 9.0)]
    assert times(later) == [(9.0, 14.0), (9.0, 9.0), (9.25, 9.5), (9.75, None), (10.0, 11.0), (13.0, 14.0)]
    assert [word.word for word in earlier.segment.words] == ["w0", "w1", "w2", "w3", "w4"]
    assert {word.confidence for word in later.segment.words} == {0.5}


def test_squeeze_knows_no_end() -> None:
    """A segment whose end nobody knows ends where it begins."""
    one = part(9.0, None)
    squeeze([one], [], 8.0, 10.0)
    assert times(one) == [(8.5, 8.5)]


@pytest.mark.parametrize(
    ("last", "first", "met", "at"),
    [
        ((2.0, 9.0), (8.5, 12.0), [(2.0, 8.75), (8.75, 12.0)], 8.75),  # half-way
        ((2.0, 8.2), (8.8, 12.0), [(2.0, 8.2), (8.8, 12.0)], 8.5),  # no need to move
        ((2.0, 5.0), (6.0, 12.0), [(2.0, 5.0), (6.0, 12.0)], 8.0),  # before the overlap
        ((2.0, 13.0), (11.0, 12.0), [(2.0, 12.0), (12.0, 12.0)], 10.0),  # beyond it
        ((9.0, 9.5), (8.0, 12.0), [(9.0, 9.0), (9.0, 12.0)], 9.0),  # the earlier one begins later
    ],
)
def test_meet(last: tuple[float, float], first: tuple[float, float], met: list[tuple[float, float]], at: float) -> None:
    """Two parts end and begin at the same time, half-way where they overlap, and their chunks within the overlap."""
    one, other = part(*last), part(*first)
    one.chunk, other.chunk = Chunk(Span(0.0, 10.0, 0.0, 2.0)), Chunk(Span(8.0, 18.0, 2.0, 0.0))
    meet(one, other, 8.0, 10.0)
    assert [times(one)[0], times(other)[0]] == met
    assert (one.chunk.start, one.chunk.end, other.chunk.start, other.chunk.end) == (0.0, at, at, 18.0)


def test_meet_of_chunks_that_met() -> None:
    """Chunks that do not overlap any more stay where they met."""
    one, other = part(2.0, 8.4), part(8.6, 12.0)
    one.chunk, other.chunk = Chunk(Span(0.0, 10.0)), Chunk(Span(8.0, 18.0))
    one.chunk.end = other.chunk.start = 9.0
    meet(one, other, 8.0, 10.0)
    assert (one.chunk.end, other.chunk.start) == (9.0, 9.0)


def test_placed() -> None:
    """Times move by the chunk's start, go never back, and stay in the chunk, words in their segment."""
    segments = [
        Segment(-1.0, 2.0, " one ", (Word(-2.0, 0.5, "one"), Word(0.4, None, "and"), Word(1.5, 5.0, "a"))),
        Segment(1.0, None, "two", (Word(0.0, None, "two"),)),
        Segment(4.0, 99.0, "three"),
        Segment(3.0, 3.5, "four"),
    ]
    got = list(placed(segments, Span(10.0, 20.0)))
    assert [(s.start, s.end, s.text) for s in got] == [
        (10.0, 11.0, "one"),
        (11.0, 14.0, "two"),
        (14.0, 14.0, "three"),
        (14.0, 14.0, "four"),
    ]
    assert [(w.start, w.end, w.word) for w in got[0].words] == [
        (10.0, 10.5, "one"),
        (10.4, 11.0, "and"),
        (11.0, 11.0, "a"),
    ]
    assert [(w.start, w.end, w.word) for w in got[1].words] == [(11.0, 14.0, "two")]


def test_joined_and_one_a_chunk() -> None:
    """Two parts become one of the later chunk, and the parts of a chunk become one segment of what is kept of it."""
    one, other = part(2.0, 9.0, (2.0, 3.0)), part(8.5, 12.0, (8.5, 9.0))
    other.chunk = Chunk(Span(8.0, 18.0))
    both = joined(one, other)
    assert (both.segment, both.chunk, both.is_timed) == (Segment(2.0, 12.0, "w0 w0"), other.chunk, True)
    other.is_timed = False
    assert joined(one, other).is_timed is False
    assert joined(other, one).is_timed is False
    assert list(one_a_chunk([one, part(3.0, 4.0, (3.0, 4.0)), other])) == [
        Segment(0.0, 10.0, "w0 w0"),
        Segment(8.0, 18.0, "w0"),
    ]
