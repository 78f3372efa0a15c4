"""
Sending on hfasr's own connections.

Each colour keeps up to three senders, made when first needed: for the API, for audio URLs, and
for audio URLs that may be private. None of them holds a token, none knows cookies, and none
follows redirects.

httpx is not used, and httpcore's connections are not either: what they do around a request took three times as long
as to write it and to read the reply.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio.lowlevel
import anyio.to_thread
import httpcore

from .connections import AsyncConnections, Connections, closed
from .network import AsyncBackend, BlockingBackend
from .proxied import AsyncProxied, Proxied
from .target import target_of
from .ways import Ways

if TYPE_CHECKING:
    from hfasr.wire import Request

    from .http import Reach
    from .senders import AsyncReply, Reply

__all__ = ["AsyncPools", "Pools", "closed"]


class Sender:
    """Sends on blocking connections."""

    def __init__(self, *, guarded: bool) -> None:
        self._backend = BlockingBackend(guarded=guarded)
        kinds = (Connections, httpcore.HTTPProxy, httpcore.SOCKSProxy, Proxied)
        self._ways = Ways(kinds, self._backend, guarded=guarded)
        self._lock = threading.Lock()
        self._closed = False

    def open(self, request: Request, timeout: float) -> Reply:
        """Send *request*, and return the reply as soon as its head is there."""
        target = target_of(request.url)
        with self._lock:
            if self._closed:
                raise closed()
            if self._ways.needs_ssl(target):
                self._ways.load_ssl()
            pool = self._ways.pool(target)
        reply: Reply = pool.open(request, target, timeout)
        return reply

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            self._closed = True
        self._backend.cut()  # first: a socket that is closed does not wake a thread that waits for it
        for pool in self._ways.pools.values():
            pool.close()


class AsyncSender:
    """Sends on the connections of one event loop."""

    def __init__(self, *, guarded: bool) -> None:
        kinds = (AsyncConnections, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy, AsyncProxied)
        self._ways = Ways(kinds, AsyncBackend(guarded=guarded), guarded=guarded)
        self._closed = False

    async def open(self, request: Request, timeout: float) -> AsyncReply:
        """See `Sender.open`."""
        target = target_of(request.url)
        if self._ways.needs_ssl(target):
            await anyio.to_thread.run_sync(self._ways.load_ssl)
        if self._closed:
            raise closed()
        reply: AsyncReply = await self._ways.pool(target).open(request, target, timeout)
        return reply

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        for pool in self._ways.pools.values():
            await pool.aclose()


class Pools:
    """The blocking colour's senders."""

    def __init__(self) -> None:
        self._senders: dict[tuple[bool, bool], Sender] = {}
        self._lock = threading.Lock()
        self._closed = False

    def sender(self, reach: Reach) -> Sender:
        """Return the sender for *reach*, making it where needed."""
        key = (reach.audio, reach.private)
        with self._lock:
            if self._closed:
                raise closed()
            if key not in self._senders:
                self._senders[key] = Sender(guarded=not reach.private)
            return self._senders[key]

    def close(self) -> None:
        """Close every connection, for good."""
        with self._lock:
            self._closed = True
            senders, self._senders = self._senders, {}
        for sender in senders.values():
            sender.close()


class AsyncPools:
    """The async colour's. Connections belong to the event loop in which they were made."""

    def __init__(self) -> None:
        self._senders: dict[tuple[bool, bool], AsyncSender] = {}
        self._loop: object = None
        self._closed = False

    def sender(self, reach: Reach) -> AsyncSender:
        """Return the sender for *reach*, making it where needed."""
        if self._closed:
            raise closed()
        loop = anyio.lowlevel.current_token()
        if loop != self._loop:
            # A second asyncio.run(): the first one's connections ended with its loop.
            self._loop, self._senders = loop, {}
        key = (reach.audio, reach.private)
        if key not in self._senders:
            self._senders[key] = AsyncSender(guarded=not reach.private)
        return self._senders[key]

    async def aclose(self) -> None:
        """Close every connection, for good."""
        self._closed = True
        senders, self._senders = self._senders, {}
        if anyio.lowlevel.current_token() == self._loop:
            for sender in senders.values():
                await sender.aclose()
