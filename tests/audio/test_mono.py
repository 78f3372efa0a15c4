"""One pass makes any source mono, at one rate: without a seam, a second look, or what cancels out."""

from __future__ import annotations

import numpy as np
import pytest

from hfasr.audio import decode
from hfasr.audio.levelled import LevelledSource
from hfasr.audio.mono import MonoStream
from hfasr.audio.source import BytesSource, WaveformSource
from hfasr.errors import AudioDecodeError
from tests.audio.kit import Floats, encode, tone


def test_channels_in_opposite_phase_do_not_cancel() -> None:
    """Where the mix would be silence, the louder channel is taken, and the changes say so."""
    left = tone(500)
    data = encode(np.stack([0.8 * left, -left], axis=1), 16_000, subtype="FLOAT")
    decoded = decode(BytesSource(data, name="swapped"))
    np.testing.assert_allclose(decoded.audio.waveform, -left, atol=1e-6)
    assert decoded.changes == ("took channel 1 of 2, as their mix cancels out",)


def test_cancelling_for_a_part_of_the_time_is_enough() -> None:
    """A stretch in which the channels cancel is found between stretches in which they do not."""
    tones = tone(500, duration=20)
    other = tones.copy()
    other[65_536 * 2 : 65_536 * 3] *= -1
    decoded = decode(BytesSource(encode(np.stack([tones, other], axis=1)), name="partly"))
    kept = np.delete(decoded.audio.waveform - tones, slice(65_536 * 2, 65_536 * 2 + 160))  # all but the fade
    np.testing.assert_allclose(kept, 0, atol=1e-4)
    assert decoded.changes == ("mixed 2 channels", "took channel 0 of 2 for 4.1 s, as their mix cancels out")


def test_quiet_pauses_do_not_count_as_cancelling() -> None:
    """Noise in opposite phase between loud stretches does not keep the channels from being mixed."""
    left = tone(500, duration=20)
    right = left.copy()
    pause = slice(65_536 * 2, 65_536 * 3)
    left[pause] *= 0.01
    right[pause] *= -0.01
    decoded = decode(BytesSource(encode(np.stack([left, right], axis=1)), name="pause"))
    assert decoded.changes == ("mixed 2 channels",)


def test_blocks_join_without_a_seam() -> None:
    """Decoding in blocks gives what decoding at once gives."""
    import soxr

    samples = tone(440, duration=7, sampling_rate=44_100)
    decoded = decode(BytesSource(encode(samples, 44_100, subtype="FLOAT"), name="long"))
    np.testing.assert_allclose(decoded.audio.waveform, soxr.resample(samples, 44_100, 16_000, "HQ"), atol=1e-6)


def test_samples_that_are_no_numbers_become_silence() -> None:
    """NaN and infinities are set to 0 before they spread through the resampler."""
    samples = tone(sampling_rate=48_000)
    samples[[100, 5_000, 9_000]] = [np.nan, np.inf, -np.inf]
    decoded = decode(BytesSource(encode(samples, 48_000, subtype="FLOAT"), name="holes"))
    assert np.isfinite(decoded.audio.waveform).all()
    assert "set 3 non-finite samples to 0" in decoded.changes


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (2.0**-24, True), (2.0**-21, False), (0.5, False)])
def test_digital_silence_is_told(level: float, silent: bool) -> None:
    """What never leaves one step of 24 bits is silent, whatever a level that is raised looks like."""
    data = encode(tone(level=level), subtype="FLOAT")
    assert decode(BytesSource(data, name="quiet")).is_silent is silent


def test_nothing_but_dc_is_silent() -> None:
    """A constant is no sound."""
    assert decode(BytesSource(encode(np.full(16_000, 0.25, np.float32)), name="constant")).is_silent


def test_a_source_is_read_once() -> None:
    """Channels that cancel out are found on the way, without a second look at the file."""
    checks = 0

    def count() -> None:
        nonlocal checks
        checks += 1

    swapped = np.stack([tone(duration=20), -tone(duration=20)], axis=1)
    decode(WaveformSource(swapped, sampling_rate=16_000, name="swapped"), check=count)
    assert checks == 5  # blocks of 4.1 s


def test_a_levelled_source_at_another_rate_stays_in_range() -> None:
    """What the resampler adds to full scale does not wrap around in 16 bits."""
    square = np.sign(tone(1_000)).astype(np.float32)
    decoded = decode(LevelledSource(square[:, None], sampling_rate=16_000, name="square"), sampling_rate=8_000)
    assert np.abs(decoded.audio.waveform).max() == 1


def test_what_comes_before_damage_is_given() -> None:
    """The blocks before the damage come out, with what the resampler still holds, and then the error."""
    samples = tone(duration=10, sampling_rate=44_100)
    data = encode(samples, 44_100, format="FLAC")
    stream = MonoStream(BytesSource(data[:-5_000], name="cut"), sampling_rate=16_000, channels="mix")
    blocks: list[Floats] = []
    with stream, pytest.raises(AudioDecodeError):
        blocks.extend(stream)  # which keeps what came before an error
    given = np.concatenate(blocks)
    assert len(given) == pytest.approx(stream.duration * 16_000, abs=2)
    np.testing.assert_allclose(given[500:-500], tone(duration=10)[500 : len(given) - 500], atol=1e-3)
