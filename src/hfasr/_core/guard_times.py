"""Times that are null, backward, beyond the audio or stuck: how they are told, and filled in from their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hfasr.types import Word

from .guard_pace import COARSE_S, least_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr.types import Segment

__all__ = ["LATEST_S", "Room", "fill", "needs", "room", "sound", "stuck_runs", "words_room"]

STUCK_S = 0.25
"""Speech that needs at least this long and has no length at all is not rounded but stuck, seconds."""

LEAST_S = 0.01
"""What something without text needs, seconds, so that it has a share, too."""

LATEST_S = 1e9
"""No time is later, seconds; above it a `float` no longer tells microseconds apart."""


class Room(NamedTuple):
    """Where the spans of a row can be: segments in their audio, or words in their segment."""

    low: float
    """Earliest start, seconds."""

    top: float
    """Latest time, seconds."""

    left: float
    """Where the first begins, if nothing else tells."""

    close: float | None
    """Where the last ends, if nothing else tells; ``None``: nobody knows."""


def room(duration: float | None) -> Room:
    """Return where the segments of audio of *duration* can be."""
    return Room(0.0, LATEST_S if duration is None else duration, 0.0, duration)


def words_room(start: float, end: float | None, floor: float, top: float) -> Room:
    """
    Return where the words of a segment can be: within `COARSE_S` of it.

    Args:
        start: Of the segment, seconds.

        end: Of the segment, seconds; ``None``: nobody knows.

        floor: Start of the last word before it, seconds.

        top: Latest time of the audio, seconds.
    """
    low = max(floor, start - COARSE_S)
    return Room(low, max(low, min(top, (top if end is None else end) + COARSE_S)), max(low, start), end)


def sound(segments: Sequence[Segment], duration: float | None) -> bool:
    """
    Whether all times are finite, in order, inside the audio of *duration* and not stuck.

    Words are in order across segments, and each within `COARSE_S` of its own. Ends may overlap what follows.
    An end is ``None`` only where it is the last and nothing is there to fill it from.
    """
    whole = room(duration)
    if not _row_is_sound(segments, whole):
        return False
    floor = 0.0
    for segment in segments:
        if segment.words:
            if not _row_is_sound(segment.words, words_room(segment.start, segment.end, floor, whole.top)):
                return False
            floor = segment.words[-1].start
    return True


def _row_is_sound(spans: Sequence[Segment | Word], within: Room) -> bool:
    last, top, left, close = within
    momentary = False
    for span in spans:
        start, end = span.start, span.end
        if not last <= start <= top:
            return False
        if end is None:
            if close is not None or span is not spans[-1]:
                return False
        elif not start <= end <= top:
            return False
        elif start == end:
            momentary = True
        last = start
    if not momentary:
        return True
    return not stuck_runs([s.start for s in spans], [s.end for s in spans], needs(spans), left, close)


def needs(spans: Sequence[Segment | Word]) -> list[float]:
    """Return the least time that each needs to be said, seconds, above 0."""
    return [least_seconds(span.word if isinstance(span, Word) else span.text) or LEAST_S for span in spans]


def stuck_runs(
    starts: Sequence[float], ends: Sequence[float | None], needed: Sequence[float], left: float, close: float | None
) -> list[tuple[int, int, bool]]:
    """
    Find spans in a row that all have one time and no length, too much for that, with room around them.

    Args:
        starts: In order, seconds.

        ends: None before its start.

        needed: See `needs`.

        left: See `Room`.

        close: See `Room`.

    Returns:
        For each run the first, the one after the last, and whether there is room enough behind its time.
    """
    runs = []
    first, n = 0, len(starts)
    while first < n:
        time, behind = starts[first], first + 1
        if ends[first] == time:
            while behind < n and starts[behind] == time == ends[behind]:
                behind += 1
            need = sum(needed[first:behind])
            if need > STUCK_S:
                before = left if not first else min(time, _or(ends[first - 1], starts[first - 1]))
                after = max(time, _or(close, time)) if behind == n else starts[behind]
                if after - before > STUCK_S:
                    runs.append((first, behind, after - time >= need))
        first = behind
    return runs


def _or(time: float | None, other: float) -> float:
    return other if time is None else time


def fill(
    starts: Sequence[float | None], ends: list[float | None], needed: Sequence[float], left: float, close: float | None
) -> list[float]:
    """
    Fill in what is ``None``: starts by spreading them between their neighbours, and *ends*, in place.

    Starts in a row share the time between the end of the one before and the start of the one after, in the
    proportion of what they need. An end becomes the next start.

    Args:
        starts: In order, seconds.

        ends: Seconds; none before its start, and ``None`` where the start is.

        needed: See `needs`.

        left: See `Room`.

        close: See `Room`.

    Returns:
        The starts.
    """
    placed: list[float] = []
    n = len(starts)
    while len(placed) < n:
        first = sharing = len(placed)
        start = starts[first]
        if start is not None:
            placed.append(start)
            continue
        behind = next((i for i in range(first, n) if starts[i] is not None), n)
        after = close if behind == n else starts[behind]
        before = left if behind == n or after is None else min(left, after)
        if first:
            before = placed[-1]
            end = ends[first - 1]
            if end is not None and (after is None or end <= after):
                before = end
            else:
                sharing -= 1
        after = before if after is None else max(before, after)
        total, done = sum(needed[sharing:behind]), sum(needed[sharing:first])
        for i in range(first, behind):
            placed.append(min(after, before + (after - before) * (done / total)))
            done += needed[i]
    for i, start in enumerate(placed):
        if ends[i] is None:
            following = close if i + 1 == n else placed[i + 1]
            ends[i] = None if following is None else max(start, following)
    return placed
