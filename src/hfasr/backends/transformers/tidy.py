"""What holds for the times of every transcript, whatever the model said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfasr.types import Segment, Transcript, Word

__all__ = ["tidy"]

_DECIMALS = 3  # a millisecond: the finest frames are 10 ms


def tidy(transcript: Transcript) -> Transcript:
    """
    Return *transcript* with times that are rounded, lie inside the audio, and do not end before they begin.

    Example:
        >>> from hfasr import Segment, Transcript
        >>> segment = tidy(Transcript("a", (Segment(0.019999999, 42.0, "a"),), duration=3.0)).segments[0]
        >>> segment.start, segment.end
        (0.02, 3.0)
    """
    duration = transcript.duration
    if not transcript.segments or duration is None:
        return transcript
    return replace(transcript, segments=tuple(_segment(segment, duration) for segment in transcript.segments))


def _segment(segment: Segment, duration: float) -> Segment:
    start, end = _span(segment.start, segment.end, duration)
    return replace(segment, start=start, end=end, words=tuple(_word(word, duration) for word in segment.words))


def _word(word: Word, duration: float) -> Word:
    start, end = _span(word.start, word.end, duration)
    return replace(word, start=start, end=end)


def _span(start: float, end: float | None, duration: float) -> tuple[float, float | None]:
    start = _inside(start, duration)
    return start, None if end is None else max(_inside(end, duration), start)


def _inside(time: float, duration: float) -> float:
    # The duration itself is exact: what ends with the audio is not rounded away from it.
    return duration if time >= duration else min(max(round(float(time), _DECIMALS), 0.0), duration)
