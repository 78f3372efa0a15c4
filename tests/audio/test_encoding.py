from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from hfasr.audio import decode
from hfasr.audio.encoding import Encoding, encode
from hfasr.testing import ToneSpeech
from hfasr.types import Audio
from tests.audio.kit import source


@pytest.mark.parametrize("encoding", ["flac", "wav"])
def test_lossless_is_exact_to_16_bits(encoding: Encoding) -> None:
    """The samples come back within half a step, at full scale, too."""
    waveform = np.linspace(-1, 1, 16_001).astype(np.float32)
    data = encode(Audio(waveform, 16_000), encoding)
    back, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 16_000
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"
    assert np.abs(back - waveform * 32_767).max() <= 0.51


def test_opus_is_small_and_understood() -> None:
    """Opus takes about 28 kbit/s and still says the same words, with the same duration."""
    speech = ToneSpeech()
    waveform = speech.say("red boat lamp " * 20)
    data = encode(Audio(waveform, 16_000), "opus")
    assert 20_000 < len(data) * 8 / (len(waveform) / 16_000) < 36_000
    decoded = decode(source(data))
    assert decoded.duration == pytest.approx(len(waveform) / 16_000, abs=1e-3)
    assert speech.hear(decoded.audio).text == ("red boat lamp " * 20).strip()
