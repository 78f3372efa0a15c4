"""Requests through a proxy: httpcore's pools, in the same words as our own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import httpcore

from .http1 import plain_headers, raw_headers

if TYPE_CHECKING:
    from hfasr.wire import Request

    from .target import Target

__all__ = ["AsyncProxied", "Proxied"]


class Proxied:
    """
    Sends through a blocking pool.

    Args:
        pool: An ``HTTPProxy`` or ``SOCKSProxy`` of httpcore's.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def open(self, request: Request, target: Target, timeout: float) -> _Reply:
        """See `Connections.open`."""
        return _Reply(self._pool.handle_request(_core_request(request, target, timeout)))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class AsyncProxied:
    """Sends through an async pool; see `Proxied`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def open(self, request: Request, target: Target, timeout: float) -> _Reply:
        """See `Connections.open`."""
        return _Reply(await self._pool.handle_async_request(_core_request(request, target, timeout)))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Reply:
    """A reply, of which the head has been read, in either colour."""

    content: bytes | None = None

    def __init__(self, reply: httpcore.Response) -> None:
        self.status_code = reply.status
        self.headers = plain_headers(reply.headers)
        self._reply = reply

    def chunks(self) -> Any:
        return self._reply.stream

    def close(self) -> None:
        self._reply.close()

    async def aclose(self) -> None:
        await self._reply.aclose()

    async def cut(self) -> None:
        await self._reply.extensions["network_stream"].aclose()


class _Content:
    """A request's bytes; plain iterators, since trio warns of generators that are left half-way."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._content,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once:
    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def _core_request(request: Request, target: Target, timeout: float) -> httpcore.Request:
    url = httpcore.URL(
        scheme=target.scheme.encode("ascii"),
        host=target.host.encode("ascii"),
        port=target.own_port,
        target=target.path.encode("ascii"),
    )
    return httpcore.Request(
        method=request.method.encode("ascii"),
        url=url,
        headers=raw_headers(request, target),
        content=_Content(request.content),
        extensions={"timeout": {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}},
    )
