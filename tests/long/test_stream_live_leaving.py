"""A live stream is left at once, also where its source waits for ever."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import anyio
import pytest

from hfasr import ASRClient, AsyncASRClient, LiveAudio
from tests.long.stream_kit import CHUNKS, DATA, RATE, make, nothing_is_left

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer
    from tests.long.stream_kit import MakeSession


class Forever:
    """A source that waits for ever after its blocks, as a queue that nobody fills."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.queue: queue.Queue[bytes] = queue.Queue()
        for block in blocks:
            self.queue.put(block)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.queue.get()


@pytest.mark.parametrize("form", ["ordinary", "async"])
def test_closed_while_the_source_waits(session: MakeSession, server: FakeASRServer, form: str) -> None:
    """Closing does not wait for a block that may never come; an async source is closed in its own task."""
    client = make(session, server)
    if client.colour == "sync" and form == "async":
        pytest.skip("async sources are for the async client")
    closed: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield DATA[: 2 * RATE * 3]
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    forever = Forever([DATA[: 2 * RATE * 3]])
    stream = client.transcribe_stream(LiveAudio(forever if form == "ordinary" else endless(), sampling_rate=RATE))
    assert next(stream).text == CHUNKS[0]
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 0.4
    assert list(stream) == []
    if form == "async":
        assert closed == [True]
    else:
        forever.queue.put(DATA[2 * RATE * 3 :])  # the thread that was left behind ends with the next block
    assert nothing_is_left(server)


def test_forgotten_while_it_waits(session: MakeSession, server: FakeASRServer) -> None:
    """A stream that nobody refers to any more lets its source go with the next block."""
    forever = Forever([DATA[: 2 * RATE * 3]])
    stream = make(session, server).transcribe_stream(LiveAudio(forever, sampling_rate=RATE))
    next(stream)
    del stream
    time.sleep(0.2)
    forever.queue.put(b"\0\0")
    assert nothing_is_left(server, within_s=5.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_while_the_source_waits(server: FakeASRServer, backend: str) -> None:
    """A task that is cancelled while nobody speaks leaves at once, and the source is closed."""
    closed: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield DATA[: 2 * RATE * 3]
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async def run() -> None:
        async with AsyncASRClient(router_url=server.router_url, token="x") as asr:
            with anyio.move_on_after(0.5):
                async with asr.transcribe_stream(LiveAudio(endless(), sampling_rate=RATE)) as stream:
                    async for _ in stream:
                        pass
            assert closed == [True]

    anyio.run(run, backend=backend)


def test_interrupted_while_nobody_speaks(server: FakeASRServer) -> None:
    """Ctrl-C in a wait for text ends the stream at once, though its source goes on waiting."""
    import _thread

    with ASRClient(router_url=server.router_url, token="x") as asr:
        forever = Forever([DATA[: 2 * RATE * 3]])
        stream = asr.transcribe_stream(LiveAudio(forever, sampling_rate=RATE))
        next(stream)
        threading.Timer(0.3, _thread.interrupt_main).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        assert time.monotonic() - began < 1.5
        assert list(stream) == []
        forever.queue.put(b"\0\0")
        assert nothing_is_left(server)
