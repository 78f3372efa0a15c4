"""What two texts without times have in common: words that both have heard, and no word that was said twice."""

from __future__ import annotations

import math

import pytest

from hfasr._core.tokens import Token
from hfasr._core.untimed import in_common


def tokens(text: str) -> list[Token]:
    """Return the words of *text*, a second each, of which nobody knows when they were said."""
    return [Token(word, 100.0 + i, 101.0 + i, math.inf, 0, 0) for i, word in enumerate(text.split())]


def common(first: str, second: str, overlap_s: float, **edges: bool) -> tuple[list[tuple[int, int]], str | None]:
    """Return the places that stand for each other, and the doubt."""
    pairs, doubt = in_common(tokens(first), tokens(second), overlap_s, **edges)
    return [(pair.first, pair.second) for pair in pairs], doubt


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("red boat", "boat sun", [(1, 0)]),
        ("moon red boat", "red boat sun", [(1, 0), (2, 1)]),
        # A word that differs, or that one side lacks, where enough others agree.
        ("moon red sun boat key", "red ivy boat key leaf", [(1, 0), (2, 1), (3, 2), (4, 3)]),
        ("red sun boat key", "red boat key leaf", [(0, 0), (2, 1), (3, 2)]),
        ("red ivy sun boat key", "red boat key leaf", [(0, 0), (3, 1), (4, 2)]),
        # Else only what the one ends and the other begins with.
        ("sun red boat", "boat red boat", [(2, 0)]),
        ("moon sun ivy red key", "red key moon sun red key", [(3, 0), (4, 1)]),
        ("abc sun", "abd sun", [(0, 0), (1, 1)]),  # half alike is alike
        # A part of what comes again, but not the whole of it.
        ("moon key b a b", "a b c", [(3, 0), (4, 1)]),
        ("moon a b", "a b a c", [(1, 0), (2, 1)]),
    ],
)
def test_heard_twice(first: str, second: str, pairs: list[tuple[int, int]]) -> None:
    """The end of the one that is the beginning of the other was heard by both."""
    assert common(first, second, 2.0) == (pairs, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("red boat", "green leaf"),
        ("red boat green", "red leaf apple"),
        ("the red boat green", "the red leaf apple"),
        ("a red sun boat", "red boat leaf"),
        ("red boat ivy", "red boat sun"),
        ("key red boat", "ivy red boat"),
        ("red ivy", "red sun ivy"),
    ],
)
def test_said_twice(first: str, second: str) -> None:
    """Words that are not the end of the one and the beginning of the other cut nothing, and that is said."""
    assert common(first, second, 2.0) == ([], "repeated")


def test_edges_that_are_not_the_chunks_own() -> None:
    """Where only a part of a chunk is compared, what lies beyond the common words says nothing about them."""
    assert common("red boat ivy", "red boat sun", 2.0, is_end=False) == ([(0, 0), (1, 1)], None)
    assert common("key red boat", "ivy red boat", 2.0, is_beginning=False) == ([(1, 1), (2, 2)], None)
    assert common("red boat ivy", "red boat sun", 2.0, is_beginning=False) == ([], "repeated")
    assert common("key red boat", "ivy red boat", 2.0, is_end=False) == ([], "repeated")


def test_how_many_words_an_overlap_should_have() -> None:
    """One word in common is enough of ten; where the overlap should have half a word or more, none is worth a warning."""
    few, more = "bat cow dim elf fig gum hop ink jar", "kid lob mud nap owl pub qat rib tip"
    assert common(f"{few} sun", f"sun {more}", 10.0) == ([(9, 0)], None)
    assert common(f"{few} van sun", f"sun {more} wax", 11.0) == ([], "repeated")
    assert common(f"{few} van sun", "sun leaf", 11.0) == ([(10, 0)], None)  # the fewer count
    assert common("red boat", "green leaf", 0.5) == ([], "repeated")
    assert common("red boat", "green leaf", 0.49) == ([], None)
    assert common("red boat key moth", "green leaf", 0.5) == ([], "repeated")
    assert common("red boat", "green", 0.4) == ([], None)
    assert common("red", "green", 0.1) == ([], None)
    assert common("red", "green", 9.0) == ([], "repeated")  # no longer than it has words


def test_a_part_of_a_word() -> None:
    """Words that are nothing but alike may be different ones, and that is said."""
    (pair,), doubt = in_common(tokens("the ocea"), tokens("ocean and"), 2.0)
    assert [pair.first, pair.second, pair.alike] == [1, 0, pytest.approx(0.92)]
    assert doubt == "missing"
    assert common("the ocea", "the ocean", 2.0) == ([(0, 0), (1, 1)], None)


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("so very very", "very very good", [(1, 0), (2, 1)]),
        ("so very very", "very good", [(2, 0)]),
        ("so very", "very very good", [(1, 0)]),
        ("a b a b", "a b sun", [(2, 0), (3, 1)]),
        ("two five two five", "wo five nine", [(2, 0), (3, 1)]),  # of a word that is cut, the whole
        ("two five two fi", "two five nine", [(2, 0), (3, 1)]),
        ("very sun very", "very very good", [(2, 0)]),
    ],
)
def test_said_more_than_once(first: str, second: str, pairs: list[tuple[int, int]]) -> None:
    """Where words come again running nobody knows which of them both have heard, and that is said."""
    assert common(first, second, 2.0) == (pairs, "again")
    edges = {"is_end": False}, {"is_beginning": False}
    if first != "very sun very":
        assert [common(first, second, 2.0, **edge)[1] for edge in edges] == [None, None]


@pytest.mark.parametrize(
    ("first", "second", "overlap_s", "n"),
    [
        ("a b c " * 10, "a b c " * 10, 3.0, 3),
        ("a b c " * 10, "a b c " * 10, 9.0, 9),
        ("a b c " * 10, "a b c " * 10, 10.0, 9),
        ("a b c " * 10, "a b c " * 10, 11.0, 12),
        ("sun " * 8, "sun " * 8, 3.0, 4),  # one more is cut by an edge
        ("a b c d e " * 2, "a b c d e " * 2, 1.0, 5),  # once at least
        ("sun " * 8, "sun " * 8 + "key ivy", 3.0, 4),
    ],
)
def test_of_what_comes_again_as_much_as_fits(first: str, second: str, overlap_s: float, n: int) -> None:
    """Of words that come again and again the overlap has what is said in its time, whole rounds of them."""
    pairs, doubt = in_common(tokens(first), tokens(second), overlap_s)
    n_first = len(first.split())
    assert pairs == [(n_first - n + i, i, 1.0) for i in range(n)]
    assert doubt == "again"
