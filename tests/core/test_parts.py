"""Segments of chunks in the whole audio's times."""

from __future__ import annotations

import pytest

from hfasr._core.parts import (
    Chunk,
    Part,
    Span,
    first_places,
    from_after,
    joined,
    last_places,
    meet,
    one_a_chunk,
    placed,
    squeeze,
)
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


def spread(n: int, start: float, end: float, *, is_timed: bool = True) -> Part:
    """Return a segment of *n* words whose own times nobody knows."""
    return Part(Segment(start, end, " ".join(f"w{i}" for i in range(n))), CHUNK, is_timed=is_timed)


def n_first(*parts: Part) -> int:
    return len(first_places(parts, 8.0, 10.0))


def n_last(*parts: Part) -> int:
    return len(last_places(parts, 8.0, 10.0))


def test_halves() -> None:
    """Both halves of a part are of its chunk, and timed if it is."""
    for is_timed in (True, False):
        whole = spread(4, 2.0, 6.0, is_timed=is_timed)
        halves = whole.until(1), whole.since(1)
        assert [half.segment.text for half in halves] == ["w0", "w1 w2 w3"]
        assert [(half.chunk, half.is_timed) for half in halves] == [(CHUNK, is_timed)] * 2
    assert Part(Segment(0.0, 1.0, "a"), CHUNK).is_timed is True


def test_retime() -> None:
    """With new times a part has new tokens and a new rate."""
    one = spread(4, 2.0, 6.0)
    assert (one.end, one.rate, one.tokens[0].start) == (6.0, 1.0, 2.0)
    one.retime(Segment(4.0, 6.0, "w0 w1"))
    one.retime(Segment(4.0, 5.0, "w0 w1 w2"))  # nothing is known of the first yet
    assert (one.end, one.rate, len(one.tokens), one.tokens[0].start) == (5.0, 3.0, 3, 4.0)
    assert spread(2, 4.0, 4.05).rate == 20.0  # as of a tenth of a second
    assert Part(Segment(4.0, None, "w0"), CHUNK).end == 4.0


@pytest.mark.parametrize(
    ("times", "n"),
    [((8.0, 9.0), 1), ((9.9, 11.0), 1), ((10.25, 11.0), 1), ((10.3125, 11.0), 0), ((14.0, 15.0), 0)],
)
def test_first_places_of_timed_words(times: tuple[float, float], n: int) -> None:
    """A word at the start of a chunk can be in the overlap if it begins at most 0.3 s after it."""
    assert n_first(part(8.0, 15.0, times)) == n
    assert n_first(part(*times, times)) == n


@pytest.mark.parametrize(
    ("times", "n"), [((9.0, 10.0), 1), ((7.0, 8.1), 1), ((7.0, 7.75), 1), ((7.0, 7.6875), 0), ((2.0, 3.0), 0)]
)
def test_last_places_of_timed_words(times: tuple[float, float], n: int) -> None:
    """A word at the end of a chunk can be in the overlap if it ends at most 0.3 s before it."""
    assert n_last(part(2.0, 10.0, times)) == n
    assert n_last(part(*times, times)) == n


def test_places_end_with_the_first_that_is_too_far() -> None:
    """Of several parts those are given that can be in the overlap, in order, and nothing beyond them."""
    later = [
        part(8.0, 9.0, (8.0, 8.5), (8.5, 9.0)),
        part(9.5, 12.0, (9.5, 10.0), (11.0, 12.0)),
        part(9.0, 9.5, (9.0, 9.5)),
    ]
    assert first_places(later, 8.0, 10.0) == [(later[0], 0), (later[0], 1), (later[1], 0)]
    earlier = [
        part(9.0, 9.5, (9.0, 9.5)),
        part(6.0, 8.5, (6.0, 6.5), (8.0, 8.5)),
        part(8.5, 10.0, (8.5, 9.0), (9.0, 10.0)),
    ]
    assert last_places(earlier, 8.0, 10.0) == [(earlier[1], 1), (earlier[2], 0), (earlier[2], 1)]


def test_last_places_of_chunks_that_reach_it() -> None:
    """Gaps have no places, and neither have chunks that end before the overlap."""
    heard, gap, before = (part(8.0, 10.0, (8.0, 10.0)) for _ in range(3))
    gap.segment = Segment(8.0, 10.0, "", error="down")
    before.chunk = Chunk(Span(0.0, 8.0))
    assert last_places([before, heard, gap], 8.0, 10.0) == [(heard, 0)]
    assert last_places([before, heard, gap], 7.9, 10.0) == [(before, 0), (heard, 0)]


@pytest.mark.parametrize(
    ("one", "n"),
    [
        (spread(99, 8.0, 18.0, is_timed=False), 25),  # as many as the fastest speaker says, and three
        (spread(99, 12.0, 18.0, is_timed=False), 25),  # whose times mean nothing
        (spread(99, 8.0, 10.0), 99),  # a slack below a second: where they are by their times
        (spread(10, 8.0, 18.0), 7),  # twice as fast as on average, and three
        (spread(40, 8.0, 18.0), 19),
        (spread(60, 8.0, 18.0), 25),
        (spread(10, 10.25, 20.25), 7),
        (spread(10, 10.3125, 20.3125), 0),
    ],
)
def test_places_of_words_without_times(one: Part, n: int) -> None:
    """Of words whose times nobody knows there are as many as can be said in the overlap."""
    assert n_first(one) == n


@pytest.mark.parametrize(
    ("one", "n"),
    [
        (spread(99, 0.0, 10.0, is_timed=False), 25),
        (spread(10, 0.0, 10.0), 7),
        (spread(10, -2.25, 7.75), 7),
        (spread(10, -2.3125, 7.6875), 0),
        (spread(10, -2.3125, 7.6875, is_timed=False), 10),
    ],
)
def test_last_places_of_words_without_times(one: Part, n: int) -> None:
    """So it is at the end of a chunk."""
    assert n_last(one) == n


@pytest.mark.parametrize(("lasts", "n"), [(2.3, 3), (2.32, 4)])
def test_how_vague_times_may_be(lasts: float, n: int) -> None:
    """Where times are at most a second wrong, and not of more, they tell which words can be in the overlap."""
    one = Part(Segment(0.0, lasts, "w0 w1 w2 w3"), CHUNK)
    assert len(first_places([one], -3.0, 0.0)) == n


def test_what_is_kept() -> None:
    """A failed chunk's error is its segment's, and a word's confidence stays."""
    gap = Part(Segment(0.0, 10.0, "", error="down"), CHUNK)
    assert list(one_a_chunk([gap])) == [Segment(0.0, 10.0, "", error="down")]
    (one,) = placed([Segment(0.0, 1.0, "a", (Word(0.0, 1.0, "a", 0.25),), channel=1)], Span(5.0, 9.0))
    assert one == Segment(5.0, 6.0, "a", (Word(5.0, 6.0, "a", 0.25),), channel=1)


def test_from_after() -> None:
    """What follows a place begins with the next word, or with the next part after the last one."""
    parts = [part(0.0, 1.0, (0.0, 0.5)), part(1.0, 4.0, (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)), part(4.0, 5.0, (4.0, 5.0))]
    cut, rest = from_after(parts, parts[1], 0)
    assert (cut.segment.start, cut.segment.text, rest) == (2.0, "w1 w2", parts[2])
    assert from_after(parts, parts[1], 2) == [parts[2]]
    assert from_after(parts, parts[0], 0) == parts[1:]
    assert from_after(parts, parts[2], 0) == []
