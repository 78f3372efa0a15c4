"""However long the audio, a few megabytes of memory are enough to take it and to read it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.audio.spool_kit import Answers, head, wav_chunks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc"),
]

# Prints the frames read, and the peak of resident memory above what is there once a short clip was read the same way.
MEASURE = """
import sys
from pathlib import Path
from tests.audio.spool_kit import load_by_core, wav_chunks
from hfasr.audio.readers import open_reader

kind, seconds, *urls = sys.argv[1:]

def given(seconds, url):
    if kind == "chunks":
        return wav_chunks(seconds)
    if kind == "async chunks":
        async def chunks():
            for chunk in wav_chunks(seconds):
                yield chunk
        return chunks()
    return url

def count(source):
    with open_reader(source) as reader:
        return sum(len(block) for block in reader)

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

colour = "sync" if kind in {"chunks", "url"} else "asyncio"
load_by_core(colour, given(60, urls and urls[0]), then=count)
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
n_frames = load_by_core(colour, given(int(seconds), urls and urls[1]), then=count)
print(n_frames, status("VmHWM") - before)
"""


def served(seconds: int) -> Answers:
    """Return a server of one WAV file of that length."""

    def pieces() -> Iterator[bytes]:
        yield head(content_type="audio/wav", content_length=44 + seconds * 44_100 * 4)
        yield from wav_chunks(seconds)

    return Answers(pieces)


def measure(kind: str, seconds: int) -> int:
    """Return by how many bytes the memory grew."""

    with served(60) as short, served(seconds) as long:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, kind, str(seconds), short.url, long.url],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n_frames, peak = map(int, done.stdout.split())
    assert n_frames == seconds * 44_100
    return peak


@pytest.mark.parametrize("kind", ["url", "async url", "chunks", "async chunks"])
def test_an_hour_needs_no_more_memory_than_half(kind: str) -> None:
    """A WAV of 317 MB, and one of 635 MB, take less than 10 MB."""
    peaks = [measure(kind, seconds) for seconds in (1_800, 3_600)]
    assert max(peaks) < 10 * 2**20, peaks
