"""What the core waits with, in both colours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from hfasr._core.clock import SystemClock
from hfasr._core.io import IO, AsyncIO, BlockingIO, run_sync
from hfasr.testing import FakeClock

BACKENDS = ["asyncio", "trio"]
NO_HTTP: Any = None


class Sink:
    """In the place of a spool: must be emptied whenever it holds three bytes."""

    def __init__(self) -> None:
        self.held = b""
        self.flushed: list[bytes] = []

    @property
    def due(self) -> bool:
        return len(self.held) >= 3

    def add(self, chunk: bytes) -> None:
        self.held += chunk

    def flush(self) -> None:
        self.flushed.append(self.held)
        self.held = b""


class Chunks:
    """An async iterator that may be slow or broken, and notes that it was closed."""

    def __init__(self, *chunks: bytes, pause: float = 0.0, error: Exception | None = None) -> None:
        self.closed: list[str] = []
        self._chunks = list(chunks)
        self._pause = pause
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._pause:
            await anyio.sleep(self._pause)
        if self._chunks:
            return self._chunks.pop(0)
        raise self._error or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.append("begun")
        await anyio.lowlevel.checkpoint()
        self.closed.append("done")


def in_loop(backend: str, work: Callable[[AsyncIO], Awaitable[Any]], clock: Any = None) -> Any:
    async def main() -> Any:
        return await work(AsyncIO(NO_HTTP, clock or SystemClock()))

    return anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_collect(backend: str) -> None:
    """Every chunk is added, in order, the sink is emptied when it is due, and the source is closed to its end."""
    sink, chunks = Sink(), Chunks(b"ab", b"c", b"defg", b"h")
    spool: Any = sink
    in_loop(backend, lambda io: io.collect(chunks, spool, expires_in=None))
    assert (sink.flushed, sink.held) == ([b"abc", b"defg"], b"h")
    assert chunks.closed == ["begun", "done"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_collect_without_close(backend: str) -> None:
    """A source that cannot be closed need not be."""

    class Plain:
        def __init__(self) -> None:
            self.chunks = [b"ab", b"c"]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> bytes:
            if not self.chunks:
                raise StopAsyncIteration
            return self.chunks.pop(0)

    sink = Sink()
    spool: Any = sink
    in_loop(backend, lambda io: io.collect(Plain(), spool, expires_in=None))
    assert sink.flushed == [b"abc"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_collect_that_fails(backend: str) -> None:
    """The source is closed to its end, also where it fails, is late, never waits or the task was cancelled."""
    sink: Any = Sink()
    broken = Chunks(b"a", error=OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        in_loop(backend, lambda io: io.collect(broken, sink, expires_in=None))
    slow = Chunks(b"a", b"b", pause=20.0)
    with pytest.raises(TimeoutError):
        in_loop(backend, lambda io: io.collect(slow, sink, expires_in=0.05))
    eager = Chunks(*[b"abc"] * 1_000_000)
    with pytest.raises(TimeoutError):
        in_loop(backend, lambda io: io.collect(eager, sink, expires_in=0.05))
    left = Chunks(b"a", pause=20.0)

    async def cancelled(io: AsyncIO) -> None:
        with anyio.move_on_after(0.05):
            await io.collect(left, sink, expires_in=None)

    in_loop(backend, cancelled)
    assert [one.closed for one in (broken, slow, eager, left)] == [["begun", "done"]] * 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_in_tasks(backend: str) -> None:
    """What is awaited comes back in time or is cut off; pauses are the clock's."""
    clock = FakeClock()

    async def after(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "done"

    async def work(io: AsyncIO) -> None:
        assert await io.wait(after(0), expires_in=None) == "done"
        assert await io.within(None, after(0)) == "done"
        assert await io.offload(lambda: "done") == "done"
        assert await io.offload(lambda: "done", waits=True) == "done"
        for late in (io.wait(after(20), expires_in=0.01), io.within(0.01, after(20))):
            with pytest.raises(TimeoutError):
                await late
        began = time.monotonic()
        await io.sleep(50.0)
        assert time.monotonic() - began < 10
        io.check_cancelled()

    in_loop(backend, work, clock)
    assert clock.now() == FakeClock().now() + 50.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_worker_hears_of_cancellation(backend: str) -> None:
    """Work in a thread is told that its task was cancelled, when it asks."""

    async def work(io: AsyncIO) -> None:
        heard = []

        def ask() -> None:
            until = time.monotonic() + 20
            try:
                while time.monotonic() < until:
                    io.check_cancelled()
                    time.sleep(0.005)
            except BaseException as error:
                heard.append(type(error).__name__)
                raise

        with anyio.move_on_after(0.05):
            await io.offload(ask)
        assert heard in (["CancelledError"], ["Cancelled"])

    in_loop(backend, work)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bells_in_tasks(backend: str) -> None:
    """A bell that was rung is heard at once, from any thread; one that is not is waited for so long and no longer."""

    async def work(io: AsyncIO) -> None:
        rung, silent = io.bell(), io.bell()
        await anyio.to_thread.run_sync(rung.ring)
        with anyio.fail_after(20):
            await io.hear(rung, None)
        began = time.monotonic()
        await io.hear(silent, 0.05)
        assert 0.04 < time.monotonic() - began < 10

    in_loop(backend, work)


def test_blocking() -> None:
    """The sync colour blocks for the clock's pauses and for bells, runs work where it is, and never suspends."""
    clock = FakeClock()
    io: IO = BlockingIO(NO_HTTP, clock)
    run_sync(io.sleep(50.0))
    assert clock.now() == FakeClock().now() + 50.0
    rung, silent = io.bell(), io.bell()
    rung.ring()
    run_sync(io.hear(rung, None))
    began = time.monotonic()
    run_sync(io.hear(silent, 0.05))
    assert 0.04 < time.monotonic() - began < 10
    assert run_sync(io.offload(lambda: "done")) == "done"
    io.check_cancelled()

    async def answer() -> str:
        return "done"

    async def suspends() -> None:
        await asyncio.sleep(0)

    assert run_sync(io.within(0.0, answer())) == "done"
    with pytest.raises(RuntimeError, match=r"^the core awaited something other than its IO$"):
        run_sync(suspends())


def test_blocking_takes_nothing_async() -> None:
    """The sync colour says what to do with async audio, and leaves no coroutine behind."""
    io, sink = BlockingIO(NO_HTTP, FakeClock()), Sink()
    spool: Any = sink

    async def data() -> bytes:
        raise AssertionError

    with pytest.raises(TypeError) as caught:
        run_sync(io.wait(data(), expires_in=None))
    assert str(caught.value) == (
        "this audio must be awaited to be read: use AsyncASRClient, or read it first and pass the bytes"
    )
    with pytest.raises(TypeError) as caught:
        run_sync(io.collect(Chunks(b"a"), spool, expires_in=None))
    assert str(caught.value) == (
        "an async iterable of audio needs AsyncASRClient; or pass an ordinary iterable of bytes"
    )


class HTTP:
    """Notes what it is asked to send."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def send(self, request: Any, **options: Any) -> str:
        self.asked.append((request, options))
        return "response"


class AsyncHTTP(HTTP):
    async def send(self, request: Any, **options: Any) -> str:  # type: ignore[override]  # the other colour
        return super().send(request, **options)


def test_sending() -> None:
    """A request goes to the client's connections as it is, in both colours."""
    options: Any = {"timeout": 3.0, "expires_in": 2.0, "reach": "reach"}
    request: Any = "request"
    blocking, tasks = HTTP(), AsyncHTTP()
    connections: Any = blocking
    assert run_sync(BlockingIO(connections, FakeClock()).send(request, **options)) == "response"  # type: ignore[comparison-overlap]

    async def main() -> Any:
        connections: Any = tasks
        return await AsyncIO(connections, FakeClock()).send(request, **options)

    assert anyio.run(main) == "response"
    assert blocking.asked == tasks.asked == [("request", options)]


def test_pauses_of_the_machine() -> None:
    """What the clock says must really pass, does."""
    began = time.monotonic()
    run_sync(BlockingIO(NO_HTTP, SystemClock()).sleep(0.02))
    in_loop("asyncio", lambda io: io.sleep(0.02))
    assert time.monotonic() - began >= 0.035


def test_run_sync_leaves_nothing() -> None:
    """A coroutine that suspends after all, or fails, is closed."""
    closed = []

    async def work(error: Exception | None) -> None:
        try:
            if error is not None:
                raise error
            await asyncio.sleep(0)
        finally:
            closed.append(error)

    with pytest.raises(RuntimeError):
        run_sync(work(None))
    with pytest.raises(OSError, match="gone") as caught:
        run_sync(work(OSError("gone")))
    assert closed == [None, caught.value]


def test_blocking_takes_no_awaitable() -> None:
    """Something to await that is no coroutine needs no closing."""
    future: Any = object()
    with pytest.raises(TypeError, match="must be awaited"):
        run_sync(BlockingIO(NO_HTTP, FakeClock()).wait(future, expires_in=None))


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that waits for its turn has 128 threads of each loop to itself; work is left behind only where it may be."""
    asked: list[Any] = []
    run = anyio.to_thread.run_sync

    async def spy(fn: Any, **options: Any) -> Any:
        asked.append(options)
        return await run(fn, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", spy)

    async def work(io: AsyncIO) -> None:
        await io.offload(lambda: None)
        await io.offload(lambda: None, abandon=True)
        await io.offload(lambda: None, waits=True)
        await io.offload(lambda: None, waits=True)

    in_loop(backend, work)
    in_loop(backend, work)
    rooms = [options["limiter"] for options in asked]
    assert [options["abandon_on_cancel"] for options in asked] == [False, True, False, False] * 2
    assert rooms[:2] == [None, None]
    assert rooms[2] is rooms[3]
    assert rooms[2].total_tokens == 128
    assert rooms[6] is rooms[7]
    assert rooms[6] is not rooms[2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_finish(backend: str) -> None:
    """What must be finished is, in a task that was cancelled."""
    done = []

    async def work(io: AsyncIO) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await io.finish(lambda: done.append("done"))

    in_loop(backend, work)
    assert done == ["done"]
