"""
hfasr's own connections; the one file that imports httpx.

Each colour keeps up to three clients, made when first needed: for the API, for audio URLs, and
for audio URLs that may be private. None of them holds a token or keeps cookies, and none
follows redirects.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import anyio.lowlevel
import anyio.to_thread
import httpcore
import httpx

from hfasr.errors import APIConnectionError, AudioURLError

from .connections import IDLE_S, MAX_IDLE, AsyncConnections, Connections
from .network import AsyncBackend, BlockingBackend

if TYPE_CHECKING:
    from .http import Reach

__all__ = ["AsyncPools", "Pools"]

# httpx keeps 20 idle connections and caps at 100, which a batch at high concurrency outgrows.
_LIMITS: dict[str, Any] = {
    "max_connections": None,
    "max_keepalive_connections": MAX_IDLE,
    "keepalive_expiry": IDLE_S,
}


class _Choice:
    """
    Which of httpcore's pools serves an address: straight, or through the environment's proxy.

    Args:
        kinds: The pool's class, and those for HTTP and SOCKS proxies.

        backend: The network below.

        guarded: Whether addresses are checked, which cannot be done through a proxy.
    """

    def __init__(self, kinds: tuple[Any, Any, Any], backend: Any, *, guarded: bool) -> None:
        self._kinds = kinds
        self._backend = backend
        self._guarded = guarded
        self._proxies = getproxies()  # once, as httpx does: it walks the whole environment
        self._ssl_context: Any = None
        self.pools: dict[str | None, Any] = {}

    def needs_ssl(self, url: httpx.URL) -> bool:
        """Whether the slow loading of certificates (some 20 ms) is due now."""
        return self._ssl_context is None and (url.scheme == "https" or bool(self._proxies))

    def load_ssl(self) -> None:
        """Load the certificates. Blocks."""
        self._ssl_context = httpx.create_ssl_context()

    def pool(self, url: httpx.URL) -> Any:
        """Return the pool for *url*, making it where needed."""
        address = self._proxy_for(url)
        key = f"{address} {url.scheme}"  # without TLS there is no context to wait for
        if key not in self.pools:
            self.pools[key] = self._make(address, url)
        return self.pools[key]

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if not self._proxies or proxy_bypass(url.host):
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"

    def _make(self, address: str | None, url: httpx.URL) -> Any:
        straight, http_proxy, socks_proxy = self._kinds
        if address is None:
            return straight(self._ssl_context, self._backend)
        settings = {**_LIMITS, "ssl_context": self._ssl_context, "network_backend": self._backend}
        if self._guarded:
            raise AudioURLError(
                f"{url.host} would be fetched through a proxy, where its address cannot be checked; "
                "set NO_PROXY for it, or pass allow_private_urls=True"
            )
        try:
            proxy = httpx.Proxy(address)
        except (ValueError, httpx.InvalidURL):
            raise APIConnectionError(  # unquoted, with no cause: it may hold a password
                "the environment's proxy is not a URL that can be used; correct HTTPS_PROXY and HTTP_PROXY",
                permanent=True,
            ) from None
        settings.update(proxy_url=httpcore.URL(str(proxy.url)), proxy_auth=proxy.raw_auth)
        if proxy.url.scheme not in {"socks5", "socks5h"}:
            return http_proxy(**settings, proxy_headers=proxy.headers.raw)
        try:
            return socks_proxy(**settings)
        except ImportError as error:
            raise APIConnectionError(
                'a SOCKS proxy needs one more package: pip install "httpx[socks]"', permanent=True
            ) from error


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
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
        content=_Body(request.content),
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
    def __init__(self, *, guarded: bool) -> None:
        kinds = (Connections, httpcore.HTTPProxy, httpcore.SOCKSProxy)
        self._backend = BlockingBackend(guarded=guarded)
        self._choice = _Choice(kinds, self._backend, guarded=guarded)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            if self._choice.needs_ssl(request.url):
                self._choice.load_ssl()
            pool = self._choice.pool(request.url)
        reply = pool.handle_request(_core_request(request))
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_Stream(reply.stream), extensions=reply.extensions
        )

    def close(self) -> None:
        self._backend.cut()  # first: a socket that is closed does not wake a thread that waits for it
        for pool in self._choice.pools.values():
            pool.close()


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, *, guarded: bool) -> None:
        kinds = (AsyncConnections, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy)
        self._choice = _Choice(kinds, AsyncBackend(guarded=guarded), guarded=guarded)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._choice.needs_ssl(request.url):
            await anyio.to_thread.run_sync(self._choice.load_ssl)
        reply = await self._choice.pool(request.url).handle_async_request(_core_request(request))
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_AsyncStream(reply.stream), extensions=reply.extensions
        )

    async def aclose(self) -> None:
        for pool in self._choice.pools.values():
            await pool.aclose()


def _no_cookies() -> CookieJar:
    """Return a jar that takes none: connections are shared between tokens, and with audio URLs."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


def _closed() -> APIConnectionError:
    return APIConnectionError("this client was closed while a call was under way; make a new one", permanent=True)


class Pools:
    """The blocking colour's clients."""

    def __init__(self) -> None:
        self._clients: dict[tuple[bool, bool], httpx.Client] = {}
        self._lock = threading.Lock()
        self._closed = False

    def client(self, reach: Reach) -> httpx.Client:
        """Return the client for *reach*, making it where needed."""
        key = (reach.audio, reach.private)
        with self._lock:
            if self._closed:
                raise _closed()
            if key not in self._clients:
                transport = _Transport(guarded=not reach.private)
                self._clients[key] = httpx.Client(transport=transport, trust_env=False, cookies=_no_cookies())
            return self._clients[key]

    def close(self) -> None:
        """Close every connection, for good."""
        with self._lock:
            self._closed = True
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


class AsyncPools:
    """The async colour's. Connections belong to the event loop in which they were made."""

    def __init__(self) -> None:
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient] = {}
        self._loop: object = None
        self._closed = False

    def client(self, reach: Reach) -> httpx.AsyncClient:
        """Return the client for *reach*, making it where needed."""
        if self._closed:
            raise _closed()
        loop = anyio.lowlevel.current_token()
        if loop != self._loop:
            # A second asyncio.run(): the first one's connections ended with its loop.
            self._loop, self._clients = loop, {}
        key = (reach.audio, reach.private)
        if key not in self._clients:
            transport = _AsyncTransport(guarded=not reach.private)
            self._clients[key] = httpx.AsyncClient(transport=transport, trust_env=False, cookies=_no_cookies())
        return self._clients[key]

    async def aclose(self) -> None:
        """Close every connection, for good."""
        self._closed = True
        clients, self._clients = self._clients, {}
        if anyio.lowlevel.current_token() == self._loop:
            for client in clients.values():
                await client.aclose()
