"""HTTP/1.1 as servers speak it, and where URLs lead."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpcore
import pytest
import trustme

from hfasr import APIConnectionError, RetryPolicy
from hfasr._core.connections import Connections
from hfasr._core.http import Reach
from hfasr._core.http1 import READ_BYTES
from hfasr._core.lines import BlockingLine
from hfasr._core.target import Target, target_of
from hfasr.wire import Request, Response
from tests.colours import Session

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer

Make = Callable[..., Session]

ONCE = RetryPolicy(max_attempts=1)


class Speaker:
    """
    A server that says exactly these bytes, one answer a request, and remembers what it was asked.

    Args:
        answers: The answers; after one of a tuple the connection is closed.

        read_bodies: Whether a request is read to its end before it is answered.
    """

    def __init__(self, *answers: bytes | tuple[bytes], read_bodies: bool = True) -> None:
        self._answers = list(answers)
        self._read_bodies = read_bodies
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heads: list[bytes] = []
        self.n_connections = 0

    def _serve(self) -> None:
        while self._answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.n_connections += 1
            # A client that closes before it has read all resets.
            with connection, connection.makefile("rb", buffering=1) as file, contextlib.suppress(ConnectionError):
                while self._answers and (head := self._head(file)):
                    self.heads.append(head)
                    answer = self._answers.pop(0)
                    said, closes = (answer, False) if isinstance(answer, bytes) else (answer[0], True)
                    connection.sendall(said)
                    if closes:
                        break

    def _head(self, file: io.BufferedReader) -> bytes:
        lines: list[bytes] = []
        length = 0
        while (line := file.readline()) not in {b"\r\n", b""}:
            lines.append(line)
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        if self._read_bodies:
            file.read(length)
        return b"".join(lines)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.clear()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


class TLSSpeaker(Speaker):
    """
    The same by TLS.

    Args:
        context: Of the server's side.

        answers: Each a list of records of TLS, which are written to the socket all at once.
    """

    def __init__(self, context: ssl.SSLContext, *answers: list[bytes]) -> None:
        super().__init__(*map(b"".join, answers))
        self.url = self.url.replace("http", "https")
        self._records = list(answers)
        self._context = context

    def _serve(self) -> None:
        while self._records:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.n_connections += 1
            with connection, contextlib.suppress(EOFError, ConnectionError):
                self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(coming, going, server_side=True)

        def wait_for(work: Callable[[], Any]) -> Any:
            while True:
                try:
                    return work()
                except ssl.SSLWantReadError:
                    connection.sendall(going.read())
                    if not (data := connection.recv(65_536)):
                        raise EOFError from None
                    coming.write(data)

        wait_for(tls.do_handshake)
        while self._records:
            head = b""
            while b"\r\n\r\n" not in head:
                head += wait_for(lambda: tls.read(65_536))
            left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(head.partition(b"\r\n\r\n")[2])
            while left > 0:
                left -= len(wait_for(lambda: tls.read(65_536)))
            for record in self._records.pop(0):
                tls.write(record)
            connection.sendall(going.read())


def reply(text: str, *headers: str) -> bytes:
    """Return a whole reply with this transcript."""
    body = f'{{"text": "{text}"}}'.encode()
    return "\r\n".join(("HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers, "", "")).encode() + body


CHUNKED = (
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"text": \r\n6\r\n"one"}\r\n0\r\nx-trailer: 1\r\n\r\n'
)
UNTIL_CLOSED = (b'HTTP/1.0 200 OK\r\n\r\n{"text": "one"}',)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + reply("one")


@pytest.mark.parametrize(
    ("first", "n_connections"),
    [
        (reply("one"), 1),
        (CHUNKED, 1),
        (CONTINUED, 1),
        (UNTIL_CLOSED, 2),
        ((reply("one", "Connection: close"),), 2),
        ((reply("one").replace(b"1.1", b"1.0"),), 2),
        (reply("one", f"X-Padding: {'x' * 90_000}"), 1),
        (reply("one", "Keep-Alive: timeout=60, max=9"), 1),
        (reply("one", "Keep-Alive: timeout=1"), 2),
        (CHUNKED.replace(b"\r\n", b"\r\nContent-Length: 9\r\n", 1), 2),
    ],
    ids=[
        "length",
        "chunked",
        "informational",
        "until closed",
        "close",
        "HTTP/1.0",
        "of several reads",
        "long kept",
        "hardly kept",
        "two lengths",
    ],
)
def test_ways_to_end_a_reply(session: Make, wav: bytes, first: bytes | tuple[bytes], n_connections: int) -> None:
    """A reply is read to its end however that is told, and its connection used again only where it may be."""
    with Speaker(first, reply("two")) as server:
        asr = session(router_url=server.url, retry=ONCE)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["one", "two"]
        assert server.n_connections == n_connections


def test_more_than_one_reply(session: Make, wav: bytes) -> None:
    """What a server says beyond its reply is never taken for the answer to the next request."""
    with Speaker(reply("one") + reply("somebody else's"), reply("two")) as server:
        asr = session(router_url=server.url, retry=ONCE)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["one", "two"]
        assert server.n_connections == 2


def test_more_than_was_asked_for(session: Make, wav: bytes) -> None:
    """What an event loop has read beyond a reply, where nobody sees it, is no answer to the next request either."""
    first = reply("one", "X-Padding: ")
    padding = b"x" * (READ_BYTES - len(first))
    first = first.replace(b"X-Padding: ", b"X-Padding: " + padding)
    assert len(first) == READ_BYTES
    with Speaker(first + reply("somebody else's"), reply("two")) as server:
        asr = session(router_url=server.url, retry=ONCE)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["one", "two"]
        assert server.n_connections == 2


def test_more_than_one_reply_in_tls(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same where it comes together with the reply, but in a record of TLS of its own."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    records = [[reply("one"), reply("somebody else's")], [reply("two")]]
    with TLSSpeaker(context, *records) as server:
        asr = session(router_url=server.url, retry=ONCE)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["one", "two"]
        assert server.n_connections == 2


def get(asr: Session, url: str) -> bytes:
    """Fetch *url* by the client's own connections."""
    http = asr.client._io.http
    request = Request("GET", url)
    answer: Response = asr.run(lambda: http.send(request, timeout=20.0, expires_in=None, reach=Reach()))
    return answer.content


