"""Connections that are kept: used again, let go when the server has left, and closed with the client."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

import hfasr
from hfasr import RetryPolicy
from hfasr._core import connections
from hfasr.testing import FakeASRServer, replies
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
