"""The HTTP side: hostile replies, clients of the caller's own, proxies, certificates."""

from __future__ import annotations

import gzip
import http.server
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any, Self

import httpx
import httpx2
import pytest
import trustme

from hfasr import APIConnectionError, APIResponseError, ASRClient, AsyncASRClient, RetryPolicy
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
        with pytest.raises(APIResponseError, match="larger than 32 MiB"):
            asr.transcribe(wav)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_packed_reply(session: Make, asr_server: FakeASRServer, wav: bytes, encoding: str) -> None:
    """A server that packs its reply, though asked not to, is understood."""
    body = b'{"text": "packed"}'
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    asr_server.script(Reply(200, body=packed, headers={"content-encoding": encoding}))
    assert session(router_url=asr_server.router_url).transcribe(wav).text == "packed"
    assert asr_server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (b"\x1f\x8bnonsense", "gzip", "damaged"),
        (gzip.compress(b"x" * 99, mtime=0)[:-12], "gzip", "cut off"),
        (b"x", "br", "packed its reply as 'br'"),
    ],
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


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_client_of_ones_own(session: Make, colour: str, asr_server: FakeASRServer, wav: bytes, library: object) -> None:
    """Clients of httpx and httpx2 are used as they are, with their headers, and never closed."""
    kind = "Client" if colour == "sync" else "AsyncClient"
    client = getattr(library, kind)(headers={"x-mine": "1"})
    one = session(router_url=asr_server.router_url, http_client=client)
    assert one.transcribe(wav).text == "red boat green"
    asr_server.script(replies.Reset("in_body"), replies.Reset("before_reply"))
    assert one.transcribe(wav, deadline=20).text == "red boat green"
    assert all(r.headers["x-mine"] == "1" for r in asr_server.requests)
    one.call("close" if colour == "sync" else "aclose")
    assert not client.is_closed
    one.close_http(client)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_mocked_client(asr_server: FakeASRServer, wav: bytes, library: Any) -> None:
    """A MockTransport's ready-made reply is read, too."""
    transport = library.MockTransport(lambda _: library.Response(200, json={"text": "mocked"}))
    with (
        library.Client(transport=transport) as client,
        ASRClient(router_url="http://mock.test", http_client=client) as asr,
    ):
        assert asr.transcribe(wav).text == "mocked"


@pytest.mark.parametrize(
    ("make", "kind"), [(ASRClient, httpx.AsyncClient), (AsyncASRClient, httpx.Client), (ASRClient, object)]
)
def test_client_of_the_wrong_colour(make: type[ASRClient], kind: type[object]) -> None:
    """A client of the wrong colour, or no client at all, is a TypeError in the constructor."""
    with pytest.raises(TypeError, match="http_client must be an httpx"):
        make(http_client=kind())


def test_closed_client(wav: bytes) -> None:
    """A closed client of the caller's is named as the fault, and not tried again."""
    client = httpx.Client()
    client.close()
    with (
        ASRClient(router_url="http://127.0.0.1:1", http_client=client) as asr,
        pytest.raises(APIConnectionError, match="closed"),
    ):
        asr.transcribe(wav)


def test_certificates(
    session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An unknown CA is refused without a second try; SSL_CERT_FILE makes it known."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    pem = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    with FakeASRServer(ssl_context=context) as server:
        with pytest.raises(APIConnectionError, match="SSL_CERT_FILE") as caught:
            session(router_url=server.url).transcribe(wav)
        assert caught.value.permanent
        assert len(caught.value.attempts) == 1
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert session(router_url=url).transcribe(wav).text == "red boat green"


class Proxy(http.server.ThreadingHTTPServer):
    """An HTTP proxy that answers everything by itself, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(f"{self.path} for {self.headers['host']}")
        body = b'{"text": "through the proxy"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        return None


def test_proxy_of_the_environment(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API calls go through the environment's proxy, unless NO_PROXY names the host."""
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        path = "/hf-inference/models/openai/whisper-large-v3"
        assert session(router_url="http://api.example", retry=ONCE).transcribe(wav).text == "through the proxy"
        assert session(router_url=asr_server.url, retry=ONCE).transcribe(wav).text == "through the proxy"
        own = asr_server.url.removeprefix("http://")
        assert proxy.asked == [f"http://api.example{path} for api.example", f"{asr_server.url}{path} for {own}"]
        assert asr_server.requests == []
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert session(router_url=asr_server.url, retry=ONCE).transcribe(wav).text == "red boat green"
        assert [request.path for request in asr_server.requests] == [path]
        assert len(proxy.asked) == 2


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


def wait_for(condition: Callable[[], bool], seconds: float = 3.0) -> None:
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
