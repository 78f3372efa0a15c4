"""What goes wrong half-way: a live source that breaks off, one that never waits, no seat in time, a chunk of no use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from hfasr import AsyncASRClient, Chunking, LiveAudio, UnsupportedAudioError
from hfasr._core.clock import SystemClock
from hfasr._core.http import BlockingHTTP
from hfasr._core.io import BlockingIO, run_sync
from hfasr._core.room import Room
from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech
from tests.long.kit import speech

RATE = 16_000


def blocks() -> Iterator[bytes]:
    """Give two phrases; the second one is still being spoken at the end."""
    samples = ToneSpeech().say_at([(0.2, "red"), (2.0, "boat")], duration=2.25)
    for block in np.array_split((samples * 32_767).astype(np.int16), 20):
        yield block.tobytes()


class BrokenOffError(Exception):
    """What a connection that is gone raises."""


def test_live_source_that_breaks_off(session: Any, asr_server: FakeASRServer, colour: str) -> None:
    """What was being said when a live source breaks off is transcribed, and then its own error is raised."""

    def broken() -> Iterator[bytes]:
        yield from blocks()
        raise BrokenOffError

    async def broken_async() -> AsyncIterator[bytes]:
        for block in blocks():
            yield block
        raise BrokenOffError

    for source in (broken(),) if colour == "sync" else (broken(), broken_async()):
        stream = session(router_url=asr_server.router_url).transcribe_stream(LiveAudio(source, sampling_rate=RATE))
        heard: list[str] = []
        with pytest.raises(BrokenOffError):
            heard.extend(segment.text for segment in stream)
        assert heard == ["red", "boat"]


def test_live_source_that_never_waits() -> None:
    """An async source that is always ready does not stop the event loop."""

    async def silence() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield bytes(3_200)

    async def main() -> int:
        n_ticks = 0

        async def tick() -> None:
            nonlocal n_ticks
            while True:
                await asyncio.sleep(0)
                n_ticks += 1

        ticking = asyncio.create_task(tick())
        live = LiveAudio(silence(), sampling_rate=RATE)
        async with AsyncASRClient(backend=FakeBackend(None)) as asr, asr.transcribe_stream(live) as stream:
            assert [segment async for segment in stream] == []
        ticking.cancel()
        return n_ticks

    assert asyncio.run(main()) > 1_000


def test_no_room_in_time() -> None:
    """Who finds no room in time is told so, and takes none."""
    io, room = BlockingIO(BlockingHTTP(), SystemClock()), Room(1)
    run_sync(room.enter(io, 1))
    with pytest.raises(TimeoutError):
        run_sync(room.enter(io, 1, left=iter([0.01, 0.0]).__next__))
    room.leave(1)
    run_sync(room.enter(io, 1, left=lambda: 0.01))


def test_chunk_that_an_engine_refuses(session: Any) -> None:
    """What an engine says of a chunk is raised as it is, and not taken for audio that cannot be cut."""
    engine = FakeBackend(error=UnsupportedAudioError("too odd; pass other audio"), max_duration_s=10)
    with pytest.raises(UnsupportedAudioError, match=r"from 0\.0 to .* s: too odd"):
        session(backend=engine, chunking=Chunking(max_concurrency=1)).transcribe(speech(1, 25).audio())
