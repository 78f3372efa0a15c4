from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from hfasr.audio.downmix import Downmix
from tests.audio.kit import Floats, tone


def test_mono_passes() -> None:
    """One channel is given back as it is."""
    samples = tone()
    downmix = Downmix(1, sampling_rate=16_000)
    np.testing.assert_array_equal(downmix(samples[:, None]), samples)
    assert not downmix.cancelled


@pytest.mark.parametrize(
    ("correlation", "cancelled"),
    [(1.0, False), (0.0, False), (-0.8, False), (-0.87, False), (-0.93, True), (-0.95, True), (-1.0, True)],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_cancelling_needs_a_strong_negative_correlation(
    correlation: float, cancelled: bool, order: Literal["C", "F"]
) -> None:
    """The bound lies at a correlation of -0.9: wide stereo is mixed, swapped poles are not."""
    rng = np.random.default_rng(1)
    left = rng.standard_normal(50_000)
    right = correlation * left + np.sqrt(1 - correlation**2) * rng.standard_normal(50_000)
    downmix = Downmix(2, sampling_rate=16_000)
    downmix(np.array(np.stack([left, right], axis=1), np.float32, order=order))
    assert downmix.cancelled is cancelled


@pytest.mark.parametrize("n_channels", [2, 3])
@pytest.mark.parametrize("loudest", [0.1, 1e20, np.nan])
def test_the_order_in_memory_does_not_matter(n_channels: int, loudest: float) -> None:
    """Frames side by side, as in files, and one channel after the other, as from FFmpeg, give the same."""
    samples = np.stack([tone(duration=2)] + [-0.9 * tone(duration=2)] * (n_channels - 1), axis=1)
    samples[100, 0] = loudest
    made = []
    for order in ("C", "F"):
        downmix = Downmix(n_channels, sampling_rate=16_000)
        mono = downmix(np.array(samples, np.float32, order=order))
        made.append((mono, downmix.changes(), downmix.n_not_finite))
    np.testing.assert_allclose(made[0][0], made[1][0], rtol=1e-6)
    assert made[0][1:] == made[1][1:]


def test_silence_is_not_cancelling() -> None:
    """Where there is nothing, nothing is lost."""
    downmix = Downmix(2, sampling_rate=16_000)
    downmix(np.zeros((1_000, 2), np.float32))
    assert not downmix.cancelled
    assert not Downmix(2, sampling_rate=16_000).cancelled


def test_one_silent_channel_is_not_cancelling() -> None:
    """Speech on one channel of many stays in the mix."""
    samples = np.zeros((8_000, 8), np.float32)
    samples[:, 3] = tone()
    downmix = Downmix(8, sampling_rate=16_000)
    np.testing.assert_allclose(downmix(samples), tone() / 8, atol=1e-7)
    assert not downmix.cancelled
    assert downmix.changes() == ["mixed 8 channels"]


def test_a_bad_sample_does_not_hide_that_channels_cancel() -> None:
    """NaN is set to 0 before energies are compared."""
    samples = np.stack([tone(), -tone()], axis=1)
    samples[5] = [np.nan, 0]
    downmix = Downmix(2, sampling_rate=16_000)
    mono = downmix(samples)
    assert np.isfinite(mono).all()
    assert (downmix.n_not_finite, downmix.n_samples) == (1, samples.size)
    assert downmix.cancelled


def test_values_whose_squares_overflow_are_numbers() -> None:
    """A finite sample is not taken for an infinite one, however loud."""
    downmix = Downmix(2, sampling_rate=16_000)
    mono = downmix(np.full((10, 2), 1e30, np.float32))
    assert np.isfinite(mono).all()
    assert downmix.n_not_finite == 0
    assert not downmix.cancelled


def test_a_picked_channel_is_never_cancelled() -> None:
    """Whoever asks for a channel gets it."""
    downmix = Downmix(2, sampling_rate=16_000, pick=0)
    np.testing.assert_array_equal(downmix(np.stack([tone(), -tone()], axis=1)), tone())
    assert not downmix.cancelled


def stereo(n_blocks: int, cancelled: set[int], *, level: float = 1.0) -> list[Floats]:
    """Return blocks of half a second of a stereo tone, in opposite phase in those that are *cancelled*."""
    left = tone(400, duration=n_blocks / 2)
    right = level * left
    for i in cancelled:
        right[i * 8_000 : (i + 1) * 8_000] *= -1
    both = np.stack([left, right], axis=1)
    return [both[i * 8_000 : (i + 1) * 8_000] for i in range(n_blocks)]


def test_the_choice_changes_without_a_click() -> None:
    """Into a stretch that cancels out and out of it one fades into the other, within 10 ms."""
    downmix = Downmix(2, sampling_rate=16_000)
    mono = np.concatenate([downmix(block) for block in stereo(6, {2, 3})])
    assert np.abs(np.diff(mono)).max() <= 1.1 * np.abs(np.diff(tone(400))).max()
    whole = tone(400, duration=3)
    faded = np.flatnonzero(np.abs(mono - whole) > 1e-6)
    assert set(faded) <= {*range(16_000, 16_160)}  # out of it the mix is the channel
    assert downmix.changes() == ["mixed 2 channels", "took channel 0 of 2 for 1.0 s, as their mix cancels out"]


def test_each_stretch_takes_its_loudest_channel() -> None:
    """Two stretches that cancel out, with another channel loud in each, are each taken from that channel."""
    downmix = Downmix(2, sampling_rate=16_000)
    loud_left = np.stack([tone(), -0.7 * tone()], axis=1)
    for block in (loud_left, np.stack([tone(), tone()], axis=1), loud_left[:, ::-1]):
        mono = downmix(np.ascontiguousarray(block))
    np.testing.assert_allclose(mono[160:], tone()[160:], atol=1e-6)
    assert downmix.changes() == [
        "mixed 2 channels",
        "took channel 0 of 2 for 0.5 s, as their mix cancels out",
        "took channel 1 of 2 for 0.5 s, as their mix cancels out",
    ]


def test_channels_that_are_about_as_loud_do_not_take_turns() -> None:
    """Within a stretch that cancels out a channel is kept, so that nothing is faded to its own opposite."""
    downmix = Downmix(2, sampling_rate=16_000)
    for level in (0.9, 1.1, 0.9, 1.1):
        mono = downmix(np.stack([tone(), -level * tone()], axis=1).astype(np.float32))
        np.testing.assert_allclose(mono, tone(), atol=1e-6)
    assert downmix.changes() == ["took channel 0 of 2, as their mix cancels out"]


def test_pauses_keep_the_choice() -> None:
    """Noise in opposite phase between loud stretches, and a few frames at the end, change nothing."""
    downmix = Downmix(2, sampling_rate=16_000)
    loud = np.stack([tone(), tone()], axis=1)
    for block in (loud, 0.01 * loud * [1, -1], loud, loud[:100] * [1, -1]):
        downmix(block.astype(np.float32))
    assert downmix.changes() == ["mixed 2 channels"]
