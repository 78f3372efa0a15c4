"""
Mix channels down to one, and notice when they cancel each other out.
"""

from __future__ import annotations

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
    So the energies are watched on the way: one product of the block with itself gives those of the
    channels (its diagonal) and of the mix (its sum over n²), and shows samples that are not finite.

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
        self._channel_energies = np.zeros(channels)
        self._mix_energies: list[float] = []
        self._expected_energies: list[float] = []
        self.n_samples = 0
        """Samples seen, of all channels."""
        self.n_not_finite = 0
        """Samples that were NaN or infinite, and are 0 now."""

    def __call__(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return *block*, of shape ``(n, channels)``, as mono of shape ``(n,)``; it may share its memory."""
        self.n_samples += block.size
        with np.errstate(over="ignore", invalid="ignore"):
            products = block.T @ block
        if not np.isfinite(products).all():
            block = self._repaired(block)
            wide = block.astype(np.float64)
            products = wide.T @ wide
        if len(self._weights) == 1:
            return block[:, 0]
        energies = products.diagonal()
        n_channels = len(self._weights)
        self._channel_energies += energies
        self._mix_energies.append(float(products.sum()) / n_channels**2)
        self._expected_energies.append(float(energies.sum()) / n_channels**2)
        if self._pick is not None:
            return np.ascontiguousarray(block[:, self._pick])
        with np.errstate(over="ignore"):
            return block @ self._weights

    @property
    def cancelled(self) -> bool:
        """Whether the mix has lost what the channels hold, as a whole or in any block that is no pause."""
        expected = np.array(self._expected_energies)
        if self._pick is not None or not expected.size or not expected.sum() > 0:
            return False
        mix = np.array(self._mix_energies)
        loud = expected >= _LOUD_BLOCK * expected.mean()
        lost = mix < CANCELLED * expected
        return bool(mix.sum() < CANCELLED * expected.sum() or (lost & loud).any())

    @property
    def loudest(self) -> int:
        """Index of the channel with the most energy."""
        return int(self._channel_energies.argmax())

    def _repaired(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        finite = np.isfinite(block)
        self.n_not_finite += int(block.size - np.count_nonzero(finite))
        return np.where(finite, block, np.float32(0))
