"""Servers that cost next to nothing, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

REPLY_BODY = json.dumps({"text": "a man said to the universe sir i exist"}).encode()
REPLY_HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(REPLY_BODY)}\r\n\r\n".encode()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream:
        while stream.readline():
            length = 0
            while (line := stream.readline()) not in {b"\r\n", b""}:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            stream.read(length)
            connection.sendall(REPLY_HEAD + REPLY_BODY)


def _serve(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


class _Slow(asyncio.Protocol):
    """Counts the bytes of each request, and answers after a while."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self._left, self._head, data = int(length.partition(b":")[2]), b"", body
        self._left -= len(data)
        if not self._left:
            asyncio.get_running_loop().call_later(self._takes_s, self._answer)

    def _answer(self) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        if not self._transport.is_closing():
            self._transport.write(REPLY_HEAD + REPLY_BODY)


def _serve_slowly(listening: socket.socket, takes_s: float) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Slow(takes_s), sock=listening)
        await server.serve_forever()

    asyncio.run(main())


def server() -> AbstractContextManager[str]:
    """A server that reads each request and answers at once."""
    return _in_a_process(_serve)


def slow_server(takes_s: float) -> AbstractContextManager[str]:
    """A server that answers each request *takes_s* seconds after it, however many there are at once."""
    return _in_a_process(_serve_slowly, takes_s)


@contextmanager
def _in_a_process(serve: Callable[..., None], *args: object) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(listening, *args), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()
