"""A stream that is left half-way leaves nothing behind: no thread, task, request or temporary file."""

from __future__ import annotations

import gc
import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest
import soundfile

from hfasr import ASRClient, AsyncASRClient, Chunking
from hfasr.errors import BatchError
from tests.long.stream_kit import AT_PAUSES, AUDIO, CHUNKS, STREAM, WORDS, make, nothing_is_left, soon, temporary_files

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer
    from tests.colours import Segments
    from tests.long.stream_kit import Ear, MakeSession


def large() -> Iterator[bytes]:
    """Give a WAV file of over 4 MiB, which goes to a temporary file."""
    file = io.BytesIO()
    soundfile.write(file, np.resize(STREAM, 16_000 * 150), 16_000, format="WAV")
    data = file.getvalue()
    assert len(data) > 4 * 2**20
    yield from (data[start : start + 2**18] for start in range(0, len(data), 2**18))


def leave_by_closing(stream: Segments) -> None:
    """Close it, twice."""
    stream.close()
    stream.close()


def leave_by_with(stream: Segments) -> None:
    """Break out of a ``with`` block."""
    if stream.session.colour == "sync":
        with stream.stream as segments:
            for _ in segments:
                break
        return

    async def run() -> None:
        async with stream.stream as segments:
            async for _ in segments:
                break

    stream.session.run(run)


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_with])
def test_left_half_way(
    session: MakeSession, server: FakeASRServer, ear: Ear, leave: Callable[[Segments], None]
) -> None:
    """What is under way is cut off at once, and nothing is held, begun or given any more."""
    go_on = ear.hold(*WORDS[2:])
    stream = make(session, server).transcribe_stream(large())
    next(stream)
    assert temporary_files()
    began = time.monotonic()
    leave(stream)
    assert time.monotonic() - began < 2.0
    assert nothing_is_left(server)
    assert list(stream) == []
    assert not go_on.is_set()
    assert len(server.requests) <= 2 + AT_PAUSES.max_concurrency


def test_forgotten(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A stream that nobody refers to any more ends by itself."""
    ear.hold(*WORDS[1:])
    stream = make(session, server).transcribe_stream(large())
    next(stream)
    del stream
    gc.collect()
    assert nothing_is_left(server, within_s=5.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled(server: FakeASRServer, ear: Ear, backend: str) -> None:
    """A task that is cancelled while it waits for a segment ends the stream at the end of its block."""
    go_on = ear.hold(*WORDS[1:])
    seen = []

    async def run() -> None:
        async with AsyncASRClient(router_url=server.router_url, token="x", chunking=AT_PAUSES) as asr:
            with anyio.move_on_after(0.5) as scope:
                async with asr.transcribe_stream(AUDIO) as stream:
                    async for segment in stream:
                        seen.append(segment.text)  # noqa: PERF401  # it is cancelled
            assert scope.cancelled_caught
            assert nothing_is_left(server)

    anyio.run(run, backend=backend)
    assert seen == CHUNKS[:1]
    go_on.set()  # the server sees only then that nobody listens
    assert soon(lambda: server.connections.open == 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_wait_that_was_cancelled_loses_nothing(server: FakeASRServer, ear: Ear, backend: str) -> None:
    """Whoever gives up waiting for one segment may wait again: it is the next that comes."""
    go_on = ear.hold(*WORDS[1:])

    async def run() -> list[str]:
        async with (
            AsyncASRClient(router_url=server.router_url, token="x", chunking=AT_PAUSES) as asr,
            asr.transcribe_stream(AUDIO) as stream,
        ):
            seen = [(await anext(stream)).text]
            with anyio.move_on_after(0.2):
                await anext(stream)
            go_on.set()
            return seen + [segment.text async for segment in stream]

    assert anyio.run(run, backend=backend) == CHUNKS


def test_no_further_ahead_than_need_be(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """While the server holds what is in work, no more is sent, and little more is cut."""
    go_on = ear.hold(*WORDS[1:])
    stream = make(session, server).transcribe_stream(AUDIO)
    next(stream)
    assert soon(lambda: len(server.requests) == 1 + AT_PAUSES.max_concurrency)
    time.sleep(0.3)
    assert len(server.requests) == 1 + AT_PAUSES.max_concurrency
    cutter = stream.stream._planned.cutter
    assert cutter.reached_s < (1 + AT_PAUSES.max_concurrency + 3) * 1.5
    go_on.set()
    assert [segment.text for segment in stream] == CHUNKS[1:]


def test_never_begun(session: MakeSession, server: FakeASRServer) -> None:
    """A stream that was not read reads nothing, whether it is closed or not."""
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        read.append(1)
        yield b"RIFF"

    stream = make(session, server).transcribe_stream(chunks())
    stream.close()
    assert list(stream) == []
    assert (read, server.requests) == ([], [])


def test_in_two_threads(server: FakeASRServer, ear: Ear) -> None:
    """A second thread is told so, and the first one's stream goes on; closed from there, it is told that."""
    go_on = ear.hold(*WORDS[1:])
    failures: list[BaseException] = []
    seen: list[str] = []

    def read(stream: Any) -> None:
        try:
            seen.extend(segment.text for segment in stream)
        except BatchError as error:
            failures.append(error)

    with ASRClient(router_url=server.router_url, token="x", chunking=AT_PAUSES) as asr:
        for close in (False, True):
            go_on.clear()
            stream = asr.transcribe_stream(AUDIO)
            seen[:] = [next(stream).text]
            thread = threading.Thread(target=read, args=[stream])
            thread.start()
            assert soon(lambda s=stream: s._busy.locked())  # type: ignore[misc]  # a default binds it
            with pytest.raises(RuntimeError, match="another thread"):
                next(stream)
            if close:
                stream.close()
            else:
                go_on.set()
            thread.join(10)
            assert not thread.is_alive()
            assert seen[:1] if close else seen == CHUNKS
            assert len(failures) == close
    assert nothing_is_left(server)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_in_two_tasks(server: FakeASRServer, ear: Ear, backend: str) -> None:
    """A second task is told so, and the first one's stream goes on."""
    go_on = ear.hold(*WORDS[1:])
    seen: list[str] = []

    async def run() -> None:
        async with AsyncASRClient(router_url=server.router_url, token="x", chunking=AT_PAUSES) as asr:
            stream = asr.transcribe_stream(AUDIO)

            async def read() -> None:
                seen.extend([segment.text async for segment in stream])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.sleep(0.05)
                with pytest.raises(RuntimeError, match="another task"):
                    await anext(stream)
                go_on.set()

    anyio.run(run, backend=backend)
    assert seen == CHUNKS


def test_nothing_is_left_at_the_end_either(session: MakeSession, server: FakeASRServer) -> None:
    """After the last segment the temporary file is gone, with the transcript still there."""
    stream = make(session, server, chunking=Chunking()).transcribe_stream(large())
    n_segments = len(list(stream))
    assert n_segments >= 5
    assert nothing_is_left(server)
    assert stream.stream.transcript.duration == 150.0
