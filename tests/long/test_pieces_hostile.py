"""What would make long audio hang, grow or go on for ever: odd lengths, flaky servers, odd refusals, slow detectors."""

from __future__ import annotations

import gc
import io
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hfasr import (
    AsyncASRClient,
    Audio,
    AudioTooLongError,
    Chunking,
    DeadlineExceededError,
    RetryPolicy,
    Segment,
    Transcript,
)
from hfasr._core import call as core_call
from hfasr._core.prepared import PreparedAudio
from hfasr._core.remarks import Remarks
from hfasr.audio import Upload, vad
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Normal, ToneSpeech, replies
from tests.colours import Session
from tests.long.kit import bare, speech
from tests.long.stream_kit import nothing_is_left

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.types import TranscribeOptions

Make = Callable[..., Session]

SAID = speech(6, 18.0)
AUDIO = SAID.audio()


def test_a_length_that_is_a_bit_less_than_whole_samples(session: Make, asr_server: FakeASRServer) -> None:
    """A chunk is never longer than asked for, not by rounding either: it would be cut again, for ever."""
    length = 0.7 * 8.1
    assert round(length * 16_000) / 16_000 > length
    chunking = Chunking(chunk_length_s=length)
    transcript = session(router_url=asr_server.router_url, chunking=chunking).transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words


@pytest.mark.parametrize("longest_s", [-1.0, 0.0, 1e-9])
def test_an_engine_that_takes_nothing(session: Make, longest_s: float) -> None:
    """An engine with a limit that no audio keeps fails like any other, and is not asked for ever shorter pieces."""
    with pytest.raises(AudioTooLongError):
        session(backend=FakeBackend(max_duration_s=longest_s)).transcribe(AUDIO)


