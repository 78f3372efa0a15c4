"""
The network below HTTP: which addresses may be connected to, and until when.

httpx's timeouts are per operation: a server that sends a byte now and then outlives any of
them, and so does a name with many dead addresses. The blocking streams here clamp each operation
to what is left of the call's time (asyncio and trio cut off by themselves). The guarded back-ends
resolve a name once, check every address, and connect to the one that was checked, so that a name
which changes its address in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TypeAlias

import anyio
import httpcore

from hfasr._forks import renew_in_child

from .cancel import CANCEL, shut_down
from .expiry import EXPIRES
from .lookup import addresses_of, addresses_of_async, check_public

__all__ = ["AsyncBackend", "BlockingBackend"]

Options = Iterable[Any] | None
_Stream: TypeAlias = "httpcore.NetworkStream | httpcore.AsyncNetworkStream | _Twin"

_WRITE_BYTES = 16 * 1024  # each send within a write has the whole timeout: few of them per clamp


def _clamp(timeout: float | None, error: type[Exception]) -> float | None:
    expires = EXPIRES.get()
    if expires is None:
        return timeout
    left = expires - time.monotonic()
    if left <= 0:
        raise error("the call's deadline passed")
    return left if timeout is None else min(timeout, left)


def _watched(stream: httpcore.NetworkStream | _Twin) -> AbstractContextManager[None]:
    """Let the batch for which this thread works, if any, end what is done with *stream*."""
    cancel = CANCEL.get()
    return nullcontext() if cancel is None else cancel.watching(stream)


def _close_here(sock: Any) -> None:
    """
    Close *sock* in this process alone, behind the back of what holds it.

    Closing an event loop's own object would reach into that loop, whose selector the parent uses, too; and a number
    that is free would soon be another file's, which the object would close when it is dropped.
    """
    with contextlib.suppress(OSError, ValueError):  # it has just been closed
        if isinstance(sock, socket.socket):
            sock.close()
        elif sock is not None and (number := sock.fileno()) >= 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number, inheritable=False)
            os.close(null)


class _Streams:
    """Those that are open, for whoever must end them."""

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[_Stream] = weakref.WeakSet()
        self._was_cut = False
        self._lock = threading.Lock()
        renew_in_child(self)

    def renew(self) -> None:
        """Close them in a forked child, without a word to the server: the parent goes on with them."""
        self._lock = threading.Lock()
        streams, self._streams = list(self._streams), weakref.WeakSet()
        for stream in streams:
            _close_here(stream.get_extra_info("socket"))

    def add(self, stream: _Stream) -> None:
        with self._lock:
            self._streams.add(stream)
            was_cut = self._was_cut
        if was_cut:
            shut_down(stream)

    def cut(self) -> None:
        """End whatever waits on one of them, in any thread, and on those that are still to come."""
        with self._lock:
            self._was_cut = True
            streams = list(self._streams)
        for stream in streams:
            shut_down(stream)


class _ClampedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, streams: _Streams) -> None:
        self._stream = stream
        self._streams = streams
        streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        timeout = _clamp(timeout, httpcore.ReadTimeout)
        with _watched(self._stream):
            return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # httpcore sends what the socket takes and copies the rest, again and again; a view of it costs no copy.
        left: Any = memoryview(buffer)
        with _watched(self._stream):
            if EXPIRES.get() is None:
                self._stream.write(left, timeout)
                return
            for start in range(0, len(left), _WRITE_BYTES):
                self._stream.write(left[start : start + _WRITE_BYTES], _clamp(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            clamped = _clamp(timeout, httpcore.ConnectTimeout)
            with _Twin(self._stream) as twin, _watched(twin):
                self._streams.add(twin)
                stream = self._stream.start_tls(ssl_context, server_hostname, clamped)
        except BaseException:
            self._stream.close()
            raise
        return _ClampedStream(stream, self._streams)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Twin:
    """A stream's socket once more: a handshake takes the first one's number away, and it could be cut no more."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        ours = stream.get_extra_info("socket")
        self._socket = socket.fromfd(ours.fileno(), ours.family, ours.type)  # those of TLS, to a proxy, have no dup()

    def get_extra_info(self, info: str) -> Any:
        return self._socket if info == "socket" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class BlockingBackend(httpcore.NetworkBackend):
    """Blocking sockets whose every operation ends with the call's deadline; *guarded*: to public addresses alone."""

    def __init__(self, *, guarded: bool) -> None:
        self._guarded = guarded
        self._backend = httpcore.SyncBackend()
        self._streams = _Streams()

    def cut(self) -> None:
        """End whatever waits on a connection, in any thread."""
        self._streams.cut()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        addresses = addresses_of(host, port, _clamp(timeout, httpcore.ConnectTimeout))
        if self._guarded:
            check_public(host, addresses)
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            clamped = _clamp(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._backend.connect_tcp(address, port, clamped, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                return _ClampedStream(stream, self._streams)
        raise last


class _ShieldedStream(httpcore.AsyncNetworkStream):
    """A stream that is closed, too, when a TLS handshake is cancelled."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, streams: _Streams) -> None:
        self._stream = stream
        self._streams = streams
        self._socket = stream.get_extra_info("socket")  # anyio works out every attribute of it each time
        self._tls = stream.get_extra_info("ssl_object")
        streams.add(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _ShieldedStream(stream, self._streams)

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._socket
        if info == "is_readable" and self._socket is not None:
            return _is_readable(self._socket) or (self._tls is not None and _holds_more(self._tls))
        return self._stream.get_extra_info(info)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Sockets of asyncio and trio; *guarded*: to public addresses alone."""

    def __init__(self, *, guarded: bool) -> None:
        self._guarded = guarded
        self._streams = _Streams()
        made: Any = httpcore.AnyIOBackend()  # httpcore exports it conditionally, which hides its type
        self._backend: httpcore.AsyncNetworkBackend = made

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.AsyncNetworkStream:
        if not self._guarded:
            stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
            return _ShieldedStream(stream, self._streams)
        addresses = await addresses_of_async(host, port, timeout)
        check_public(host, addresses)
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                return _ShieldedStream(stream, self._streams)
        raise last


def _is_readable(sock: Any) -> bool:
    """Tell whether bytes or an end wait to be read: a server that has left an idle connection."""
    try:
        number = sock.fileno()
        if sys.platform != "win32":
            poll = select.poll()
            poll.register(number, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([number], [], [], 0)[0])
    except (OSError, ValueError):  # closed
        return True


def _holds_more(tls: ssl.SSLObject) -> bool:
    """
    Tell whether *tls* has something to read that is no more in its socket.

    anyio hands it all that has come, and it gives one record of that at a time. One byte may be taken to see: the
    connection is not used again then.
    """
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:  # it was closed, or broken
        return True
    return True
