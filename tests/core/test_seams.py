"""Where one chunk goes over to the next: so many words of the one are kept, and so many of the other dropped."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hfasr._core.seams import Cut, cut
from hfasr._core.tokens import Token

EIGHT = (8.0, 8.5, 9.0, 9.5)
FEW = "red boat sun key"


def at(text: str, *starts: float, lasts: float = 0.4, slack: float = 0.0) -> list[Token]:
    """Return the words of *text*, one each half a second from 8 s on unless they start at *starts*."""
    words = text.split()
    begun = starts or [8.0 + 0.5 * i for i in range(len(words))]
    return [Token(word, start, start + lasts, slack, 0, 0) for word, start in zip(words, begun, strict=True)]


def untimed(text: str) -> list[Token]:
    return at(text, slack=math.inf)


def test_one_side_alone() -> None:
    """What one side alone has is kept."""
    assert cut([], at("a b"), 8.0, 10.0) == Cut(0, 0)
    assert cut(at("a b"), [], 8.0, 10.0) == Cut(2, 0)


@pytest.mark.parametrize(
    ("tail", "head", "wanted"),
    [
        (at(FEW), at(FEW), Cut(2, 2)),
        (at("red boat sun", 8.0, 8.4, 8.8), at("red boat sun", 8.0, 8.4, 8.8), Cut(2, 2)),
        (at("red boat sun", 8.0, 8.2, 8.4), at("red boat sun", 8.0, 8.2, 8.4), Cut(3, 3)),
        (at("red boat sun", 9.2, 9.3, 9.6), at("red boat sun", 9.2, 9.3, 9.6), Cut(0, 0)),
        # The same words a little later, also where no two are at the same time.
        (at(FEW, lasts=0.15), at(FEW, 8.2, 8.7, 9.2, 9.7, lasts=0.15), Cut(2, 2)),
        # Other words at the same time stand for each other.
        (at(FEW), at("ivy moth leaf gnu"), Cut(2, 2)),
        (at(FEW), at("ivy moth leaf key"), Cut(2, 2)),
        (at(FEW), at("red moth leaf gnu"), Cut(2, 2)),
        (at("red key", 8.4, 9.5, lasts=0.8), at("moth key", 8.4, 9.5, lasts=0.8), Cut(1, 1)),
        # A word that one side alone has is kept, if it is not near that side's edge.
        (at(FEW), at("red sun key", 8.0, 9.0, 9.5), Cut(2, 1)),
        (at(FEW), at("red boat key", 8.0, 8.5, 9.5), Cut(3, 2)),
        (at("red sun key", 8.0, 9.0, 9.5), at(FEW), Cut(1, 1)),
        (at("red boat key", 8.0, 8.5, 9.5), at(FEW), Cut(2, 2)),
        (at(FEW), at("red boat", 8.0, 8.5), Cut(3, 2)),
        (at("sun key", 9.0, 9.5), at(FEW), Cut(0, 1)),
        (at("red boat", 8.0, 8.5), at(FEW), Cut(2, 2)),
        (at("red boat", 8.0, 8.5), at("sun key", 9.0, 9.5), Cut(2, 0)),
    ],
)
def test_by_times(tail: list[Token], head: list[Token], wanted: Cut) -> None:
    """With times the seam is at a word that both have, next to the middle of the overlap."""
    assert cut(tail, head, 8.0, 10.0) == wanted


@pytest.mark.parametrize(
    ("tail", "head", "wanted"),
    [
        (at("sun key", 9.0, 9.5), at("red boat", 8.0, 8.5), Cut(1, 2, "missing")),
        (at(FEW, lasts=0.2), at("ivy moth leaf gnu", 8.25, 8.75, 9.25, 9.75, lasts=0.2), Cut(3, 2, "missing")),
        # The same word almost too far apart, and too far.
        (at("red", 8.0, lasts=0.1), at("red", 8.2398, lasts=0.1), Cut(1, 1)),
        (at("red", 8.0, lasts=0.1), at("red", 8.2402, lasts=0.1), Cut(1, 1, "missing")),
        (at("red", 9.6, lasts=0.1), at("red", 9.8398, lasts=0.1), Cut(0, 0)),
        (at("red", 9.6, lasts=0.1), at("red", 9.8402, lasts=0.1), Cut(0, 0, "missing")),
    ],
)
def test_nothing_in_common(tail: list[Token], head: list[Token], wanted: Cut) -> None:
    """Where a word is lost and the two had nothing in common, that is said."""
    assert cut(tail, head, 8.0, 10.0) == wanted


@pytest.mark.parametrize(
    ("tail", "head", "start", "end", "wanted"),
    [
        ((8.75, 9.25), (8.875, 9.375), 8.0, 10.0, Cut(0, 0)),
        ((8.75, 9.25), (9.0, 9.5), 8.0, 10.0, Cut(1, 0)),  # half of it
        ((9.0, 9.5), (8.75, 9.75), 8.0, 10.0, Cut(0, 0)),
        ((8.25, 9.25), (9.0, 9.4375), 8.0, 10.0, Cut(1, 1)),  # more than half of the shorter
        ((8.25, 9.25), (9.0, 9.5), 8.0, 10.0, Cut(1, 0)),
        ((8.0, 9.125), (8.875, 10.0), 8.875, 9.125, Cut(0, 0)),  # both fill the overlap
        ((8.0, 9.125), (8.890625, 10.0), 8.875, 9.125, Cut(0, 0)),
        ((8.0, 9.125), (8.90625, 10.0), 8.875, 9.125, Cut(1, 0)),
        ((8.0, 9.125), (8.9375, 10.0), 8.875, 9.125, Cut(1, 0)),
    ],
)
def test_what_is_at_the_same_time(
    tail: tuple[float, float], head: tuple[float, float], start: float, end: float, wanted: Cut
) -> None:
    """Two words are at the same time if they share more than half of the shorter, or almost all of the overlap."""
    one, other = Token("red", *tail, 0.0, 0, 0), Token("boat", *head, 0.0, 0, 0)
    assert cut([one], [other], start, end) == wanted


@pytest.mark.parametrize(
    ("tail", "head", "start", "end", "wanted"),
    [
        # At the edge of its own chunk a word counts less the nearer to it, as does the way from the middle.
        (at("red gnu", 8.0, 10.0), at("red", 8.0), 6.0, 12.0, Cut(2, 1)),
        (at("red gnu", 8.0, 11.0), at("red", 8.0), 6.0, 12.0, Cut(1, 1)),
        # Between words that both have it counts whole.
        (at("red gnu sun", 9.2, 9.5, 9.8, lasts=0.1), at("red sun", 9.2, 9.8, lasts=0.1), 8.0, 10.0, Cut(2, 1)),
    ],
)
def test_what_a_word_counts(tail: list[Token], head: list[Token], start: float, end: float, wanted: Cut) -> None:
    """A word that one side alone has counts as much as it is likely to be true."""
    assert cut(tail, head, start, end) == wanted


def test_no_time_at_all() -> None:
    """Words of no length at the same instant are both kept, the earlier chunk's first."""
    assert cut(at("red", 8.6, lasts=0.0), at("boat", 8.6, lasts=0.0), 8.0, 10.0) == Cut(1, 0)


