"""Streams of an event loop: passed on as they are, closed when TLS fails, and asked whether there is more to read."""

from __future__ import annotations

import select
import socket
import ssl
import sys
from types import SimpleNamespace
from typing import Any

import anyio
import httpcore
import pytest

from hfasr._core import network
from hfasr._core.io import run_sync
from tests.core.network_kit import Connecting


class AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, fails: BaseException | None = None, **infos: Any) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.infos = infos
        self.n_infos = 0
        self.fails = fails

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.done.append(("read", max_bytes, timeout))
        return b"said"

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.done.append(("write", buffer, timeout))

    async def aclose(self) -> None:
        if self.fails is not None:
            await anyio.lowlevel.checkpoint()
        self.done.append(("close",))

    async def start_tls(self, *args: Any) -> Any:
        self.done.append(("start_tls", *args))
        if self.fails is not None:
            raise self.fails
        return AsyncStream(ssl_object="tls")

    def get_extra_info(self, info: str) -> Any:
        self.n_infos += 1
        return self.infos.get(info)


def test_async_stream() -> None:
    """All goes to the stream, as it is; a wrapped one takes its place."""
    stream = AsyncStream(socket=None, server_addr="there")
    case = Connecting("async", guarded=False, _t=stream)
    connection = case.connect()

    async def main() -> Any:
        assert await connection.read(9, 1.0) == b"said"
        await connection.write(b"x", 2.0)
        wrapped = await connection.start_tls("context", "h.test", 3.0)
        await connection.aclose()
        return wrapped

    assert run_sync(main()).get_extra_info("ssl_object") == "tls"
    assert stream.done == [("read", 9, 1.0), ("write", b"x", 2.0), ("start_tls", "context", "h.test", 3.0), ("close",)]
    assert connection.get_extra_info("server_addr") == "there"
    assert connection.get_extra_info("is_readable") is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_handshake_that_fails(backend: str) -> None:
    """A connection whose handshake fails is closed, also in a task that was cancelled."""
    stream = AsyncStream(fails=httpcore.ConnectError("broken off"))
    connection = Connecting("async", guarded=False, _t=stream).connect()

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(httpcore.ConnectError):
                await connection.start_tls("context")

    anyio.run(main, backend=backend)
    assert stream.done[-1] == ("close",)


# Something to read


@pytest.mark.skipif(sys.platform == "win32", reason="there is no poll there")
@pytest.mark.parametrize(
    ("platform", "only"), [("linux", ("poll", "POLLIN")), ("darwin", ("poll", "POLLIN")), ("win32", ("select",))]
)
def test_something_to_read(monkeypatch: pytest.MonkeyPatch, platform: str, only: tuple[str, ...]) -> None:
    """Bytes, or an end, are seen by poll, which takes any number of a file, and on Windows by select."""
    monkeypatch.setattr(network, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(network, "select", SimpleNamespace(**{name: getattr(select, name) for name in only}))
    ours, theirs = socket.socketpair()
    assert network._is_readable(ours) is False
    theirs.sendall(b"x")
    assert network._is_readable(ours) is True
    ours.recv(1)
    assert network._is_readable(ours) is False
    theirs.close()
    assert network._is_readable(ours) is True
    ours.close()
    assert network._is_readable(ours) is True


def test_async_stream_with_something_to_read() -> None:
    """A socket tells whether there is something to read, or its TLS, where that has taken it already."""
    ours, theirs = socket.socketpair()
    tls = SimpleNamespace(read=lambda _: b"x")
    stream = AsyncStream(socket=ours, ssl_object=None, is_readable=False)
    connection = Connecting("async", guarded=False, _t=stream).connect()
    n_infos = stream.n_infos
    assert connection.get_extra_info("socket") is ours
    assert connection.get_extra_info("is_readable") is False
    assert stream.n_infos == n_infos
    held = Connecting("async", guarded=False, _t=AsyncStream(socket=ours, ssl_object=tls)).connect()
    assert held.get_extra_info("is_readable") is True
    theirs.sendall(b"x")
    assert connection.get_extra_info("is_readable") is True
    ours.recv(1)
    assert connection.get_extra_info("is_readable") is False
    theirs.close()
    assert connection.get_extra_info("is_readable") is True
    ours.close()
    assert connection.get_extra_info("is_readable") is True


@pytest.mark.parametrize(
    ("fails", "holds"),
    [(None, True), (ssl.SSLWantReadError(), False), (ssl.SSLError(), True), (ssl.SSLZeroReturnError(), True)],
)
def test_tls_that_holds_more(fails: Exception | None, holds: bool) -> None:
    """Only one that wants to read more holds nothing; at most a byte is taken to see."""
    asked: list[int] = []

    def read(n_bytes: int) -> bytes:
        asked.append(n_bytes)
        if fails is not None:
            raise fails
        return b"x"

    tls: Any = SimpleNamespace(read=read)
    assert network._holds_more(tls) is holds
    assert asked == [1]
