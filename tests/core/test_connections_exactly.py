"""Which connection a request takes, in both colours: which are kept, which closed, and when a request is sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import h11
import httpcore
import pytest

from hfasr import APIConnectionError
from hfasr._core import connections
from hfasr._core.connections import AsyncConnections, Connections, closed
from hfasr._core.target import Target, target_of
from hfasr.wire import Request

COLOURS = ("sync", "asyncio", "trio")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
URL = "http://h.test/"


class Stream:
    """One connection that says *said*, a piece a read; an exception among them is raised."""

    def __init__(self, *said: bytes | BaseException) -> None:
        self.said = list(said)
        self.n_written = self.n_closed = 0
        self.has_left = False
        self.timeouts: set[float] = set()
        self.tls: tuple[Any, ...] | None = None

    def write(self, data: bytes, timeout: float) -> None:
        self.n_written += 1
        self.timeouts.add(timeout)

    def read(self, _: int, timeout: float) -> bytes:
        self.timeouts.add(timeout)
        piece = self.said.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self) -> None:
        self.n_closed += 1

    def start_tls(self, *args: Any) -> Stream:
        self.tls = args
        return self

    def get_extra_info(self, info: str) -> Any:
        return self.has_left if info == "is_readable" else None


class AsyncStream(Stream):
    async def write(self, data: bytes, timeout: float) -> None:  # type: ignore[override]  # the same, awaited
        super().write(data, timeout)

    async def read(self, n_bytes: int, timeout: float) -> bytes:  # type: ignore[override]  # the same, awaited
        return super().read(n_bytes, timeout)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()  # where a cancelled task ends
        self.close()

    async def start_tls(self, *args: Any) -> Stream:  # type: ignore[override]  # the same, awaited
        return super().start_tls(*args)


class Backend:
    """Connects to *streams*, one after the other."""

    def __init__(self, *streams: Stream) -> None:
        self.streams = list(streams)
        self.asked: list[tuple[Any, ...]] = []

    def connect_tcp(self, *args: Any) -> Any:
        self.asked.append(args)
        return self.streams.pop(0)


class AsyncBackend(Backend):
    async def connect_tcp(self, *args: Any) -> Any:
        return super().connect_tcp(*args)


class Home:
    """Connections of one colour, called as plain functions, to servers that speak as *said*, one tuple a connection."""

    def __init__(self, colour: str, *said: tuple[bytes | BaseException, ...], ssl_context: Any = None) -> None:
        self.colour = colour
        is_sync = colour == "sync"
        kind = Stream if is_sync else AsyncStream
        self.streams = [kind(*pieces) for pieces in said]
        self.backend = (Backend if is_sync else AsyncBackend)(*self.streams)
        self.home: Any = (Connections if is_sync else AsyncConnections)(ssl_context, self.backend)  # type: ignore[arg-type]

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.colour == "sync":
            return function(*args)

        async def main() -> Any:
            result: Awaitable[Any] = function(*args)
            return await result

        return anyio.run(main, backend=self.colour)

    def open(self, url: str = URL, method: str = "GET", timeout: float = 3.0) -> Any:
        return self.run(self.home.open, Request(method, url), target_of(url), timeout)

    def read(self, reply: Any) -> bytes:
        body = b""
        if self.colour == "sync":
            for chunk in reply.chunks():
                assert chunk
                body += chunk
            return body

        async def main() -> bytes:
            return b"".join([chunk async for chunk in reply.chunks()])

        data: bytes = self.run(main)
        return data

    def end(self, reply: Any) -> None:
        self.run(reply.close if self.colour == "sync" else reply.aclose)

    def get(self, url: str = URL, method: str = "GET") -> bytes:
        reply = self.open(url, method)
        body = self.read(reply)
        self.end(reply)
        return body

    def close(self) -> None:
        self.run(self.home.close if self.colour == "sync" else self.home.aclose)

    @property
    def closed(self) -> list[int]:
        """How often each connection was closed."""
        return [stream.n_closed for stream in self.streams]

    @property
    def n_connected(self) -> int:
        return len(self.backend.asked)


def test_closed() -> None:
    """A client that was closed is a failure that does not pass."""
    error = closed()
    assert str(error) == "this client was closed while a call was under way; make a new one"
    assert error.permanent


def test_what_is_kept() -> None:
    """256 connections at most, and for half a minute."""
    assert (connections.MAX_IDLE, connections.IDLE_S) == (256, 30.0)


def test_one_after_the_other(colour: str) -> None:
    """Requests take the connection that is there, and each is read and written with its own timeout."""
    home = Home(colour, (OK, OK, OK))
    assert [home.get() for _ in range(2)] == [b"ok", b"ok"]
    reply = home.open("http://h.test/x", "POST", 4.0)
    assert (reply.status_code, reply.headers, reply.content) == (200, {"content-length": "2"}, None)
    assert home.read(reply) == b"ok"
    home.end(reply)
    assert (home.n_connected, home.closed) == (1, [0])
    assert home.backend.asked == [("h.test", 80, 3.0)]
    assert home.streams[0].timeouts == {3.0, 4.0}
    assert home.streams[0].tls is None


def test_body_that_comes_later(colour: str) -> None:
    """A body is read piece by piece, each with the request's timeout."""
    home = Home(colour, (OK[:-2], b"o", b"k"))
    reply = home.open(timeout=4.5)
    assert home.streams[0].said == [b"o", b"k"]
    assert home.read(reply) == b"ok"
    assert home.streams[0].timeouts == {4.5}


