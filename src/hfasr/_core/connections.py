"""
Straight connections to servers, kept open and used again; the last one that became free goes first.

httpcore's own pools look at every connection, and at every pair of them, whenever one is taken or
given back: with 32 in use that was two thirds of the processor time of a request. Here it is one look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from hfasr.errors import APIConnectionError

from .lines import AsyncLine, BlockingLine, Key, key_of

if TYPE_CHECKING:
    import ssl

    from hfasr.wire import Request

    from .http1 import Head
    from .network import AsyncBackend, BlockingBackend
    from .target import Target

__all__ = ["IDLE_S", "MAX_IDLE", "AsyncConnections", "Connections", "closed"]

MAX_IDLE = 256
"""Idle connections that are kept, to all servers together."""

IDLE_S = 30.0
"""How long."""

Line = TypeVar("Line", BlockingLine, AsyncLine)


def closed() -> APIConnectionError:
    """Return what a call ends with whose client was closed."""
    return APIConnectionError("this client was closed while a call was under way; make a new one", permanent=True)


def _may_repeat(request: Request, line: BlockingLine | AsyncLine, error: Exception) -> bool:
    """
    Whether *request*, which found *line* closed, may be sent again at once: RFC 9112 9.3.1.

    What is not sure to change nothing is left to the call's policy of retries.
    """
    return request.method == "GET" and line.was_lost(error)


class _Stacks(Generic[Line]):
    """Idle connections by server, and all that are open."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Key, deque[Line]] = OrderedDict()  # the longest unused first
        self._n_idle = 0
        self._open: set[Line] = set()
        self._closed = False

    def pop(self, target: Target, stale: list[Line]) -> Line | None:
        """Return an idle connection to *target*; those that are of no use any more are added to *stale*."""
        key = key_of(target)
        stack = self._idle.get(key)
        while stack:
            line = stack.pop()
            self._n_idle -= 1
            if not stack:  # none is empty
                del self._idle[key]
            if not line.is_stale():
                return line
            stale.append(line)
        return None

    def add(self, line: Line) -> bool:
        """Count a new connection; ``False``: it comes too late."""
        if not self._closed:
            self._open.add(line)
        return not self._closed

    def push(self, line: Line, stale: list[Line]) -> None:
        """Keep *line*, unless it cannot be used again; what is too old or too much is added to *stale*."""
        if self._closed or not line.rest(IDLE_S):
            stale.append(line)
            return
        stack = self._idle.setdefault(line.key, deque())
        self._idle.move_to_end(line.key)
        stack.append(line)
        self._n_idle += 1
        # The oldest of the server that was longest unused, one for each that comes: so old ones go, too.
        oldest = next(iter(self._idle.values()))
        if self._n_idle > MAX_IDLE or (oldest[0] is not line and oldest[0].is_stale()):
            stale.append(oldest.popleft())
            self._n_idle -= 1
            if not oldest:
                self._idle.popitem(last=False)

    def discard(self, lines: list[Line]) -> None:
        """Forget *lines*, which are to be closed."""
        self._open.difference_update(lines)

    def clear(self) -> list[Line]:
        """Forget every connection for good, and return them."""
        self._closed = True
        self._idle.clear()
        every, self._open = list(self._open), set()
        return every


