"""
Straight connections to servers, kept open and used again; the last one that became free goes first.

httpcore's own pools look at every connection, and at every pair of them, whenever one is taken or
given back: with 32 in use that was two thirds of the processor time of a request. Here it is one look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpcore

__all__ = ["IDLE_S", "MAX_IDLE", "AsyncConnections", "Connections"]

MAX_IDLE = 256
"""Idle connections that are kept, to all servers together."""

IDLE_S = 30.0
"""How long."""


class _Stacks:
    """Idle connections by origin, and all that are open."""

    def __init__(self) -> None:
        self._idle: OrderedDict[tuple[bytes, bytes, int], deque[Any]] = OrderedDict()  # the longest unused first
        self._n_idle = 0
        self.open: set[Any] = set()
        self.closed = False

    def pop(self, origin: httpcore.Origin, stale: list[Any]) -> Any | None:
        """Return an idle connection to *origin*; those whose server has left are added to *stale*."""
        stack = self._idle.get(_key(origin))
        while stack:
            connection = stack.pop()
            self._n_idle -= 1
            if not (connection.is_closed() or connection.has_expired()):
                return connection
            stale.append(connection)
        self._idle.pop(_key(origin), None)
        return None

    def push(self, origin: httpcore.Origin, connection: Any, stale: list[Any]) -> None:
        """Keep *connection*, unless it cannot be used again; what is too old or too much is added to *stale*."""
        if self.closed or not connection.is_idle():
            stale.append(connection)
            return
        key = _key(origin)
        stack = self._idle.setdefault(key, deque())
        self._idle.move_to_end(key)
        stack.append(connection)
        self._n_idle += 1
        # The oldest of the origin that was longest unused, one for each that comes: so old ones go, too.
        oldest = next(iter(self._idle.values()))
        if self._n_idle > MAX_IDLE or (oldest[0] is not connection and oldest[0].has_expired()):
            stale.append(oldest.popleft())
            self._n_idle -= 1
            if not oldest:
                self._idle.popitem(last=False)

    def clear(self) -> list[Any]:
        """Forget every connection, and return them."""
        self.closed = True
        self._idle.clear()
        every, self.open = list(self.open), set()
        return every


def _key(origin: httpcore.Origin) -> tuple[bytes, bytes, int]:
    return origin.scheme, origin.host, origin.port


class Connections:
    """
    The blocking colour's, for any number of threads.

    Args:
        ssl_context: For ``https``; ``None`` where that does not come up.

        network_backend: What connects.
    """

    def __init__(self, ssl_context: Any, network_backend: Any) -> None:
        self._settings = {"ssl_context": ssl_context, "network_backend": network_backend, "keepalive_expiry": IDLE_S}
        self._stacks = _Stacks()
        self._lock = threading.Lock()

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request*; the body of the response must be closed."""
        origin = request.url.origin
        stale: list[Any] = []
        with self._lock:
            connection = self._stacks.pop(origin, stale)
            if connection is None:
                connection = httpcore.HTTPConnection(origin, **self._settings)
                self._stacks.open.add(connection)
        self._drop(stale)
        try:
            response = connection.handle_request(request)
        except BaseException:
            self._drop([connection])
            raise
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=_Body(self, origin, connection, response.stream),
            extensions=response.extensions,
        )

    def give_back(self, origin: httpcore.Origin, connection: Any) -> None:
        """Take *connection*, whose response is done with."""
        stale: list[Any] = []
        with self._lock:
            self._stacks.push(origin, connection, stale)
        self._drop(stale)

    def _drop(self, connections: list[Any]) -> None:
        for connection in connections:
            with self._lock:
                self._stacks.open.discard(connection)
            connection.close()

    def close(self) -> None:
        """Close every connection, those in use as well."""
        with self._lock:
            connections = self._stacks.clear()
        for connection in connections:
            connection.close()


class _Body:
    def __init__(self, home: Connections, origin: httpcore.Origin, connection: Any, stream: Any) -> None:
        self._home, self._origin, self._connection, self._stream = home, origin, connection, stream
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        if not self._done:
            self._done = True
            try:
                self._stream.close()
            finally:
                self._home.give_back(self._origin, self._connection)


class AsyncConnections:
    """The async colour's, for one event loop; see `Connections`."""

    def __init__(self, ssl_context: Any, network_backend: Any) -> None:
        self._settings = {"ssl_context": ssl_context, "network_backend": network_backend, "keepalive_expiry": IDLE_S}
        self._stacks = _Stacks()

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request*; the body of the response must be closed."""
        origin = request.url.origin
        stale: list[Any] = []
        connection = self._stacks.pop(origin, stale)
        if connection is None:
            connection = httpcore.AsyncHTTPConnection(origin, **self._settings)
            self._stacks.open.add(connection)
        try:
            await self._drop(stale)
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._drop([connection])
            raise
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=_AsyncBody(self, origin, connection, response.stream),
            extensions=response.extensions,
        )

    async def give_back(self, origin: httpcore.Origin, connection: Any) -> None:
        """Take *connection*, whose response is done with."""
        stale: list[Any] = []
        self._stacks.push(origin, connection, stale)
        await self._drop(stale)

    async def _drop(self, connections: list[Any]) -> None:
        for connection in connections:
            self._stacks.open.discard(connection)
            with anyio.CancelScope(shield=True):
                await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection, those in use as well."""
        for connection in self._stacks.clear():
            await connection.aclose()


class _AsyncBody:
    def __init__(self, home: AsyncConnections, origin: httpcore.Origin, connection: Any, stream: Any) -> None:
        self._home, self._origin, self._connection, self._stream = home, origin, connection, stream
        self._done = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if not self._done:
            self._done = True
            try:
                await self._stream.aclose()
            finally:
                await self._home.give_back(self._origin, self._connection)
