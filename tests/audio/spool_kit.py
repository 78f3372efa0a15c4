"""What the tests of large inputs share: a server that sends without end, and audio in each colour by the core's own IO."""

from __future__ import annotations

import asyncio
import functools
import gc
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import trio

from hfasr._core.clock import SystemClock
from hfasr._core.config import Config
from hfasr._core.context import CallContext
from hfasr._core.http import AsyncHTTP, BlockingHTTP
from hfasr._core.io import AsyncIO, BlockingIO, run_sync
from hfasr._core.shared import Shared
from hfasr.audio import Source, load


class Answers:
    """
    A server that gives *answers*, one a request: pieces of a whole HTTP response, head included.

    It says nothing of its own, so that it can cut off, drip, and send more than fits into memory.
    """

    def __init__(self, *answers: Callable[[], Iterator[bytes]]) -> None:
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/long.wav"
        self.n_connections = 0
        self.n_sent = 0

    def _serve(self) -> None:
        while self._answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.n_connections += 1
            with connection:
                try:
                    while self._answers and connection.recv(65_536):
                        for piece in self._answers.pop(0)():
                            connection.sendall(piece)
                            self.n_sent += len(piece)
                except OSError:
                    continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.clear()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


def head(status: int = 200, **headers: object) -> bytes:
    """Return the head of a response; underscores in names stand for dashes."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((f"HTTP/1.1 {status} X", *lines, "", "")).encode()


def answer(body: bytes, status: int = 200, **headers: object) -> Callable[[], Iterator[bytes]]:
    """Return a whole answer."""
    return lambda: iter((head(status, content_length=len(body), **headers), body))


def load_by_core(
    colour: str, audio: Any, *, deadline: float | None = None, then: Callable[[Source], Any] = lambda source: source
) -> Any:
    """Load *audio* as a client of this colour does, close its connections, and return what *then* makes of it."""

    async def work(io: Any) -> Any:
        call = CallContext(io, Config(), Shared(), deadline)
        return await io.offload(functools.partial(then, await load(audio, call, allow_private_urls=True)))

    if colour == "sync":
        blocking = BlockingHTTP()
        try:
            return run_sync(work(BlockingIO(blocking, SystemClock())))
        finally:
            blocking.close()

    async def main() -> Any:
        http = AsyncHTTP()
        try:
            return await work(AsyncIO(http, SystemClock()))
        finally:
            await http.aclose()

    return run(colour, main)


def run(colour: str, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run *main* on an event loop of this colour."""
    if colour == "trio":
        return trio.run(main)
    return asyncio.run(main())


def temporary_files() -> list[str]:
    """Return the files without a name that this process has open in its folder for temporary files."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.append(str(link.readlink()))
    return [name for name in found if name.endswith("(deleted)") and name.startswith(f"{tempfile.gettempdir()}/")]


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """See that no temporary file is open afterwards; none waits for a garbage collection."""
    assert temporary_files() == []
    gc.collect()
    gc.disable()
    try:
        yield
        until = time.monotonic() + 2
        while temporary_files() and time.monotonic() < until:  # a worker thread of the event loop may be ending
            time.sleep(0.01)
        assert temporary_files() == []
    finally:
        gc.enable()


def wav_head(n_bytes: int, *, sampling_rate: int = 44_100, channels: int = 2, bits: int = 16) -> bytes:
    """Return the header of a WAV file with *n_bytes* of samples."""
    frame = channels * bits // 8
    return b"".join((
        b"RIFF", min(n_bytes + 36, 2**32 - 1).to_bytes(4, "little"), b"WAVEfmt \x10\0\0\0\1\0",
        channels.to_bytes(2, "little"), sampling_rate.to_bytes(4, "little"),
        (sampling_rate * frame).to_bytes(4, "little"), frame.to_bytes(2, "little"), bits.to_bytes(2, "little"),
        b"data", n_bytes.to_bytes(4, "little"),
    ))  # fmt: skip


def wav_chunks(seconds: int, *, chunk_bytes: int = 65_536) -> Iterator[bytes]:
    """Give a WAV file of 44.1 kHz stereo that is made on the way; its samples are a ramp."""
    n_bytes = seconds * 44_100 * 4
    block = bytes(range(256)) * (chunk_bytes // 256)
    yield wav_head(n_bytes)
    while n_bytes > 0:
        yield block[:n_bytes]
        n_bytes -= len(block)
