"""One connection: what is written and read on it, and when it may be used again."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import httpcore
import pytest

from hfasr._core.http1 import READ_BYTES
from hfasr._core.lines import AsyncLine, BlockingLine, key_of
from hfasr._core.target import target_of
from hfasr.wire import Request

TARGET = target_of("https://h.test:81/x")
POST = Request("POST", "https://h.test:81/x", {}, bytes(300_000))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%s\r\nabc"


class Stream:
    """Says *said*, one piece a read; an exception among them is raised, as is *refuses* by a write."""

    def __init__(self, *said: bytes | Exception, refuses: Exception | None = None, is_readable: object = False) -> None:
        self.said = list(said)
        self.written: list[tuple[int, float]] = []
        self.reads: list[tuple[int, float]] = []
        self.refuses = refuses
        self.is_readable = is_readable

    def write(self, data: bytes, timeout: float) -> None:
        self.written.append((len(data), timeout))
        if self.refuses is not None:
            raise self.refuses

    def read(self, max_bytes: int, timeout: float) -> bytes:
        self.reads.append((max_bytes, timeout))
        piece = self.said.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def get_extra_info(self, info: str) -> object:
        return self.is_readable if info == "is_readable" else None


class AsyncStream(Stream):
    async def write(self, data: bytes, timeout: float) -> None:  # type: ignore[override]  # the same, awaited
        super().write(data, timeout)

    async def read(self, max_bytes: int, timeout: float) -> bytes:  # type: ignore[override]  # the same, awaited
        return super().read(max_bytes, timeout)


class Line:
    """A line of either kind, called as a plain function."""

    def __init__(self, kind: str, *said: bytes | Exception, **options: Any) -> None:
        self.stream = Stream(*said, **options) if kind == "blocking" else AsyncStream(*said, **options)
        self.line: Any = (BlockingLine if kind == "blocking" else AsyncLine)(self.stream, TARGET)
        self._is_async = kind != "blocking"

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return anyio.run(function, *args) if self._is_async else function(*args)

    def ask(self, request: Request, timeout: float = 2.0) -> Any:
        return self._run(self.line.ask, request, TARGET, timeout)

    def read(self, timeout: float = 2.0) -> bytes:
        data: bytes = self._run(self.line.read, timeout)
        return data

    def end(self) -> None:
        while self.read():
            pass


@pytest.fixture(params=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still."""
    at = [1000.0]
    monkeypatch.setattr("hfasr._core.lines.time", SimpleNamespace(monotonic=lambda: at[0]))
    return at


def test_key() -> None:
    """Scheme, host and port tell servers apart."""
    assert key_of(TARGET) == ("https", "h.test", 81)
    assert Line("blocking").line.key == ("https", "h.test", 81)


def test_a_request_and_its_reply(kind: str) -> None:
    """All is written, then read until the head is there, each with the timeout; then the body in its parts."""
    head = OK % b""
    line = Line(kind, head[:9], head[9:-3], b"ab", b"c")
    assert line.ask(POST, 3.0) == (200, {"content-length": "3"})
    assert [timeout for _, timeout in line.stream.written] == [3.0, 3.0]
    assert [n_bytes for n_bytes, _ in line.stream.written][1] == 300_000
    assert line.stream.reads == [(READ_BYTES, 3.0)] * 2
    assert [line.read(4.0), line.read(5.0), line.read(6.0)] == [b"ab", b"c", b""]
    assert line.stream.reads == [(READ_BYTES, 3.0)] * 2 + [(READ_BYTES, 4.0), (READ_BYTES, 5.0)]
    assert line.line.rest(30.0)


def test_refused_while_it_was_written(kind: str) -> None:
    """What a server says that reads no further is heard; nothing more is written, and it is not used again."""
    line = Line(kind, OK % b"", refuses=httpcore.WriteError())
    assert line.ask(POST).status_code == 200
    assert len(line.stream.written) == 1
    line.end()
    assert not line.line.is_whole
    assert not line.line.rest(30.0)


def test_too_slow_to_write(kind: str) -> None:
    """A write that takes too long ends the request: no answer is waited for."""
    line = Line(kind, OK % b"", refuses=httpcore.WriteTimeout())
    with pytest.raises(httpcore.WriteTimeout):
        line.ask(POST)
    assert line.stream.reads == []


@pytest.mark.parametrize(
    ("said", "seconds", "expires"),
    [
        (b"", 30.0, 1030.0),
        (b"keep-alive: timeout=60\r\n", 30.0, 1030.0),
        (b"keep-alive: timeout=10\r\n", 30.0, 1009.0),
        (b"keep-alive: timeout=2\r\n", 30.0, 1001.0),
        (b"keep-alive: timeout=1\r\n", 30.0, None),
        (b"", 0.5, 1000.5),
        (b"", 0.0, None),
    ],
)
def test_how_long_it_rests(kind: str, now: list[float], said: bytes, seconds: float, expires: float | None) -> None:
    """It rests for as long as it may, and leaves a second before the server does; not at all where none is left."""
    line = Line(kind, OK % said)
    line.ask(POST)
    line.end()
    assert line.line.rest(seconds) is (expires is not None)
    if expires is not None:
        assert line.line.expires == expires
        now[0] = expires
        assert not line.line.is_stale()
        now[0] = math.nextafter(expires, math.inf)
        assert line.line.is_stale()


def test_what_the_last_reply_says_counts(kind: str, now: list[float]) -> None:
    """Each reply says anew how long the connection is kept."""
    line = Line(kind, OK % b"keep-alive: timeout=5\r\n", OK % b"")
    for expires in (now[0] + 4.0, now[0] + 30.0):
        line.ask(POST)
        line.end()
        assert line.line.rest(30.0)
        assert line.line.expires == expires


def test_not_read_to_its_end(kind: str) -> None:
    """Within a reply it does not rest."""
    line = Line(kind, OK % b"")
    line.ask(POST)
    assert not line.line.rest(30.0)


@pytest.mark.parametrize("is_readable", [True, 1, False, 0, None])
def test_something_to_read(now: list[float], is_readable: object) -> None:
    """An idle connection on which something is to be read is of no use: the server has left, or said too much."""
    line = Line("blocking", is_readable=is_readable).line
    line.expires = now[0]
    assert line.is_stale() is bool(is_readable)


def test_new(now: list[float]) -> None:
    """A new one has all of its request to write, and does not count as idle."""
    line = Line("blocking").line
    assert (line.is_whole, line.expires) == (True, 0.0)
    assert line.is_stale()


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ((b"",), True),
        ((httpcore.ReadError(),), True),
        ((httpcore.ReadTimeout(),), False),
        ((b"HTTP/1.1 2", b""), False),
        ((b"HTTP/1.1 2", httpcore.ReadError()), False),
        ((b"no HTTP\r\n\r\n",), False),
    ],
)
def test_lost(kind: str, said: tuple[bytes | Exception, ...], lost: bool) -> None:
    """It is lost where the server left without a word; not where it took too long, or had begun."""
    line = Line(kind, *said)
    with pytest.raises(Exception) as caught:  # of h11 or httpcore
        line.ask(POST)
    assert line.line.was_lost(caught.value) is lost
