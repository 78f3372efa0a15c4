"""The event loop is never held up: by decoding, a batch, joining, or what has to be imported first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hfasr.testing import FakeASRServer, ToneSpeech, replies
from tests.conftest import clip

MOST_S = 0.020
"""
Longest that one callback of asyncio may hold up the others. It is counted in processor time of the loop's thread, which
other programs on the machine do not lengthen, as they do time on the clock.
"""

PROBE = """
import asyncio, gc, json, sys, time
from asyncio import events
from pathlib import Path
from hfasr import Audio, AsyncASRClient, Chunking

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
took = []
run = events.Handle._run

def timed(handle):
    began = time.thread_time()
    try:
        run(handle)
    finally:
        took.append((time.thread_time() - began, repr(handle)))

def probe(main):
    gc.freeze()  # or the first collection of what is imported here would be counted
    events.Handle._run = timed
    asyncio.run(main())
    longest = max(took)
    print(json.dumps({"longest": longest[0], "where": longest[1], "callbacks": len(took)}))
"""


def held_up(program: str, server: FakeASRServer, folder: Path) -> tuple[float, str]:
    """
    Run *program* in a fresh process, where nothing has been imported yet.

    Returns:
        Seconds of the longest callback, the least of three runs, and which one it was.
    """
    file = folder / "program.py"
    file.write_text(PROBE + textwrap.dedent(program), encoding="utf-8")
    found: list[tuple[float, str]] = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, str(file), server.url, str(folder)],
            capture_output=True, text=True, timeout=100, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert told["callbacks"] > 10
        found.append((told["longest"], told["where"]))
        if found[-1][0] < MOST_S:
            break
    return min(found)


def minute(folder: Path) -> Path:
    """Write a minute of 44.1 kHz stereo: noise, and three words in it."""
    noise = np.random.default_rng(0).standard_normal((44_100 * 60, 2), np.float32) * np.float32(0.01)
    spoken = ToneSpeech().say("red boat green", sampling_rate=44_100)
    noise[1_000 : 1_000 + len(spoken)] += spoken[:, None]
    soundfile.write(folder / "minute.wav", noise, 44_100)
    return folder / "minute.wav"


def test_a_slow_callback_is_seen(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """What does hold up the loop is found, and told."""
    program = """
    async def hold_up():
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass

    async def main():
        for _ in range(20):
            await asyncio.sleep(0)
        await hold_up()

    probe(main)
    """
    longest, where = held_up(program, asr_server, tmp_path)
    assert 0.05 <= longest < 0.5
    assert "Task" in where


@pytest.mark.parametrize("how", ["path", "bytes", "samples", "in chunks", "streamed", "by channel"])
def test_a_minute_of_stereo(how: str, tmp_path: Path) -> None:
    """A minute of stereo is imported for, read, decoded, mixed, hashed, encoded and sent beside the event loop."""
    minute(tmp_path)
    program = f"""
    how = {how!r}

    async def main():
        cut = Chunking(chunk_length_s=20) if how == "in chunks" else Chunking()
        async with AsyncASRClient(router_url=URL, token="x", chunking=cut) as asr:
            if how == "streamed":
                async with asr.transcribe_stream(FOLDER / "minute.wav") as stream:
                    words = [segment.text async for segment in stream]
                text = " ".join(words)
            else:
                if how == "by channel":
                    asr = asr.with_options(channels="split")
                text = (await asr.transcribe(audio)).text
            assert "red" in text, text

    path = FOLDER / "minute.wav"
    audio = path if how in ("path", "in chunks", "streamed", "by channel") else path.read_bytes()
    if how == "samples":
        import soundfile
        samples, rate = soundfile.read(path, dtype="float32")
        audio = Audio(samples.T, rate)
    probe(main)
    """
    with FakeASRServer(max_duration_s=None) as server:
        longest, where = held_up(program, server, tmp_path)
    assert longest < MOST_S, where


def test_a_batch(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """A batch of 50 files with a journal and a cache is run, and run again, beside the event loop."""
    (tmp_path / "audio").mkdir()
    for number in range(50):
        (tmp_path / "audio" / f"{number:02}.flac").write_bytes(clip("red boat", format="FLAC") + bytes(number))
    program = """
    async def main():
        files = sorted((FOLDER / "audio").iterdir())
        assert len(files) == 50
        async with AsyncASRClient(router_url=URL, token="x") as asr:
            for _ in range(2):
                async with asr.transcribe_many(
                    files, journal=FOLDER / "journal.jsonl", cache=FOLDER / "cache.sqlite"
                ) as batch:
                    async for item in batch:
                        assert item.transcript is not None, item.error

    probe(main)
    """
    longest, where = held_up(program, asr_server, tmp_path)
    assert longest < MOST_S, where


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "same"), [("transcribe", True), ("transcribe_stream", False), ("transcribe_many", False)]
)
def test_long_answers(how: str, same: bool, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """Answers of 4,000 words a chunk, also of one and the same time, are read, joined and kept beside the event loop."""
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(16_000 * 50) * 0.05, 16_000)
    chunks = [
        {"text": f" w{n % 997}", "timestamp": [5.0, 5.2] if same else [n / 200, n / 200 + 0.004]} for n in range(4_000)
    ]
    answer = {"text": "".join(str(chunk["text"]) for chunk in chunks), "chunks": chunks}
    program = f"""
    how = {how!r}

    async def main():
        cut = Chunking(chunk_length_s=20, stride_length_s=4, split="none", max_concurrency=2)
        async with AsyncASRClient(router_url=URL, token="x", chunking=cut) as asr:
            if how == "transcribe":
                text = (await asr.transcribe(FOLDER / "noise.wav", return_timestamps="word")).text
            elif how == "transcribe_stream":
                async with asr.transcribe_stream(FOLDER / "noise.wav", return_timestamps="word") as stream:
                    text = " ".join([segment.text async for segment in stream])
            else:
                settings = {{"journal": FOLDER / "journal.jsonl", "cache": FOLDER / "cache.sqlite"}}
                async with asr.transcribe_many([FOLDER / "noise.wav"], return_timestamps="word", **settings) as batch:
                    text = [item async for item in batch][0].transcript.text
            assert len(text) > 16_000, len(text)

    probe(main)
    for file in (*FOLDER.glob("journal*"), *FOLDER.glob("cache*")):
        file.unlink()
    """
    asr_server.script(*[replies.Reply(200, json=answer)] * 12)
    longest, where = held_up(program, asr_server, tmp_path)
    assert longest < MOST_S, where
