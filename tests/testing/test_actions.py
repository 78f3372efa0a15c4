from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from hfasr.testing import (
    Drip,
    FakeASRServer,
    Hang,
    Normal,
    NotHTTP,
    Reply,
    Reset,
    Truncated,
)

from .conftest import connect, wait_for

FLAC = {"content-type": "audio/flac"}


@pytest.mark.parametrize("action", [Reply(delay=0.2), Normal(delay=0.2)])
def test_delays_hold_the_answer_back(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, action: Reply | Normal
) -> None:
    """The answer comes after its delay, not before."""
    asr_server.script(action)
    began = time.monotonic()
    assert http.post(asr_server.url, content=clip, headers=FLAC).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_the_server_can_be_slow_altogether(http: httpx.Client) -> None:
    """Every answer comes after the server's own delay."""
    with FakeASRServer(delay=0.1) as server:
        began = time.monotonic()
        http.get(f"{server.url}/health")
        http.get(f"{server.url}/health")
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Reset("accept"), httpx.TransportError),
        (Reset("in_request"), httpx.TransportError),
        (Reset("before_reply"), httpx.ReadError),
        (Reset("in_headers"), httpx.ReadError),
        (Reset("in_body"), httpx.ReadError),
        (Reset("in_body", reply=Reply(503, json={"error": "overloaded"})), httpx.ReadError),
        (Truncated(), httpx.RemoteProtocolError),
        (Truncated(0, reply=Reply(json={"text": "x"})), httpx.RemoteProtocolError),
        (NotHTTP(), httpx.RemoteProtocolError),
        (NotHTTP(b""), httpx.RemoteProtocolError),
        (Hang(0.0), httpx.RemoteProtocolError),
    ],
    ids=repr,
)
def test_faults_reach_the_client(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, action: Any, error: type[Exception]
) -> None:
    """Each fault of the socket is what an HTTP client takes it for; the next request is served."""
    asr_server.script(action)
    with pytest.raises(error):
        http.post(asr_server.url, content=clip, headers=FLAC)
    assert http.post(asr_server.url, content=clip, headers=FLAC).json() == {"text": " red boat"}


@pytest.mark.parametrize("when", ["in_headers", "in_body"])
def test_half_of_the_answer_comes_before_a_reset(asr_server: FakeASRServer, when: Any) -> None:
    """The client reads a part of the answer, then the reset."""
    asr_server.script(Reset(when, reply=Reply(body=b"0123456789")))
    with connect(asr_server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
        got = sock.recv(1_000)
        assert got.endswith(b"\r\n\r\n01234") if when == "in_body" else b"\r\n\r\n" not in got
        assert got.startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionResetError):
            sock.recv(1_000)


def test_truncated_declares_more_than_it_sends(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """The length is that of the whole answer, and so many bytes of it come."""
    asr_server.script(Truncated(3, reply=Reply(body=b"0123456789", chunked=True)))
    with http.stream("POST", asr_server.url) as reply:
        assert reply.headers["content-length"] == "10"
        got: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError, match="received 3 bytes, expected 10"):
            got.extend(reply.iter_raw())
        assert b"".join(got) == b"012"


@pytest.mark.parametrize("headers", [False, True])
def test_drip_sends_piece_by_piece(asr_server: FakeASRServer, http: httpx.Client, headers: bool) -> None:
    """The answer is whole in the end, and takes its time; with *headers* they drip as well."""
    asr_server.script(Drip(interval=0.02, n_bytes=10, headers=headers, reply=Reply(body=b"0123456789" * 5)))
    began = time.monotonic()
    with http.stream("POST", asr_server.url) as reply:
        until_headers = time.monotonic() - began
        assert reply.read() == b"0123456789" * 5
    assert time.monotonic() - began >= 0.08
    assert until_headers >= (0.2 if headers else 0.0)  # there are over 100 bytes of them


def test_hang_lasts_until_the_client_leaves(asr_server: FakeASRServer, clip: bytes) -> None:
    """A client that gives up frees its connection at once; the request is on record, without a status."""
    asr_server.script(Hang())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(asr_server.url, content=clip, headers=FLAC, timeout=0.1, trust_env=False)
    assert wait_for(lambda: asr_server.connections.open == 0)
    assert asr_server.requests[0].status is None