@pytest.mark.parametrize(
    ("tail", "head", "wanted"),
    [
        (at("red ocea", 8.0, 8.3), at("red ocean sun", 8.0, 8.3, 9.5), Cut(1, 1)),
        (at("red ocea sun", 8.0, 8.3, 9.5), at("red ocean sun", 8.0, 8.3, 9.5), Cut(2, 2)),  # not at the edge
        (at("red oceo", 8.0, 8.3), at("red ocean sun", 8.0, 8.3, 9.5), Cut(2, 2)),  # another word
        (at("red ocean", 8.0, 8.3), at("red ocean sun", 8.0, 8.3, 9.5), Cut(2, 2)),
        (at("red ocean sun", 8.2, 9.2, 9.6), at("cean sun", 9.2, 9.6), Cut(2, 1)),
        (at("red ocean sun", 8.2, 9.2, 9.6), at("red cean sun", 8.2, 9.2, 9.6), Cut(1, 1)),
        (at("red ocean sun", 8.2, 9.2, 9.6), at("ocean sun", 9.2, 9.6), Cut(1, 0)),
        (at("red ocean sun", 8.2, 9.2, 9.6), at("coan sun", 9.2, 9.6), Cut(1, 0)),
    ],
)
def test_half_a_word(tail: list[Token], head: list[Token], wanted: Cut) -> None:
    """Of a word that the edge of one chunk has cut, the other's is kept, however far from the middle that is."""
    assert cut(tail, head, 8.0, 10.0) == wanted


@pytest.mark.parametrize(("tail", "head"), [(0.5, 0.51), (0.51, 0.5), (0.5, 0.5)])
def test_when_times_are_too_vague(tail: float, head: float) -> None:
    """Tokens whose times may be half a second wrong are told apart by these; of more, by the words alone."""
    got = cut(at("red", slack=tail), at("boat", slack=head), 8.0, 10.0)
    assert got == (Cut(1, 1) if tail == head else Cut(1, 0, "repeated"))


