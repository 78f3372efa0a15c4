"""Live audio is given phrase by phrase, while it still comes in, in whatever form and colour it comes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest

from hfasr import AsyncASRClient, Chunking, LiveAudio
from hfasr.errors import AudioError, BadRequestError, DeadlineExceededError
from hfasr.testing import FakeASRServer, replies
from tests.long.stream_kit import CHUNKS, DATA, RATE, SAID, TALK, WORDS, anywhere, make, soon, take_all

if TYPE_CHECKING:
    from hfasr.types import Segment
    from tests.long.stream_kit import Ear, MakeSession


async def awaited(blocks: Any) -> AsyncIterator[Any]:
    """Give *blocks* as an async generator."""
    for block in blocks:
        await anyio.lowlevel.checkpoint()
        yield block


FORMS: dict[str, Callable[[], Any]] = {
    "list of bytes": lambda: list(anywhere()),
    "generator of bytes": anywhere,
    "arrays": lambda: np.array_split((TALK * 32_767).astype(np.int16), 215),
    "floats": lambda: iter(np.array_split(TALK, 50)),
    "stereo": lambda: iter(np.array_split(np.stack([TALK, TALK], axis=1), 215)),
    "async": lambda: awaited(anywhere()),
    "async arrays": lambda: awaited(np.array_split(TALK, 215)),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_word_once_at_its_time(session: MakeSession, server: FakeASRServer, form: str) -> None:
    """The words are those that were said, each once, with its time in the whole stream to 10 ms."""
    client = make(session, server)
    if client.colour == "sync" and form.startswith("async"):
        with pytest.raises(TypeError, match="AsyncASRClient; or give an ordinary iterable"):
            client.transcribe_stream(LiveAudio(FORMS[form](), sampling_rate=RATE))
        return
    live = LiveAudio(FORMS[form](), sampling_rate=RATE, channels=2 if form == "stereo" else 1)
    stream = client.transcribe_stream(live, return_timestamps="word")
    segments = list(stream)
    words = [word for segment in segments for word in segment.words]
    assert [segment.text for segment in segments] == CHUNKS
    assert [word.word for word in words] == [word for _, word in SAID]
    assert [word.start for word in words] == pytest.approx([start for start, _ in SAID], abs=0.01)
    assert stream.stream.duration == pytest.approx(20.0, abs=0.4)
    with pytest.raises(ValueError, match="nothing is kept of live audio"):
        _ = stream.stream.transcript


@pytest.mark.parametrize("form", ["ordinary", "async"])
def test_text_while_the_source_goes_on(session: MakeSession, server: FakeASRServer, form: str) -> None:
    """The first phrase is given while the source still waits for somebody to have read it."""
    seen = threading.Event()
    client = make(session, server)
    if client.colour == "sync" and form == "async":
        pytest.skip("async sources are for the async client")

    def blocks() -> Iterator[bytes]:
        yield DATA[: 2 * RATE * 3]  # the first phrase, and the pause after it
        assert seen.wait(10)
        yield DATA[2 * RATE * 3 :]

    async def async_blocks() -> AsyncIterator[bytes]:
        yield DATA[: 2 * RATE * 3]
        assert await anyio.to_thread.run_sync(seen.wait, 10)
        yield DATA[2 * RATE * 3 :]

    source = blocks() if form == "ordinary" else async_blocks()
    stream = client.transcribe_stream(LiveAudio(source, sampling_rate=RATE))
    first = next(stream).text
    seen.set()
    assert [first, *(segment.text for segment in stream)] == CHUNKS


@pytest.mark.parametrize("form", ["ordinary", "async"])
def test_what_the_source_raises(session: MakeSession, server: FakeASRServer, form: str) -> None:
    """An error of the caller's own source comes through as it is, after the phrases before it."""
    client = make(session, server)
    if client.colour == "sync" and form == "async":
        pytest.skip("async sources are for the async client")

    def blocks() -> Iterator[bytes]:
        yield from anywhere(DATA[: 2 * RATE * 5])
        raise ZeroDivisionError("the line is dead")

    source = blocks() if form == "ordinary" else awaited(blocks())
    stream = client.transcribe_stream(LiveAudio(source, sampling_rate=RATE))
    assert [next(stream).text, next(stream).text] == CHUNKS[:2]
    with pytest.raises(ZeroDivisionError, match="the line is dead"):
        next(stream)
    assert list(stream) == []


def test_a_block_that_is_none(session: MakeSession, server: FakeASRServer) -> None:
    """A block of the wrong kind is a typed error, after the phrases before it."""
    stream = make(session, server).transcribe_stream(LiveAudio([DATA[: 2 * RATE * 3], "not audio"], sampling_rate=RATE))
    assert next(stream).text == CHUNKS[0]
    with pytest.raises(TypeError, match="bytes or a numpy array"):
        next(stream)


