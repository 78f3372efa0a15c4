"""
Mends times that are not sound.

A repair is done again, and at last by force, until `sound` holds. So what was mended once is left as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .guard_pace import COARSE_S
from .guard_times import LATEST_S, fill, needs, room, sound, stuck_runs, words_room

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hfasr.types import Segment, Word

    from .guard_times import Room

__all__ = ["mended", "n_moved"]

S = TypeVar("S", "Segment", "Word")

ROUNDING_S = 0.0205
"""
What is off by no more is only rounded, seconds: one step of Whisper's times, 0.02 s (arXiv:2212.04356, section 2.3),
and what a `float` adds to it.
"""

WINDOW_S = 30.0
"""What Whisper hears at once, seconds (arXiv:2212.04356, section 2.2)."""

FIRST_TIME_S = 1.0
"""The latest first time of a window, seconds (arXiv:2212.04356, section 4.5)."""

TRIES = 3


def mended(segments: tuple[Segment, ...], duration: float | None) -> tuple[Segment, ...]:
    """
    Return *segments* with times that are `sound`.

    Times that begin again at zero with each window of Whisper's go on from the end of the one before. Else as many
    starts as can be are kept; the others, and what is stuck at one time, are spread between their neighbours.

    Args:
        segments: In the order in which they were said.

        duration: Of the audio, seconds, 0 or more; ``None``: unknown.
    """
    segments = _unwound(segments, duration) or segments
    for _ in range(TRIES):
        segments = _mend(segments, duration)
        if sound(segments, duration):
            return segments
    return _spread(segments, duration)


def n_moved(before: Sequence[Segment], after: Sequence[Segment], duration: float | None) -> tuple[int, int]:
    """
    Count the segments and the words whose times differ by more than rounding.

    An end that only the last has not, or that lies less than `COARSE_S` beyond the audio, is no fault: models and
    servers often give such.
    """
    segments = words = 0
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        segments += _has_moved(old, new, duration, is_last=i + 1 == len(before))
        for k, (old_word, new_word) in enumerate(zip(old.words, new.words, strict=True)):
            words += _has_moved(old_word, new_word, duration, is_last=k + 1 == len(old.words))
    return segments, words


def _has_moved(old: Segment | Word, new: Segment | Word, duration: float | None, *, is_last: bool) -> bool:
    if not abs(new.start - old.start) <= ROUNDING_S:  # also where it was no number
        return True
    if old.end is None or new.end is None:
        return old.end is not new.end and not (old.end is None and is_last)
    overrun = duration is not None and new.end == duration and 0 <= old.end - duration <= COARSE_S
    return not overrun and not abs(new.end - old.end) <= ROUNDING_S


def _mend(segments: Sequence[Segment], duration: float | None) -> tuple[Segment, ...]:
    whole = room(duration)
    done: list[Segment] = []
    floor = 0.0
    for segment, start, end in _mended_row(segments, whole):
        words = segment.words
        if words:
            within = words_room(start, end, floor, whole.top)
            words = tuple(replace(word, start=s, end=e) for word, s, e in _mended_row(words, within))
            floor = words[-1].start
        done.append(replace(segment, start=start, end=end, words=words))
    return tuple(done)


def _mended_row(spans: Sequence[S], within: Room) -> Iterator[tuple[S, float, float | None]]:
    needed = needs(spans)
    starts = [_clamped(span.start, within.low, within.top) for span in spans]
    for i in range(1, len(spans)):
        before, start = starts[i - 1], starts[i]
        if before is not None and start is not None and 0 < before - start <= ROUNDING_S:
            starts[i] = before
    starts = longest_in_order(starts)
    ends = [_end(span.end, start, within.top) for span, start in zip(spans, starts, strict=True)]
    placed: list[float] = fill(starts, ends, needed, within.left, within.close)
    runs = stuck_runs(placed, ends, needed, within.left, within.close)
    if runs:
        known: list[float | None] = [*placed]
        for first, behind, has_room_behind in runs:
            ends[first:behind] = [None] * (behind - first)
            for i in range(first + has_room_behind, behind):
                known[i] = None
        placed = fill(known, ends, needed, within.left, within.close)
    yield from zip(spans, placed, ends, strict=True)


def _clamped(time: float, low: float, top: float) -> float | None:
    if not low - COARSE_S <= time <= top + COARSE_S:  # also where it is no number
        return None
    return min(max(time, low), top)


def _end(end: float | None, start: float | None, top: float) -> float | None:
    if end is None or start is None or not start - ROUNDING_S <= end <= top + COARSE_S:
        return None
    return min(max(end, start), top)


def longest_in_order(times: Sequence[float | None]) -> list[float | None]:
    """
    Return *times* with as few as possible taken out, so that the others never go back.

    Source:
        Schensted, *Longest increasing and decreasing subsequences*, Canadian Journal of Mathematics 13, 1961.

    Example:
        >>> longest_in_order([0.0, 4.0, 9.0, 76.7, 8.1, None, 8.2])
        [0.0, 4.0, None, None, 8.1, None, 8.2]
    """
    tails: list[float] = []  # the least last time of a row of each length
    last: list[int] = []  # and where it is
    before: dict[int, int] = {}
    for i, time in enumerate(times):
        if time is None:
            continue
        length = bisect_right(tails, time)
        if length:
            before[i] = last[length - 1]
        if length == len(tails):
            tails.append(time)
            last.append(i)
        else:
            tails[length], last[length] = time, i
    kept: list[float | None] = [None] * len(times)
    at = last[-1] if last else None
    while at is not None:
        kept[at] = times[at]
        at = before.get(at)
    return kept


def _unwound(segments: Sequence[Segment], duration: float | None) -> tuple[Segment, ...] | None:
    """
    Return *segments* with the windows one after the other, ``None`` where it is not plain that they begin again.

    Source:
        Whisper's next window begins at the last time of the one before: arXiv:2212.04356, section 3.8.
    """
    if duration is None or duration <= WINDOW_S:
        return None
    done: list[Segment] = []
    offset = window = last = 0.0
    for segment in segments:
        start, end = segment.start, segment.end
        if end is None or not 0.0 <= start <= end <= WINDOW_S + ROUNDING_S:
            return None
        if start < last - ROUNDING_S:
            if start > FIRST_TIME_S or window < WINDOW_S / 2:
                return None
            offset, window = offset + window, 0.0
        window, last = max(window, end), start
        done.append(_later(segment, offset))
    return tuple(done) if offset and offset + window <= duration + COARSE_S else None


def _later(segment: Segment, seconds: float) -> Segment:
    def later(end: float | None) -> float | None:
        return None if end is None else end + seconds

    words = tuple(replace(word, start=word.start + seconds, end=later(word.end)) for word in segment.words)
    return replace(segment, start=segment.start + seconds, end=later(segment.end), words=words)


def _spread(segments: Sequence[Segment], duration: float | None) -> tuple[Segment, ...]:
    """Return *segments* and their words one after the other over the whole audio, whatever their times were."""
    if duration is None:
        times = [time for s in segments for time in (s.start, s.end) if time is not None and 0.0 <= time <= LATEST_S]
        duration = max(times, default=0.0)
    done = []
    for segment, start, end in _spread_row(segments, 0.0, duration):
        words = _spread_row(segment.words, start, end) if segment.words else ()
        done.append(
            replace(segment, start=start, end=end, words=tuple(replace(w, start=s, end=e) for w, s, e in words))
        )
    return tuple(done)


def _spread_row(spans: Sequence[S], left: float, close: float | None) -> Iterator[tuple[S, float, float | None]]:
    ends: list[float | None] = [None] * len(spans)
    starts = fill([None] * len(spans), ends, needs(spans), left, close)
    return zip(spans, starts, ends, strict=True)