class Connections:
    """
    The blocking colour's, for any number of threads.

    Args:
        ssl_context: For ``https``; ``None`` where that does not come up.

        backend: What connects.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None, backend: BlockingBackend) -> None:
        self._ssl_context = ssl_context
        self._backend = backend
        self._stacks: _Stacks[BlockingLine] = _Stacks()
        self._lock = threading.Lock()

    def open(self, request: Request, target: Target, timeout: float) -> _Reply:
        """Send *request*, and return the reply, which must be closed, as soon as its head is there."""
        stale: list[BlockingLine] = []
        with self._lock:
            line = self._stacks.pop(target, stale)
        if stale:
            self._drop(stale)
        if line is not None:
            try:
                return self._ask(line, request, target, timeout)
            except Exception as error:
                if not _may_repeat(request, line, error):
                    raise
        return self._ask(self._connect(target, timeout), request, target, timeout)

    def _ask(self, line: BlockingLine, request: Request, target: Target, timeout: float) -> _Reply:
        try:
            return _Reply(self, line, line.ask(request, target, timeout), timeout)
        except BaseException:
            self._drop([line])
            raise

    def _connect(self, target: Target, timeout: float) -> BlockingLine:
        stream = self._backend.connect_tcp(target.host, target.port, timeout)
        if target.scheme == "https":
            assert self._ssl_context is not None
            stream = stream.start_tls(self._ssl_context, target.host, timeout)
        line = BlockingLine(stream, target)
        with self._lock:
            in_time = self._stacks.add(line)
        if not in_time:
            stream.close()
            raise closed()
        return line

    def give_back(self, line: BlockingLine) -> None:
        """Take *line*, whose reply is done with."""
        stale: list[BlockingLine] = []
        with self._lock:
            self._stacks.push(line, stale)
        if stale:
            self._drop(stale)

    def _drop(self, lines: list[BlockingLine]) -> None:
        with self._lock:
            self._stacks.discard(lines)
        for line in lines:
            line.stream.close()

    def close(self) -> None:
        """Close every connection, those in use as well."""
        with self._lock:
            lines = self._stacks.clear()
        for line in lines:
            line.stream.close()


class _Reply:
    """A reply, of which the head has been read."""

    content: bytes | None = None

    def __init__(self, home: Connections, line: BlockingLine, head: Head, timeout: float) -> None:
        self.status_code, self.headers = head
        self._home, self._line, self._timeout = home, line, timeout
        self._done = False

    def chunks(self) -> Iterator[bytes]:
        return iter(lambda: self._line.read(self._timeout), b"")

    def close(self) -> None:
        if not self._done:
            self._done = True
            self._home.give_back(self._line)


class AsyncConnections:
    """The async colour's, for one event loop; see `Connections`."""

    def __init__(self, ssl_context: ssl.SSLContext | None, backend: AsyncBackend) -> None:
        self._ssl_context = ssl_context
        self._backend = backend
        self._stacks: _Stacks[AsyncLine] = _Stacks()

    async def open(self, request: Request, target: Target, timeout: float) -> _AsyncReply:
        """See `Connections.open`."""
        stale: list[AsyncLine] = []
        line = self._stacks.pop(target, stale)
        if stale:
            await self._drop(stale)
        if line is not None:
            try:
                return await self._ask(line, request, target, timeout)
            except Exception as error:
                if not _may_repeat(request, line, error):
                    raise
        return await self._ask(await self._connect(target, timeout), request, target, timeout)

    async def _ask(self, line: AsyncLine, request: Request, target: Target, timeout: float) -> _AsyncReply:
        try:
            return _AsyncReply(self, line, await line.ask(request, target, timeout), timeout)
        except BaseException:
            await self._drop([line])
            raise

    async def _connect(self, target: Target, timeout: float) -> AsyncLine:
        stream = await self._backend.connect_tcp(target.host, target.port, timeout)
        if target.scheme == "https":
            assert self._ssl_context is not None
            stream = await stream.start_tls(self._ssl_context, target.host, timeout)
        line = AsyncLine(stream, target)
        if not self._stacks.add(line):
            await stream.aclose()
            raise closed()
        return line

    async def give_back(self, line: AsyncLine) -> None:
        """Take *line*, whose reply is done with."""
        stale: list[AsyncLine] = []
        self._stacks.push(line, stale)
        if stale:
            await self._drop(stale)

    async def _drop(self, lines: list[AsyncLine]) -> None:
        self._stacks.discard(lines)
        with anyio.CancelScope(shield=True):
            for line in lines:
                await line.stream.aclose()

    async def aclose(self) -> None:
        """Close every connection, those in use as well."""
        await self._drop(self._stacks.clear())


class _AsyncReply:
    content: bytes | None = None

    def __init__(self, home: AsyncConnections, line: AsyncLine, head: Head, timeout: float) -> None:
        self.status_code, self.headers = head
        self._home, self._line, self._timeout = home, line, timeout
        self._done = False

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not (data := await self._line.read(self._timeout)):
            raise StopAsyncIteration
        return data

    async def cut(self) -> None:
        self._line.is_whole = False
        await self._line.stream.aclose()

    async def aclose(self) -> None:
        if not self._done:
            self._done = True
            await self._home.give_back(self._line)
