"""
Fetch audio from an ``http(s)`` URL: every hop checked, nothing secret sent or shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from hfasr.errors import APIConnectionError, APIError, AudioURLError

from .addresses import check_url
from .source import short_name
from .spool import MAX_SPOOLED_BYTES

if TYPE_CHECKING:
    from hfasr.wire import Response

    from ._io import AudioIO
    from .spool import Spool

__all__ = ["MAX_REDIRECTS", "fetch", "shown"]

MAX_REDIRECTS = 5  # what RFC 2068 10.3 told clients not to exceed; file hosts use one to three

_REDIRECTS = {301, 302, 303, 307, 308}  # RFC 9110 15.4
_NOT_AUDIO = {  # types that servers send in place of audio; a body without a type, or text/plain, is looked at
    "text/html": "an HTML page",
    "application/xhtml+xml": "an HTML page",
    "application/json": "a JSON document",
    "application/problem+json": "a JSON document",
    "text/xml": "an XML document",
    "application/xml": "an XML document",
    "text/css": "a style sheet",
    "text/javascript": "a script",
    "application/pdf": "a PDF document",
    "application/zip": "a ZIP archive",
}


async def fetch(url: str, spool: Spool, io: AudioIO, *, allow_private: bool = False) -> str:
    """
    Download *url* into *spool*.

    Redirects are followed by hand, so that each address is checked like the first.

    Args:
        url: ``http://`` or ``https://``, without credentials.

        spool: Takes the body, and nothing of a redirect.

        io: Does the one GET; it checks and connects to resolved addresses.

        allow_private: Whether the URL, and what it redirects to, may lead into a private network.

    Returns:
        A short name for messages.

    Raises:
        AudioURLError: Refused, unreachable, another status than 2xx, too many redirects, cut off, too
            large, or of a type that is not audio.

        AudioError: There is no room for it on the disk.
    """
    for _ in range(MAX_REDIRECTS + 1):
        check_url(url, allow_private=allow_private)
        try:
            response = await io.get(url, allow_private=allow_private, max_bytes=MAX_SPOOLED_BYTES, sink=spool)
        except APIConnectionError as error:
            raise AudioURLError(f"{shown(url)} cannot be fetched: {error}") from error
        except APIError as error:  # it speaks of a model's server, so its words are of no use here
            raise AudioURLError(
                f"{shown(url)} answered, but its body was cut off, damaged or over {MAX_SPOOLED_BYTES} bytes; "
                "try again, or download it yourself and pass its path"
            ) from error
        if response.status_code not in _REDIRECTS:
            _check(url, response)
            return _name(url)
        url = _target(url, response)
    raise AudioURLError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects; pass the final URL")


def shown(url: str) -> str:
    """
    Return host and path of *url*, cut short: what a message may show.

    Example:
        >>> shown("https://user:secret@example.com/a.flac?token=secret")
        'example.com/a.flac'
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or "?"
    except ValueError:
        return "the URL"
    text = f"{host}{parts.path}"
    return text if len(text) <= 120 else f"{text[:119]}…"


def _target(url: str, response: Response) -> str:
    location = response.headers.get("location", "")
    if not location:
        raise AudioURLError(f"{shown(url)} redirects to nowhere (status {response.status_code}); pass the final URL")
    try:
        return urldefrag(urljoin(url, location)).url
    except ValueError:
        raise AudioURLError(f"{shown(url)} redirects to a malformed URL; pass the final URL") from None


def _check(url: str, response: Response) -> None:
    status = response.status_code
    if not 200 <= status < 300:
        remedy = "check the link, or fetch it yourself and pass the bytes" if status < 500 else "try again later"
        raise AudioURLError(f"{shown(url)} answered with status {status}; {remedy}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    what = _NOT_AUDIO.get(kind) or ("a picture" if kind.startswith("image/") else None)
    if what is not None:
        raise AudioURLError(f"{shown(url)} is {what} ({kind}), not audio; check the link")


def _name(url: str) -> str:
    parts = urlsplit(url)
    return short_name(unquote(parts.path.rstrip("/").rpartition("/")[2])) or (parts.hostname or "the URL")
