"""Long audio in windows that overlap, for models whose work grows with the square of the length."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MAX_WHOLE_S", "Window", "windows"]

MAX_WHOLE_S = 40.0
"""Audio up to this many seconds is taken whole: twice what such models were trained on."""

STRIDE_S = 5.0
"""
Context on each side of a window whose result is thrown away, seconds. With half a second and more the
text of a model was the same as that of the whole (measured); with none it lost words.
"""


class Window(NamedTuple):
    """A stretch of samples, and which of its frames count."""

    first: int
    """Its first sample."""

    end: int
    """The sample after its last."""

    skip: int
    """Frames at its beginning that the window before has."""

    keep: int | None
    """Frames that count after those; ``None``: all."""


def windows(n_samples: int, sampling_rate: int, samples_per_frame: int) -> list[Window]:
    """
    Cut *n_samples* into windows of `MAX_WHOLE_S` seconds whose frames join without a gap.

    Example:
        >>> [(w.first, w.end) for w in windows(16_000 * 100, 16_000, 320)]
        [(0, 640000), (480000, 1120000), (960000, 1600000)]
    """

    def aligned(seconds: float) -> int:
        return round(seconds * sampling_rate / samples_per_frame) * samples_per_frame

    size, stride = aligned(MAX_WHOLE_S), aligned(STRIDE_S)
    if n_samples <= size:
        return [Window(0, n_samples, 0, None)]
    cut = []
    first = 0
    while True:
        skip = stride // samples_per_frame if first else 0
        if first + size >= n_samples:
            cut.append(Window(first, n_samples, skip, None))
            return cut
        cut.append(Window(first, first + size, skip, (size - stride) // samples_per_frame - skip))
        first += size - 2 * stride
