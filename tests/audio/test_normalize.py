from __future__ import annotations

import numpy as np
import pytest

from hfasr.audio.normalize import QUIET_PEAK, normalize
from hfasr.errors import AudioDecodeError
from tests.audio.kit import Floats, tone


def test_ordinary_audio_is_not_touched() -> None:
    """Nothing is copied where nothing is wrong."""
    waveform = tone()
    result, changes, _ = normalize(waveform)
    assert result is waveform
    assert changes == []


def test_peaks_are_scaled_down() -> None:
    """Levels above full scale are scaled, not clipped."""
    result, changes, _ = normalize(tone(level=1.32))
    np.testing.assert_allclose(result, tone(level=1.0), atol=1e-3)
    assert changes == ["scaled peak 1.32 to 1.0"]
    assert np.abs(result).max() <= 1


def test_quiet_audio_is_raised() -> None:
    """Speech that 16 bits would spoil is raised to half of full scale."""
    result, changes, _ = normalize(tone(level=0.003))
    assert np.abs(result).max() == pytest.approx(0.5)
    assert changes == ["raised 44.4 dB"]


def test_the_quietest_is_raised_by_60_db_at_most() -> None:
    """Hiss does not become a storm."""
    result, changes, _ = normalize(tone(level=1e-5))
    assert np.abs(result).max() == pytest.approx(0.01, rel=1e-3)
    assert changes == ["raised 60.0 dB"]


def test_quiet_is_below_a_bound() -> None:
    """What uses more than 8 of 16 bits is left alone."""
    assert normalize(tone(level=QUIET_PEAK * 1.01))[1] == []
    assert normalize(tone(level=QUIET_PEAK * 0.99))[1] != []


@pytest.mark.parametrize("level", [0.0, 1e-9, 2.0**-24])
def test_silence_stays_silence(level: float) -> None:
    """What is below one step of 24-bit audio is not raised."""
    result, changes, _ = normalize(tone(level=level))
    assert np.abs(result).max() <= level
    assert changes == []


def test_dc_is_removed() -> None:
    """A constant offset goes, the tone stays."""
    result, changes, _ = normalize(tone(440) + np.float32(0.2))
    np.testing.assert_allclose(result, tone(440), atol=1e-4)
    assert changes == ["removed DC 0.2"]


def test_dc_goes_before_the_level_is_judged() -> None:
    """Quiet audio on an offset is raised without the offset."""
    result, changes, _ = normalize(tone(level=0.001) + np.float32(0.01))
    assert np.abs(result).max() == pytest.approx(0.5, rel=1e-3)
    assert abs(result.mean()) < 1e-3
    assert changes == ["removed DC 0.01", "raised 54.0 dB"]


def test_nothing_but_dc_is_silence() -> None:
    """A constant is no sound."""
    result, changes, _ = normalize(np.full(16_000, 0.3, np.float32))
    assert np.abs(result).max() < 1e-6
    assert changes == ["removed DC 0.3"]


def test_samples_that_are_no_numbers_become_zero() -> None:
    """NaN and infinities are set to 0."""
    result, changes, _ = normalize(np.array([np.nan, 0.5, np.inf, -np.inf], np.float32))
    assert result.tolist() == [0, 0.5, 0, 0]
    assert changes == ["set 3 non-finite samples to 0"]


@pytest.mark.parametrize("n_samples", [1, 100])
def test_nothing_but_nan_is_damage(n_samples: int) -> None:
    """There is nothing to save."""
    with pytest.raises(AudioDecodeError, match="not one sample"):
        normalize(np.full(n_samples, np.nan, np.float32))


def test_no_samples_are_fine() -> None:
    """An empty waveform stays one."""
    result, changes, _ = normalize(np.zeros(0, np.float32))
    assert (result.size, changes) == (0, [])


@pytest.mark.parametrize(
    "waveform",
    [
        tone(level=3.0),
        tone(level=0.001),
        tone() + np.float32(0.3),
        np.array([np.nan, 0.5], np.float32),
        np.array([0.7], np.float32),
    ],
)
def test_the_input_is_not_changed(waveform: Floats) -> None:
    """Normalizing twice changes nothing more, and never the array that was given."""
    kept = waveform.copy()
    result, _, _ = normalize(waveform)
    np.testing.assert_array_equal(waveform, kept)
    assert normalize(result)[1] == []
    assert result.dtype == np.float32


@pytest.mark.parametrize("level", [1e13, 1e25, 3.4e38])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_wild_levels_are_scaled_like_others(level: float, offset: float) -> None:
    """Floats whose squares are beyond float32 give the same sound as sane ones, without a warning."""
    wild = ((tone(level=0.25) + np.float32(offset)) * np.float64(level)).astype(np.float32)
    result, changes, _ = normalize(wild)
    assert np.corrcoef(result, tone())[0, 1] > 0.999
    assert 0.3 < np.abs(result).max() <= 1
    assert abs(result.mean()) < 1e-3
    assert changes[0].startswith("scaled peak")


@pytest.mark.parametrize(
    ("level", "before", "expected"),
    [
        (0.001, 0.0, 0.5),  # alone: raised
        (0.001, 0.5, 0.001),  # a pause after speech: not
        (0.001, 0.002, 0.25),  # after what is twice as loud: as that calls for
        (0.001, 0.0005, 0.5),  # after what is quieter: as it calls for itself
        (0.5, 2.0, 0.25),  # after what passed full scale: scaled down alike
        (0.5, 1e30, 0.0),
        (2.0**-24, 0.001, 2.0**-24),  # silence stays silence
    ],
)
def test_a_piece_is_levelled_by_the_loudest_so_far(level: float, before: float, expected: float) -> None:
    """Pieces of one recording keep their levels to each other, but for the first quiet ones."""
    result, _, peak = normalize(tone(level=level), peak_before=before)
    assert np.abs(result).max() == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert peak == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("level", [0.001, 0.5, 3.0, 1e25])
def test_the_peak_is_that_of_the_sound(level: float) -> None:
    """What is returned is the magnitude without DC and before any gain."""
    _, _, peak = normalize(((tone() * np.float64(2 * level)) + level).astype(np.float32))
    assert peak == pytest.approx(level, rel=0.01)
