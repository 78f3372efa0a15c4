"""
hfasr's own connections; the one file that imports httpx.

Each colour has two clients, made when first needed: an open one for the API, and a guarded one
that reaches public addresses only, for audio URLs. Neither holds a token or cookies, and neither
follows redirects.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from hfasr.errors import APIConnectionError, AudioURLError

from .network import AsyncGuardedBackend, ClampedBackend, GuardedBackend, anyio_backend

if TYPE_CHECKING:
    from .http import Reach

__all__ = ["AsyncPools", "Pools"]

# httpx keeps 20 idle connections and caps at 100, which a batch at high concurrency outgrows.
_LIMITS: dict[str, Any] = {"max_connections": None, "max_keepalive_connections": 256, "keepalive_expiry": 30.0}


def _proxy_for(url: httpx.URL) -> str | None:
    proxies = getproxies()
    if not proxies or proxy_bypass(url.host):
        return None
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _proxy_settings(address: str) -> tuple[bool, dict[str, Any]]:
    """Return whether it is SOCKS, and httpcore's arguments."""
    proxy = httpx.Proxy(address)
    settings: dict[str, Any] = {"proxy_url": httpcore.URL(str(proxy.url)), "proxy_auth": proxy.raw_auth, **_LIMITS}
    if proxy.url.scheme in {"socks5", "socks5h"}:
        return True, settings
    return False, {**settings, "proxy_headers": proxy.headers.raw}


def _no_socks() -> APIConnectionError:
    return APIConnectionError('a SOCKS proxy needs one more package: pip install "httpx[socks]"', permanent=True)


def _core_request(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx.BaseTransport):
    """httpcore's pools with our network below them, and the environment's proxies above."""

    def __init__(self, backend: httpcore.NetworkBackend, *, guarded: bool) -> None:
        self._guarded = guarded
        self._backend = backend
        self._ssl_context = httpx.create_ssl_context()
        self._direct = httpcore.ConnectionPool(ssl_context=self._ssl_context, network_backend=backend, **_LIMITS)
        self._proxied: dict[str, httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self._pool(request.url).handle_request(_core_request(request))
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_Stream(reply.stream), extensions=reply.extensions
        )

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        address = _proxy_for(url)
        if address is None:
            return self._direct
        _refuse_if(self._guarded, url)
        if address not in self._proxied:
            socks, settings = _proxy_settings(address)
            settings.update(ssl_context=self._ssl_context, network_backend=self._backend)
            try:
                self._proxied[address] = httpcore.SOCKSProxy(**settings) if socks else httpcore.HTTPProxy(**settings)
            except ImportError as error:
                raise _no_socks() from error
        return self._proxied[address]

    def close(self) -> None:
        for pool in (self._direct, *self._proxied.values()):
            pool.close()


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, guarded: bool) -> None:
        self._guarded = guarded
        self._backend = backend
        self._ssl_context = httpx.create_ssl_context()
        self._direct = httpcore.AsyncConnectionPool(ssl_context=self._ssl_context, network_backend=backend, **_LIMITS)
        self._proxied: dict[str, httpcore.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reply = await self._pool(request.url).handle_async_request(_core_request(request))
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_AsyncStream(reply.stream), extensions=reply.extensions
        )

    def _pool(self, url: httpx.URL) -> httpcore.AsyncConnectionPool:
        address = _proxy_for(url)
        if address is None:
            return self._direct
        _refuse_if(self._guarded, url)
        if address not in self._proxied:
            socks, settings = _proxy_settings(address)
            settings.update(ssl_context=self._ssl_context, network_backend=self._backend)
            try:
                self._proxied[address] = (
                    httpcore.AsyncSOCKSProxy(**settings) if socks else httpcore.AsyncHTTPProxy(**settings)
                )
            except ImportError as error:
                raise _no_socks() from error
        return self._proxied[address]

    async def aclose(self) -> None:
        for pool in (self._direct, *self._proxied.values()):
            await pool.aclose()


def _refuse_if(guarded: bool, url: httpx.URL) -> None:
    if guarded:
        raise AudioURLError(
            f"{url.host} would be fetched through a proxy, where its address cannot be checked; "
            "set NO_PROXY for it, or pass allow_private_urls=True"
        )


class Pools:
    """The blocking colour's two clients."""

    def __init__(self) -> None:
        self._clients: dict[bool, httpx.Client] = {}
        self._lock = threading.Lock()

    def client(self, reach: Reach) -> httpx.Client:
        """Return the client for *reach*, making it where needed."""
        guarded = not reach.private
        client = self._clients.get(guarded)
        if client is None:
            with self._lock:
                client = self._clients.get(guarded)
                if client is None:
                    backend = GuardedBackend() if guarded else ClampedBackend()
                    client = httpx.Client(transport=_Transport(backend, guarded=guarded), trust_env=False)
                    self._clients[guarded] = client
        return client

    def close(self) -> None:
        """Close every connection; a later request opens new ones."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


class AsyncPools:
    """The async colour's; used from one event loop."""

    def __init__(self) -> None:
        self._clients: dict[bool, httpx.AsyncClient] = {}

    def client(self, reach: Reach) -> httpx.AsyncClient:
        """Return the client for *reach*, making it where needed."""
        guarded = not reach.private
        client = self._clients.get(guarded)
        if client is None:
            backend = AsyncGuardedBackend() if guarded else anyio_backend()
            client = httpx.AsyncClient(transport=_AsyncTransport(backend, guarded=guarded), trust_env=False)
            self._clients[guarded] = client
        return client

    async def aclose(self) -> None:
        """Close every connection; a later request opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()
