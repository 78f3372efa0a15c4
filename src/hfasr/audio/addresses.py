"""
Which addresses an audio URL may lead to: public ones, however they are spelt.

Pure functions: the network layer asks `is_public` about every address that a name resolves to, and
connects to exactly that address.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from urllib.parse import SplitResult, unquote, urlsplit

from hfasr.errors import AudioURLError

__all__ = ["check_url", "is_public", "literal_address"]

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has handed out: RFC 4291 2.4
_REFUSED_V4 = tuple(  # public, or so for some releases of Python, but nobody's web server
    ipaddress.IPv4Network(block)
    for block in (
        "192.0.0.0/24",  # RFC 6890: protocol assignments; Oracle's cloud answers with credentials at 192.0.0.192
        "192.88.99.0/24",  # RFC 7526: 6to4 relays, deprecated
        "168.63.129.16/32",  # Azure's WireServer, on every machine there, although the address is Microsoft's own
    )
)
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # RFC 2928: protocol assignments; Teredo, which is one, is told by what it carries
        "2001:db8::/32",  # RFC 3849: documentation
        "3fff::/20",  # RFC 9637: documentation
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 2.1; 64:ff9b:1::/48 (RFC 8215) is local
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291 2.5.5.1
_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})  # full stops of RFC 3490 3.1
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa")
_REMEDY = "fetch it yourself and pass the bytes, or set allow_private_urls=True"


def is_public(ip: str) -> bool:
    """
    Whether *ip*, an IPv4 or IPv6 address, is one of the public Internet.

    Addresses that carry another one (IPv4-mapped and -compatible, 6to4, Teredo, NAT64) are as public
    as that. False for private, loopback, link-local, shared (100.64.0.0/10), multicast, reserved and
    unspecified addresses, for those with a scope (``%eth0``), and for what is no address.

    Example:
        >>> is_public("93.184.216.34"), is_public("::ffff:127.0.0.1"), is_public("64:ff9b::7f00:1")
        (True, False, False)

    Source:
        IANA's special-purpose address registries, by way of `ipaddress`, whose copy differs between releases
        of Python: https://github.com/python/cpython/issues/113171 (192.0.0.0/24, 2001::/23, 64:ff9b:1::/48,
        2002::/16), 124217 (3fff::/20), 151749 (5f00::/16, 100:0:0:1::/64). So these are refused here, the
        exceptions inside them (192.0.0.9, 2001:3::/32, ...), which serve protocols and no files, included;
        IPv6 beyond 2000::/3, where three of them lie, is refused as a whole.
        https://www.iana.org/assignments/iana-ipv4-special-registry,
        https://www.iana.org/assignments/iana-ipv6-special-registry
        https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_v4(address)
    if address.scope_id is not None:
        return False
    carried = _carried(address)
    if carried:
        return all(_is_public_v4(inner) for inner in carried)
    if address not in _GLOBAL_UNICAST or any(address in block for block in _REFUSED_V6):
        return False
    return address.is_global


def check_url(url: str, *, allow_private: bool = False) -> SplitResult:
    """
    Refuse *url* unless it is a plain ``http(s)`` one that may be fetched; return its parts.

    Names are not resolved here; whoever connects must ask `is_public` about what they resolve to.

    Args:
        url: As the caller or a redirect gave it.

        allow_private: Whether it may name a private address.

    Raises:
        AudioURLError: Not ``http(s)``, no host, credentials, characters that no URL has, or a host that
            spells a private address in any way (``127.1``, ``0x7f.1``, ``2130706433``, ``[::ffff:7f00:1]``,
            full-width digits, percent signs, ``localhost``).

    Example:
        >>> check_url("https://example.com/a.flac").hostname
        'example.com'
    """
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise AudioURLError("the audio URL has blanks, control characters or backslashes; percent-encode them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AudioURLError("the audio URL is malformed; check its host and port") from None
    if parts.scheme not in {"http", "https"}:
        raise AudioURLError(f"an audio URL begins with http:// or https://, not {parts.scheme[:20] or 'nothing'}://")
    if not host or port == 0:
        raise AudioURLError("the audio URL names no host, or port 0; check its spelling")
    if "@" in parts.netloc:
        raise AudioURLError(f"the audio URL for {host[:100]} holds credentials; fetch it yourself and pass the bytes")
    if not allow_private:
        _refuse_private(host)
    return parts


def literal_address(host: str) -> str | None:
    """
    Return the address that *host* spells, in its usual form, or ``None`` if it is a name.

    Understands what ``inet_aton`` and browsers do: one to four parts, decimal, octal or hexadecimal.

    Raises:
        ValueError: It ends in a number, but is no address; nobody knows what a resolver makes of that.

    Example:
        >>> literal_address("0x7f.1"), literal_address("example.com")
        ('127.0.0.1', None)

    Source:
        WHATWG URL, "ends in a number checker" and "IPv4 parser", https://url.spec.whatwg.org/#ipv4
    """
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    parts = host.split(".")
    last = parts[-1]
    if not (last.isdigit() or last.startswith("0x")):
        return None
    *heads, tail = [_number(part) for part in parts]
    if len(heads) > 3 or any(head > 255 for head in heads) or tail >= 256 ** (4 - len(heads)):
        raise ValueError("ends in a number, but is no IPv4 address")
    value = tail
    for index, head in enumerate(heads):
        value += head << 8 * (3 - index)
    return str(ipaddress.IPv4Address(value))


def _refuse_private(host: str) -> None:
    plain = unicodedata.normalize("NFKC", unquote(host).translate(_DOTS)).lower().strip("[]").rstrip(".")
    name = plain[:100]
    if not plain or "%" in plain or "/" in plain or "@" in plain:
        raise AudioURLError("the audio URL's host has characters that no host has; check its spelling")
    if plain in _LOCAL_NAMES or plain.endswith(tuple(f".{local}" for local in _LOCAL_NAMES)):
        raise AudioURLError(f"the audio URL leads to {name}, into a private network; {_REMEDY}")
    try:
        address = literal_address(plain)
    except ValueError:
        raise AudioURLError(f"the audio URL's host {name} is neither a name nor an address; check it") from None
    if address is not None and not is_public(address):
        raise AudioURLError(f"the audio URL leads to {name}, a private address; {_REMEDY}")


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if not part.isascii() or not part.isdigit():
        raise ValueError("not a number")
    return int(part, 8 if part.startswith("0") else 10)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    if any(address in block for block in _REFUSED_V4):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses inside *address*, to which packets for it really go."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return (ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()
