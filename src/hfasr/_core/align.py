"""What two hearings of the same stretch of speech have in common, word by word."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .tokens import Token

__all__ = ["Pair", "align"]

# A pair that agrees counts 1. The others were set by trial on sentences whose words, at random, were changed,
# left out and cut.
MIN_LIKENESS = 0.2  # what is less scores as a substitution
NOT_EQUAL = 0.95  # the most that two different words may be alike

_START, _PAIR, _FIRST_ONLY, _SECOND_ONLY = range(4)


class Costs(NamedTuple):
    """What differences count, in pairs that agree."""

    gap: float
    """A token that one side lacks."""

    substitution: float
    """Two that have nothing in common; less than two gaps."""

    edge: float
    """One at the edge of its own chunk, outside of what both have."""

    apart_s: float
    """Words this far apart, seconds, that are the same count no more than nothing."""

    by_time: bool
    """Whether two words that differ must be at the same time to stand for each other."""


TIMED = Costs(gap=0.3, substitution=0.2, edge=0.05, apart_s=0.3, by_time=True)
"""Where times say which words belong together: at 200 words a minute one takes 0.3 s."""

UNTIMED = Costs(gap=0.5, substitution=0.4, edge=0.25, apart_s=math.inf, by_time=False)
"""Where nothing but the words and their order does."""


class Pair(NamedTuple):
    """Two tokens that stand for each other."""

    first: int
    """Index of the one."""

    second: int
    """Index of the other."""

    alike: float
    """From 0, nothing in common, to 1, the same."""


def align(first: Sequence[Token], second: Sequence[Token], costs: Costs) -> tuple[float, list[Pair]]:
    """
    Align the tail of one chunk with the head of the next.

    What *first* has before the common stretch and *second* after it costs nothing. What *first* has
    after it and *second* before it costs a little: both heard that, but each at its own edge,
    where words are cut. Between, words may be substituted or missing.

    Args:
        first: The tail.

        second: The head.

        costs: What differences count.

    Returns:
        The score, about the number of words in common less what differs, and the pairs in order;
        0 and none where the two have nothing in common.

    Source:
        Needleman and Wunsch, *A general method applicable to the search for similarities in the amino
        acid sequence of two proteins*, J. Mol. Biol. 48, 1970; with free ends as in the overlap alignment of Gusfield,
        *Algorithms on Strings, Trees, and Sequences*, 1997, section 11.6.4.
    """
    n, m = len(first), len(second)
    gap, edge = costs.gap, costs.edge
    grams = [_grams(token.normal) for token in second]
    found: dict[str, list[int]] = defaultdict(list)
    for j, some in enumerate(grams):
        for gram in some:
            found[gram].append(j)
    floors = [-edge * j for j in range(m + 1)]
    previous = floors
    moves = [bytearray(m + 1)]
    alike: list[dict[int, float]] = [{}]
    seen: dict[str, dict[int, float]] = {}
    best, end = 0.0, (0, 0)
    for i, token in enumerate(first, 1):
        likes = None if i == n else seen.get(token.normal)
        if likes is None:
            likes = seen[token.normal] = _alike(token.normal, second, grams, found, last=i == n)
        scores = [-costs.substitution] * m
        if costs.by_time:
            scores = [-costs.substitution - _apart(token, other) / costs.apart_s for other in second]
        after = edge * (n - i)
        for j, likeness in likes.items():
            scores[j] = score = max(scores[j], 2 * likeness - 1 - _apart(token, second[j]) / costs.apart_s)
            if score > 0 and 0 < (ended := previous[j] + score - after) >= best:
                best, end = ended, (i, j + 1)
        left, row, steps = 0.0, [0.0], bytearray(1)
        for before, above, score, floor in zip(previous, previous[1:], scores, floors[1:], strict=False):
            value, step = floor, _START
            if before + score >= value:
                value, step = before + score, _PAIR
            if above - gap > value:
                value, step = above - gap, _FIRST_ONLY
            if left - gap > value:
                value, step = left - gap, _SECOND_ONLY
            left = value
            row.append(value)
            steps.append(step)
        previous = row
        moves.append(steps)
        alike.append(likes)
    return best, _trace(moves, alike, *end)


def _trace(moves: Sequence[bytearray], alike: Sequence[dict[int, float]], i: int, j: int) -> list[Pair]:
    pairs = []
    if i:  # the last is a pair, whatever the best way to its place is
        pairs.append(Pair(i - 1, j - 1, alike[i].get(j - 1, 0.0)))
        i, j = i - 1, j - 1
    while i and j and (move := moves[i][j]) != _START:
        if move == _PAIR:
            pairs.append(Pair(i - 1, j - 1, alike[i].get(j - 1, 0.0)))
        i -= move != _SECOND_ONLY
        j -= move != _FIRST_ONLY
    return pairs[::-1]


def _alike(
    word: str, second: Sequence[Token], grams: Sequence[set[str]], found: dict[str, list[int]], *, last: bool
) -> dict[int, float]:
    """
    Return how alike *word* is to each of *second* that it has more than chance in common with.

    Source:
        The share of common pairs of letters: Dice, *Measures of the amount of ecologic association between species*,
        Ecology 26, 1945; of words, Adamson and Boreham, Information Storage and Retrieval 10, 1974.
    """
    own = _grams(word)
    likes = {}
    for j, n_common in Counter(chain.from_iterable(found.get(gram, ()) for gram in own)).items():
        other = second[j].normal
        if other == word:
            likes[j] = 1.0
            continue
        likeness = min(NOT_EQUAL, 2 * n_common / (len(own) + len(grams[j])))
        if last and other.startswith(word):
            likeness = max(likeness, _half(word, other))
        if j == 0 and word.endswith(other):
            likeness = max(likeness, _half(other, word))
        if likeness > MIN_LIKENESS:
            likes[j] = likeness
    return likes


def _half(part: str, whole: str) -> float:
    """Return how likely a word at a chunk's edge is what was heard of *whole*: the longer the likelier."""
    return min(NOT_EQUAL, 0.6 + 0.4 * len(part) / len(whole))


def _grams(word: str) -> set[str]:
    return {a + b for a, b in zip(f"\0{word}", f"{word}\0", strict=True)}


def _apart(one: Token, other: Token) -> float:
    """Return the seconds between two tokens, by the nearer of both ends: of a word that is cut the other is wrong."""
    return min(abs(one.start - other.start), abs(one.end - other.end))
