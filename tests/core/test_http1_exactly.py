"""What is written for a request and read of a reply, byte by byte."""

from __future__ import annotations

import math

import h11
import pytest

from hfasr._core.http1 import READ_BYTES, Head, Talk, kept_for, plain_headers, raw_headers
from hfasr._core.target import target_of
from hfasr.wire import Request

TARGET = target_of("http://h:81/x?y=1")
GET = Request("GET", "http://h:81/x?y=1", {"Accept": "a/b", "x-one": "1"})
GET_HEAD = b"GET /x?y=1 HTTP/1.1\r\nhost: h:81\r\naccept-encoding: identity\r\nAccept: a/b\r\nx-one: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def told(*pieces: bytes, request: Request = GET) -> tuple[Talk, Head | None]:
    """Return a talk that has asked and heard *pieces*, and what head that made."""
    talk = Talk()
    talk.ask(request, TARGET)
    for piece in pieces:
        talk.hear(piece)
    return talk, talk.head()


def post(n_bytes: int) -> Request:
    return Request("POST", GET.url, {}, b"x" * n_bytes)


def test_what_a_get_writes() -> None:
    """A GET is its head alone, with Host and Accept-Encoding first and no length."""
    assert Talk().ask(GET, TARGET) == (GET_HEAD,)


@pytest.mark.parametrize(("n_bytes", "n_writes"), [(0, 1), (5, 1), (262_144, 1), (262_145, 2)])
def test_what_a_post_writes(n_bytes: int, n_writes: int) -> None:
    """A POST says its length, also of nothing; up to 256 KiB head and body go out at once."""
    head = f"POST /x?y=1 HTTP/1.1\r\nhost: h:81\r\naccept-encoding: identity\r\ncontent-length: {n_bytes}\r\n\r\n"
    written = Talk().ask(post(n_bytes), TARGET)
    assert len(written) == n_writes
    assert b"".join(written) == head.encode() + b"x" * n_bytes
    if n_writes == 2:
        assert written == (head.encode(), b"x" * n_bytes)


def test_headers_of_a_get_with_a_body() -> None:
    """A body has its length also with a GET."""
    assert raw_headers(Request("GET", "", {}, b"abc"), TARGET)[-1] == (b"content-length", b"3")


@pytest.mark.parametrize(
    ("headers", "authority"), [({"x-é": "1"}, "h"), ({"x": "é"}, "h"), ({}, "hé")], ids=["name", "value", "host"]
)
def test_headers_that_cannot_be_written(headers: dict[str, str], authority: str) -> None:
    """What is beyond ASCII is an error, never replaced."""
    with pytest.raises(UnicodeEncodeError):
        raw_headers(Request("GET", "", headers), TARGET._replace(authority=authority))


def test_a_reply_piece_by_piece() -> None:
    """The head is there once all of it is; then each part of the body, and an empty one at its end."""
    talk = Talk()
    talk.ask(GET, TARGET)
    assert not talk.is_answered
    talk.hear(OK[:20])
    assert talk.is_answered
    assert talk.head() is None
    talk.hear(OK[20:-3])
    assert talk.head() == (200, {"content-length": "3"})
    assert talk.body() is None
    talk.hear(b"ab")
    assert talk.body() == b"ab"
    assert talk.body() is None
    talk.hear(b"c")
    assert [talk.body(), talk.body()] == [b"c", b""]
    assert talk.end()