def test_tls(colour: str) -> None:
    """A connection for https is wrapped, for the name that was asked for."""
    context = object()
    home = Home(colour, (OK,), ssl_context=context)
    assert home.get("https://h.test:444/") == b"ok"
    assert home.backend.asked == [("h.test", 444, 3.0)]
    assert home.streams[0].tls == (context, "h.test", 3.0)


@pytest.mark.parametrize("other", ["http://i.test/", "http://h.test:81/", "https://h.test:80/"])
def test_each_server_has_its_own(colour: str, other: str) -> None:
    """A connection is never used for another host, port or scheme."""
    home = Home(colour, (OK, OK), (OK,), ssl_context=object())
    for url in (URL, other, URL):
        home.get(url)
    assert (home.n_connected, home.closed) == (2, [0, 0])
    assert [stream.n_written for stream in home.streams] == [2, 1]


def test_two_at_once(colour: str) -> None:
    """A connection in use is not shared; the one that became free last is used first."""
    home = Home(colour, (OK, OK), (OK, OK))
    first, second = home.open(), home.open()
    for reply in (second, first):
        home.read(reply)
        home.end(reply)
    assert home.n_connected == 2
    home.get()
    assert [stream.n_written for stream in home.streams] == [2, 1]


def test_given_back_once(colour: str) -> None:
    """A reply that is closed twice gives its connection back once."""
    home = Home(colour, (OK, OK), (OK,))
    reply = home.open()
    home.read(reply)
    for _ in range(2):
        home.end(reply)
    assert home.closed == [0, 0]
    first, second = home.open(), home.open()
    assert home.n_connected == 2
    assert first.status_code == second.status_code == 200


@pytest.mark.parametrize("read", [True, False])
def test_cannot_be_used_again(colour: str, read: bool) -> None:
    """A connection that the server ends, or whose reply was not read, is closed once and forgotten."""
    home = Home(colour, (LAST if read else OK,), (OK,))
    reply = home.open()
    if read:
        home.read(reply)
    home.end(reply)
    assert home.closed == [1, 0]
    assert not home.home._stacks._open
    assert home.get() == b"ok"
    home.close()
    assert home.closed == [1, 1]


def test_server_that_has_left(colour: str) -> None:
    """All idle connections of the server that it has left are closed, newest first, until one is fine, or none is."""
    home = Home(colour, (OK, OK), (OK,), (OK,), (OK,))
    replies = [home.open() for _ in range(3)]
    for reply in replies:
        home.read(reply)
        home.end(reply)
    home.streams[2].has_left = home.streams[1].has_left = True
    home.get()
    assert (home.n_connected, home.closed) == (3, [0, 1, 1, 0])
    home.streams[0].has_left = True
    home.get()
    assert (home.n_connected, home.closed) == (4, [1, 1, 1, 0])
    assert home.home._stacks._n_idle == 1


