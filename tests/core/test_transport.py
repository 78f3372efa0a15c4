"""The HTTP side: hostile replies, clients of the caller's own, proxies, certificates."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from hfasr import APIConnectionError, APIResponseError, ASRClient, RetryPolicy
from hfasr.testing import FakeASRServer, Reply, replies
from tests.colours import Session

Make = Callable[..., Session]
ONCE = RetryPolicy(max_attempts=1)


def bomb() -> bytes:
    """Return 1 GiB of spaces, packed to about 1 MB."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(1024)) + packer.flush()


def test_gzip_bomb(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A reply that inflates to a gibibyte is left after a few megabytes."""
    asr_server.script(Reply(200, body=bomb(), headers={"content-encoding": "gzip", "content-type": "application/json"}))
    asr = session(router_url=asr_server.router_url, retry=ONCE)
    tracemalloc.start()
    try:
        with pytest.raises(APIResponseError, match="larger than 8 MiB"):
            asr.transcribe(wav)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


PLAIN = b'{"text": "packed"}'
BARE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "zlib": ("deflate", zlib.compress(PLAIN)),
    "bare deflate": ("deflate", BARE.compress(PLAIN) + BARE.flush()),
    "two members": ("gzip", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])),
    "padded": ("gzip", gzip.compress(PLAIN) + bytes(500)),
}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("kind", PACKED)
def test_packed_reply(session: Make, asr_server: FakeASRServer, wav: bytes, kind: str, at_once: bool) -> None:
    """A server that packs its reply, though asked not to, is understood, however the bytes arrive."""
    encoding, body = PACKED[kind]
    reply = Reply(200, body=body, headers={"content-encoding": encoding})
    asr_server.script(reply if at_once else replies.Drip(interval=0.001, reply=reply))
    assert session(router_url=asr_server.router_url).transcribe(wav).text == "packed"
    assert asr_server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (b"\x1f\x8bnonsense", "gzip", "damaged"),
        (gzip.compress(b"x" * 99, mtime=0)[:-12], "gzip", "cut off"),
        (gzip.compress(b"x" * 99, mtime=0)[:11], "gzip", "cut off"),
        (b"\x1f", "gzip", "cut off"),
        (gzip.compress(b"x", mtime=0) + gzip.compress(b"x" * 99, mtime=0)[:-12], "gzip", "cut off"),
        (gzip.compress(b"", mtime=0) * 9_999, "gzip", "damaged"),
        (b"x", "br", "packed its reply as 'br'"),
    ],
    ids=["noise", "trailer", "nothing", "one byte", "second member", "members", "br"],
)
def test_badly_packed_reply(
    session: Make, asr_server: FakeASRServer, wav: bytes, body: bytes, encoding: str, message: str
) -> None:
    """A packed reply that cannot be read is a typed error."""
    asr_server.script(Reply(200, body=body, headers={"content-encoding": encoding}))
    with pytest.raises(APIResponseError, match=message):
        session(router_url=asr_server.router_url, retry=ONCE).transcribe(wav)


def test_endless_reply(session: Make, wav: bytes) -> None:
    """A reply without end is left at the cap."""
    with (
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 65_536) as url,
        pytest.raises(APIResponseError, match="larger"),
    ):
        session(router_url=url, retry=ONCE).transcribe(wav)


def test_endless_headers(session: Make, wav: bytes) -> None:
    """Headers without end are a failed connection, not a full memory."""
    with (
        raw_server(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"y" * 60_000 + b"\r\n") as url,
        pytest.raises(APIConnectionError),
    ):
        session(router_url=url, retry=ONCE).transcribe(wav)


def test_connection_is_kept(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Calls share one connection, also through with_options, and closing ends it."""
    one = session(router_url=asr_server.router_url)
    for _ in range(5):
        one.transcribe(wav)
    assert asr_server.connections.accepted == 1
    one.call("close" if one.colour == "sync" else "aclose")
    wait_for(lambda: asr_server.connections.open == 0)


def test_many_threads(asr_server: FakeASRServer, wav: bytes) -> None:
    """One sync client serves many threads at once."""
    with ASRClient(router_url=asr_server.router_url) as asr:
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(asr.transcribe(wav).text)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["red boat green"] * 16


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until *condition* holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


class raw_server:  # noqa: N801  # reads as a function
    """A server that reads a little, says *head*, then *piece* without end (256 MiB at most)."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self._head, self._piece = head, piece
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        with connection:
            connection.recv(65_536)
            try:
                connection.sendall(self._head)
                for _ in range(4_096):
                    connection.sendall(self._piece)
            except OSError:
                return

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join(5)
