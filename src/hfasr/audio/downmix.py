"""
Mix channels down to one, and notice when they cancel each other out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CANCELLED", "Downmix"]

CANCELLED = 0.1
"""
A mix is cancelled when its energy is below this part of what channels that have nothing in common
would give, ``sum(energies) / n_channels**2``. Two channels get there with a correlation under -0.9.
"""

_LOUD_BLOCK = 0.01  # blocks with less than this part of the mean energy are pauses: their noise decides nothing


class Downmix:
    """
    Makes blocks mono: the mean of the channels, or one of them.

    A mean is the usual mix, but a channel wired with its poles swapped then takes the other's speech away.
    So the energies of mix and channels are watched on the way; not finite ones give NaN and inf away.

    Example:
        >>> downmix = Downmix(2)
        >>> downmix(np.array([[0.5, -0.5], [0.25, -0.25]], np.float32))
        array([0., 0.], dtype=float32)
        >>> downmix.cancelled
        True
    """

    def __init__(self, channels: int, *, pick: int | None = None) -> None:
        self._pick = pick
        self._weights = np.full(channels, 1 / channels, np.float32)
        self._blocks: list[tuple[float, ...]] = []  # energies of the mix and of each channel
        self.n_samples = 0
        """Samples seen, of all channels."""
        self.n_not_finite = 0
        """Samples that were NaN or infinite, and are 0 now."""

    def __call__(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return *block*, of shape ``(n, channels)``, as mono of shape ``(n,)``; it may share its memory."""
        self.n_samples += block.size
        if not math.isfinite(_energy(block)):
            block = self._repaired(block)
        n_channels = len(self._weights)
        if n_channels == 1:
            return block[:, 0]
        if self._pick is not None:
            return np.ascontiguousarray(block[:, self._pick])
        mono = block @ self._weights
        self._blocks.append((_energy(mono), *(_energy(block[:, channel]) for channel in range(n_channels))))
        return mono

    @property
    def cancelled(self) -> bool:
        """Whether the mix has lost what the channels hold, as a whole or in any block that is no pause."""
        energies = np.array(self._blocks)
        if not energies.any():
            return False
        mix = energies[:, 0]
        expected = energies[:, 1:].sum(axis=1) / len(self._weights) ** 2
        loud = expected >= _LOUD_BLOCK * expected.mean()
        lost = mix < CANCELLED * expected
        return bool(mix.sum() < CANCELLED * expected.sum() or (lost & loud).any())

    @property
    def loudest(self) -> int:
        """Index of the channel with the most energy."""
        return int(np.array(self._blocks).sum(axis=0)[1:].argmax())

    def _repaired(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        finite = np.isfinite(block)
        self.n_not_finite += int(block.size - np.count_nonzero(finite))
        return np.where(finite, block, np.float32(0))


def _energy(samples: npt.NDArray[np.float32]) -> float:
    """Sum of squares, by BLAS: the cheapest look at every sample; not finite where a sample is not."""
    flat = samples.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        energy = float(np.dot(flat, flat))
    if math.isfinite(energy):
        return energy
    with np.errstate(over="ignore", invalid="ignore"):  # perhaps only too loud for float32
        return float(np.square(flat, dtype=np.float64).sum())