def test_too_many(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most that are kept, the oldest of the server that was longest unused is closed."""
    monkeypatch.setattr(connections, "MAX_IDLE", 3)
    home = Home(colour, *[(OK, OK)] * 5)
    urls = ["http://a.test/", "http://a.test/", "http://b.test/", "http://b.test/", "http://c.test/"]
    replies = [home.open(url) for url in urls]
    for reply in replies[:3]:
        home.read(reply)
        home.end(reply)
    assert home.closed == [0, 0, 0, 0, 0]
    for reply, gone in ((replies[3], [1, 0, 0, 0, 0]), (replies[4], [1, 1, 0, 0, 0])):
        home.read(reply)
        home.end(reply)
        assert home.closed == gone
    assert home.home._stacks._n_idle == 3
    home.get("http://b.test/")  # which is used last now
    assert set(home.home._stacks._idle) == {("http", "b.test", 80), ("http", "c.test", 80)}


def test_servers_in_order_of_use(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is used again is no more the one that was longest unused."""
    monkeypatch.setattr(connections, "MAX_IDLE", 2)
    home = Home(colour, (OK, OK), (OK,), (OK,))
    first, second = home.open("http://a.test/"), home.open("http://a.test/")
    for reply in (first, second):
        home.read(reply)
    home.end(first)
    third = home.open("http://b.test/")
    home.read(third)
    home.end(third)
    home.end(second)  # of a, which has an idle one already
    assert home.closed == [0, 0, 1]


def test_old_ones_go_one_by_one(colour: str) -> None:
    """One that comes back takes one with it that has become too old or was left, however few there are."""
    home = Home(colour, (OK,), (OK,), (OK, OK, OK))
    replies = [home.open(url) for url in ("http://a.test/", "http://a.test/", "http://b.test/")]
    for reply in replies[:2]:
        home.read(reply)
        home.end(reply)
    home.streams[0].has_left = home.streams[1].has_left = True
    home.read(replies[2])
    home.end(replies[2])
    assert home.closed == [1, 0, 0]
    home.get("http://b.test/")
    assert home.closed == [1, 1, 0]
    home.streams[2].has_left = False
    home.get("http://b.test/")
    assert home.closed == [1, 1, 0]
    assert home.home._stacks._n_idle == 1


def test_a_lone_one_is_not_looked_at(colour: str) -> None:
    """The one that has just come back is kept as it is, though something may be read on it: it is looked at when taken."""
    home = Home(colour, (OK,), (OK,))
    reply = home.open()
    home.read(reply)
    home.streams[0].has_left = True
    home.end(reply)
    assert home.closed == [0, 0]
    home.get()
    assert home.closed == [1, 0]


LOST = [(b"",), (httpcore.ReadError(),)]


@pytest.mark.parametrize("lost", LOST)
def test_get_that_found_its_connection_closed(colour: str, lost: tuple[Any, ...]) -> None:
    """It is sent once more, on a new connection; the old one is closed."""
    home = Home(colour, (OK, *lost), (OK,))
    assert [home.get() for _ in range(2)] == [b"ok", b"ok"]
    assert (home.n_connected, home.closed) == (2, [1, 0])


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("POST", (OK, b"")),
        ("GET", (OK, b"HTTP/1.1 2", b"")),
        ("GET", (OK, httpcore.ReadTimeout())),
        ("GET", (OK, KeyboardInterrupt())),
    ],
)
def test_not_sent_again(colour: str, method: str, said: tuple[Any, ...]) -> None:
    """A POST is not, nor what was answered in part, took too long or was given up; the connection is closed."""
    home = Home(colour, said, (OK,))
    home.get()
    with pytest.raises((Exception, KeyboardInterrupt)):
        home.open(method=method)
    assert (home.n_connected, home.closed) == (1, [1, 0])
    assert not home.home._stacks._open


@pytest.mark.parametrize("lost", LOST)
def test_new_connection_that_is_lost(colour: str, lost: tuple[Any, ...]) -> None:
    """A connection that was made for the request is not tried a second time."""
    home = Home(colour, lost, (OK,))
    with pytest.raises((h11.RemoteProtocolError, httpcore.ReadError)):
        home.get()
    assert (home.n_connected, home.closed) == (1, [1, 0])


def test_closing(colour: str) -> None:
    """Closing closes those in use and idle ones, once each, and none is kept that comes back after that."""
    home = Home(colour, (OK,), (OK,), (OK,))
    home.get()
    used = home.open("http://i.test/")
    home.read(used)
    home.close()
    assert home.closed == [1, 1, 0]
    home.end(used)
    assert not home.home._stacks._idle
    with pytest.raises(APIConnectionError, match="closed while a call was under way"):
        home.open()
    assert home.closed[2] == 1
    assert home.streams[2].n_written == 0


@pytest.mark.parametrize("backend", COLOURS[1:])
def test_cancelled(backend: str) -> None:
    """A connection whose request is cancelled is closed although the task is."""
    home = Home(backend, (OK,))

    async def main() -> None:
        reply = await home.home.open(Request("GET", URL), target_of(URL), 3.0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await reply.aclose()

    anyio.run(main, backend=backend)
    assert home.closed == [1]


@pytest.mark.parametrize("backend", COLOURS[1:])
def test_cut(backend: str) -> None:
    """A body that is ended at its socket ends its connection, whatever was read before."""
    home = Home(backend, (OK,), (OK,))
    reply = home.open()
    home.read(reply)
    home.run(reply.cut)
    assert home.closed == [1, 0]
    home.end(reply)
    home.get()
    assert home.n_connected == 2


def test_targets_are_what_is_connected_to(colour: str) -> None:
    """It is the target that says where to connect, whatever the URL says."""
    home = Home(colour, (OK,))
    target = Target("http", "other.test", 8080, "h.test", "/y")
    home.run(home.home.open, Request("GET", URL), target, 2.5)
    assert home.backend.asked == [("other.test", 8080, 2.5)]
