from __future__ import annotations

import io
from typing import Protocol

import pytest

from hfasr.testing import ToneSpeech


class Encode(Protocol):
    def __call__(
        self, text: str, container: str = ..., subtype: str | None = ..., sampling_rate: int = ..., channels: int = ...
    ) -> bytes: ...


@pytest.fixture
def encode() -> Encode:
    """Words as tones in an audio file."""
    import numpy as np
    import soundfile

    def encode(
        text: str,
        container: str = "FLAC",
        subtype: str | None = None,
        sampling_rate: int = 16_000,
        channels: int = 1,
    ) -> bytes:
        file = io.BytesIO()
        waveform = ToneSpeech().say(text, sampling_rate=sampling_rate)
        soundfile.write(file, np.stack([waveform] * channels, axis=1), sampling_rate, format=container, subtype=subtype)
        return file.getvalue()

    return encode
