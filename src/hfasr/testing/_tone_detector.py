"""
The listening half of `ToneSpeech`: find pairs of tones, and when they start and end.

Two passes. The first looks at the whole audio in frames of 32 ms, 10 ms apart, and keeps those
in which one low and one high tone make up most of the energy. The second looks at each run of
such frames closely: which tones they are (over the run's whole length) and where they begin.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hfasr.types import Word

from .tones import EDGE_S, HIGH_HZ, LOW_HZ, MAX_HEARD_S, MIN_HEARD_S, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from hfasr.types import Audio

    Floats = npt.NDArray[np.float32]

__all__ = ["find_words"]

RATE_HZ = 8_000  # enough for every tone
FRAME = 256  # samples, 32 ms: 31 Hz between bins, less than half the distance of two tones
HOP = 80  # samples, 10 ms
BLOCK_FRAMES = 6_000  # one minute at a time bounds the memory
FINE_FRAME = 128  # samples, 16 ms: tells the two tones of a word apart, no more
FINE_HOP = 8  # samples, 1 ms
FINE_MARGIN = 400  # samples, 50 ms: looked at on both sides of a run
MAX_DIP = 50  # fine frames, 50 ms: a codec may let a tone fade for so long within a word
CORE = 640  # samples, 80 ms in the middle of a word: 25 Hz between what can be told apart

MIN_SHARE = 0.4  # of a frame's energy in the two tones; noise has about 0.05, 20 dB SNR 0.95
MAX_TWIST = 10.0  # energy ratio of the two tones at which they are no longer a pair
MIN_POWER = 1e-11  # mean square of a frame, about -110 dB of full scale: below is silence
LOUDEST_WITHIN = 15  # frames, 0.15 s, on both sides
MIN_OF_LOUDEST = 1 / 16  # of the energy of the loudest of them: a codec's smear in a gap is no word
MIN_RUN = 6  # frames

_TONES_HZ = LOW_HZ + HIGH_HZ
_N_LOW = len(LOW_HZ)


def find_words(audio: Audio) -> list[Word]:
    """
    Find the words that `ToneSpeech.say` wrote.

    Raises:
        ValueError: The waveform is not 1-D.
    """
    signal = _at_8_khz(audio)
    words: list[Word] = []
    for first, last in _runs(signal):
        word = _look_closely(signal, first * HOP, last * HOP + FRAME)
        if word is not None and (not words or word.start >= (words[-1].end or 0.0) - EDGE_S):
            words.append(word)
    return words


def _at_8_khz(audio: Audio) -> Floats:
    import soxr

    waveform = np.asarray(audio.waveform, np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"ToneSpeech hears mono audio of shape (n_samples,), not {waveform.shape}")
    if not len(waveform):
        return waveform
    if audio.sampling_rate != RATE_HZ:
        waveform = np.asarray(soxr.resample(waveform, audio.sampling_rate, RATE_HZ), np.float32)
    return np.asarray(waveform - waveform.mean(dtype=np.float64), np.float32) if len(waveform) else waveform


@functools.lru_cache(maxsize=2 + len(LOW_HZ) * len(HIGH_HZ))
def _projections(length: int, tones_hz: tuple[float, ...]) -> Floats:
    """
    Return cosines, then sines, under a Hann window: shape ``(length, 2 * n_tones)``.

    Scaled so that the squares of a tone's two projections add up to its mean square: for
    amplitude *a* they add up to ``(a * window.sum() / 2) ** 2``, and the mean square is ``a**2 / 2``.
    """
    window = _hann(length)
    angle = 2 * np.pi * np.arange(length)[:, None] * np.array(tones_hz) / RATE_HZ
    scale = window[:, None] * np.sqrt(2) / window.sum()
    return np.concatenate([np.cos(angle) * scale, np.sin(angle) * scale], axis=1).astype(np.float32)


def _hann(length: int) -> Floats:
    return np.hanning(length + 2)[1:-1].astype(np.float32)


def _tone_powers(frames: Floats, projections: Floats) -> Floats:
    """Return the mean square of each tone in each frame, shape ``(n_frames, n_tones)``."""
    squares: Floats = (frames @ projections) ** 2
    cosines, sines = np.split(squares, 2, axis=1)
    return cosines + sines


def _coarse(signal: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return for each frame its pair of tones (-1 where there is none) and their power."""
    padded = np.pad(signal, (0, FRAME))
    frames = sliding_window_view(padded, FRAME)[: len(signal)][::HOP]
    projections = _projections(FRAME, _TONES_HZ)
    weights = _hann(FRAME) / _hann(FRAME).sum()
    pairs = np.empty(len(frames), np.int64)
    powers = np.empty(len(frames), np.float32)
    for start in range(0, len(frames), BLOCK_FRAMES):
        block = np.ascontiguousarray(frames[start : start + BLOCK_FRAMES])
        tones = _tone_powers(block, projections)
        low, high = tones[:, :_N_LOW], tones[:, _N_LOW:]
        best_low, best_high = low.max(axis=1), high.max(axis=1)
        power = best_low + best_high
        total = (block**2) @ weights
        good = (power >= MIN_SHARE * total) & (total > MIN_POWER)
        good &= (best_low < MAX_TWIST * best_high) & (best_high < MAX_TWIST * best_low)
        pair = low.argmax(axis=1) * len(HIGH_HZ) + high.argmax(axis=1)
        pairs[start : start + BLOCK_FRAMES] = np.where(good, pair, -1)
        powers[start : start + BLOCK_FRAMES] = power
    return pairs, powers


