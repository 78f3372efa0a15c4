"""Takes the repetitions of a loop out of a transcript: its text, its segments and their words alike."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from .guard_loops import find_loops, is_notable, loop_seconds, may_repeat, tokens_of
from .guard_pace import COARSE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr.types import Segment, Word

    from .guard_loops import Loop, Token

__all__ = ["Collapsed", "collapse"]


class Collapsed(NamedTuple):
    """What is left, and what was found."""

    text: str
    segments: tuple[Segment, ...]

    n_repeats: int
    """Repetitions that were taken out."""

    most_repeats: int
    """The most often that something is said in a row and stays, though it may be a loop; 0: nothing is."""


def collapse(text: str, segments: tuple[Segment, ...], duration: float | None) -> Collapsed:
    """
    Leave one of each loop that nobody can have said in its time.

    What is left of a loop is its first occurrence. Segments and words of which nothing is left go, with their times;
    the others keep theirs. Where text, segments and words do not line up, nothing is taken out.

    Args:
        text: Of the whole audio.

        segments: With times that are in order.

        duration: Of the audio, seconds; ``None``: unknown.
    """
    if not may_repeat(text):
        return Collapsed(text, segments, 0, 0)
    tokens = tokens_of(text)
    loops = find_loops(text, tokens)
    if not loops:
        return Collapsed(text, segments, 0, 0)
    lines = _Lines(tokens, segments)
    gone = bytearray(len(tokens))
    n_repeats = most_repeats = 0
    for loop in loops:
        available = lines.seconds_for(loop, duration)
        if available is not None and loop_seconds(text, tokens, loop) > available and lines.can_follow(loop):
            gone[loop.again : loop.behind] = b"\x01" * (loop.behind - loop.again)
            n_repeats += loop.repeats - 1
        elif is_notable(text, tokens, loop):
            most_repeats = max(most_repeats, loop.repeats)
    if n_repeats:
        text, segments = _without(text, tokens, gone), lines.without(gone)
    return Collapsed(text, segments, n_repeats, most_repeats)


class _Lines:
    """
    How the tokens of a text lie in its segments.

    Args:
        tokens: Of the text.

        segments: With times that are in order.
    """

    def __init__(self, tokens: Sequence[Token], segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._rows = [tokens_of(segment.text) for segment in segments]
        self._offsets = [0, *accumulate(map(len, self._rows))]
        self._line_up = [t.key for t in tokens] == [t.key for row in self._rows for t in row]

    def seconds_for(self, loop: Loop, duration: float | None) -> float | None:
        """Return the most time that there can have been for *loop*, ``None`` where that is not known."""
        if not (self._segments and self._line_up):
            return duration
        first, last = self._segment_of(loop.first), self._segment_of(loop.behind - 1)
        ends = [self._segments[last].end, duration]
        if last + 1 < len(self._segments):
            ends[1] = self._segments[last + 1].start
        known = [end for end in ends if end is not None]
        if not known:
            return None
        seconds = max(known) - self._segments[first].start + COARSE_S
        return seconds if duration is None else min(seconds, duration)

    def can_follow(self, loop: Loop) -> bool:
        """Tell whether segments and words can be cut where the text is."""
        if not self._segments:
            return True
        if not self._line_up:
            return False
        first, last = self._segment_of(loop.again), self._segment_of(loop.behind - 1)
        return all(
            [t.key for t in self._rows[i]] == [t.key for w in self._segments[i].words for t in tokens_of(w.word)]
            for i in {first, last}  # those between go as a whole
            if self._segments[i].words
        )

    def without(self, gone: Sequence[int]) -> tuple[Segment, ...]:
        """Return the segments without the tokens that are *gone*, one flag each."""
        left = []
        for i, segment in enumerate(self._segments):
            mask = gone[self._offsets[i] : self._offsets[i + 1]]
            if not any(mask):
                left.append(segment)
            elif not all(mask):
                words = _words_without(segment.words, mask)
                left.append(replace(segment, text=_without(segment.text, self._rows[i], mask), words=words))
        return tuple(left)

    def _segment_of(self, token: int) -> int:
        return bisect_right(self._offsets, token) - 1


def _words_without(words: Sequence[Word], gone: Sequence[int]) -> tuple[Word, ...]:
    left, at = [], 0
    for word in words:
        tokens = tokens_of(word.word)
        mask = gone[at : at + len(tokens)]
        at += len(tokens)
        if not any(mask):
            left.append(word)
        elif not all(mask):
            left.append(replace(word, word=_without(word.word, tokens, mask)))
    return tuple(left)


def _without(text: str, tokens: Sequence[Token], gone: Sequence[int]) -> str:
    parts, at = [], 0
    for token, is_gone in zip(tokens, gone, strict=True):
        if not is_gone:
            parts.append(text[at : token.end])
        at = token.end
    return "".join([*parts, text[at:]]).strip()