def test_chunks_that_are_empty_are_no_end() -> None:
    """A body in chunks goes on until it says that it has ended."""
    talk, head = told(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert head == (200, {"transfer-encoding": "chunked"})
    assert talk.body() == b"ab"
    assert talk.body() is None
    talk.hear(b"1\r\nc\r\n0\r\nx-after: 1\r\n\r\n")
    assert [talk.body(), talk.body()] == [b"c", b""]
    assert talk.end()


def test_informational_replies_are_passed_over() -> None:
    """The head is the final reply's."""
    _, head = told(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK)
    assert head == (200, {"content-length": "3"})


def test_next_request() -> None:
    """After a reply that was read to its end the same talk asks again, and nothing of the first one is left."""
    talk, _ = told(OK)
    assert [talk.body(), talk.body()] == [b"abc", b""]
    assert talk.end()
    assert talk.is_answered
    assert talk.ask(GET, TARGET) == (GET_HEAD,)
    assert not talk.is_answered
    talk.hear(OK.replace(b"200", b"404"))
    assert talk.head() == (404, {"content-length": "3"})


def test_not_read_to_its_end() -> None:
    """Within a reply, or before it, there is no next request."""
    talk = Talk()
    talk.ask(GET, TARGET)
    assert not talk.end()
    talk, _ = told(OK)
    assert not talk.end()


def test_more_than_a_reply() -> None:
    """Bytes after a reply end the talk."""
    talk, _ = told(OK + b"H")
    assert [talk.body(), talk.body()] == [b"abc", b""]
    assert not talk.end()


@pytest.mark.parametrize(("n_bytes", "ends_well"), [(READ_BYTES - 1, True), (READ_BYTES, False)])
def test_a_full_read(n_bytes: int, ends_well: bool) -> None:
    """A last read of all that is taken at once may have left more in an event loop; a smaller one has not."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
    n_body = n_bytes - len(head % 65_000)
    talk, _ = told(head % n_body + b"x" * n_body)
    assert [len(talk.body() or b""), talk.body()] == [n_body, b""]
    assert talk.end() is ends_well


def test_a_full_read_before_the_last() -> None:
    """Only the last read counts."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (READ_BYTES + 5)
    talk, _ = told(head + b"x" * (READ_BYTES - len(head)), b"x" * (len(head) + 5))
    while talk.body():
        pass
    assert talk.end()


@pytest.mark.parametrize(
    ("headers", "ends_well"),
    [
        (b"transfer-encoding: chunked\r\n", True),
        (b"transfer-encoding: chunked\r\ncontent-length: 3\r\n", False),
        (b"transfer-encoding: chunked\r\nconnection: close\r\n", False),
    ],
)
def test_two_lengths(headers: bytes, ends_well: bool) -> None:
    """A reply with two lengths is read, but its connection is not trusted any more."""
    talk, _ = told(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n3\r\nabc\r\n0\r\n\r\n")
    assert [talk.body(), talk.body()] == [b"abc", b""]
    assert talk.end() is ends_well


def test_server_that_leaves() -> None:
    """To leave in place of an answer is told from leaving at the end of one."""
    talk = Talk()
    talk.ask(GET, TARGET)
    assert not talk.has_left
    with pytest.raises(h11.RemoteProtocolError, match=r"^the server left without an answer$"):
        talk.hear(b"")
    assert (talk.has_left, talk.is_answered) == (True, False)
    talk, _ = told(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert [talk.body(), talk.body()] == [b"abc", None]
    talk.hear(b"")
    assert talk.body() == b""
    assert (talk.has_left, talk.is_answered) == (False, True)
    assert not talk.end()


def test_server_that_leaves_within_a_head() -> None:
    """Half a head is no answer, but something was said."""
    talk, head = told(b"HTTP/1.1 2")
    assert head is None
    with pytest.raises(h11.RemoteProtocolError, match="without an answer"):
        talk.hear(b"")
    assert (talk.has_left, talk.is_answered) == (True, True)


def test_size_of_a_head() -> None:
    """A head may be 100 KiB long while it is not all there."""
    talk, head = told(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (100 * 1024 - 20))
    assert head is None
    with pytest.raises(h11.RemoteProtocolError):
        told(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (100 * 1024 - 19))
    assert not talk.has_left


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, math.inf),
        ("", math.inf),
        ("max=5", math.inf),
        ("timeout=5", 5.0),
        ("max=100, Timeout = 15", 15.0),
        ("timeout=999999", 999_999.0),
        ("timeout=1000000", math.inf),
        ("timeout=x", math.inf),
    ],
)
def test_kept_for(value: str | None, seconds: float) -> None:
    """How long a server keeps a connection is what it says, and for ever where it says nothing that can be read."""
    assert kept_for({} if value is None else {"keep-alive": value}) == seconds


def test_plain_headers() -> None:
    """Names are in lower case, those that come again are joined in order, and any bytes are text."""
    raw = [(b"X-A", b"1"), (b"Caf\xe9", b"\xe9"), (b"x-b", "é".encode()), (b"x-a", b"2"), (b"X-a", b"")]
    assert plain_headers(raw) == {"x-a": "1, 2, ", "café": "é", "x-b": "é"}
