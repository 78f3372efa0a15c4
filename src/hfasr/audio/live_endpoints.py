"""
Where phrases begin and end, decided frame by frame while they come in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

__all__ = ["Endpoints", "Frame", "Margins", "Span"]

HELD_S = 1.0
"""
How far back an onset may be found, seconds. A stream that begins within a word has no known floor: only
the first gap shows that it was speech.
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known of a short time when it has come in."""

    score: float
    """How much like speech it is, with the frames before it."""

    own: float
    """The same, where the frame itself has it, too; so that the end of speech is told without a delay."""

    on: float
    """A score above this one begins a phrase."""

    off: float
    """A score above this one goes on with it."""


@dataclass(frozen=True, slots=True)
class Margins:
    """How sure a detector is of where speech begins and ends."""

    before_s: float
    """What is kept before an onset, seconds."""

    after_s: float
    """What is kept after the last sound, seconds, or the whole pause where that is shorter."""

    least_s: float
    """How long sound must be, taken together, seconds; what is shorter is a click, and no syllable."""


@dataclass(frozen=True, slots=True)
class Span:
    """A phrase, in frames from the beginning of the stream."""

    start: int
    end: int
    spoken_at: float
    """When the last frame with speech had come in, on the caller's clock."""
    scores: list[float] = field(repr=False)
    """Of its frames."""


class Endpoints:
    """
    Follows the frames of a stream.

    Args:
        frame_s: Length of a frame, seconds.

        pause_s: What ends a phrase, seconds without speech.

        margins: What is kept around it.
    """

    def __init__(self, *, frame_s: float, pause_s: float, margins: Margins) -> None:
        self._before = round(margins.before_s / frame_s)
        self._pause = max(2, int(pause_s / frame_s + 1e-6))
        self._after = max(1, min(round(margins.after_s / frame_s), self._pause - 1))
        self._n_held = round(HELD_S / frame_s)
        self._least = max(1, round(margins.least_s / frame_s))
        self._held: deque[tuple[Frame, float]] = deque()  # each with the time at which it came in
        self._on = float("inf")
        self._last = self._n_sounding = 0
        self.first = 0
        """The earliest frame that a phrase may yet begin with."""
        self.start: int | None = None
        """The frame with which the phrase began that goes on; ``None`` in a pause."""

    @property
    def n(self) -> int:
        """Frames that came in."""
        return self.first + len(self._held)

    def step(self, frame: Frame, now: float) -> Span | None:
        """Take the next frame; return the phrase that has ended with it."""
        at = self.n
        self._held.append((frame, now))
        if self.start is None:
            self._look_for_onset(frame, at)
            if self.start is None:
                self._forget_before(at + 1 - self._n_held)
        elif frame.own > frame.off:
            self._last = at
            self._n_sounding += 1
        elif at + 1 - self._last >= self._pause:  # most of the frame with the last sound may be a part of the pause
            return self._end(self._last + 1 + self._after)
        return None

    def cut(self, at: int) -> Span | None:
        """End the phrase at the frame *at*, as it gets too long; speech after that begins the next one there."""
        if self._last < at:  # a pause has begun
            return self._end(min(at, self._last + 1 + self._after))
        off = self._held[-1][0].off
        self._last = at - 1
        span = self._end(at)
        self._begin(at, at, off)
        return span

    def finish(self) -> Span | None:
        """Return the phrase that ends with the stream."""
        return None if self.start is None else self._end(min(self.n, self._last + 1 + self._after))

    def _look_for_onset(self, frame: Frame, at: int) -> None:
        fell, self._on = frame.on < self._on, frame.on
        if frame.score > frame.on:
            self._begin(max(self.first, at - self._before), at, frame.off)
        elif fell:  # what was taken for noise may have been speech
            onset = next((i for i, (held, _) in enumerate(self._held) if held.score > frame.on), None)
            if onset is not None:
                self._begin(self.first + max(0, onset - self._before), self.first + onset, frame.off)

    def _begin(self, start: int, onset: int, off: float) -> None:
        self._forget_before(start)
        self.start = start
        sounding = [start + i for i, (frame, _) in enumerate(self._held) if frame.own > off]
        self._last = max(onset, *sounding[-1:])
        self._n_sounding = len(sounding)

    def _end(self, end: int) -> Span | None:
        assert self.start is not None
        start, self.start = self.start, None
        spoken_at = self._held[max(0, self._last - start)][1]
        scores = [frame.score for frame, _ in islice(self._held, end - start)]
        enough = self._n_sounding >= self._least
        self._forget_before(end)
        return Span(start, end, spoken_at, scores) if enough else None

    def _forget_before(self, at: int) -> None:
        while self.first < at and self._held:
            self._held.popleft()
            self.first += 1
