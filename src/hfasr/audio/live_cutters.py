"""
Where a live stream is cut: at pauses, or at fixed times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .cutting import SEARCH_MAX_S, SEARCH_PART, AtFixedTimes, quietest
from .live_endpoints import Endpoints
from .live_levels import Levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from .cutting import Cutting, Held
    from .live_endpoints import Frame, Margins, Span

__all__ = ["Cutter", "Stretch", "cutter"]

_BEHIND_S = 0.15  # how far a resampler is behind, seconds, and
_BEHIND_FRAMES = 1_000  # frames of what comes in; less was seen of libsoxr at "HQ", from 8 to 96 kHz


@dataclass(frozen=True, slots=True)
class Stretch:
    """What becomes a piece, in samples from the beginning of the stream."""

    start: int
    stop: int
    """May lie a little behind what was resampled so far."""
    spoken_at: float
    """When the end of its speech had come in, on the caller's clock."""
    shared_before: int = 0
    shared_after: int = 0


class Cutter(Protocol):
    """Decides on stretches while samples come in."""

    @property
    def needed(self) -> int:
        """First sample that a later stretch may begin with."""
        ...

    def cut(self, mono: npt.NDArray[np.float32], held: Held, *, now: float, ended: bool) -> Iterator[Stretch]:
        """
        Give the stretches that can be told now.

        Args:
            mono: What has come in, at its own rate, shape ``(n,)``.

            held: The same and what came before, at the wanted rate, as far as it is resampled.

            now: When it had come in, seconds.

            ended: Whether nothing comes after it.
        """
        ...


def cutter(cutting: Cutting, *, given_rate: int, sampling_rate: int, pause_s: float) -> Cutter:
    """
    Return what cuts as *cutting* says; rates in Hz.

    Raises:
        InvalidOptionError: ``"vad"`` was asked for, and the extra is not installed.
    """
    n_longest = cutting.n_longest(sampling_rate)
    if cutting.split == "none":
        return _FixedTimes(n_longest, cutting.n_shared(sampling_rate))
    detector: Detector = Levels(given_rate)
    if cutting.split == "vad":
        from .live_vad import Voices

        detector = Voices(given_rate)
    return _Pauses(detector, given_rate, sampling_rate, n_longest, pause_s)


class Detector(Protocol):
    """Tells speech from pauses, in short frames."""

    frame_s: float
    """Length of a frame, seconds."""

    margins: Margins
    """What is kept around what it calls speech."""

    def __call__(self, mono: npt.NDArray[np.float32], *, ended: bool = False) -> Iterator[Frame]:
        """Take samples of shape ``(n,)``; give the frames that are whole, and in the end what is left, too."""
        ...

    def is_noise(self, scores: Sequence[float]) -> bool:
        """Whether frames with these scores, taken together, are clearly no speech."""
        ...


class _Pauses:
    """Phrases between pauses; one that is too long is cut at its quietest point."""

    def __init__(self, detector: Detector, given_rate: int, sampling_rate: int, n_longest: int, pause_s: float) -> None:
        self._detector = detector
        self._frame_n = detector.frame_s * sampling_rate
        self._rate = sampling_rate
        self._n_longest = n_longest
        self._n_search = min(round(SEARCH_MAX_S * sampling_rate), int(n_longest * SEARCH_PART))
        self._n_behind = round((_BEHIND_S + _BEHIND_FRAMES / given_rate) * sampling_rate)
        self._ends = Endpoints(frame_s=detector.frame_s, pause_s=pause_s, margins=detector.margins)
        self._free = 0  # the sample after the last stretch

    @property
    def needed(self) -> int:
        return self._sample(self._ends.first)

    def cut(self, mono: npt.NDArray[np.float32], held: Held, *, now: float, ended: bool) -> Iterator[Stretch]:
        for frame in self._detector(mono, ended=ended):
            span = self._ends.step(frame, now)
            if span is not None:
                yield from self._stretches(span, self._sample(span.end), held)
            while self._is_too_long(held):
                yield from self._divided(held)
        if ended:
            span = self._ends.finish()
            if span is not None:
                yield from self._stretches(span, min(self._sample(span.end), held.stop), held)

    def _is_too_long(self, held: Held) -> bool:
        if self._ends.start is None:
            return False
        so_far = self._sample(self._ends.n) - self.needed
        return so_far >= self._n_longest + self._n_behind and held.stop - self.needed >= self._n_longest

    def _divided(self, held: Held) -> Iterator[Stretch]:
        """End the phrase where it is quiet; what comes after that is one of its own."""
        at = self._quiet_point(held, self.needed)
        frame = max(int(at / self._frame_n), self._ends.first + 1)
        span = self._ends.cut(frame)
        if span is not None:
            yield from self._stretches(span, at if span.end == frame else self._sample(span.end), held)

    def _stretches(self, span: Span, stop: int, held: Held) -> Iterator[Stretch]:
        start = max(self._sample(span.start), self._free)
        self._free = stop
        if self._detector.is_noise(span.scores):
            return
        while stop - start > self._n_longest:  # by no more than the resampler was waited for
            at = self._quiet_point(held, start)
            yield Stretch(start, at, span.spoken_at)
            start = at
        if stop > start:
            yield Stretch(start, stop, span.spoken_at)

    def _quiet_point(self, held: Held, start: int) -> int:
        n_samples = min(self._n_longest, held.stop - start)
        samples = held.copy(start, start + n_samples)
        return start + quietest(samples, self._rate, self._n_longest - self._n_search, n_samples)

    def _sample(self, frame: int) -> int:
        return max(round(frame * self._frame_n), self._free)


class _FixedTimes:
    """Windows, of which nobody asks what is in them."""

    def __init__(self, n_longest: int, n_shared: int) -> None:
        self._cuts = AtFixedTimes(n_longest, n_shared)
        self._n_shared = n_shared

    @property
    def needed(self) -> int:
        return self._cuts.needed

    def cut(
        self,
        mono: npt.NDArray[np.float32],  # noqa: ARG002  # the protocol's
        held: Held,
        *,
        now: float,
        ended: bool,
    ) -> Iterator[Stretch]:
        for start, stop in self._cuts.spans(held, ended=ended):
            yield Stretch(
                start,
                stop,
                now,
                shared_before=self._n_shared if start else 0,
                shared_after=0 if ended and stop == held.stop else self._n_shared,
            )
