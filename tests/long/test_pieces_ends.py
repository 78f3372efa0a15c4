"""Long calls that end early, in the middle, or without a word: deadlines, cancellation, damage and silence."""

from __future__ import annotations

import asyncio
import gc
import io
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
import pytest
import soundfile

import hfasr
from hfasr import Audio, Chunking, Transcript
from hfasr.audio.levelled import LevelledSource
from hfasr.testing import FakeASRServer, Hang, Normal, ToneSpeech
from tests.colours import Session
from tests.long.kit import bare, speech

Make = Callable[..., Session]

SAID = speech(6, 18.0)
AUDIO = SAID.audio()
ONE_BY_ONE = Chunking(chunk_length_s=5, max_concurrency=1)


def origin_of(transcript: Transcript) -> hfasr.Provenance:
    assert transcript.provenance is not None
    return transcript.provenance


def test_deadline_is_raised_also_with_gaps(session: Make, asr_server: FakeASRServer) -> None:
    """The deadline is that of the whole call: what is missing then is no gap."""
    asr_server.script(Normal(), Hang())
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE)
    began = time.monotonic()
    with pytest.raises(hfasr.DeadlineExceededError) as caught:
        asr.transcribe(AUDIO, deadline=1.0, on_chunk_error="gap")
    assert time.monotonic() - began < 2.5
    chunks = [attempt.chunk for attempt in caught.value.attempts]
    assert chunks == [0, 1]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_half_way(asr_server: FakeASRServer, backend: str) -> None:
    """A call that is cancelled leaves no task, thread, connection or audio."""
    asr_server.script(Normal(), *[Hang()] * 8)

    async def main() -> None:
        chunking = Chunking(chunk_length_s=5)
        async with hfasr.AsyncASRClient(router_url=asr_server.router_url, chunking=chunking) as asr:
            with anyio.move_on_after(0.5) as scope:
                await asr.transcribe(AUDIO)
            assert scope.cancelled_caught
            if backend == "asyncio":
                assert len(asyncio.all_tasks()) == 1
            gc.collect()
            assert not [one for one in gc.get_objects() if type(one) is LevelledSource]

    anyio.run(main, backend=backend)
    patience = time.monotonic() + 5
    while asr_server.connections.open and time.monotonic() < patience:
        time.sleep(0.02)
    assert asr_server.connections.open == 0
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("hfasr")] == []


