"""Connections that are kept: used again, let go when the server has left, and closed with the client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpcore
import pytest
import trustme

import hfasr
from hfasr import APIConnectionError, ASRClient, AsyncASRClient, RetryPolicy
from hfasr._core import connections
from hfasr._core.cancel import CANCEL, Cancel, Cancelled
from hfasr._core.http import Reach
from hfasr._core.network import BlockingBackend
from hfasr._core.pool import AsyncPools, Pools
from hfasr.testing import FakeASRServer, replies
from hfasr.wire import Request
from tests.colours import Session
from tests.core.test_transport import wait_for

Make = Callable[..., Session]


def test_one_connection_for_one_call_after_the_other(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Calls that follow each other share one connection."""
    asr = session(router_url=asr_server.router_url)
    for _ in range(5):
        asr.transcribe(wav)
    assert asr_server.connections.accepted == 1


def test_as_many_as_are_needed(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Calls at the same time have one each, and the next ones use them again."""
    asr = session(router_url=asr_server.router_url)
    for _ in range(3):
        asr_server.script(*[replies.Normal(delay=0.2)] * 4)
        assert all(item.ok for item in asr.transcribe_many([wav] * 4, max_concurrency=4))
    assert asr_server.connections.accepted == 4


def test_a_server_that_has_left(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A connection that the server closed while it was idle is not used again, and costs no attempt."""
    asr = session(router_url=asr_server.router_url, retry=RetryPolicy(max_attempts=1))
    asr.transcribe(wav)
    asr_server.stop()
    asr_server.start()
    time.sleep(0.05)
    assert asr.transcribe(wav).text == "red boat green"
    wait_for(lambda: asr_server.connections.open == 1)


def test_a_reply_that_was_cut_off(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A connection in the middle of whose reply something went wrong is closed, not kept."""
    asr_server.script(replies.Truncated(), replies.Reset("in_body"))
    asr = session(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0))
    assert asr.transcribe(wav).text == "red boat green"
    wait_for(lambda: asr_server.connections.open == 1)


def test_old_ones_go(session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for too long is closed when the next one comes back."""
    monkeypatch.setattr(connections, "IDLE_S", 0.2)
    asr = session(router_url=asr_server.router_url)
    asr_server.script(*[replies.Normal(delay=0.2)] * 3)
    list(asr.transcribe_many([wav] * 3, max_concurrency=3))
    assert asr_server.connections.open == 3
    time.sleep(0.4)
    for _ in range(4):
        asr.transcribe(wav)
    wait_for(lambda: asr_server.connections.open == 1)


def test_not_too_many(session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number, connections that come back are closed."""
    monkeypatch.setattr(connections, "MAX_IDLE", 2)
    asr = session(router_url=asr_server.router_url)
    asr_server.script(*[replies.Normal(delay=0.2)] * 5)
    list(asr.transcribe_many([wav] * 5, max_concurrency=5))
    wait_for(lambda: asr_server.connections.open == 2)


@pytest.fixture(params=["plain", "tls"])
def either_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[FakeASRServer]:
    """A server that speaks TLS, whose certificate is known, and one that does not."""
    context = None
    if request.param == "tls":
        ca = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with FakeASRServer(ssl_context=context) as server:
        yield server


def test_closing_closes_all(session: Make, colour: str, either_server: FakeASRServer, wav: bytes) -> None:
    """Closing the client ends idle connections and those in use, also such as a thread waits for."""
    server = either_server
    asr = session(router_url=server.router_url, retry=RetryPolicy(max_attempts=1))
    asr.transcribe(wav)
    failed: list[Exception] = []
    threads: list[threading.Thread] = []
    if colour == "sync":
        server.script(replies.Hang(30), replies.Hang(30))

        def call() -> None:
            try:
                asr.transcribe(wav)
            except hfasr.APIError as error:
                failed.append(error)

        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(server.requests) == 3)
    asr.call("close" if colour == "sync" else "aclose")
    wait_for(lambda: server.connections.open == 0)
    for thread in threads:
        thread.join(10)
    assert len(failed) == len(threads)


def test_a_batch_that_is_closed_cuts_off_tls(session: Make, either_server: FakeASRServer, wav: bytes) -> None:
    """Requests of a batch that is closed end at once, whatever they are wrapped in."""
    server = either_server
    asr = session(router_url=server.router_url)
    server.script(replies.Normal(), *[replies.Hang(30)] * 6)
    batch = asr.transcribe_many([wav] * 9, max_concurrency=3, ordered=False)
    assert next(batch).ok
    wait_for(lambda: len(server.requests) >= 4)
    began = time.monotonic()
    batch.close()
    assert time.monotonic() - began < 20
    wait_for(lambda: server.connections.open <= 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_in_a_task_that_is_cancelled(backend: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """Every connection is closed, though the closing itself is cancelled."""

    async def main() -> None:
        asr = AsyncASRClient(router_url=asr_server.router_url)
        asr_server.script(*[replies.Normal(delay=0.2)] * 3)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(asr.transcribe, wav)
        assert asr_server.connections.open == 3
        with anyio.CancelScope() as scope:
            scope.cancel()
            await asr._io.http.aclose()
        await anyio.to_thread.run_sync(wait_for, lambda: asr_server.connections.open == 0)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("colour", ["sync", "asyncio", "trio"])
def test_closed_just_before_it_is_used(colour: str, asr_server: FakeASRServer) -> None:
    """A request that has found its sender when the client is closed opens no connection, which nobody would close."""
    request = Request("GET", asr_server.url)
    if colour == "sync":
        pools = Pools()
        sender = pools.sender(Reach())
        pools.close()
        with pytest.raises(APIConnectionError, match="closed while a call was under way"):
            sender.open(request, 5.0)
    else:

        async def main() -> None:
            pools = AsyncPools()
            sender = pools.sender(Reach())
            await pools.aclose()
            with pytest.raises(APIConnectionError, match="closed while a call was under way"):
                await sender.open(request, 5.0)

        anyio.run(main, backend=colour)
    assert asr_server.connections.accepted == 0


def test_closed_before_anything_was_sent(session: Make, asr_server: FakeASRServer) -> None:
    """The same of the very first request."""
    asr = session()
    http = asr.client._io.http
    asr.run(http.close if asr.colour == "sync" else http.aclose)
    request = Request("GET", asr_server.url)
    with pytest.raises(APIConnectionError, match="closed while a call was under way"):
        asr.run(lambda: http.send(request, timeout=5.0, expires_in=None, reach=Reach()))
    assert asr_server.connections.accepted == 0


def test_closing_cuts_off_a_handshake() -> None:
    """A blocking request ends with its client, also where the server has never answered the TLS handshake."""
    asr = ASRClient()
    failed: list[BaseException] = []

    def call() -> None:
        try:
            asr._io.http.send(Request("GET", url), timeout=60.0, expires_in=None, reach=Reach())
        except APIConnectionError as error:
            failed.append(error)

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        thread = threading.Thread(target=call)
        thread.start()
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)  # of its first words
            asr.close()
            thread.join(30)
    assert len(failed) == 1


def test_connected_while_the_client_is_closed() -> None:
    """What connects when its client has just been closed waits for no answer any more."""
    backend = BlockingBackend(guarded=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        backend.cut()
        stream = backend.connect_tcp("127.0.0.1", server.getsockname()[1], 30.0)
        try:
            with contextlib.suppress(httpcore.ReadError):
                assert stream.read(1, 30.0) == b""
        finally:
            stream.close()


def test_a_handshake_of_a_batch_that_was_cut_off() -> None:
    """A connection whose batch ends just before its TLS begins is closed at once."""

    class Stream(httpcore.NetworkStream):
        n_closed = 0

        def close(self) -> None:
            self.n_closed += 1

        def get_extra_info(self, info: str) -> Any:
            return ours if info == "socket" else None

    class Backend(httpcore.SyncBackend):
        def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
            return stream

    stream, cancel = Stream(), Cancel()
    backend = BlockingBackend(guarded=False)
    backend._backend = Backend()
    token = CANCEL.set(cancel)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            connection = backend.connect_tcp("127.0.0.1", 443, 1.0)
            cancel.cut()
            with pytest.raises(Cancelled):
                connection.start_tls(ssl.create_default_context(), "127.0.0.1", 1.0)
        finally:
            CANCEL.reset(token)
    assert stream.n_closed == 1
