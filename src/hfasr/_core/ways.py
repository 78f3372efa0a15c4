"""Which way a request takes: straight, or through the environment's proxy; and which certificates are trusted."""

from __future__ import annotations

import os
import ssl
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import httpcore

from hfasr.errors import APIConnectionError, AudioURLError

from .connections import IDLE_S, MAX_IDLE
from .no_proxy import is_excepted
from .target import Target, ascii_host

__all__ = ["Ways"]

_PROXY_LIMITS: dict[str, Any] = {
    "max_connections": None,  # httpcore's 10 are few for a batch
    "max_keepalive_connections": MAX_IDLE,
    "keepalive_expiry": IDLE_S,
}


class Ways:
    """
    One sender's pools, and which of them serves an address.

    Args:
        kinds: Makes straight connections; httpcore's pools for HTTP and SOCKS proxies; and what sends through these.

        backend: The network below.

        guarded: Whether addresses are checked, which cannot be done through a proxy.
    """

    def __init__(self, kinds: tuple[Any, Any, Any, Any], backend: Any, *, guarded: bool) -> None:
        self._kinds = kinds
        self._backend = backend
        self._guarded = guarded
        self._proxies = getproxies()  # once: it walks the whole environment
        self._ssl_context: ssl.SSLContext | None = None
        self.pools: dict[tuple[str | None, str], Any] = {}

    def needs_ssl(self, target: Target) -> bool:
        """Whether the slow loading of certificates (some 20 ms) is due now."""
        return self._ssl_context is None and (target.scheme == "https" or bool(self._proxies))

    def load_ssl(self) -> None:
        """Load the certificates. Blocks."""
        self._ssl_context = _ssl_context()

    def pool(self, target: Target) -> Any:
        """Return the pool for *target*, making it where needed."""
        key = (self._proxy_for(target), target.scheme)  # without TLS there is no context to wait for
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = self._make(key[0], target)
        return pool

    def _proxy_for(self, target: Target) -> str | None:
        if not self._proxies or is_excepted(self._proxies.get("no", ""), target.host, target.port):
            return None
        if proxy_bypass(target.host):  # what the settings of Windows and macOS except
            return None
        proxy = self._proxies.get(target.scheme) or self._proxies.get("all")
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"

    def _make(self, address: str | None, target: Target) -> Any:
        straight, http_proxy, socks_proxy, through = self._kinds
        if address is None:
            return straight(self._ssl_context, self._backend)
        if self._guarded:
            raise AudioURLError(
                f"{target.host} would be fetched through a proxy, where its address cannot be checked; "
                "set NO_PROXY for it, or pass allow_private_urls=True"
            )
        url, auth = _read_proxy(address)
        settings = {
            **_PROXY_LIMITS,
            "ssl_context": self._ssl_context,
            "network_backend": self._backend,
            "proxy_url": url,
            "proxy_auth": auth,
        }
        if not url.scheme.startswith(b"socks"):
            if url.scheme == b"https":
                settings["proxy_ssl_context"] = self._ssl_context
            return through(http_proxy(**settings))
        try:
            return through(socks_proxy(**settings))
        except (ImportError, RuntimeError) as error:
            raise APIConnectionError(
                'a SOCKS proxy needs one more package: pip install "httpcore[socks]"', permanent=True
            ) from error


def _read_proxy(address: str) -> tuple[httpcore.URL, tuple[bytes, bytes] | None]:
    """Return a proxy's address, and the user and password in it."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        if not host or parts.scheme not in {"http", "https", "socks5", "socks5h"}:
            raise ValueError  # noqa: TRY301  # one error for all that is wrong with it
        url = httpcore.URL(scheme=parts.scheme.encode(), host=ascii_host(host).encode(), port=port, target=b"/")
    except ValueError:
        raise APIConnectionError(  # unquoted, with no cause: it may hold a password
            "the environment's proxy is not a URL that can be used; correct HTTPS_PROXY and HTTP_PROXY",
            permanent=True,
        ) from None
    if parts.username is None:
        return url, None
    return url, (unquote(parts.username).encode(), unquote(parts.password or "").encode())


def _ssl_context() -> ssl.SSLContext:
    context = _trusting()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trusting() -> ssl.SSLContext:
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            return ssl.create_default_context(cafile=file)
        except OSError as error:
            raise APIConnectionError(
                f"SSL_CERT_FILE names no file of certificates that can be read ({type(error).__name__}); correct it",
                permanent=True,
            ) from error
    return ssl.create_default_context(capath=folder) if folder else ssl.create_default_context(cafile=certifi.where())