@pytest.fixture
def nothing_older() -> Iterator[None]:
    """Leave what there was before the test out of the collector's sight: looking through it takes seconds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_older")
def test_an_error_that_was_overcome_holds_no_audio(session: Make) -> None:
    """Where every chunk fails once, no more of them are in memory than where none does."""
    alive: list[int] = []

    def hear(audio: Audio, options: TranscribeOptions) -> Transcript:
        gc.collect()
        alive.append(sum(type(one) is PreparedAudio for one in gc.get_objects()))
        return ToneSpeech().hear(audio, options)

    with FakeASRServer(hear) as server:
        for _ in range(20):
            server.script(replies.server_error(500), Normal())
        retry = RetryPolicy(wait_initial=0, wait_max=0, breaker_threshold=None)
        chunking = Chunking(chunk_length_s=2, max_concurrency=1)
        transcript = session(router_url=server.router_url, chunking=chunking, retry=retry).transcribe(AUDIO)
    assert transcript.provenance is not None
    assert transcript.provenance.chunks >= 9
    assert 1 <= max(alive) <= min(alive) + 2


@pytest.mark.usefixtures("nothing_older")
def test_what_was_refused_whole_is_let_go(session: Make) -> None:
    """A body that was too large is not in memory while its chunks are transcribed."""
    alive: list[int] = []

    def hear(audio: Audio, options: TranscribeOptions) -> Transcript:
        gc.collect()
        alive.append(sum(len(one.data) for one in gc.get_objects() if type(one) is Upload))
        return ToneSpeech().hear(audio, options)

    file = io.BytesIO()
    soundfile.write(file, SAID.waveform(44_100), 44_100, format="WAV")
    with FakeASRServer(hear, max_body_bytes=40_000) as server:
        asr = session(router_url=server.router_url, upload="original", chunking=Chunking(max_concurrency=1))
        transcript = asr.transcribe(file.getvalue())
        assert server.requests[0].status == 413
    assert bare(transcript.text) == SAID.words
    assert 0 < max(alive) < len(file.getvalue()) / 4


def test_a_refused_length_is_tried_again_later(session: Make) -> None:
    """An odd 413 makes chunks shorter for a while only."""
    clock = FakeClock()
    with FakeASRServer(max_duration_s=None) as server:
        asr = session("m", base_url=server.openai_url, dialect="openai", clock=clock)
        server.script(replies.too_large(), replies.too_large())
        chunks = []
        for _ in range(3):
            origin = asr.transcribe(AUDIO).provenance
            assert origin is not None
            chunks.append(origin.chunks)
            if len(chunks) == 2:
                clock.pause(601)
    assert chunks[0] == chunks[1] > 1
    assert chunks[2] == 1


def test_a_stream_of_a_file_that_is_gone_at_the_end(session: Make, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """All segments come, and the transcript, whose audio has no digest then."""
    path = SAID.write(tmp_path / "a.wav", sampling_rate=44_100)
    stream = session(router_url=asr_server.router_url, chunking=Chunking(chunk_length_s=5)).transcribe_stream(path)
    words: list[str] = []
    for segment in stream:
        path.unlink(missing_ok=True)
        words += bare(segment.text)
    assert words == SAID.words
    transcript = stream.stream.transcript
    assert transcript.provenance is not None
    assert transcript.provenance.audio_sha256 is None


@pytest.mark.parametrize("streamed", [True, False])
def test_reading_ends_within_a_long_silence(
    session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch, *, streamed: bool
) -> None:
    """What was left, or has failed, decodes no further, however far the next speech is."""

    def loud(samples: npt.NDArray[np.float32]) -> float:
        time.sleep(0.0002)
        return float(abs(samples).max() > 0.02)

    monkeypatch.setattr(vad, "load_engine", lambda _rate: vad.Engine(16_000, 512, loud))
    begun = ToneSpeech().say_at([(0.5 + 0.3 * i, "red") for i in range(5)], duration=4.0)
    audio = Audio(np.concatenate([begun, np.zeros(16_000 * 3_600, np.float32)]), 16_000)
    asr = session(router_url=asr_server.router_url, chunking=Chunking(split="vad"), retry=RetryPolicy(max_attempts=1))
    if streamed:
        stream = asr.transcribe_stream(audio)
        assert "red" in next(stream).text
        stream.close()
    else:
        asr_server.script(replies.server_error(500))
        with pytest.raises(Exception, match="500"):
            asr.transcribe(audio)
    assert nothing_is_left(asr_server, within_s=10.0)  # all of it would take over 20 s


def test_remarks_on_any_number_of_gaps_take_little() -> None:
    """A live stream whose server is down for days keeps the first gaps and their number."""
    remarks = Remarks()
    for at in range(10_000):
        remarks.gap(float(at), at + 1.0, "ServerError: down")
        remarks.seam(float(at), "repeated")
    gaps, seams = remarks.lines()
    assert "4.0 to 5.0 s and 9995 more" in gaps
    assert "and 9995 more" in seams
    assert len(pickle.dumps(remarks)) < 2_000


def test_a_very_large_answer_is_looked_at_off_the_event_loop(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers megabytes holds up no other call."""
    seen: list[threading.Thread] = []

    def look(transcript: Transcript, **_: object) -> Transcript:
        seen.append(threading.current_thread())
        return transcript

    monkeypatch.setattr(core_call, "guarded", look)
    texts = ["short", "long " * 100_000]
    threads = []
    with FakeASRServer(
        lambda _audio, _options: Transcript(texts[len(seen)], segments=(Segment(0.0, 1.0, "x"),))
    ) as server:
        asr = session(router_url=server.router_url)
        for _ in texts:
            asr.transcribe(Audio(np.full(16_000, 0.5, np.float32), 16_000))
            threads.append(seen[-1])
    assert (threads[0] is threads[1]) == (asr.colour == "sync")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_chunks_that_never_wait_end_with_the_deadline(backend: str) -> None:
    """An async iterable without an end is left in time, and closed, also where nothing in it waits."""
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield bytes(65_536)
        finally:
            closed = True

    async def run() -> None:
        async with AsyncASRClient(token="x", deadline=0.2) as asr:
            with pytest.raises(DeadlineExceededError, match="reading the audio"):
                await asr.transcribe(endless())
        assert closed

    anyio.run(run, backend=backend)