@pytest.mark.slow
def test_a_deadline_is_of_each_phrase(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A stream may go on for longer than the client's deadline; a phrase that takes longer ends it."""
    ear.slow_s = dict.fromkeys(WORDS[:-1], 0.3)
    ear.hold(WORDS[-1])
    client = make(session, server, deadline=1.5, chunking=Chunking(max_concurrency=1))
    seen: list[Segment] = []
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        take_all(client.transcribe_stream(LiveAudio(anywhere(), sampling_rate=RATE)), seen)
    assert [segment.text for segment in seen] == CHUNKS[:-1]
    assert time.monotonic() - began > 1.5 + 9 * 0.3 - 0.3


def test_gaps(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A phrase that fails ends the stream with an error that says when it was, or leaves a gap."""
    ear.refuses = {WORDS[1]}
    client = make(session, server)
    stream = client.transcribe_stream(LiveAudio(anywhere(), sampling_rate=RATE))
    assert next(stream).text == CHUNKS[0]
    with pytest.raises(BadRequestError, match=r"from 2\.\d to 4\.\d s"):
        next(stream)
    stream = client.transcribe_stream(LiveAudio(anywhere(), sampling_rate=RATE), on_chunk_error="gap")
    segments = list(stream)
    assert [segment.text for segment in segments] == [CHUNKS[0], "", *CHUNKS[2:]]
    assert segments[1].start == pytest.approx(3.0, abs=0.4)
    assert (segments[1].error or "").startswith("BadRequestError")
    assert any("left a gap" in warning for warning in stream.stream.warnings)


def test_the_fallback_takes_phrases(session: MakeSession, server: FakeASRServer) -> None:
    """A phrase that the first route does not take goes to the next one; the others do not."""
    server.script(replies.payment_required())
    with FakeASRServer() as second:
        client = make(session, server, fallback=second.openai_url)
        stream = client.transcribe_stream(LiveAudio(anywhere(), sampling_rate=RATE))
        assert [segment.text for segment in stream] == CHUNKS
        assert 1 <= len([request for request in second.requests if request.method == "POST"]) < len(WORDS)


@pytest.mark.parametrize("pick", [0, 1])
def test_one_channel(session: MakeSession, server: FakeASRServer, pick: int) -> None:
    """One channel of many is heard where the client asks for one; a channel that is not there is told."""
    both = np.stack([TALK, TALK[::-1]][:: 1 if pick == 0 else -1], axis=1)
    live = LiveAudio(np.array_split(both, 100), sampling_rate=RATE, channels=2)
    assert [segment.text for segment in make(session, server, channels=pick).transcribe_stream(live)] == CHUNKS
    mono = LiveAudio(anywhere(), sampling_rate=RATE)
    with pytest.raises(AudioError, match="no channel 1"):
        list(make(session, server, channels=1).transcribe_stream(mono))


def test_a_slow_server_holds_the_source_back(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """Phrases wait in order, few of them; then the source is not read any further, and nothing is lost."""
    go_on = ear.hold(*WORDS)
    n_read = 0

    def blocks() -> Iterator[bytes]:
        nonlocal n_read
        for start in range(0, len(DATA), 3_200):
            n_read += 1
            yield DATA[start : start + 3_200]

    client = make(session, server, chunking=Chunking(max_concurrency=2))
    stream = client.transcribe_stream(LiveAudio(blocks(), sampling_rate=RATE))
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(segment.text for segment in stream))
    reader.start()
    assert soon(lambda: len(server.requests) == 2)
    time.sleep(0.5)
    n_phrases = (n_read * 0.1 - 2.3) / 2 + 1  # those that have ended by then
    assert 2 <= n_phrases < 2 + 3  # in work, one that waits, and one in the hand of who reads
    assert len(server.requests) == 2
    go_on.set()
    reader.join(20)
    assert found == CHUNKS


def test_fixed_cuts_of_live_audio(session: MakeSession, server: FakeASRServer) -> None:
    """With overlapping windows no word is lost or doubled either."""
    chunking = Chunking(chunk_length_s=6.0, split="none")
    stream = make(session, server, chunking=chunking).transcribe_stream(
        LiveAudio(anywhere(), sampling_rate=RATE), return_timestamps="word"
    )
    words = [word for segment in stream for word in segment.words]
    assert [word.word for word in words] == [word for _, word in SAID]
    assert [word.start for word in words] == pytest.approx([start for start, _ in SAID], abs=0.01)


def test_an_asyncio_queue(server: FakeASRServer) -> None:
    """A queue that a websocket's handler fills is a source, by an async generator of three lines."""

    async def run() -> list[str]:
        blocks: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def received() -> AsyncIterator[bytes]:
            while (block := await blocks.get()) is not None:
                yield block

        async def fill() -> None:
            for block in anywhere():
                await blocks.put(block)
                await asyncio.sleep(0)
            await blocks.put(None)

        filling = asyncio.create_task(fill())
        async with AsyncASRClient(router_url=server.router_url, token="x") as asr:
            found = [s.text async for s in asr.transcribe_stream(LiveAudio(received(), sampling_rate=RATE))]
        await filling
        return found

    assert asyncio.run(run()) == CHUNKS
