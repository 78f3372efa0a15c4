"""
Where to cut long audio: at quiet points, or at fixed times. Decided while it comes in, on what is held of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, get_args

import numpy as np

from hfasr.types import Split

from .normalize import SILENT_PEAK, WILD_PEAK, loudest

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["AtFixedTimes", "AtQuietPoints", "Cuts", "Cutting", "Held", "Span", "quietest"]

Span: TypeAlias = tuple[int, int]
"""First sample, and the one after the last."""

SEARCH_PART = 1 / 3
"""The part of a piece, at its end, in which a quiet point is looked for: pieces stay two thirds full at least."""

SEARCH_MAX_S = 10.0
"""
At most so many seconds of it. Speakers pause for breath every few seconds, so there is a pause in them; more would
make pieces shorter than they may be, and so more of them.
"""

TINY_S = 1.0
"""A last piece is no shorter, where that can be had: a word alone is hard to recognise, and costs a request."""

FRAME_S = 0.01
"""Energy is taken of so many seconds each."""

SMOOTHED_FRAMES = 9
"""
And is the mean of so many frames: 90 ms. The stop inside a word ("happy") is quiet for less as a rule, the shortest
pause between words for about as long.
"""

ALIKE = 2.0
"""What is within 3 dB of the quietest is as quiet: the noise of a pause wavers so much."""

FAR_BELOW = 1e-6
"""What is 60 dB below the loudest is silence, however quiet: decoders and resamplers ring so much."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """
    How to cut.

    Example:
        >>> Cutting(30.0).n_longest(16_000)
        480000
    """

    longest_s: float
    """Longest piece, seconds, above 0: no piece has more samples than ``longest_s * rate``, rounded down."""

    split: Split = "silence"
    """Where to cut; see `Split`."""

    stride_s: float = 0.0
    """With ``"none"``: seconds that a piece shares with each of its neighbours, 0 or more, under half a piece."""

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise ValueError(f"split must be one of {', '.join(get_args(Split))}, not {str(self.split)[:50]!r}")
        if not 0 < self.longest_s < math.inf:
            raise ValueError(f"longest_s must be seconds, above 0, not {self.longest_s!r}")
        if self.stride_s and self.split != "none":
            raise ValueError('stride_s goes with split="none"; other cuts need no overlap')
        if not 0 <= 2 * self.stride_s < self.longest_s:
            raise ValueError(f"stride_s ({self.stride_s}) must be 0 or more, and under half of {self.longest_s}")

    def n_longest(self, sampling_rate: int) -> int:
        """Return the most samples of a piece, 1 or more."""
        n_samples = math.floor(self.longest_s * sampling_rate + 1e-6)  # 4.35 s at 100 Hz are 435 samples
        too_long = n_samples / sampling_rate > self.longest_s  # by one bit, as 0.29 * 100 is a little less than 29
        return max(1, n_samples - too_long)

    def n_shared(self, sampling_rate: int) -> int:
        """Return the samples that two neighbours share: both strides; less than a piece."""
        return min(2 * math.floor(self.stride_s * sampling_rate + 1e-6), self.n_longest(sampling_rate) - 1)


class Held:
    """
    The samples that are still needed, one after the other.

    Args:
        n_expected: How many there will be at once, about; more make it grow.
    """

    def __init__(self, n_expected: int = 0) -> None:
        self._room = np.empty(n_expected, np.float32)  # which takes memory as it is filled
        self._at = 0  # where the first is in it
        self.start = 0
        """First sample that is held."""
        self.stop = 0
        """Samples that came in."""

    def append(self, block: npt.NDArray[np.float32]) -> None:
        """Hold a copy of *block* as well."""
        n_held = self.stop - self.start
        if self._at + n_held + len(block) > len(self._room):
            self._move(n_held + len(block))
        end = self._at + n_held
        self._room[end : end + len(block)] = block
        self.stop += len(block)

    def copy(self, first: int, stop: int) -> npt.NDArray[np.float32]:
        """Return samples *first* to *stop*, which must be held."""
        return self._view(first, stop).copy()

    def take(self, first: int, stop: int, needed: int) -> npt.NDArray[np.float32]:
        """Return samples *first* to *stop*, as memory of their own, and forget those before sample *needed*."""
        samples = self._view(first, stop)
        self.drop(needed)
        if 2 * len(samples) < len(self._room):
            return samples.copy()
        rest = self._view(self.start, self.stop)
        self._room = np.empty(len(self._room), np.float32)  # the old one goes with the samples
        self._room[: len(rest)] = rest
        self._at = 0
        return samples

    def drop(self, needed: int) -> None:
        """Forget the samples before sample *needed*."""
        n_dropped = min(max(needed, self.start), self.stop) - self.start
        self.start += n_dropped
        self._at += n_dropped

    def _view(self, first: int, stop: int) -> npt.NDArray[np.float32]:
        at = self._at - self.start
        return self._room[at + first : at + stop]

    def _move(self, n_wanted: int) -> None:
        """Begin at the start of the room, or of a larger one."""
        held = self._view(self.start, self.stop)
        if n_wanted > len(self._room):
            self._room = np.empty(n_wanted * 5 // 4, np.float32)
        self._room[: len(held)] = held
        self._at = 0


class Cuts(Protocol):
    """Decides where pieces are, as far as that is known."""

    needed: int
    """First sample that a piece or a decision may still need."""

    def listen(self, block: npt.NDArray[np.float32]) -> None:
        """Hear what comes next, before it is held."""
        ...

    def spans(self, held: Held, *, ended: bool) -> Iterator[Span]:
        """Give the pieces that can be told now; when it has *ended*, all that are left."""
        ...


class AtFixedTimes:
    """
    Pieces of one length, of which neighbours share some samples.

    Source:
        Windows as transformers' ``chunk_iter``, https://github.com/huggingface/transformers,
        ``pipelines/automatic_speech_recognition.py``: a step is a window less both strides, and the last window is
        the first that reaches the end.
    """

    def __init__(self, n_longest: int, n_shared: int) -> None:
        self._n_longest = n_longest
        self._step = n_longest - n_shared
        self.needed = 0

    def listen(self, block: npt.NDArray[np.float32]) -> None:
        pass

    def spans(self, held: Held, *, ended: bool) -> Iterator[Span]:
        while held.stop - self.needed > self._n_longest:
            first, self.needed = self.needed, self.needed + self._step
            yield first, first + self._n_longest
        if ended and held.stop > self.needed:
            first, self.needed = self.needed, held.stop
            yield first, held.stop


class AtQuietPoints:
    """Pieces that follow each other without a gap, cut at the quietest point in the last part of each."""

    def __init__(self, n_longest: int, sampling_rate: int) -> None:
        self._rate = sampling_rate
        self._n_longest = n_longest
        self._n_tiny = min(round(TINY_S * sampling_rate), n_longest // 3)
        self._n_search = min(round(SEARCH_MAX_S * sampling_rate), int(n_longest * SEARCH_PART))
        self.needed = 0

    def listen(self, block: npt.NDArray[np.float32]) -> None:
        pass

    def spans(self, held: Held, *, ended: bool) -> Iterator[Span]:
        yield from self.stretch(held, held.stop, ended=ended)

    def stretch(self, held: Held, stop: int, *, ended: bool, speech: Sequence[Span] | None = None) -> Iterator[Span]:
        """Cut what is needed, up to *stop*; where there is *speech*, if that is known: all else is a pause then."""
        while stop - self.needed > self._n_longest + (0 if ended else self._n_tiny):
            first = self.needed
            self.needed = self._cut(held, first, stop, speech)
            yield first, self.needed
        if ended and stop > self.needed:
            first, self.needed = self.needed, stop
            yield first, stop

    def _cut(self, held: Held, first: int, stop: int, speech: Sequence[Span] | None) -> int:
        latest = min(first + self._n_longest, stop - self._n_tiny)
        earliest = min(first + self._n_longest, latest) - self._n_search
        margin = round(FRAME_S * self._rate) * (SMOOTHED_FRAMES // 2)
        start = max(earliest - margin, first)
        samples = held.copy(start, min(latest + margin, stop))
        if speech is not None:
            loud = np.zeros(len(samples), bool)
            for begin, end in speech:
                loud[max(0, begin - start) : max(0, end - start)] = True
            samples *= loud
        return start + quietest(samples, self._rate, earliest - start, latest - start)


def quietest(samples: npt.NDArray[np.float32], sampling_rate: int, earliest: int, latest: int) -> int:
    """
    Return the middle of the longest of the quietest stretches; the last one of several.

    Where all is alike the latest point is as good as any, and saves most pieces.

    Args:
        samples: Mono, shape ``(n_samples,)``; a constant offset does not matter.

        sampling_rate: Hz.

        earliest: First sample that may be the point.

        latest: Last sample that may be.

    Example:
        >>> samples = np.ones(1_000, np.float32)
        >>> samples[1::2] = -1
        >>> samples[400:600] = 0
        >>> quietest(samples, 1_000, 0, 1_000), quietest(samples[:300], 1_000, 0, 300)
        (500, 300)
    """
    n_frame = max(1, round(FRAME_S * sampling_rate))
    frames = samples[: len(samples) // n_frame * n_frame].reshape(-1, n_frame)
    if not len(frames):
        return latest
    peak = loudest(frames)
    if peak > WILD_PEAK:
        frames = np.nan_to_num(frames / np.float32(peak))
    mean = frames.mean(axis=1)
    energy = np.maximum(np.einsum("ij,ij->i", frames, frames) / np.float32(n_frame) - mean * mean, np.float32(0))
    smooth = _smoothed(energy.astype(np.float64)) / _smoothed(np.ones(len(energy)))
    middles = np.arange(len(energy)) * n_frame + n_frame // 2
    allowed = (middles >= earliest) & (middles <= latest)
    if not allowed.any():
        return latest
    floor = max(SILENT_PEAK**2, FAR_BELOW * float(smooth.max()))
    smooth = np.maximum(smooth, floor)
    quiet = allowed & (smooth <= ALIKE * smooth[allowed].min())
    if (quiet == allowed).all():
        return latest
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(np.int8), [0]))))
    begins, ends = edges[::2], edges[1::2]
    lengths = ends - begins
    longest = int(np.flatnonzero(lengths == lengths.max())[-1])
    middle = (int(begins[longest]) + int(ends[longest])) * n_frame // 2
    return min(max(middle, earliest), latest)


def _smoothed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sum of each value and its neighbours, `SMOOTHED_FRAMES` in all, fewer at the ends."""
    padded = np.pad(values, SMOOTHED_FRAMES // 2)
    windows: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED_FRAMES)
    return np.asarray(windows.sum(axis=1))
