from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from hfasr.testing import (
    FakeASRServer,
    Reply,
)

from .conftest import connect, wait_for

if TYPE_CHECKING:
    import socket

    import httpx


FLAC = {"content-type": "audio/flac"}


def test_a_connection_is_kept_alive_and_counted(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """Many requests go over one connection, which is gone when the client closes it."""
    for _ in range(5):
        http.post(asr_server.url, content=clip, headers=FLAC)
    assert (asr_server.connections.accepted, asr_server.connections.open) == (1, 1)
    http.close()
    assert wait_for(lambda: asr_server.connections.open == 0)


def test_connection_close_is_honoured(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """A client that asks for it is disconnected after the answer, and told so."""
    reply = http.get(f"{asr_server.url}/health", headers={"connection": "close"})
    assert reply.headers["connection"] == "close"
    assert wait_for(lambda: asr_server.connections.open == 0)


def test_a_chunked_upload_is_unpacked(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """A body of unknown length arrives whole."""
    pieces = (clip[i : i + 1_000] for i in range(0, len(clip), 1_000))
    assert http.post(asr_server.url, content=pieces, headers=FLAC).json() == {"text": " red boat"}
    assert asr_server.requests[0].headers["transfer-encoding"] == "chunked"
    assert asr_server.requests[0].body == clip


def test_expect_100_continue_is_answered(asr_server: FakeASRServer, clip: bytes) -> None:
    """A client that asks first is told to go on before it sends the body."""
    head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: audio/flac\r\ncontent-length: {len(clip)}\r\nexpect: 100-continue\r\n\r\n"
    with connect(asr_server) as sock:
        sock.sendall(head.encode())
        assert sock.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(clip)
        assert sock.recv(1_000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        b"POST http://[ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    ],
    ids=["not http", "version", "target", "header", "length", "chunk", "too many headers"],
)
def test_what_is_not_http_is_hung_up_on(asr_server: FakeASRServer, data: bytes) -> None:
    """A malformed request ends its connection, and leaves no record and no error."""
    with connect(asr_server) as sock:
        sock.sendall(data)
        assert disconnected(sock)
    assert asr_server.requests == []
    assert wait_for(lambda: asr_server.connections.open == 0)


def test_a_body_that_ends_early_is_not_answered(asr_server: FakeASRServer) -> None:
    """Where the client leaves in the middle of its body, nothing is recorded."""
    with connect(asr_server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc")
    assert wait_for(lambda: asr_server.connections.open == 0 and asr_server.connections.accepted == 1)
    assert asr_server.requests == []


def disconnected(sock: socket.socket) -> bool:
    try:
        return sock.recv(1_000) == b""
    except ConnectionError:
        return True


def test_head_gets_no_body(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """The answer to HEAD is headers only, and the connection stays in step."""
    assert http.head(f"{asr_server.url}/health").content == b""
    assert http.get(f"{asr_server.url}/health").text == "Ok"


def test_a_reply_can_be_bytes_text_or_chunked(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """A body goes out as it is, with or without a length, and headers can be replaced."""
    asr_server.script(
        Reply(body=b"\xff\x00"),
        Reply(body="é", headers={"Content-Type": "text/plain; charset=utf-8"}),
        Reply(json=["é"], chunked=True),
        Reply(chunked=True),
    )
    got = [http.post(asr_server.url) for _ in range(4)]
    assert [reply.content for reply in got] == [b"\xff\x00", "é".encode(), '["é"]'.encode(), b""]
    assert got[1].headers["content-type"] == "text/plain; charset=utf-8"
    assert got[0].headers["content-length"] == "2"
    assert got[2].headers["transfer-encoding"] == "chunked"
    assert "content-length" not in got[2].headers
    assert abs(parsedate_to_datetime(got[0].headers["date"]).timestamp() - time.time()) < 60


@pytest.mark.slow
def test_it_serves_500_small_requests_a_second(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """A reply that needs no decoding takes less than 2 ms, client included."""
    asr_server.script(*[Reply(json={"text": "x"})] * 1_000)
    began = time.perf_counter()
    for _ in range(1_000):
        http.post(asr_server.url, content=b"x", headers=FLAC)
    assert time.perf_counter() - began < 2.0
