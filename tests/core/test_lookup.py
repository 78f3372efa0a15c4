"""Which addresses a name has, and which of them are public."""

from __future__ import annotations

import socket
import threading
from typing import Any

import anyio
import httpcore
import pytest

from hfasr import AudioURLError
from hfasr._core.lookup import addresses_of, addresses_of_async, check_public


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("0:0::1", "::1")])
def test_addresses_as_they_are(monkeypatch: pytest.MonkeyPatch, host: str, address: str) -> None:
    """An address is its own, and nothing is looked up for it."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert addresses_of(host, 80, 1.0) == [address]


def entry(address: str) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))


def test_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up for its port, in a thread of its own; each address comes once, in the system's order."""
    asked: list[Any] = []

    def look_up(*args: Any, **options: Any) -> list[Any]:
        asked.append((args, options, threading.current_thread()))
        return [entry("8.8.8.2"), entry("8.8.8.1"), entry("8.8.8.2")]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert addresses_of("h.test", 81, None) == ["8.8.8.2", "8.8.8.1"]
    ((args, options, thread),) = asked
    assert (args, options) == (("h.test", 81), {"type": socket.SOCK_STREAM})
    assert (thread.name, thread.daemon) == ("hfasr-lookup", True)
    asked.clear()

    async def look_up_async(*args: Any, **options: Any) -> list[Any]:
        return look_up(*args, **options)

    monkeypatch.setattr(anyio, "getaddrinfo", look_up_async)
    assert anyio.run(addresses_of_async, "h.test", 81, None) == ["8.8.8.2", "8.8.8.1"]
    assert asked[0][:2] == (("h.test", 81), {"type": socket.SOCK_STREAM})


@pytest.mark.parametrize("error", [OSError("unknown"), UnicodeError("unknown")])
def test_name_without_an_address(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A name that nobody knows, or that is none, is named, with the system's reason."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(httpcore.ConnectError, match=r"^h\.test has no address: unknown$") as caught:
        addresses_of("h.test", 80, 1.0)
    assert isinstance(caught.value.__cause__, OSError)


def test_async_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on an event loop."""

    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(anyio, "getaddrinfo", fail)
    error = OSError("unknown")
    with pytest.raises(httpcore.ConnectError, match=r"^h\.test has no address$") as caught:
        anyio.run(addresses_of_async, "h.test", 80, 1.0)
    assert caught.value.__cause__ is error


def test_name_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that cannot be looked up in time is told so, and the system's look-up left behind."""
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(10) and [])
    with pytest.raises(httpcore.ConnectTimeout, match=r"^h\.test could not be looked up in time$"):
        addresses_of("h.test", 80, 0.01)
    go_on.set()

    async def forever(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio, "getaddrinfo", forever)
    for backend in ("asyncio", "trio"):
        with pytest.raises(httpcore.ConnectTimeout, match=r"^h\.test could not be looked up in time$") as caught:
            anyio.run(addresses_of_async, "h.test", 80, 0.01, backend=backend)
        assert isinstance(caught.value.__cause__, TimeoutError)


def test_check_public() -> None:
    """Any address that is not public is named, with the way out."""
    check_public("h.test", [])
    check_public("h.test", ["8.8.8.8", "2606:4700::1111"])
    with pytest.raises(AudioURLError) as caught:
        check_public("h.test", ["8.8.8.8", "10.0.0.1", "127.0.0.1"])
    assert str(caught.value) == (
        "h.test was refused: its address 10.0.0.1 is not a public one; "
        "pass allow_private_urls=True if audio may come from inside your network"
    )
