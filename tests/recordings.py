"""The audio files that the documentation's code names."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from hfasr.testing import ToneSpeech

__all__ = ["WORDS", "write_recordings"]

RATE = 16_000
WORDS = "red boat green river"


def write_recordings(folder: Path) -> None:
    """Write every file that a page names; all but the call say `WORDS`."""
    speech = ToneSpeech()
    said = speech.say(WORDS)
    for name in ("sample1.flac", "sample2.flac", "sample1.wav", "sample2.wav"):
        soundfile.write(folder / name, said, RATE)

    encode(folder / "voice.m4a", "aac", said, 44_100)
    encode(folder / "voice.amr", "libopencore_amrnb", said, 8_000)
    soundfile.write(folder / "swapped.wav", np.stack([said, -0.9 * said], axis=1), RATE)
    soundfile.write(folder / "quiet.wav", said / np.abs(said).max() * 2.0**-10, RATE)

    customer = speech.say_at([(0.5, "red"), (2.5, "river")], duration=4.0)
    agent = speech.say_at([(1.5, "green")], duration=4.0)
    call = soxr.resample(np.stack([customer, agent], axis=1), RATE, 8_000)
    soundfile.write(folder / "call.wav", call, 8_000, subtype="ULAW")


def encode(path: Path, codec: str, said: npt.NDArray[np.float32], rate: int) -> None:
    samples = (soxr.resample(said, RATE, rate) * 32_767).astype(np.int16)
    with av.open(path, "w") as box:
        stream = box.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            box.mux(packet)
