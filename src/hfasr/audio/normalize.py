"""
Bring a waveform to a level that survives 16-bit samples and that engines expect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hfasr.errors import AudioDecodeError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["MAX_GAIN", "QUIET_PEAK", "RAISED_PEAK", "SILENT_PEAK", "WILD_PEAK", "loudest", "normalize"]

QUIET_PEAK = 2.0**-8
"""Below it (-48 dB of full scale) speech would use 8 of the 16 bits at most; it is raised."""

RAISED_PEAK = 0.5
"""What quiet audio is raised to, one bit below full scale."""

MAX_GAIN = 1_000.0
"""At most 60 dB: enough for the quietest recording of a 16-bit converter, too little to make its hiss loud."""

SILENT_PEAK = 2.0**-23
"""One step of 24-bit audio: what never leaves it is silence, and stays as it is."""

DC_PART = 0.1
"""A constant offset of over this part of the RMS matters: speech has next to nothing below 50 Hz."""

WILD_PEAK = 2.0**40
"""Beyond it the squares of four hours of samples could overflow float32; such a waveform is scaled down first."""

_DC_MIN_SAMPLES = 1_600  # 0.1 s at 16 kHz; in less, the mean is the speech's own


def normalize(
    waveform: npt.NDArray[np.float32], *, peak_before: float = 0.0
) -> tuple[npt.NDArray[np.float32], list[str], float]:
    """
    Remove what is not sound and correct the level.

    Args:
        waveform: Mono samples, shape ``(n_samples,)``, float32; not changed.

        peak_before: Largest magnitude in what came before, of which this is the next piece. The level is corrected
            by the larger of it and the piece's own: a pause is not raised until its noise is as loud as speech.

    Returns:
        Samples in [-1, 1], the same array where nothing had to be done; what was done; and the largest magnitude
        without DC, before the level was corrected.

    Raises:
        AudioDecodeError: There are samples, but not one is finite.

    Example:
        >>> normalize(np.array([0.0, 2.0, -1.0], np.float32))
        (array([ 0. ,  1. , -0.5], dtype=float32), ['scaled peak 2 to 1.0'], 2.0)
    """
    changes: list[str] = []
    if not waveform.size:
        return waveform, changes, 0.0
    peak = loudest(waveform)
    if not math.isfinite(peak):
        finite = np.isfinite(waveform)
        if not finite.any():
            raise AudioDecodeError("not one sample of the audio is a finite number; check how it was made")
        changes.append(f"set {waveform.size - np.count_nonzero(finite)} non-finite samples to 0")
        waveform = np.where(finite, waveform, np.float32(0))
        peak = loudest(waveform)
    unit = 1.0
    if peak > WILD_PEAK:
        unit = peak
        waveform = _scaled_down(waveform, unit, changes)
    waveform = _without_dc(waveform, changes)
    if changes:  # each of them changed the peak
        peak = loudest(waveform)
    ceiling = max(peak, peak_before / unit)
    if ceiling > 1.0:
        waveform = _scaled_down(waveform, ceiling, changes)
    elif peak > SILENT_PEAK and ceiling < QUIET_PEAK and unit == 1.0:
        gain = min(RAISED_PEAK / ceiling, MAX_GAIN)
        changes.append(f"raised {20 * math.log10(gain):.1f} dB")
        waveform = waveform * np.float32(gain)
    return waveform, changes, peak * unit


def loudest(waveform: npt.NDArray[np.float32]) -> float:
    """Return the largest magnitude; NaN or infinite where a sample is, and 0 where there is none."""
    return float(max(waveform.max(), -waveform.min())) if waveform.size else 0.0


def _scaled_down(waveform: npt.NDArray[np.float32], peak: float, changes: list[str]) -> npt.NDArray[np.float32]:
    changes.append(f"scaled peak {peak:.3g} to 1.0")
    return waveform / np.float32(peak)


def _without_dc(waveform: npt.NDArray[np.float32], changes: list[str]) -> npt.NDArray[np.float32]:
    if waveform.size < _DC_MIN_SAMPLES:
        return waveform
    mean = float(waveform.mean(dtype=np.float64))
    power = float(np.dot(waveform, waveform)) / waveform.size
    if abs(mean) <= SILENT_PEAK or mean * mean <= DC_PART**2 * (power - mean * mean):
        return waveform
    changes.append(f"removed DC {mean:.2g}")
    return waveform - np.float32(mean)