def test_left_just_then(session: Make) -> None:
    """A GET that meets a server about to close its idle connection is sent again at once, on another connection."""
    with Speaker(reply("one"), (b"",), reply("two")) as server:
        asr = session()
        assert [get(asr, server.url) for _ in range(2)] == [b'{"text": "one"}', b'{"text": "two"}']
        assert (server.n_connections, len(server.heads)) == (2, 3)


@pytest.mark.parametrize(
    "answers",
    [(reply("one"), (b"HTTP/1.1 2",)), (reply("one"), (b"",), (b"",)), ((reply("one"),), (b"",))],
    ids=["has begun to answer", "leaves twice", "leaves a new connection"],
)
def test_not_sent_again(session: Make, answers: tuple[bytes | tuple[bytes], ...]) -> None:
    """It is not where the server has said something, or leaves a connection that is new."""
    with Speaker(*answers, reply("unasked")) as server:
        asr = session()
        assert get(asr, server.url) == b'{"text": "one"}'
        with pytest.raises(APIConnectionError):
            get(asr, server.url)
        assert len(server.heads) == len(answers)


def test_a_post_is_the_policys(session: Make, wav: bytes) -> None:
    """What may be billed is sent again only as `RetryPolicy` says, and every try is an attempt."""
    with Speaker(reply("one"), (b"",), reply("two")) as server:
        asr = session(router_url=server.url, retry=RetryPolicy(wait_initial=0))
        assert asr.transcribe(wav).text == "one"
        transcript = asr.transcribe(wav)
        assert transcript.text == "two"
        assert transcript.provenance is not None
        assert [attempt.error for attempt in transcript.provenance.attempts] == ["APIConnectionError", None]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what was said before a reset may be lost")
def test_refused_before_it_was_read(session: Make, colour: str) -> None:
    """A server that refuses a large request without reading it is heard, and its connection is not used again."""
    if colour == "asyncio":
        pytest.skip("a transport of asyncio's whose write fails reads no more")
    refusal = b"HTTP/1.1 413 X\r\ncontent-length: 9\r\n\r\ntoo large"
    with Speaker((refusal,), reply("two"), read_bodies=False) as server:
        asr = session(router_url=server.url)

        def post(n_bytes: int) -> Response:
            request = Request("POST", server.url, {}, bytes(n_bytes))
            http = asr.client._io.http
            answer: Response = asr.run(lambda: http.send(request, timeout=20.0, expires_in=None, reach=Reach()))
            return answer

        refused = post(32 * 2**20)  # more than fits into what lies between
        assert (refused.status_code, refused.content) == (413, b"too large")
        assert post(0).status_code == 200
        assert server.n_connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"",
    ],
    ids=["SSH", "switching protocols", "half a head", "nothing"],
)
def test_no_http(session: Make, wav: bytes, said: bytes) -> None:
    """Whatever else a server says is a failed connection."""
    with Speaker((said,)) as server, pytest.raises(APIConnectionError) as caught:
        session(router_url=server.url, retry=ONCE).transcribe(wav)
    assert not caught.value.permanent
    assert ("left without an answer" in str(caught.value)) == (b"\r\n\r\n" not in said)