@pytest.mark.parametrize(
    ("border", "wanted"), [(0, 3), (1, 3), (2, 2), (3, 3), (4, 4), (5, 5), (6, 3), (7, 3), (None, 3)]
)
def test_a_border_of_segments(border: int | None, wanted: int) -> None:
    """Without times of words the seam is between segments, where that is not much farther from the middle."""
    words = untimed("red boat sun key ivy moth leaf")
    options: dict[str, Any] = {} if border is None else {"is_border": lambda kept, dropped: kept == border == dropped}
    assert cut(words, words, 8.0, 10.0, **options) == Cut(wanted, wanted)


@pytest.mark.parametrize(
    ("tail", "head", "wanted"),
    [
        ("a b red boat sun", "red boat sun c d", Cut(3, 1)),
        ("red", "red", Cut(0, 0)),
        ("a red", "red b", Cut(1, 0)),
        ("a red boat", "red boat b", Cut(2, 1)),
        # A word that one side lacks counts less the nearer it is to the edge of the other's chunk.
        ("red boat sun zoo key", "red boat sun key", Cut(4, 3)),
        ("red boat sun key", "red zoo boat sun key", Cut(1, 1)),
        ("red boat sun key zoo ivy", "red boat sun key ivy", Cut(3, 3)),
        ("red boat sun key ivy zoo moth leaf", "red boat sun key ivy moth leaf", Cut(6, 5)),
        ("red boat sun key ivy moth zoo leaf", "red boat sun key ivy moth leaf", Cut(4, 4)),
        ("red boat sun key ivy moth leaf", "red boat zoo sun key ivy moth leaf", Cut(2, 2)),
        ("red boat sun key ivy moth leaf", "red zoo boat sun key ivy moth leaf", Cut(3, 4)),
        ("a b c red boat sun key ivy zoo moth leaf", "red boat sun key ivy moth leaf", Cut(9, 5)),
        ("red boat sun key ivy moth leaf", "red boat zoo sun key ivy moth leaf a b c", Cut(2, 2)),
        # What both lack of each other.
        ("red boat lamp sun key zoo ivy", "red boat elk sun key ivy", Cut(3, 3)),
        # Of a cut word the whole is kept.
        ("red boat ocea", "red boat ocean", Cut(1, 1)),
        ("ocean red boat", "cean red boat", Cut(1, 1)),
        ("a ocea", "ocean b", Cut(1, 0, "missing")),
        # What only one of many in an overlap has in common, and what neither ends nor begins with it.
        ("a b c d e f g h i sun", "sun k l m n o p q r s", Cut(9, 0)),
        ("a b c d e f g h i j sun", "sun k l m n o p q r s t", Cut(10, 0)),
        ("red boat ivy", "red boat sun", Cut(3, 0, "repeated")),
        ("key red boat", "ivy red boat", Cut(3, 0, "repeated")),
        ("a ocean", "cean b", Cut(2, 1, "missing")),
    ],
)
def test_without_times(tail: str, head: str, wanted: Cut) -> None:
    """Without times the seam is in the middle of the words that both have, where the fewest are lost."""
    assert cut(untimed(tail), untimed(head), 8.0, 10.0) == wanted


SIX = ["red", "boat", "sun", "key", "ivy", "moth"]


@pytest.mark.parametrize(("n_before", "wanted"), [(0, 5), (100, 5), (101, 6), (110, 6)])
def test_the_200_words_around_the_middle_are_compared(n_before: int, wanted: int) -> None:
    """Of more words only those around the middle of the overlap are looked at: it takes the same time for any number."""
    tail = untimed(" ".join([*(f"{i:03}" for i in range(195)), *SIX, *(f"{i:03}" for i in range(201, 250))]))
    middle = 8.0 + 0.5 * n_before - 0.1  # between two words' own middles
    assert cut(tail, untimed(" ".join(SIX)), middle - 1.0, middle + 1.0) == Cut(195 + wanted, wanted)


@pytest.mark.parametrize(
    ("n_head", "n_before", "wanted"),
    [(194, 0, 3), (194, 200, 3), (250, 100, 3), (250, 101, 3), (250, 108, 0), (250, 250, 0)],
)
def test_the_200_words_of_the_other_side(n_head: int, n_before: int, wanted: int) -> None:
    """So it is on the other side, where they may be the last ones."""
    head = untimed(" ".join([*SIX, *(f"{i:03}" for i in range(n_head))]))
    middle = 8.0 + 0.5 * n_before - 0.1
    got = cut(untimed(" ".join(SIX)), head, middle - 3.0, middle + 3.0)
    assert got == (Cut(3, 3) if wanted == 3 else Cut(6, 0, "repeated"))