def _runs(signal: Floats) -> Iterator[tuple[int, int]]:
    """Yield first and last frame of each run of frames that hold the same pair of tones."""
    if len(signal) < FRAME:
        return
    pairs, powers = _coarse(signal)
    reach = LOUDEST_WITHIN
    loudest = sliding_window_view(np.pad(powers, reach), 2 * reach + 1).max(axis=1)
    pairs[powers < MIN_OF_LOUDEST * loudest] = -1
    edges = np.flatnonzero(np.diff(pairs, prepend=-2, append=-2))
    for first, after in itertools.pairwise(edges):
        if pairs[first] >= 0 and after - first >= MIN_RUN:
            yield int(first), int(after) - 1


def _look_closely(signal: Floats, first: int, end: int) -> Word | None:
    """Name the word that sounds between two rough sample numbers, and find the exact ones; ``None``: there is none."""
    middle = (first + end) // 2
    core = signal[middle - CORE // 2 : middle + CORE // 2]
    if len(core) < CORE:
        return None
    powers = _tone_powers(core[None, :], _projections(CORE, _TONES_HZ))[0]
    low, high = int(powers[:_N_LOW].argmax()), int(powers[_N_LOW:].argmax())
    both = powers[[low, _N_LOW + high]]
    if both.sum() < MIN_SHARE * (core**2 @ _hann(CORE)) / _hann(CORE).sum():
        return None

    begin, stop = _extent(signal, first, end, (LOW_HZ[low], HIGH_HZ[high]), both / 4)
    start_s = max(0.0, begin / RATE_HZ - EDGE_S / 2)
    end_s = min(len(signal) / RATE_HZ, stop / RATE_HZ + EDGE_S / 2)
    if not MIN_HEARD_S <= end_s - start_s <= MAX_HEARD_S:
        return None
    return Word(round(start_s, 3), round(end_s, 3), VOCABULARY[low * len(HIGH_HZ) + high])


def _extent(signal: Floats, first: int, end: int, tones_hz: tuple[float, ...], threshold: Floats) -> tuple[int, int]:
    """Return from which sample to which both tones stay above *threshold* around the middle; both the same if never."""
    offset = max(0, first - FINE_MARGIN)
    stretch = np.pad(signal[offset : end + FINE_MARGIN], FINE_FRAME // 2)
    frames = sliding_window_view(stretch, FINE_FRAME)[::FINE_HOP]
    sounding = np.flatnonzero((_tone_powers(frames, _projections(FINE_FRAME, tones_hz)) > threshold).min(axis=1))
    middle = ((first + end) // 2 - offset) // FINE_HOP
    for group in np.split(sounding, np.flatnonzero(np.diff(sounding) > MAX_DIP) + 1):
        if len(group) and group[0] <= middle <= group[-1]:
            return offset + int(group[0]) * FINE_HOP, offset + int(group[-1] + 1) * FINE_HOP
    return offset, offset
