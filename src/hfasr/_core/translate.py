"""What an HTTP library raises, as hfasr's errors; by name, so that httpx and httpx2 are one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from hfasr.errors import APIConnectionError, APITimeoutError, HfasrError

__all__ = ["causes", "translate"]

_LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2", "h11"}


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] in _LIBRARIES}


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give *error* and what led to it, the last first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def translate(error: BaseException, url: str) -> HfasrError:
    """
    Turn what a client raised for *url* into a typed error, with the original as its cause.

    ``LocalProtocolError`` and ``UnicodeEncodeError`` hold the Authorization header, httpx's errors the whole
    request, and those of protocols and proxies what the other side said, which may be any of it: they are not kept
    as a cause.
    """
    if isinstance(error, HfasrError):
        return error
    typed = _typed(error, urlsplit(url).netloc.rpartition("@")[2] or "the server")
    typed.__cause__ = None if any(map(_is_telling, causes(error))) else error
    return typed


def _is_telling(error: BaseException) -> bool:
    if isinstance(error, UnicodeError) or hasattr(error, "_request"):
        return True
    return bool(_names(error) & {"ProtocolError", "ProxyError"})


def _typed(error: BaseException, host: str) -> HfasrError:
    names = _names(error)
    if "PoolTimeout" in names:
        return APITimeoutError("all connections of the pool were busy; give http_client a larger pool")
    if "ConnectTimeout" in names:
        return APITimeoutError(f"{host} could not be reached in time; check the address, or raise timeout=")
    if "TimeoutException" in names or isinstance(error, TimeoutError):
        return APITimeoutError(f"{host} did not answer in time; raise timeout= or shorten the audio", maybe_billed=True)
    for link in causes(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            reason = link.verify_message or "it cannot be verified"
            return APIConnectionError(
                f"the certificate of {host} was refused: {reason}; for a private CA set SSL_CERT_FILE, "
                "or give http_client its verify=",
                permanent=True,
            )
        if isinstance(link, UnicodeError):
            return APIConnectionError(
                f"a header or the address for {host} holds characters that HTTP cannot carry", permanent=True
            )
        if isinstance(link, ssl.SSLError):
            return APIConnectionError(
                f"{host} broke off its TLS: {link.reason or type(link).__name__}; check that https:// and the port "
                "are right"
            )
    if "ProxyError" in names:
        return _of_proxy(str(error), host)
    by_peer = any(type(link).__module__.partition(".")[0] == "h2" for link in causes(error))  # HTTP/2's one for both
    if (names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"} and not by_peer) or isinstance(
        error, ValueError
    ):
        return APIConnectionError(
            f"the request to {host} cannot be sent ({type(error).__name__}): check base_url, model and token",
            permanent=True,
        )
    if names or isinstance(error, OSError):
        system = next((link.strerror for link in causes(error) if isinstance(link, OSError) and link.strerror), None)
        detail = system or _unquoted(str(error)) or "no reason given"
        return APIConnectionError(
            f"the connection to {host} failed: {detail} ({type(error).__name__}); check the address, "
            "the network and, where one is set, the proxy"
        )
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return APIConnectionError("the HTTP client has been closed; make a new one", permanent=True)
    return APIConnectionError(f"the HTTP client failed on {host} with {type(error).__name__}", permanent=True)


def _of_proxy(said: str, host: str) -> APIConnectionError:
    """Name the status alone of an HTTP proxy, whose words may be anything; those of SOCKS are the library's own."""
    found = re.match(r"\d{3}(?!\d)", said)
    status = int(found[0]) if found else None
    where = "HTTPS_PROXY and HTTP_PROXY, or http_client's proxy="
    if status == 407 or (status is None and re.search(r"auth|username", said, re.IGNORECASE)):
        return APIConnectionError(
            f"the proxy asks for a user and password, or for other ones, to connect to {host}; put them into the "
            f"proxy's URL: {where}",
            permanent=True,
        )
    answer = f"it answered {status}" if status else said[:100].rpartition(": ")[2].strip(" .") or "no reason given"
    return APIConnectionError(
        f"the proxy did not connect to {host}: {answer}; check {where}",
        permanent=status is not None and 400 <= status < 500 and status not in {408, 429},
    )


def _unquoted(text: str) -> str:
    """Cut *text* off where a library quotes what the other side sent: that may be a token, or audio."""
    return re.split(r":|\s(?:bytearray\()?b?['\"]|[<{\[]", text, maxsplit=1)[0].strip()
