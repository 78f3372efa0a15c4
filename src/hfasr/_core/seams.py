"""Where to go over from one chunk to the next, within what both have heard."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from .align import TIMED, Pair, align
from .untimed import in_common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .remarks import Doubt
    from .tokens import Token

__all__ = ["TIMED_S", "Cut", "cut"]

MAX_TOKENS = 200
"""Longest stretch that is aligned, on either side: the cost is its square. About a minute of speech."""

HALF_WORD = 2.0  # what keeping one counts, in words lost
INSIDE = 0.4  # and cutting a segment whose words have no times: its new end is estimated
TIMED_S = 0.5
"""Up to this slack, seconds, tokens are told apart by their times; it is less than two words."""

MIN_SCORE_TIMED = 0.2


@dataclass(frozen=True, slots=True)
class _Window:
    """What both chunks have heard, seconds, and whether their words have times."""

    start: float
    end: float
    timed: bool

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    @property
    def half(self) -> float:
        return max((self.end - self.start) / 2, 0.05)


@dataclass(frozen=True, slots=True)
class Cut:
    """What to keep of the tail and of the head."""

    tail: int
    """Number of the tail's tokens to keep, from its start."""

    head: int
    """Number of the head's tokens to drop, from its start."""

    doubt: Doubt | None = None
    """What may be wrong with it."""


def cut(
    tail: Sequence[Token],
    head: Sequence[Token],
    start: float,
    end: float,
    *,
    is_border: Callable[[int, int], bool] = lambda _tail, _head: True,
) -> Cut:
    """
    Say where to go over from *tail* to *head*.

    That is at a word which both have, as near to the middle of the overlap as possible, because a chunk hears
    its own edge worst; farther from it where one side lacks words that the other has. Where they have
    nothing in common it is at the middle by their times. Without times both are kept, unless what the one ends with
    is what the other begins with: nothing else tells a word that both have heard from one that was said twice.

    Args:
        tail: All tokens of the earlier chunk that can lie in the overlap.

        head: Those of the later one.

        start: Of the overlap, seconds.

        end: Of the overlap, seconds.

        is_border: Whether so many of the tail and of the head end with a segment on both sides.
    """
    if not tail or not head:
        return Cut(len(tail), 0)
    window = _Window(start, end, all(token.slack <= TIMED_S for token in (*tail, *head)))
    low, high = _around(tail, window.middle)
    lower, higher = _around(head, window.middle)
    some, others = tail[low:high], head[lower:higher]
    doubt: Doubt | None = None
    if window.timed:
        score, pairs = align(some, others, TIMED)
        agreed = score >= MIN_SCORE_TIMED
        pairs = [Pair(low + i, lower + j, alike) for i, j, alike in pairs] if agreed else []
        pairs = _with_same_time(pairs, tail, head, window)
    else:
        common = in_common(some, others, end - start, is_end=high == len(tail), is_beginning=lower == 0)
        if not common.pairs:
            return Cut(len(tail), 0, common.doubt)
        agreed, doubt = True, common.doubt
        pairs = [Pair(low + i, lower + j, alike) for i, j, alike in common.pairs]
    kept, dropped, lost = _at_best(pairs, tail, head, window, is_border)
    return Cut(kept, dropped, doubt or (None if agreed or not lost else "missing"))


