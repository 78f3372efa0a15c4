"""
Mix channels down to one, and take one of them where they cancel each other out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CANCELLED", "FADE_S", "Downmix"]

CANCELLED = 0.1
"""
A mix is cancelled when its energy is below this part of what channels that have nothing in common
would give, ``sum(energies) / n_channels**2``. Two channels get there with a correlation under -0.9.
"""

FADE_S = 0.01
"""Where the choice changes, one fades into the other for so long, seconds; a step would click."""

_PART_S = 0.25  # is decided together, about: in more, the turns of two speakers would be one
_SHORT_S = 0.1  # what is shorter decides nothing: any two sounds can be opposite for so long
_LOUD = 0.01  # parts with less than this of the mean power so far are pauses: their noise decides nothing
_LOUDER = 2.0  # 3 dB: a channel that is less louder than the one that is taken does not replace it


class Downmix:
    """
    Makes blocks mono: the mean of the channels, or one of them.

    A mean is the usual mix, but a channel wired with its poles swapped then takes the other's speech away. So
    the energies of mix and channels are watched, and for as long as the mix is lost the loudest channel is taken.
    Not finite energies give NaN and inf away, which become 0.

    Args:
        channels: How many there are, 1 or more.

        sampling_rate: Frames per second, Hz.

        pick: Index of the only channel that is wanted, from 0.

    Example:
        >>> downmix = Downmix(2, sampling_rate=16_000)
        >>> downmix(np.array([[0.5, -0.375], [0.25, -0.1875]], np.float32))
        array([0.5 , 0.25], dtype=float32)
        >>> downmix.changes()
        ['took channel 0 of 2, as their mix cancels out']
    """

    def __init__(self, channels: int, *, sampling_rate: int, pick: int | None = None) -> None:
        self._pick = pick
        self._rate = sampling_rate
        self._mean = np.full(channels, 1 / channels, np.float32)
        self._one = np.eye(channels, dtype=np.float32)
        self._choice: int | None = None
        self._power = 0.0  # of all parts so far, as channels that have nothing in common would give it
        self._n_frames = 0
        self._n_mixed = 0
        self._taken = [0] * channels  # frames of each channel, taken because the mix was lost
        self.n_samples = 0
        """Samples seen, of all channels."""
        self.n_not_finite = 0
        """Samples that were NaN or infinite, and are 0 now."""

    def __call__(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return *block*, of shape ``(n, channels)``, as mono of shape ``(n,)``; it may share its memory."""
        self.n_samples += block.size
        if not math.isfinite(_energy(block)):
            block = self._repaired(block)
        if len(self._mean) == 1:
            return block[:, 0]
        if self._pick is not None:
            return np.ascontiguousarray(block[:, self._pick])
        mono = block @ self._mean
        n_parts = max(1, round(len(block) / (_PART_S * self._rate)))
        for i in range(n_parts):
            part = slice(len(block) * i // n_parts, len(block) * (i + 1) // n_parts)
            self._choose(block[part], mono[part])
        return mono

    @property
    def cancelled(self) -> bool:
        """Whether the mix was lost anywhere."""
        return any(self._taken)

    def changes(self) -> list[str]:
        """Say what was done, as in `Decoded.changes`."""
        n_channels = len(self._mean)
        if n_channels == 1:
            return []
        if self._pick is not None:
            return [f"took channel {self._pick} of {n_channels}"]
        taken = [(channel, n_frames) for channel, n_frames in enumerate(self._taken) if n_frames]
        if len(taken) == 1 and not self._n_mixed:
            return [f"took channel {taken[0][0]} of {n_channels}, as their mix cancels out"]
        mixed = [f"mixed {n_channels} channels"] if self._n_mixed or not taken else []
        return mixed + [
            f"took channel {channel} of {n_channels} for {n_frames / self._rate:.1f} s, as their mix cancels out"
            for channel, n_frames in taken
        ]

    def _choose(self, frames: npt.NDArray[np.float32], mono: npt.NDArray[np.float32]) -> None:
        """Put one channel of *frames* into *mono*, their mix, where that is lost."""
        before, is_first = self._choice, not self._n_frames
        power = self._judge(frames, mono)
        if self._choice is not None:
            self._taken[self._choice] += len(mono)
        elif power:
            self._n_mixed += len(mono)
        if before == self._choice:
            if before is not None:
                mono[:] = frames[:, before]
            return
        wanted = mono.copy() if self._choice is None else frames[:, self._choice]
        n_fade = 0 if is_first else min(len(mono), round(FADE_S * self._rate))
        fade = np.arange(1, n_fade + 1, dtype=np.float32) / np.float32(n_fade + 1)
        old = frames[:n_fade] @ (self._mean if before is None else self._one[before])
        mono[n_fade:] = wanted[n_fade:]
        mono[:n_fade] = old + fade * (wanted[:n_fade] - old)

    def _judge(self, frames: npt.NDArray[np.float32], mono: npt.NDArray[np.float32]) -> float:
        """Settle what to take of *frames*; return the energy that their mix should have."""
        expected = _energy(frames) / len(self._mean) ** 2
        is_short = len(mono) < _SHORT_S * self._rate and self._n_frames > 0
        self._power += expected
        self._n_frames += len(mono)
        if not expected or is_short or expected / len(mono) < _LOUD * self._power / self._n_frames:
            return expected
        if _energy(mono) >= CANCELLED * expected:
            self._choice = None
            return expected
        energies = [_energy(channel) for channel in frames.T]
        if self._choice is None or max(energies) > _LOUDER * energies[self._choice]:
            self._choice = energies.index(max(energies))
        return expected

    def _repaired(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        finite = np.isfinite(block)
        self.n_not_finite += int(block.size - np.count_nonzero(finite))
        return np.where(finite, block, np.float32(0))


def _energy(samples: npt.NDArray[np.float32]) -> float:
    """Sum of squares, by BLAS: the cheapest look at every sample; not finite where a sample is not."""
    if samples.flags.c_contiguous:
        rows = (samples.reshape(-1),)
    else:  # what PyAV decodes has one channel after the other; to make that flat would copy it, slowly
        rows = tuple(samples.T) if samples.ndim > 1 else (samples,)
    with np.errstate(over="ignore", invalid="ignore"):
        energy = sum(float(np.dot(row, row)) for row in rows)
        if not math.isfinite(energy):  # perhaps only too loud for float32
            energy = sum(float(np.square(row, dtype=np.float64).sum()) for row in rows)
    return energy
