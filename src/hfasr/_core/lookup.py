"""Which addresses a name has, told in time; and whether all of them are public."""

from __future__ import annotations

import ipaddress
import socket
import threading

import anyio
import httpcore

from hfasr.audio.addresses import is_public
from hfasr.errors import AudioURLError

__all__ = ["addresses_of", "addresses_of_async", "check_public"]


def addresses_of(host: str, port: int, timeout: float | None) -> list[str]:
    """
    Return the addresses of *host*. Blocks for *timeout* seconds at most, which the system's own look-up does not know.

    Raises:
        httpcore.ConnectError: It has none.
        httpcore.ConnectTimeout: It could not be looked up in time.
    """
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed.append(OSError(f"{host} has no address: {error}"))
        else:
            found.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))

    thread = threading.Thread(target=look_up, name="hfasr-lookup", daemon=True)
    thread.start()
    thread.join(timeout)
    if failed:
        raise httpcore.ConnectError(str(failed[0])) from failed[0]
    if not found:
        raise httpcore.ConnectTimeout(f"{host} could not be looked up in time")
    return found


async def addresses_of_async(host: str, port: int, timeout: float | None) -> list[str]:
    """See `addresses_of`."""
    try:
        with anyio.fail_after(timeout):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"{host} could not be looked up in time") from error
    except OSError as error:
        raise httpcore.ConnectError(f"{host} has no address") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def check_public(host: str, addresses: list[str]) -> None:
    """
    See that all of *addresses*, of *host*, are public.

    Raises:
        AudioURLError: One is not.
    """
    for address in addresses:
        if not is_public(address):
            raise AudioURLError(
                f"{host} was refused: its address {address} is not a public one; "
                "pass allow_private_urls=True if audio may come from inside your network"
            )
