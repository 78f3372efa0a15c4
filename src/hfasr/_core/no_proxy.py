"""Which hosts NO_PROXY keeps away from the proxy: nobody has specified that, so all forms that are in use are read."""

from __future__ import annotations

import ipaddress

__all__ = ["is_excepted"]


def is_excepted(entries: str, host: str, port: int) -> bool:
    """
    Whether *host* is to be reached straight.

    Args:
        entries: ``NO_PROXY``, separated by commas: a name and those below it (``example.com``, also
            ``.example.com`` and ``*.example.com``), an address, a network (``10.0.0.0/8``), each with
            a port or without (``localhost:8000``), or ``*``.

        host: Name or address, in lower case and without brackets.

        port: The one that is connected to.

    Example:
        >>> is_excepted("localhost:8000, .example.com, 10.0.0.0/8", "api.example.com", 443)
        True
        >>> is_excepted("localhost:8000, .example.com, 10.0.0.0/8", "localhost", 443)
        False
    """
    address = _address(host)
    for entry in entries.lower().replace(" ", "").split(","):
        name, only_port = _split(entry)
        if only_port not in {"", str(port)}:
            continue
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        if address is not None and _covers(name, address):
            return True
    return False


def _split(entry: str) -> tuple[str, str]:
    """Return name and port; more than one colon is an address of IPv6."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, port = entry, ""
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
    return name.removeprefix("*").removeprefix("."), port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _covers(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