CHILD = textwrap.dedent(
    """
    import os, sys, threading
    import numpy as np
    from hfasr import ASRClient, Audio, Chunking

    url = sys.argv[1]
    hum = np.tile(np.sin(np.arange(16_000) * 0.2).astype(np.float32) / 4, 40)
    try:
        with ASRClient(router_url=url, chunking=Chunking(chunk_length_s=5)) as asr:
            asr.transcribe(Audio(hum, 16_000))
    except KeyboardInterrupt:
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("hfasr")]
        print("interrupted", left, flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_half_way() -> None:
    """Ctrl-C ends a call with many chunks at once, and no thread is left."""
    with FakeASRServer(lambda *_: Transcript("hum")) as server:
        server.script(Normal(), *[Hang()] * 30)
        with subprocess.Popen([sys.executable, "-c", CHILD, server.router_url], stdout=subprocess.PIPE) as child:
            patience = time.monotonic() + 60
            while len(server.requests) < 5 and child.poll() is None and time.monotonic() < patience:
                time.sleep(0.02)
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            said, _ = child.communicate(timeout=30)
    assert said.decode().split("\n")[0] == "interrupted []"
    assert child.returncode == 0


@pytest.mark.parametrize("how", ["cut", "bit"])
def test_file_that_is_damaged_half_way(session: Make, asr_server: FakeASRServer, how: str) -> None:
    """What comes before the damage is kept if a gap may be left up to the end; else the damage is raised."""
    file = io.BytesIO()
    soundfile.write(file, AUDIO.waveform, 16_000, format="FLAC")
    damaged = bytearray(file.getvalue())
    at = len(damaged) * 6 // 10
    damaged[at:] = b"" if how == "cut" else bytes(1_000) + damaged[at + 1_000 :]
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE)
    with pytest.raises(hfasr.AudioDecodeError) as caught:
        asr.transcribe(bytes(damaged))
    assert len(caught.value.attempts) == len(asr_server.requests) > 1
    transcript = asr.transcribe(bytes(damaged), on_chunk_error="gap", return_timestamps=True)
    gap = transcript.segments[-1]
    assert gap.error is not None
    assert gap.error.startswith("AudioDecodeError: ")
    assert gap.end == pytest.approx(18.0)
    assert 6.0 < gap.start < 14.0
    before = [one.word for one in SAID.said if one.end < gap.start - 0.15]
    assert bare(transcript.text)[: len(before)] == before
    assert len(bare(transcript.text)) <= len(before) + 1
    assert transcript.duration == pytest.approx(18.0)
    assert "left a gap" in transcript.warnings[0]


def test_file_that_is_damaged_at_once(session: Make, asr_server: FakeASRServer) -> None:
    """Where nothing was read before the damage there is nothing to keep: it is raised, also with gaps."""
    with pytest.raises(hfasr.AudioDecodeError):
        session(router_url=asr_server.router_url).transcribe(b"fLaC" + bytes(5_000), on_chunk_error="gap")
    assert asr_server.requests == []


def test_silence_is_not_sent(session: Make, asr_server: FakeASRServer) -> None:
    """Minutes of digital silence cost no request, and what is said around them keeps its time."""
    red, boat = (1.0, "red"), (200.0, "boat")
    waveform = ToneSpeech().say_at([red, boat], duration=210.0)
    transcript = session(router_url=asr_server.router_url).transcribe(Audio(waveform, 16_000), return_timestamps="word")
    assert [(word.word, round(word.start, 2)) for word in transcript.words] == [("red", 1.0), ("boat", 200.0)]
    assert len(asr_server.requests) == 2
    assert origin_of(transcript).chunks >= 7
    assert transcript.warnings == ()


@pytest.mark.parametrize("split", ["silence", "vad"])
def test_nothing_but_silence(session: Make, asr_server: FakeASRServer, split: Any) -> None:
    """Of silence there is no request and no text, and the result says why."""
    asr = session(router_url=asr_server.router_url, chunking=Chunking(split=split))
    transcript = asr.transcribe(Audio(np.zeros(16_000 * 60, np.float32), 16_000), return_timestamps=True)
    assert (transcript.text, transcript.segments, asr_server.requests) == ("", (), [])
    why = "the audio is silent" if split == "silence" else "no speech was found in the audio"
    assert transcript.warnings == (f"{why}, so none of it was transcribed",)
    origin = origin_of(transcript)
    assert (origin.backend, origin.provider, origin.attempts) == ("hosted", "hf-inference", ())
    assert transcript.duration == origin.audio_duration == 60.0


def test_speech_alone_is_sent(session: Make, asr_server: FakeASRServer, shared: Any) -> None:
    """With a detector of speech the pauses between are neither sent nor billed: fewer bytes in fewer requests."""
    clip = min((shared / "audio").rglob("*.flac"))
    voice, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    voice = voice[: 8 * rate, 0]
    hiss = (np.random.default_rng(0).standard_normal(50 * rate) * 2e-3).astype(np.float32)
    audio = Audio(np.concatenate([hiss, voice, hiss, voice, hiss]), rate)
    sent = {}
    for split in ("silence", "vad"):
        n_before = len(asr_server.requests)
        asr = session(router_url=asr_server.router_url, chunking=Chunking(split=split))
        transcript = asr.transcribe(audio)
        sent[split] = (len(asr_server.requests) - n_before, origin_of(transcript).uploaded_bytes or 0)
    assert sent["vad"][0] < sent["silence"][0]
    assert sent["vad"][1] < 0.5 * sent["silence"][1]
    assert any("without speech" in change for change in origin_of(transcript).audio_changes)
