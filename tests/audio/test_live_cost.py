"""A live stream may go on for hours: memory stays flat, and little time is taken from others."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from hfasr.audio.live_phrases import Phrases
from hfasr.audio.pieces import Cutting
from tests.audio.live_kit import noise, talk

MAX_CPU_S = 0.005  # for a second of audio; under 2 ms on an idle machine
LONGEST_S = 30.0
MOST_BYTES = 8 * 2**20  # four times the samples of a longest piece, at 16 kHz


def phrases(rate: int, channels: int = 1, split: str = "silence") -> Phrases:
    """Return phrases as the clients ask for them."""
    return Phrases(
        given_rate=rate,
        channels=channels,
        sampling_rate=16_000,
        cutting=Cutting(LONGEST_S, split),  # type: ignore[arg-type]  # a str of the parametrization
        pause_s=0.5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("split", ["silence", "none"])
def test_an_hour_in_flat_memory(split: str) -> None:
    """An hour of speech, silence and noise, as fast as it can be fed: no more is held than a phrase needs."""
    minutes = [
        talk([(6.0 * i, ["red", "boat"] * (8 if i < 7 else 2)) for i in range(10)], 60.0),
        np.zeros(60 * 16_000, np.float32),
        noise(60, 16_000, 0.01),
    ]
    stream = phrases(16_000, split=split)
    n_phrases, peaks = 0, []
    tracemalloc.start()
    try:
        for i in range(60):
            tracemalloc.reset_peak()
            minute = minutes[i % 3][:, None]
            for start in range(0, len(minute), 8_000):
                n_phrases += len(stream.feed(minute[start : start + 8_000], now=0.0))
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert n_phrases >= 100
    assert max(peaks) < MOST_BYTES
    assert max(peaks[30:]) < max(peaks[:9]) + 2**18


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (44_100, 1), (48_000, 1), (48_000, 2)])
def test_processor_time(rate: int, channels: int) -> None:
    """A second of audio takes a few milliseconds, in blocks of 0.1 s; the best of some runs, as others run beside."""
    speech = talk([(2.5 * i, ["red", "boat", "sun"]) for i in range(4)], 10.0, rate) + noise(10.0, rate, 0.003)
    frames = np.repeat(speech[:, None], channels, axis=1)
    spent = []
    for _ in range(5):
        stream = phrases(rate, channels)
        began = time.thread_time()
        given = [
            phrase
            for start in range(0, len(frames), rate // 10)
            for phrase in stream.feed(frames[start : start + rate // 10], now=0.0)
        ]
        spent.append((time.thread_time() - began) / 10.0)
        assert len(given) >= 3
    assert min(spent) < MAX_CPU_S
