"""Print ``name ratio target``, one line a benchmark."""

from __future__ import annotations

import io

import httpx
import numpy as np
import soundfile
import soxr

from benchmarks.measure import ratio, show
from benchmarks.server import server
from hfasr import ASRClient
from hfasr.audio import decode
from hfasr.audio.source import BytesSource


def clip(seconds: float, sampling_rate: int, channels: int, form: str) -> bytes:
    """Return noise that is shaped a little like speech, as a file."""
    rng = np.random.default_rng(0)
    loudness = 0.1 * (1 + np.sin(np.linspace(0, 4 * np.pi * seconds, int(seconds * sampling_rate))))
    voice = np.convolve(rng.standard_normal(len(loudness)), np.hanning(24) / 4, mode="same")
    noise = rng.standard_normal((len(loudness), channels)) * 0.02
    samples = np.clip((voice[:, None] * 0.3 + noise) * loudness[:, None], -1, 1)
    file = io.BytesIO()
    soundfile.write(file, samples, sampling_rate, format=form)
    return file.getvalue()


def one_request() -> None:
    """One call with FLAC bytes on a kept-alive connection, over one bare ``httpx.Client.post``."""
    flac = clip(2.5, 16_000, 1, "FLAC")
    with server() as url, ASRClient(router_url=url) as asr, httpx.Client() as client:
        target = f"{url}/hf-inference/models/openai/whisper-large-v3"
        headers = {"content-type": "audio/flac"}
        figure = ratio(
            lambda: asr.transcribe(flac),
            lambda: client.post(target, content=flac, headers=headers).json(),
            rounds=40,
            calls=50,
        )
    show(f"one request of {len(flac) // 1000} kB / httpx.Client.post", figure, "at most 1.15")


def decoding() -> None:
    """Decode, mix down and resample a minute of stereo, over the bare libsndfile and soxr calls."""
    mp3 = clip(60, 44_100, 2, "MP3")

    def bare() -> object:
        samples, rate = soundfile.read(io.BytesIO(mp3), dtype="float32", always_2d=True)
        return soxr.resample(samples.mean(axis=1), rate, 16_000)

    source = BytesSource(mp3, name="clip.mp3")
    figure = ratio(lambda: decode(source), bare, rounds=7, calls=1)
    show("60 s of 44.1 kHz stereo mp3 to 16 kHz mono / bare calls", figure, "at most 1.10")


if __name__ == "__main__":
    one_request()
    decoding()
