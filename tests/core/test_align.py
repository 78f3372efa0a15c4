"""What two hearings have in common, word by word: the score and the pairs."""

from __future__ import annotations

import pytest

from hfasr._core.align import TIMED, UNTIMED, Pair, align
from hfasr._core.tokens import Token


def tokens(text: str, *starts: float, lasts: float = 0.2) -> list[Token]:
    """Return the words of *text*, one a second unless they start at *starts*."""
    words = text.split()
    return [
        Token(word, start, start + lasts, 0.0, 0, 0)
        for word, start in zip(words, starts or map(float, range(len(words))), strict=True)
    ]


@pytest.mark.parametrize(
    ("first", "second", "score", "pairs"),
    [
        ("red boat sun", "red boat sun", 3.0, [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0)]),
        ("moon red boat", "red boat leaf", 2.0, [(1, 0, 1.0), (2, 1, 1.0)]),  # what each has alone costs nothing
        ("red boat", "sun leaf", 0.0, []),
        ("red", "red", 1.0, [(0, 0, 1.0)]),
        ("red boat sun", "red sun", 1.5, [(0, 0, 1.0), (2, 1, 1.0)]),
        ("red sun", "red boat sun", 1.5, [(0, 0, 1.0), (1, 2, 1.0)]),
        ("red boat sun", "red ivy sun", 1.6, [(0, 0, 1.0), (1, 1, 0.0), (2, 2, 1.0)]),
        ("red boat ivy", "red boat", 1.75, [(0, 0, 1.0), (1, 1, 1.0)]),  # at the edge of its own chunk
        ("red boat ivy key", "red boat", 1.5, [(0, 0, 1.0), (1, 1, 1.0)]),
        ("red boat", "ivy red boat", 1.75, [(0, 1, 1.0), (1, 2, 1.0)]),
        ("red boat", "ivy key red boat", 1.5, [(0, 2, 1.0), (1, 3, 1.0)]),
        ("red ivy key", "lamp red", 0.25, [(0, 1, 1.0)]),
        ("red ivy key moth", "lamp red", 0.0, []),  # costs as much as it is worth
        ("red sun red", "red", 1.0, [(2, 0, 1.0)]),  # the nearest to the edge
        ("red", "red sun red", 1.0, [(0, 0, 1.0)]),
        ("red sun red sun", "red sun red sun", 4.0, [(i, i, 1.0) for i in range(4)]),
        ("moon red boat", "ivy red boat", 1.75, [(1, 1, 1.0), (2, 2, 1.0)]),
        ("red boat elf gum hop ink jar sun", "red boat sun", 0.5, [(7, 2, 1.0)]),  # as much as the first two: the last
        ("red ivy key sun", "red sun", 1.0, [(0, 0, 1.0), (3, 1, 1.0)]),
    ],
)
def test_untimed(first: str, second: str, score: float, pairs: list[tuple[int, int, float]]) -> None:
    """Without times words and their order decide; what differs between costs more than what differs at the edges."""
    got, found = align(tokens(first), tokens(second), UNTIMED)
    assert got == pytest.approx(score)
    assert found == [Pair(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("first", "second", "score", "pairs"),
    [
        (tokens("red boat sun"), tokens("red boat sun"), 3.0, [(0, 0), (1, 1), (2, 2)]),
        (tokens("red boat sun"), tokens("red sun", 0.0, 2.0), 1.7, [(0, 0), (2, 1)]),
        (tokens("red sun", 0.0, 2.0), tokens("red boat sun"), 1.7, [(0, 0), (1, 2)]),
        (tokens("red boat sun"), tokens("red ivy sun"), 1.8, [(0, 0), (1, 1), (2, 2)]),
        # Half as far apart as would count as nothing.
        (tokens("red boat sun"), tokens("red ivy sun", 0.0, 1.075, 2.0), 1.55, [(0, 0), (1, 1), (2, 2)]),
        (tokens("red boat sun"), tokens("red ivy sun", 0.0, 1.3, 2.0), 1.4, [(0, 0), (2, 2)]),
        (tokens("red boat ivy"), tokens("red boat"), 1.95, [(0, 0), (1, 1)]),
        (tokens("red boat", 1.0, 2.0), tokens("ivy red boat"), 1.95, [(0, 1), (1, 2)]),
        (tokens("red"), tokens("red", 0.15), 0.5, [(0, 0)]),
        (tokens("red", 0.15), tokens("red"), 0.5, [(0, 0)]),
        (tokens("red"), tokens("red", 0.3), 0.0, []),
        # By the nearer of both ends, since of a word that is cut the other is wrong.
        (tokens("red", 0.0, lasts=0.2), tokens("red", 0.1, lasts=0.13), 0.9, [(0, 0)]),
        (tokens("red", 5.0, lasts=0.2), tokens("red", 5.03, lasts=0.9), 0.9, [(0, 0)]),
    ],
)
def test_timed(first: list[Token], second: list[Token], score: float, pairs: list[tuple[int, int]]) -> None:
    """With times words count less the farther apart they are, and differences cost less."""
    got, found = align(first, second, TIMED)
    assert got == pytest.approx(score)
    assert [(pair.first, pair.second) for pair in found] == pairs


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("sun colour key", "sun color key", 10 / 13),  # the share of pairs of letters, with those at both ends
        ("sun abcd key", "sun axyz key", 0.0),  # a fifth is chance
        ("sun abc key", "sun axyz key", 2 / 9),
        ("sun ocea key", "sun ocean key", 8 / 11),  # not at the edge
        ("sun ocean key", "sun cean key", 8 / 11),
        ("sun aaaaaaaaaaaa key", "sun aaaaaaaaaaa key", 0.95),  # no two different words are the same
    ],
)
def test_how_alike_words_are(first: str, second: str, alike: float) -> None:
    """Words that differ are alike by the letters that follow each other in both, never wholly."""
    score, pairs = align(tokens(first), tokens(second), UNTIMED)
    assert [pairs[1].first, pairs[1].second, pairs[1].alike] == [1, 1, pytest.approx(alike)]
    assert score == pytest.approx(2 + max(-0.4, 2 * alike - 1))


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("ocea", "ocean", 0.92),
        ("ocean", "cean", 0.92),
        ("o", "ocean", 0.68),
        ("ocean", "n", 0.68),
        ("abcdefghi", "abcdefghij", 0.95),
        ("abcdefg", "abcdefgh", 0.95),
    ],
)
def test_words_that_an_edge_has_cut(first: str, second: str, alike: float) -> None:
    """The last word may be the beginning of the other, and the first its end: the longer, the likelier."""
    score, (pair,) = align(tokens(first), tokens(second), UNTIMED)
    assert score == pytest.approx(2 * alike - 1)
    assert [pair.first, pair.second, pair.alike] == [0, 0, pytest.approx(alike)]


@pytest.mark.parametrize(("first", "second"), [("cean", "ocean"), ("ocean", "ocea")])
def test_other_ends_are_not_cut(first: str, second: str) -> None:
    """The last word is not the other's end, nor the first the other's beginning: no edge is there."""
    ((_, _, alike),) = align(tokens(first), tokens(second), UNTIMED)[1]
    assert alike == pytest.approx(8 / 11)


def test_the_same_word_twice_is_looked_up_once_but_at_the_edge() -> None:
    """A word that comes again and is cut the last time is compared as a cut one there, and only there."""
    score, pairs = align(tokens("oce sun oce"), tokens("oce sun ocean"), UNTIMED)
    assert [pair.alike for pair in pairs] == pytest.approx([1.0, 1.0, 0.84])
    assert score == pytest.approx(2.68)
