"""
The network below HTTP: which addresses may be connected to, and until when.

httpx's timeouts are per operation: a server that sends a byte now and then outlives any of
them. The streams here clamp each operation to what is left of the call's time. The guarded
back-ends resolve a name once, check every address, and connect to the one that was checked, so
that a name which changes its address in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from hfasr.audio.addresses import is_public
from hfasr.errors import AudioURLError

from .expiry import EXPIRES

__all__ = ["AsyncGuardedBackend", "ClampedBackend", "GuardedBackend", "anyio_backend"]

Options = Iterable[Any] | None

_WRITE_BYTES = 256 * 1024


def _clamp(timeout: float | None, error: type[Exception]) -> float | None:
    expires = EXPIRES.get()
    if expires is None:
        return timeout
    left = expires - time.monotonic()
    if left <= 0:
        raise error("the call's deadline passed")
    return left if timeout is None else min(timeout, left)


class _ClampedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _clamp(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # One write of a large body is many sends, each with the whole timeout: cut it up.
        if len(buffer) <= _WRITE_BYTES:
            self._stream.write(buffer, _clamp(timeout, httpcore.WriteTimeout))
            return
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_BYTES):
            self._stream.write(bytes(view[start : start + _WRITE_BYTES]), _clamp(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        clamped = _clamp(timeout, httpcore.ConnectTimeout)
        return _ClampedStream(self._stream.start_tls(ssl_context, server_hostname, clamped))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class ClampedBackend(httpcore.NetworkBackend):
    """Blocking sockets whose every operation ends with the call's deadline."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        timeout = _clamp(timeout, httpcore.ConnectTimeout)
        return _ClampedStream(self._backend.connect_tcp(host, port, timeout, local_address, socket_options))


class GuardedBackend(ClampedBackend):
    """The same, to public addresses alone."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _public(host, (str(entry[4][0]) for entry in found)):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                last = error
        raise last


class AsyncGuardedBackend(httpcore.AsyncNetworkBackend):
    """Sockets of asyncio and trio, to public addresses alone."""

    def __init__(self) -> None:
        self._backend = anyio_backend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.AsyncNetworkStream:
        import anyio

        try:
            with anyio.fail_after(timeout):
                found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} could not be looked up in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _public(host, (str(entry[4][0]) for entry in found)):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                last = error
        raise last


def anyio_backend() -> httpcore.AsyncNetworkBackend:
    """Return httpcore's sockets for asyncio and trio alike."""
    made: Any = httpcore.AnyIOBackend()  # httpcore exports it conditionally, which hides its type
    backend: httpcore.AsyncNetworkBackend = made
    return backend


def _public(host: str, addresses: Iterable[str]) -> list[str]:
    unique = list(dict.fromkeys(addresses))
    for address in unique:
        if not is_public(address):
            kind = "its own address" if _same(host, address) else f"the address {address}"
            raise AudioURLError(
                f"{host} was refused: {kind} is not a public one; "
                "pass allow_private_urls=True if audio may come from inside your network"
            )
    return unique


def _same(host: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(address)
    except ValueError:
        return False
