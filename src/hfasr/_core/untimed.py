"""What the end of one text and the beginning of the next have in common, where nothing tells when a word was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .align import UNTIMED, Pair, align

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .remarks import Doubt
    from .tokens import Token

__all__ = ["Common", "in_common"]

MIN_SCORE = 0.45
MIN_SCORE_ODD = 2.0
"""
Where a side has a word among them that the other lacks: were they said twice, that one would be lost. So many words
more must agree than without it.
"""

MIN_LIKE = 0.5  # what is less like another word is a different one
MIN_SHARE = 0.1  # of the words that the overlap should have
MIN_EXPECTED = 0.5  # words: with fewer it is no wonder that the overlap has none


class Common(NamedTuple):
    """What both have, and what may be wrong with it."""

    pairs: list[Pair]
    """Words that stand for each other; none: nothing may be cut."""

    doubt: Doubt | None
    """What may be wrong with a seam at these."""


def in_common(
    tail: Sequence[Token], head: Sequence[Token], overlap_s: float, *, is_end: bool = True, is_beginning: bool = True
) -> Common:
    """
    Say which words of *tail* and of *head* were heard twice, rather than said twice.

    Two words that are the same tell little: a word comes again, and in an overlap there may be silence. Where
    both have heard it, all that follows in the tail is in the head, and all that precedes in the head is in the
    tail. So it is the tail's end that must be the head's beginning. Words that differ are taken for errors only where
    many others agree.

    Args:
        tail: Tokens of the earlier chunk that can lie in the overlap, one or more.

        head: Those of the later one, one or more.

        overlap_s: How long it is, seconds.

        is_end: Whether *tail* goes to the end of its chunk.

        is_beginning: Whether *head* begins with its chunk.
    """
    expected, most = sorted((_expected(tail, overlap_s), _expected(head, overlap_s)))
    score, pairs = align(tail, head, UNTIMED)
    has_any = bool(pairs)
    is_odd = has_any and _is_odd(pairs, tail if is_end else (), head if is_beginning else ())
    if is_odd:
        same = _end_and_beginning(tail, head)
        if score < len(same) + MIN_SCORE_ODD:
            pairs, score, is_odd = same, float(len(same)), False
    if not pairs or score < max(MIN_SCORE, MIN_SHARE * expected):
        return Common([], "repeated" if has_any or expected >= MIN_EXPECTED else None)
    if all(pair.alike < 1 for pair in pairs):
        return Common(pairs, "missing")
    if is_odd or not (is_end and is_beginning) or not (period := _period(pairs, tail, head)):
        return Common(pairs, None)
    n = len(pairs)
    while n > most + 1 and n > period:  # one more is cut by an edge
        n -= period
    return Common(_ends(tail, n), "again")


def _expected(tokens: Sequence[Token], overlap_s: float) -> float:
    """Return how many of *tokens* the overlap has if they are said evenly."""
    return len(tokens) * overlap_s / max(tokens[-1].end - tokens[0].start, overlap_s)


def _is_odd(pairs: Sequence[Pair], tail: Sequence[Token], head: Sequence[Token]) -> bool:
    """Whether a word of the common stretch is on one side alone, or is not like the other's."""
    first, last = pairs[0], pairs[-1]
    n_pairs = len(pairs)
    inside = n_pairs < last.first - first.first + 1 or n_pairs < last.second - first.second + 1
    at_edges = (tail and last.first < len(tail) - 1) or (head and first.second > 0)
    return bool(inside or at_edges or any(pair.alike < MIN_LIKE for pair in pairs))


def _end_and_beginning(tail: Sequence[Token], head: Sequence[Token]) -> list[Pair]:
    """Return the most words that *tail* ends and *head* begins with."""
    ending, beginning = [token.normal for token in tail], [token.normal for token in head]
    for n in range(min(len(tail), len(head)), 0, -1):
        if ending[-n:] == beginning[:n]:
            return _ends(tail, n)
    return []


def _ends(tail: Sequence[Token], n: int) -> list[Pair]:
    return [Pair(len(tail) - n + i, i, 1.0) for i in range(n)]


def _period(pairs: Sequence[Pair], tail: Sequence[Token], head: Sequence[Token]) -> int:
    """Return after how many words those in common are said again, so that nobody knows which is which; else 0."""
    first, n = pairs[0].first, len(pairs)
    both = [max(tail[i].normal, head[j].normal, key=len) for i, j, _ in pairs]  # of a word that is cut, the whole
    words = [*(token.normal for token in tail[:first]), *both, *(token.normal for token in head[n:])]
    for period in range(1, n + 1):
        low, high = first, first + n
        if any(words[at] != words[at - period] for at in range(low + period, high)):
            continue
        while low and words[low - 1] == words[low - 1 + period]:
            low -= 1
        while high < len(words) and words[high] == words[high - period]:
            high += 1
        if high - low >= 2 * period:
            return period
    return 0