def test_what_a_server_is_asked(session: Make, wav: bytes) -> None:
    """The head of a request says all that a server needs, once, and a reply's may hold any bytes."""
    odd = reply("one", "X-Request-Id: caf\xe9").replace(b"caf\xc3\xa9", b"caf\xe9")
    with Speaker(odd) as server:
        asr = session(router_url=server.url, retry=ONCE)
        transcript = asr.transcribe(wav, extra_parameters={"a b": "ü/&"})
        lines = server.heads[0].decode().split("\r\n")
        assert lines[0] == "POST /hf-inference/models/openai/whisper-large-v3?a+b=%C3%BC%2F%26 HTTP/1.1"
        headers = [line.partition(": ")[::2] for line in lines[1:-1]]
        names = [name.lower() for name, _ in headers]
        assert sorted(names) == sorted(set(names))
        sent = dict(headers)
        assert sent["host"] == server.url.removeprefix("http://")
        assert sent["accept-encoding"] == "identity"
        assert transcript.provenance is not None
        assert int(sent["content-length"]) == transcript.provenance.uploaded_bytes
        assert transcript.provenance.attempts[0].request_id == "café"


def test_half_a_request() -> None:
    """A connection on which only a part of a request could be written is not used again, whatever came back."""

    class Stream:
        def write(self, *_: object) -> None:
            raise httpcore.WriteError

        def read(self, *_: object) -> bytes:
            return reply("one")

    target = target_of("http://example.test/")
    line = BlockingLine(Stream(), target)
    assert line.ask(Request("POST", "http://example.test/", {}, b"x"), target, 1.0).status_code == 200
    assert line.read(1.0) == b'{"text": "one"}'
    assert line.read(1.0) == b""
    assert not line.rest(30.0)


def test_connection_that_comes_too_late() -> None:
    """A connection that is there when its client has been closed is closed as well, and nothing is sent on it."""

    class Stream:
        n_closed = 0

        def close(self) -> None:
            self.n_closed += 1

    class Backend:
        def connect_tcp(self, *_: Any) -> Stream:
            connections.close()
            return stream

    stream = Stream()
    connections = Connections(None, Backend())  # type: ignore[arg-type]  # all of one that is called
    request = Request("GET", "http://example.test/")
    with pytest.raises(APIConnectionError, match="closed while a call was under way"):
        connections.open(request, target_of(request.url), 1.0)
    assert stream.n_closed == 1


def test_no_other_library(asr_server: FakeASRServer, wav: bytes) -> None:
    """A call on our own connections loads no httpx, which would take longer than the call."""
    code = (
        "import sys; from hfasr import ASRClient\n"
        f"with ASRClient(router_url={asr_server.router_url!r}) as asr:\n"
        "    print(asr.transcribe(sys.stdin.buffer.read()).text, 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=wav, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "red boat green False"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", ("http", "h", 80, "h", "/")),
        ("HTTPS://Example.COM/A%20b?x=%41#end", ("https", "example.com", 443, "example.com", "/A%20b?x=%41")),
        ("https://h:443/", ("https", "h", 443, "h", "/")),
        ("https://h:80/", ("https", "h", 80, "h:80", "/")),
        ("http://[2001:db8::1]:8080/x", ("http", "2001:db8::1", 8080, "[2001:db8::1]:8080", "/x")),
        (
            "http://straße.example/ä?q=ü",
            ("http", "xn--strae-oqa.example", 80, "xn--strae-oqa.example", "/%C3%A4?q=%C3%BC"),
        ),
        ('http://h/a b"<>`{}|^?c d', ("http", "h", 80, "h", "/a%20b%22%3C%3E%60%7B%7D|^?c%20d")),
        ("http://h/50%?a=%zz", ("http", "h", 80, "h", "/50%25?a=%25zz")),
        ("http://h/a/../b/./c//d", ("http", "h", 80, "h", "/b/c//d")),
        ("http://h//a/../b", ("http", "h", 80, "h", "//a/../b")),
        ("http://user:secret@h/x", ("http", "h", 80, "h", "/x")),
        ("http://h?x=a?b/../c", ("http", "h", 80, "h", "/?x=a?b/../c")),
    ],
)
def test_targets(url: str, target: tuple[Any, ...]) -> None:
    """A URL is taken apart as RFC 3986 says, and written as HTTP wants it."""
    assert target_of(url) == Target(*target)


@pytest.mark.parametrize(
    "url", ["ftp://h/", "/x", "http:///x", "http://h:x/", "http://h:65536/", "http://[::1/", "http://ab\ufffd/"]
)
def test_no_targets(url: str) -> None:
    """What is no URL of a server is a ValueError."""
    with pytest.raises(ValueError):  # of several kinds, which are told apart nowhere
        target_of(url)
