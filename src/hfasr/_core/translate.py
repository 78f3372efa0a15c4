"""What an HTTP library raises, as hfasr's errors; by name, so that httpx and httpx2 are one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from hfasr.errors import APIConnectionError, APITimeoutError, HfasrError

__all__ = ["translate"]

_LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2"}


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] in _LIBRARIES}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def translate(error: BaseException, url: str) -> HfasrError:
    """
    Turn what a client raised for *url* into a typed error, with the original as its cause.

    ``LocalProtocolError`` and ``UnicodeEncodeError`` hold the Authorization header, and httpx's
    errors the whole request: they are not kept as a cause.
    """
    if isinstance(error, HfasrError):
        return error
    typed = _typed(error, urlsplit(url).netloc or "the server")
    typed.__cause__ = None if any(map(_is_secret, _chain(error))) else error
    return typed


def _is_secret(error: BaseException) -> bool:
    return isinstance(error, UnicodeError) or "LocalProtocolError" in _names(error) or hasattr(error, "_request")


def _typed(error: BaseException, host: str) -> HfasrError:
    names = _names(error)
    if "PoolTimeout" in names:
        return APITimeoutError("all connections of the pool were busy; give http_client a larger pool")
    if "ConnectTimeout" in names:
        return APITimeoutError(f"{host} could not be reached in time; check the address, or raise timeout=")
    if "TimeoutException" in names or isinstance(error, TimeoutError):
        return APITimeoutError(f"{host} did not answer in time; raise timeout= or shorten the audio", maybe_billed=True)
    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            reason = link.verify_message or "it cannot be verified"
            return APIConnectionError(
                f"the certificate of {host} was refused: {reason}; for a private CA set SSL_CERT_FILE", permanent=True
            )
        if isinstance(link, UnicodeError):
            return APIConnectionError(
                f"a header or the address for {host} holds characters that HTTP cannot carry", permanent=True
            )
    if names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"} or isinstance(error, ValueError):
        return APIConnectionError(
            f"the request to {host} cannot be sent ({type(error).__name__}): check base_url, model and token",
            permanent=True,
        )
    if "ProxyError" in names:
        return APIConnectionError(
            f"the proxy refused the connection to {host}; check HTTPS_PROXY and HTTP_PROXY ({error})"
        )
    if names or isinstance(error, OSError):
        system = next((link.strerror for link in _chain(error) if isinstance(link, OSError) and link.strerror), None)
        detail = system or str(error).strip() or "no reason given"
        return APIConnectionError(
            f"the connection to {host} failed: {detail} ({type(error).__name__}); check the address, "
            "the network and, where one is set, the proxy"
        )
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return APIConnectionError("the HTTP client has been closed; make a new one", permanent=True)
    return APIConnectionError(f"the HTTP client failed on {host} with {type(error).__name__}", permanent=True)
