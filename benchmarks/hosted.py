"""What a call costs beyond the bare libraries under it."""

from __future__ import annotations

import io

import httpx
import soundfile
import soxr

from benchmarks.measure import ratio, show
from benchmarks.server import server
from benchmarks.sound import clip
from hfasr import ASRClient
from hfasr.audio import decode
from hfasr.audio.source import BytesSource


def run() -> None:
    """Print both lines."""
    one_request()
    decoding()


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
