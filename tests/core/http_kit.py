"""The HTTP side of each colour over a stand-in of a connection, called by plain code."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio

from hfasr._core.expiry import EXPIRES
from hfasr._core.http import AsyncHTTP, BlockingHTTP, Reach
from hfasr.wire import Request, Response

REQUEST = Request("POST", "https://h.example/x", {"a": "b"}, b"audio")


class Sink:
    """In the place of a spool: due after each piece, and notes on which thread it writes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.flushed: list[tuple[int, threading.Thread]] = []
        self.due = False

    def add(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.due = True

    def flush(self) -> None:
        self.flushed.append((len(self.pieces), threading.current_thread()))
        self.due = False


class Reply:
    """A reply of both colours that gives *chunks*, where an exception is raised, and notes what is done with it."""

    def __init__(
        self,
        *chunks: bytes | BaseException,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = headers or {}
        self.content = content
        self.done: list[str] = []
        self._left = list(chunks)

    def _next(self) -> bytes:
        piece = self._left.pop(0)
        self.done.append("read")
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def chunks(self) -> Any:
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            yield self._next()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._left:
            yield self._next()

    def close(self) -> None:
        self.done.append("close")

    async def aclose(self) -> None:
        self.done.append("close")

    async def cut(self) -> None:
        self.done.append("cut")
        self._left = [OSError("it was cut")]


class Sender:
    """Opens *reply*, or raises it; notes what it was asked, and until when its sockets might work."""

    def __init__(self, reply: Reply | BaseException, *, waits: float = 0.0) -> None:
        self._reply = reply
        self._waits = waits
        self.opened: list[tuple[Request, float, float | None]] = []

    def _open(self, request: Request, timeout: float) -> Any:
        self.opened.append((request, timeout, EXPIRES.get()))
        if isinstance(self._reply, BaseException):
            raise self._reply
        return self._reply

    def open(self, request: Request, timeout: float) -> Any:
        return self._open(request, timeout)


class AsyncSender(Sender):
    async def open(self, request: Request, timeout: float) -> Any:
        if self._waits:
            await anyio.sleep(self._waits)
        return self._open(request, timeout)


class Pools:
    """In the place of our own connections: gives one sender, and notes for what."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.reaches: list[Reach] = []
        self.n_closed = 0

    def sender(self, reach: Reach) -> Sender:
        self.reaches.append(reach)
        return self._sender

    def close(self) -> None:
        self.n_closed += 1

    async def aclose(self) -> None:
        self.n_closed += 1


class Side:
    """The HTTP side of one colour, over our own connections or a client of the caller's (*own* false)."""

    def __init__(self, colour: str, reply: Reply | BaseException, *, own: bool = True, waits: float = 0.0) -> None:
        self.colour = colour
        self.sender = Sender(reply) if colour == "sync" else AsyncSender(reply, waits=waits)
        self.pools = Pools(self.sender)
        http: Any = BlockingHTTP if colour == "sync" else AsyncHTTP
        self.http = http()
        self.http._pools = self.pools
        if not own:
            self.http._user_client = self.sender

    def send(
        self, *, timeout: float = 5.0, expires_in: float | None = None, request: Request = REQUEST, **reach: Any
    ) -> Response:
        options: dict[str, Any] = {"timeout": timeout, "expires_in": expires_in, "reach": Reach(**reach)}

        async def run() -> Response:
            response: Response = await self.http.send(request, **options)
            return response

        if self.colour == "sync":
            answer: Response = self.http.send(request, **options)
            return answer
        return anyio.run(run, backend=self.colour)
