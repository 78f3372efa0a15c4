"""
Tell speech from pauses by the energy of short frames, against a noise floor that adapts.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .live_endpoints import Frame, Margins

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Levels"]

FRAME_S = 0.01
"""Length of a frame, seconds: short enough that no syllable hides in one."""

SMOOTHED_FRAMES = 5  # 0.05 s: evens out noise, and the periods of a low voice; no longer than a short sound

FLOOR_S = 4.0
"""
How far back the noise floor looks, seconds. The least smoothed energy of such a time is the noise's: speech
falls to it between words and in stops, but sound that keeps its level for longer is noise, or a tone.

Source:
    R. Martin, "Noise Power Spectral Density Estimation Based on Optimal Smoothing and Minimum Statistics",
    IEEE Trans. Speech and Audio Processing 9(5), 2001: 1.5 s for one band, here longer as there is one for all.
"""

N_WINDOWS = 8  # parts of that time, each with its own minimum, so that nothing is sorted

SILENCE = 1e-10
"""Mean square below which there is nothing: 100 dB below full scale, less than a step of 16-bit samples."""

ON = 8.0
"""What begins a phrase is 9 dB above the floor."""

OFF = 4.0
"""What goes on with one is 6 dB above it. The noise's own ups and downs, smoothed, stay below that."""

MARGINS = Margins(
    before_s=0.3,  # an unvoiced fricative before a vowel takes 0.1 to 0.2 s
    after_s=0.25,  # speech dies away slowly
    least_s=0.04,
)

STEADY = 4.0  # 6 dB between quiet and loud: speech has 20 and more, from its vowels to its stops
STEADY_S = 1.5  # a vowel may be as steady, but not for that long


class Levels:
    """
    Gives a `Frame` for each 10 ms; its scores are mean squares.

    What changes slowly, below some 100 Hz, is taken away first: an offset is no sound, and rumble, which rises and
    falls as speech does, hides no pause.

    Args:
        sampling_rate: Of what comes in, Hz.

    Example:
        >>> levels = Levels(16_000)
        >>> [frame.score > frame.on for frame in levels(np.zeros(400, np.float32))]
        [False, False]
    """

    margins = MARGINS

    def __init__(self, sampling_rate: int) -> None:
        self._n_samples = round(sampling_rate * FRAME_S)
        self.frame_s = self._n_samples / sampling_rate
        """Length of a frame, seconds: 0.01, as near as the rate has it."""
        self._rest = np.zeros(0, np.float32)
        self._recent: deque[float] = deque(maxlen=SMOOTHED_FRAMES)
        self._windows: deque[float] = deque(maxlen=N_WINDOWS)
        self._window_frames = round(FLOOR_S / FRAME_S / N_WINDOWS)
        self._past = self._window = math.inf
        self._n_in_window = 0
        self._loudest = 0.0
        self._n_frames = 0

    def __call__(self, mono: npt.NDArray[np.float32], *, ended: bool = False) -> Iterator[Frame]:
        """Take finite samples of shape ``(n,)``; give the frames that are whole, and in the end what is left, too."""
        samples = np.concatenate([self._rest, mono]) if self._rest.size else mono
        whole = len(samples) - len(samples) % self._n_samples
        self._rest = samples[whole:].copy()
        yield from map(self._frame, _powers(samples[:whole].reshape(-1, self._n_samples)))
        if ended:
            yield self._last()

    def _frame(self, power: float) -> Frame:
        self._recent.append(power)
        score = sum(self._recent) / len(self._recent)
        self._n_frames += 1
        self._loudest = max(self._loudest, score)
        self._window = min(self._window, score)
        floor = max(min(self._past, self._window), SILENCE)
        self._n_in_window += 1
        if self._n_in_window == self._window_frames:
            self._windows.append(self._window)
            self._past = min(self._windows)
            self._window, self._n_in_window = math.inf, 0
        return Frame(score, min(score, power), ON * floor, OFF * floor)

    def _last(self) -> Frame:
        frame = self._frame(_powers(self._rest[None])[0] if self._rest.size else 0.0)
        if self._n_frames <= STEADY_S / FRAME_S and self._loudest <= frame.on:
            return Frame(frame.score, frame.own, ON * SILENCE, OFF * SILENCE)  # too short to say that it is noise
        return frame

    def is_noise(self, scores: Sequence[float]) -> bool:
        """
        Whether *scores* are the levels of a noise or a tone that went on evenly: no speech is so.

        Example:
            >>> levels = Levels(16_000)
            >>> levels.is_noise([1.0, 1.5] * 100), levels.is_noise([1.0, 20.0] * 100), levels.is_noise([1.0] * 100)
            (True, False, False)
        """
        if len(scores) < STEADY_S / FRAME_S:
            return False
        low, high = np.percentile(scores, [10, 98])
        return bool(high <= STEADY * max(low, SILENCE))


def _powers(frames: npt.NDArray[np.float32]) -> list[float]:
    """Mean square of each row around the parabola that fits it best."""
    if not frames.size:
        return []
    n_samples = frames.shape[1]
    slow = _slow(n_samples)
    left = frames - (frames @ slow) @ slow.T
    powers: list[float] = (np.einsum("ij,ij->i", left, left) / n_samples).tolist()
    return powers


@functools.lru_cache(maxsize=8)
def _slow(n_samples: int) -> npt.NDArray[np.float64]:
    """Return what changes slowly in a frame, as orthogonal columns: its mean, slope and bend."""
    times = np.linspace(-1.0, 1.0, n_samples)
    basis, _ = np.linalg.qr(np.vander(times, min(3, n_samples), increasing=True))
    return np.asarray(basis, np.float64)
