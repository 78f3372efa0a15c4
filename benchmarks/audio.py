"""
Preparing audio: how long it takes beside other libraries, and how many bytes of it are sent.

A minute of 44.1 kHz stereo as an mp3 file becomes 16 kHz mono samples, or FLAC.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import io
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import soundfile
import soxr

from benchmarks.measure import ratio, show, skip
from benchmarks.sound import clip
from hfasr import ASRClient, Transcript
from hfasr.audio import decode, make_upload
from hfasr.audio.source import PathSource
from hfasr.testing import FakeASRServer

if TYPE_CHECKING:
    import numpy.typing as npt

RATE_HZ = 16_000
GROUPED_FRAMES = 500_000  # faster-whisper's

SPEECH = {  # of the folder that HFASR_SHARED names
    "real speech, 44.1 kHz stereo FLAC of 24 bits": "jfk.flac",
    "real speech, 16 kHz mono WAV": "spk1_snt1.wav",
    "real speech, 16 kHz mono FLAC": "sample1.flac",
}


def run(*, seconds: float = 60, rounds: int = 15, sent_s: float = 20) -> None:
    """Print the lines: times for *seconds* of audio, medians of *rounds*, then sizes for *sent_s*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp3")
        path.write_bytes(clip(seconds, 44_100, 2, "MP3"))
        decoding(path, rounds)
        sent(sent_s)


def decoding(path: Path, rounds: int) -> None:
    """Decode, mix down and resample, and encode: over what others do, and over the least that has to be done."""
    measure = partial(ratio, rounds=rounds, calls=1)
    what = "decoded to 16 kHz mono"
    if importlib.util.find_spec("librosa"):
        import librosa

        show(
            f"{what}: librosa / hfasr",
            measure(lambda: librosa.load(path, sr=RATE_HZ), lambda: _decode(path)),
            "at least 2.5",
        )
    else:
        skip(f"{what}: librosa / hfasr", "librosa is not installed")
    if importlib.util.find_spec("av"):
        as_faster_whisper = _faster_whisper()
        show(
            f"{what}: faster-whisper / hfasr",
            measure(lambda: as_faster_whisper(str(path)), lambda: _decode(path)),
            "at least 1.5",
        )
    else:
        skip(f"{what}: faster-whisper / hfasr", "av is not installed")
    alone = measure(lambda: soundfile.read(path, dtype="float32"), lambda: _decode(path))
    show("libsndfile, which only reads the file / hfasr", alone, "")
    show(f"{what}: hfasr / bare calls", measure(lambda: _decode(path), lambda: _bare(path)), "at most 1.10")
    flac, target = "the same, and FLAC: hfasr", "at most 1.10"
    show(f"{flac} / bare calls", measure(lambda: _flac(path), lambda: _bare_flac(path)), target)
    show(
        f"{flac} / bare calls with a quick mean", measure(lambda: _flac(path), lambda: _bare_flac(path, _quick)), target
    )
    with _without_av():
        figure = measure(lambda: _flac(path), lambda: _bare_flac(path, _quick))
    show(f"{flac} without the extra av / bare calls with a quick mean", figure, target)


def sent(seconds: float) -> None:
    """Count the bytes that a server gets, over those of a FLAC file that libsndfile makes."""
    made = {
        "44.1 kHz stereo WAV": clip(seconds, 44_100, 2, "WAV"),
        "16 kHz mono WAV": clip(seconds, RATE_HZ, 1, "WAV"),
        "48 kHz stereo FLAC": clip(seconds, 48_000, 2, "FLAC"),
        "16 kHz mono FLAC": clip(seconds, RATE_HZ, 1, "FLAC"),
    }
    shared = os.environ.get("HFASR_SHARED")
    with (
        FakeASRServer(lambda _audio, _options: Transcript("heard")) as server,
        ASRClient(router_url=server.router_url) as asr,
    ):
        for name, data in made.items():
            show(f"bytes sent of {name} / bare FLAC", _sent(asr, server, data), "at most 1.02")
        for name, file in SPEECH.items():
            path = Path(shared or "", "audio", file)
            if shared and path.exists():
                show(f"bytes sent of {name} / bare FLAC", _sent(asr, server, path.read_bytes()), "at most 1.02")
            else:
                skip(f"bytes sent of {name} / bare FLAC", "HFASR_SHARED names no folder with real speech")


def _decode(path: Path) -> object:
    return decode(PathSource(path, check=lambda: None))


def _flac(path: Path) -> object:
    return make_upload(PathSource(path, check=lambda: None), format="flac", accepts=frozenset())


def _mean(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of the channels as everybody writes it."""
    mean: npt.NDArray[np.float32] = samples.mean(axis=1)
    return mean


def _quick(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the same; of two channels numpy takes several times as long the other way."""
    return samples @ np.full(samples.shape[1], 1 / samples.shape[1], np.float32)


Mix = Callable[["npt.NDArray[np.float32]"], "npt.NDArray[np.float32]"]


def _bare(file: Any, mix: Mix = _mean) -> npt.NDArray[np.float32]:
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    resampled: npt.NDArray[np.float32] = soxr.resample(mix(samples), rate, RATE_HZ)
    return resampled


def _bare_flac(file: Any, mix: Mix = _mean) -> bytes:
    flac = io.BytesIO()
    soundfile.write(flac, _bare(file, mix), RATE_HZ, format="FLAC")
    return flac.getvalue()


def _sent(asr: ASRClient, server: FakeASRServer, data: bytes) -> float:
    transcript = asr.transcribe(data)
    assert transcript.provenance is not None
    n_bytes = len(server.requests[-1].body)
    if n_bytes != transcript.provenance.uploaded_bytes:
        raise AssertionError(f"the server got {n_bytes} bytes, not {transcript.provenance.uploaded_bytes}")
    return n_bytes / len(_bare_flac(io.BytesIO(data)))


def _without_av() -> AbstractContextManager[object]:
    """Let libsndfile decode, as where the extra ``av`` is not installed."""
    return mock.patch.dict(sys.modules, {"hfasr.audio.pyav": None})


def _faster_whisper() -> Callable[[str], object]:
    """Return faster-whisper's own function where it is installed, else one that makes the same calls."""
    if importlib.util.find_spec("faster_whisper"):
        decode_audio: Callable[[str], object] = importlib.import_module("faster_whisper.audio").decode_audio
        return decode_audio
    return _by_pyav


def _by_pyav(path: str) -> npt.NDArray[np.float32]:
    """Do what ``decode_audio`` of faster-whisper 1.2 does, down to its garbage collection."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    samples = io.BytesIO()

    def grouped(frames: Any) -> Any:
        held = av.AudioFifo()
        for frame in frames:
            frame.pts = None
            held.write(frame)
            if held.samples >= GROUPED_FRAMES:
                yield held.read()
        if held.samples:
            yield held.read()

    with av.open(path, mode="r", metadata_errors="ignore") as container:
        for frame in itertools.chain(grouped(container.decode(audio=0)), [None]):
            for resampled in resampler.resample(frame):
                samples.write(resampled.to_ndarray().data)
    del resampler
    gc.collect()
    return np.frombuffer(samples.getbuffer(), np.int16).astype(np.float32) / np.float32(2**15)


if __name__ == "__main__":
    run()
