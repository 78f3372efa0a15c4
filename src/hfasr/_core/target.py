"""Where a URL leads, in the form that HTTP wants: RFC 3986, RFC 9112 section 3.2."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

__all__ = ["Target", "ascii_host", "target_of"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPED = re.compile(r"[^!$-;=?-_a-z|~]|%(?![0-9A-Fa-f]{2})")  # what a path or query has to write as %XX


class Target(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    """``"http"`` or ``"https"``."""

    host: str
    """ASCII name or address, without brackets."""

    port: int

    authority: str
    """What the ``Host`` header says: the port only where it is not the scheme's own."""

    path: str
    """Path and query, percent-encoded; begins with a slash."""

    @property
    def own_port(self) -> int | None:
        """The port, where it is not the scheme's own."""
        return None if self.port == _DEFAULT_PORTS[self.scheme] else self.port


def target_of(url: str) -> Target:
    """
    Take *url* apart. A fragment is left out, and so are a user's name and password: they are no credentials of ours.

    Raises:
        ValueError: It is no http(s) URL with a host.

    Example:
        >>> target_of("https://Example.com/my file.flac?a=1#end")
        Target(scheme='https', host='example.com', port=443, authority='example.com', path='/my%20file.flac?a=1')
    """
    parts = urlsplit(url)
    scheme, host, default = parts.scheme, parts.hostname, _DEFAULT_PORTS.get(parts.scheme)
    if default is None or not host:
        raise ValueError("neither http:// nor https://, or without a host")
    host = ascii_host(host)
    port = default if parts.port is None else parts.port
    authority = f"[{host}]" if ":" in host else host
    if port != default:
        authority = f"{authority}:{port}"
    path = parts.path or "/"
    if "/." in path and not path.startswith("//"):  # that would be a host for urljoin
        path = urljoin("/", path)  # without "." and ".."
    if parts.query:
        path = f"{path}?{parts.query}"
    return Target(scheme, host, port, authority, _ESCAPED.sub(lambda found: quote(found[0], safe=""), path))


def ascii_host(host: str) -> str:
    """
    Return *host* as it is looked up: RFC 5891.

    Raises:
        UnicodeError: No name can be spelt so.
    """
    if host.isascii():
        return host
    import idna  # few need it

    return idna.encode(host).decode("ascii")
