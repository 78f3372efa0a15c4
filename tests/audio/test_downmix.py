from __future__ import annotations

import numpy as np
import pytest

from hfasr.audio.downmix import Downmix
from tests.audio.kit import tone


def test_mono_passes() -> None:
    """One channel is given back as it is."""
    samples = tone()
    downmix = Downmix(1)
    np.testing.assert_array_equal(downmix(samples[:, None]), samples)
    assert not downmix.cancelled


@pytest.mark.parametrize(
    ("correlation", "cancelled"), [(1.0, False), (0.0, False), (-0.8, False), (-0.95, True), (-1.0, True)]
)
def test_cancelling_needs_a_strong_negative_correlation(correlation: float, cancelled: bool) -> None:
    """The bound lies at a correlation of -0.9: wide stereo is mixed, swapped poles are not."""
    rng = np.random.default_rng(1)
    left = rng.standard_normal(50_000)
    right = correlation * left + np.sqrt(1 - correlation**2) * rng.standard_normal(50_000)
    downmix = Downmix(2)
    downmix(np.stack([left, right], axis=1).astype(np.float32))
    assert downmix.cancelled is cancelled


def test_silence_is_not_cancelling() -> None:
    """Where there is nothing, nothing is lost."""
    downmix = Downmix(2)
    downmix(np.zeros((1_000, 2), np.float32))
    assert not downmix.cancelled
    assert not Downmix(2).cancelled


def test_one_silent_channel_is_not_cancelling() -> None:
    """Speech on one channel of many stays in the mix."""
    samples = np.zeros((8_000, 8), np.float32)
    samples[:, 3] = tone()
    downmix = Downmix(8)
    np.testing.assert_allclose(downmix(samples), tone() / 8, atol=1e-7)
    assert not downmix.cancelled
    assert downmix.loudest == 3


def test_a_bad_sample_does_not_hide_that_channels_cancel() -> None:
    """NaN is set to 0 before energies are compared."""
    samples = np.stack([tone(), -tone()], axis=1)
    samples[5] = [np.nan, 0]
    downmix = Downmix(2)
    mono = downmix(samples)
    assert np.isfinite(mono).all()
    assert (downmix.n_not_finite, downmix.n_samples) == (1, samples.size)
    assert downmix.cancelled


def test_values_whose_squares_overflow_are_numbers() -> None:
    """A finite sample is not taken for an infinite one, however loud."""
    downmix = Downmix(2)
    mono = downmix(np.full((10, 2), 1e30, np.float32))
    assert np.isfinite(mono).all()
    assert downmix.n_not_finite == 0
    assert not downmix.cancelled


def test_a_picked_channel_is_never_cancelled() -> None:
    """Whoever asks for a channel gets it."""
    downmix = Downmix(2, pick=0)
    np.testing.assert_array_equal(downmix(np.stack([tone(), -tone()], axis=1)), tone())
    assert not downmix.cancelled
