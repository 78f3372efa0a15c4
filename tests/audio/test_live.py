"""What a live source is made of is checked when it is made."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from hfasr.errors import AudioError, UnsupportedAudioError
from hfasr.live import LiveAudio, Microphone


def test_what_is_given_is_kept() -> None:
    """The values are those that were passed, numbers of numpy's as plain ones."""
    blocks = [b""]
    live = LiveAudio(blocks, sampling_rate=np.int64(48_000), channels=2, dtype="float32", pause_s=1)  # type: ignore[arg-type]  # numpy's
    assert live.blocks is blocks
    assert (live.sampling_rate, live.channels, live.dtype, live.pause_s) == (48_000, 2, "float32", 1.0)
    assert type(live.sampling_rate) is int
    assert LiveAudio(blocks, sampling_rate=8_000.0).sampling_rate == 8_000  # type: ignore[arg-type]  # a whole number


@pytest.mark.parametrize(
    ("blocks", "changes", "error"),
    [
        (b"whole", {}, TypeError),
        ("path.wav", {}, TypeError),
        (np.zeros(4, np.int16), {}, TypeError),
        (7, {}, TypeError),
        ([], {"sampling_rate": "16000"}, TypeError),
        ([], {"sampling_rate": True}, TypeError),
        ([], {"sampling_rate": 16_000.5}, TypeError),
        ([], {"sampling_rate": 10}, UnsupportedAudioError),
        ([], {"sampling_rate": 10**9}, UnsupportedAudioError),
        ([], {"channels": 0}, UnsupportedAudioError),
        ([], {"channels": 9}, UnsupportedAudioError),
        ([], {"channels": 1.0}, TypeError),
        ([], {"dtype": "int8"}, ValueError),
        ([], {"pause_s": 0.01}, ValueError),
        ([], {"pause_s": float("nan")}, ValueError),
        ([], {"pause_s": "1"}, TypeError),
    ],
)
def test_what_is_refused(blocks: Any, changes: dict[str, Any], error: type[Exception]) -> None:
    """What is no live source is refused at once, in one line, and typed."""
    with pytest.raises(error) as caught:
        LiveAudio(blocks, **{"sampling_rate": 16_000, **changes})
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, AudioError) == (error is UnsupportedAudioError)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"device": 1.5}, TypeError),
        ({"device": True}, TypeError),
        ({"block_s": 0.0}, ValueError),
        ({"block_s": 60}, ValueError),
        ({"sampling_rate": 1}, UnsupportedAudioError),
        ({"pause_s": 0}, ValueError),
    ],
)
def test_a_microphone_is_checked_too(settings: dict[str, Any], error: type[Exception]) -> None:
    """Its settings are checked before a device is opened."""
    with pytest.raises(error):
        Microphone(**settings)


def test_light_at_import() -> None:
    """Neither numpy nor sounddevice is loaded by the module."""
    code = "import sys, hfasr.live; print([name for name in ('numpy', 'sounddevice', 'soxr') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
