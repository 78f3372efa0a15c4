"""However long the audio, and however it is given: the memory of a few chunks, uploads included."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hfasr import Transcript
from hfasr.testing import FakeASRServer
from tests.audio.spool_kit import Answers, head, wav_chunks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc"),
]

SHORT_S = 32
MB = 1_000_000

# Prints the chunks, and the peak of resident memory above what is there once a short clip was transcribed the same way.
MEASURE = """
import asyncio, sys
from pathlib import Path
from hfasr import ASRClient, AsyncASRClient
from tests.audio.spool_kit import wav_chunks

colour, router_url, *audios = sys.argv[1:]
settings = {"router_url": router_url, "token": "x", "allow_private_urls": True}

def given(audio):
    return wav_chunks(int(audio)) if audio.isdigit() else audio

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

def begin():
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    return status("VmRSS")

async def by_tasks():
    async with AsyncASRClient(**settings) as asr:
        await asr.transcribe(given(audios[0]))
        before = begin()
        return before, await asr.transcribe(given(audios[1]))

def by_threads():
    with ASRClient(**settings) as asr:
        asr.transcribe(given(audios[0]))
        before = begin()
        return before, asr.transcribe(given(audios[1]))

before, transcript = by_threads() if colour == "sync" else asyncio.run(by_tasks())
print(transcript.provenance.chunks, status("VmHWM") - before)
"""


def served(seconds: int) -> Answers:
    """Return a server of one WAV file of that length, which it makes on the way."""

    def pieces() -> Iterator[bytes]:
        yield head(content_type="audio/wav", content_length=44 + seconds * 44_100 * 4)
        yield from wav_chunks(seconds)

    return Answers(pieces)


def written(folder: Path, seconds: int) -> str:
    """Write such a file."""
    path = folder / f"{seconds}.wav"
    with path.open("wb") as file:
        file.writelines(wav_chunks(seconds))
    return str(path)


def peak(colour: str, kind: str, seconds: int, folder: Path) -> int:
    """Return by how many bytes the memory of a process grew that had *seconds* of 44.1 kHz stereo transcribed."""
    with ExitStack() as stack:
        server = stack.enter_context(FakeASRServer(lambda _audio, _options: Transcript("red")))
        if kind == "path":
            audios = [written(folder, length) for length in (SHORT_S, seconds)]
        elif kind == "url":
            audios = [stack.enter_context(served(length)).url for length in (SHORT_S, seconds)]
        else:
            audios = [str(SHORT_S), str(seconds)]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, colour, server.router_url, *audios],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n_chunks, grown = map(int, done.stdout.split())
    assert n_chunks >= seconds / 30
    return grown


@pytest.mark.parametrize(("colour", "kind"), [("sync", "path"), ("async", "url"), ("sync", "bytes")])
def test_twice_as_long_needs_no_more(tmp_path: Path, colour: str, kind: str) -> None:
    """WAV files of 212 and 423 MB take less than 100 MB, and the longer one no more than the other."""
    peaks = [peak(colour, kind, minutes * 60, tmp_path) / MB for minutes in (20, 40)]
    assert max(peaks) < 100, peaks
    assert peaks[1] - peaks[0] < 20, peaks
