from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from hfasr.testing import (
    Drip,
    FakeASRServer,
    Hang,
    Normal,
    Reply,
    Reset,
    Truncated,
)

from .conftest import threads_of_servers, wait_for

FLAC = {"content-type": "audio/flac"}


@pytest.mark.parametrize("action", [Hang(), Drip(interval=60.0), Reply(delay=60.0), None], ids=repr)
def test_stop_leaves_no_thread_and_no_socket(clip: bytes, action: Any) -> None:
    """Whatever its connections are at, the server is gone when stop returns, at once."""
    with FakeASRServer() as server, ThreadPoolExecutor() as pool, httpx.Client(trust_env=False) as client:
        if action is None:
            client.get(f"{server.url}/health")
        else:
            server.script(action)
            waiting = pool.submit(client.post, server.url, content=clip, headers=FLAC)
            assert wait_for(lambda: len(server.requests) == 1)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2.0
        assert threads_of_servers() == []
        assert server.connections.open == 0
        if action is not None:
            with pytest.raises(httpx.TransportError):
                waiting.result()
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url, trust_env=False)


def test_it_can_stop_twice_and_start_again_on_the_same_port(http: httpx.Client) -> None:
    """A server that was away comes back under the same URL, with its record."""
    server = FakeASRServer()
    server.stop()
    server.start()
    try:
        url = server.url
        http.get(f"{url}/health")
        server.stop()
        server.stop()
        assert server.start() is server
        assert server.url == url
        assert http.get(f"{url}/health").text == "Ok"
        assert len(server.requests) == 2
    finally:
        server.stop()


def test_a_port_that_is_taken_is_an_error() -> None:
    """start() fails where another server listens, and leaves nothing behind."""
    with FakeASRServer() as first:
        second = FakeASRServer(port=httpx.URL(first.url).port or 0)
        with pytest.raises(OSError, match=r"(?i)address|permission|forbidden"):
            second.start()
        second.stop()
    assert threads_of_servers() == []


def test_requests_are_answered_at_the_same_time(clip: bytes) -> None:
    """A slow answer holds no other up, and the peak is counted."""
    with FakeASRServer(delay=0.3) as server, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        jobs = [
            pool.submit(httpx.post, server.url, content=clip, headers=FLAC, trust_env=False, timeout=10.0)
            for _ in range(8)
        ]
        assert {job.result().text for job in jobs} == {'{"text":" red boat"}'}
        assert time.monotonic() - began < 8 * 0.3
        assert server.peak_concurrency > 1
        assert server.connections.accepted == 8


def test_it_speaks_tls(clip: bytes) -> None:
    """With a server's context it is https; plain HTTP to it fails and does no harm."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with FakeASRServer(ssl_context=context, host="localhost") as server:
        assert server.url.startswith("https://localhost:")
        with httpx.Client(verify=trusting, trust_env=False) as client:
            for action in (Normal(delay=0.1), Reset("in_body"), Truncated(2), Hang(0.0), Reset("accept")):
                server.script(action)
            assert client.post(server.url, content=clip, headers=FLAC).json() == {"text": " red boat"}
            for _ in range(4):
                with pytest.raises(httpx.TransportError):
                    client.post(server.url, content=clip, headers=FLAC)
            assert client.post(server.url, content=clip, headers=FLAC).json() == {"text": " red boat"}
            with pytest.raises(httpx.TransportError):
                httpx.get(server.url.replace("https", "http"), trust_env=False)
    assert threads_of_servers() == []
