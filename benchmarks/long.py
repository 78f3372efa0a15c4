"""
Long audio against a server on loopback: how much of the waiting is done at once, and what that costs the processor.
"""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks import long_memory
from benchmarks.long_memory import CHANNELS, RATE_HZ, repeated, transcribe
from benchmarks.measure import show
from benchmarks.server import slow_server
from benchmarks.sound import clip
from hfasr import Chunking

UPLOAD_HZ = 16_000
TAKES_S = 0.5
CONCURRENCY = 8
BLOCK_FRAMES = 65_536


def run(*, hours: int = 1) -> None:
    """Print the lines of the table."""
    with tempfile.TemporaryDirectory() as folder:
        minute = Path(folder, "minute.wav")
        minute.write_bytes(clip(60, RATE_HZ, CHANNELS, "WAV"))
        path = repeated(minute, 60 * hours, Path(folder, "long.wav"))
        _waiting(path, hours)
        _processor_time(path, hours)
        path.unlink()
        long_memory.run(minute)


def _waiting(path: Path, hours: int) -> None:
    with slow_server(TAKES_S) as url:
        for colour in ("sync", "async"):
            at_once, serial = (_timed(colour, path, url, n)[0] for n in (CONCURRENCY, 1))
            show(
                f"{colour}: {hours} h in chunks, {CONCURRENCY} at once / an eighth of one by one",
                at_once / (serial / CONCURRENCY),
                "at most 1.25",
            )


def _processor_time(path: Path, hours: int) -> None:
    with slow_server(0) as url:
        bare = min(_bare_s(path) for _ in range(3))
        for colour in ("sync", "async"):
            ours = min(_timed(colour, path, url, CONCURRENCY)[1] for _ in range(3))
            show(f"{colour}: {hours} h, processor time / decoding, soxr, FLAC alone", ours / bare, "")


def _timed(colour: str, path: Path, url: str, n_at_once: int) -> tuple[float, float]:
    """Return the seconds that a call takes, and those of processor time."""
    began: list[float] = []

    def begin() -> None:
        began.extend((time.perf_counter(), time.process_time()))

    short = clip(2, UPLOAD_HZ, 1, "FLAC")
    transcribe(colour, short, path, begin, router_url=url, chunking=Chunking(max_concurrency=n_at_once))
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _bare_s(path: Path) -> float:
    """Return the processor time of the least that must be done: decode, mix down, resample, encode."""
    began = time.process_time()
    resampler = soxr.ResampleStream(RATE_HZ, UPLOAD_HZ, 1, dtype="float32")
    done: list[np.ndarray] = []
    for block in soundfile.blocks(path, BLOCK_FRAMES, dtype="float32", always_2d=True):
        done.append(resampler.resample_chunk((block[:, 0] + block[:, 1]) / 2))
        if sum(map(len, done)) >= 30 * UPLOAD_HZ:
            soundfile.write(io.BytesIO(), np.concatenate(done), UPLOAD_HZ, format="FLAC")
            done.clear()
    return time.process_time() - began