def _around(tokens: Sequence[Token], middle: float) -> tuple[int, int]:
    if len(tokens) <= MAX_TOKENS:
        return 0, len(tokens)
    centre = sum(token.middle < middle for token in tokens)
    low = min(max(0, centre - MAX_TOKENS // 2), len(tokens) - MAX_TOKENS)
    return low, low + MAX_TOKENS


def _at_best(
    pairs: Sequence[Pair],
    tail: Sequence[Token],
    head: Sequence[Token],
    window: _Window,
    is_border: Callable[[int, int], bool],
) -> tuple[int, int, bool]:
    columns = list(_columns(pairs, tail, head, in_time=window.timed))
    paired = [at for at, (i, j) in enumerate(columns) if i is not None and j is not None]
    reachable = range(len(columns) + 1) if window.timed else range(paired[0], paired[-1] + 2)
    half_of_tail = half_of_head = None  # where a word is that the edge of its chunk has cut
    for at, (i, j) in enumerate(columns):
        if i is None or j is None or tail[i].normal == head[j].normal:
            continue
        if i == len(tail) - 1 and head[j].normal.startswith(tail[i].normal):
            half_of_tail = at
        if j == 0 and tail[i].normal.endswith(head[j].normal):
            half_of_head = at

    def weight(at: int, token: Token, edge: float, n_to_edge: int) -> float:
        """Return what the loss of a word counts that one side alone has: at its own edge it may be an error."""
        inside = bool(paired) and paired[0] < at < paired[-1]
        if not window.timed:
            return min(1.0, 2 * n_to_edge / (paired[-1] - paired[0])) if inside else 0.0
        return 1.0 if inside else min(1.0, abs(token.middle - edge) / window.half)

    lost_tail = [
        0.0 if i is None or j is not None else weight(at, tail[i], window.end, len(tail) - 1 - i)
        for at, (i, j) in enumerate(columns)
    ]
    lost_head = [
        0.0 if j is None or i is not None else weight(at, head[j], window.start, j) for at, (i, j) in enumerate(columns)
    ]
    times = [_time(i, j, tail, head) for i, j in columns]
    kept = list(accumulate((i is not None for i, _ in columns), initial=0))
    dropped = list(accumulate((j is not None for _, j in columns), initial=0))
    lost_after = list(accumulate(reversed(lost_tail), initial=0.0))[::-1]
    lost_before = list(accumulate(lost_head, initial=0.0))

    def cost(at: int) -> float:
        """Count what is lost, and the way from the middle: by times, else by the tokens between here and the edges."""
        if window.timed:
            late = times[at - 1] - window.middle if at else 0.0
            early = window.middle - times[at] if at < len(columns) else 0.0
            offset = max(late, early, 0.0) / window.half
        else:
            after, since = len(tail) - kept[at], dropped[at]
            offset = abs(since - after) / max(since + after, 1)
            offset += 0.0 if is_border(kept[at], dropped[at]) else INSIDE
        cut_short = (half_of_tail is not None and at > half_of_tail) + (half_of_head is not None and at <= half_of_head)
        return offset + lost_after[at] + lost_before[at] + HALF_WORD * cut_short

    best = min(reachable, key=cost)
    return kept[best], dropped[best], lost_after[best] + lost_before[best] > 0


def _columns(
    pairs: Sequence[Pair], tail: Sequence[Token], head: Sequence[Token], *, in_time: bool
) -> Iterator[tuple[int | None, int | None]]:
    """Return which tokens stand side by side; those that one side alone has in order of time, else the tail's first."""
    i = j = 0
    for first, second in [*((pair.first, pair.second) for pair in pairs), (len(tail), len(head))]:
        while i < first or j < second:
            if j == second or (i < first and (not in_time or tail[i].middle <= head[j].middle)):
                yield i, None
                i += 1
            else:
                yield None, j
                j += 1
        if i < len(tail) and j < len(head):
            yield i, j
            i, j = i + 1, j + 1


def _time(i: int | None, j: int | None, tail: Sequence[Token], head: Sequence[Token]) -> float:
    places = ([] if i is None else [tail[i].middle]) + ([] if j is None else [head[j].middle])
    return sum(places) / len(places)


def _with_same_time(pairs: Sequence[Pair], tail: Sequence[Token], head: Sequence[Token], window: _Window) -> list[Pair]:
    """Add what is heard at the same time before the first pair and after the last, however it is heard."""
    first = pairs[0] if pairs else Pair(len(tail), len(head), 0.0)
    found = list(_at_once(tail, head, (0, 0), (first.first, first.second), window))
    if pairs:
        found += pairs
        found += _at_once(tail, head, (pairs[-1].first + 1, pairs[-1].second + 1), (len(tail), len(head)), window)
    return found


def _at_once(
    tail: Sequence[Token], head: Sequence[Token], low: tuple[int, int], high: tuple[int, int], window: _Window
) -> Iterator[Pair]:
    i, j = low
    while i < high[0] and j < high[1]:
        if _same_sound(tail[i], head[j], window):
            yield Pair(i, j, 0.0)
            i, j = i + 1, j + 1
        elif tail[i].middle <= head[j].middle:
            i += 1
        else:
            j += 1


def _same_sound(one: Token, other: Token, window: _Window) -> bool:
    """Whether more than half of the shorter is at the time of the other, or both fill the overlap."""
    common = min(one.end, other.end) - max(one.start, other.start)
    return common > min(min(one.end - one.start, other.end - other.start) / 2, 0.9 * (window.end - window.start))
