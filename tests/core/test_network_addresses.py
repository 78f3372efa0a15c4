"""Connecting below HTTP: one address after the other, and only where all of them may be connected to."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import anyio
import httpcore
import pytest

from hfasr import AudioURLError
from hfasr._core import network
from hfasr._core.network import AsyncBackend, BlockingBackend
from tests.core.network_kit import Connecting, Stream


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[tuple[Any, ...]]:
    """Let every name have *addresses*; return what is asked."""
    asked: list[tuple[Any, ...]] = []

    def look_up(*args: Any) -> list[str]:
        asked.append(args)
        return list(addresses)

    async def look_up_async(*args: Any) -> list[str]:
        return look_up(*args)

    monkeypatch.setattr(network, "addresses_of", look_up)
    monkeypatch.setattr(network, "addresses_of_async", look_up_async)
    return asked


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("first", [httpcore.ConnectError("no"), httpcore.ConnectTimeout("no")])
def test_one_address_after_the_other(monkeypatch: pytest.MonkeyPatch, colour: str, first: Exception) -> None:
    """The addresses are tried in order, until one can be connected to; the name is looked up once."""
    asked = resolving(monkeypatch, "8.8.8.1", "8.8.8.2", "8.8.8.3")
    case = Connecting(colour, guarded=True, _1=first, _2=Stream(), _3=Stream())
    assert case.connect().get_extra_info("server_addr") == "its server_addr"
    assert case.net.asked == [(f"8.8.8.{i}", 80, 3.0, "10.0.0.1", [(1, 2, 3)]) for i in (1, 2)]
    assert asked == [("h.test", 80, 3.0)]


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_no_address_that_can_be_connected_to(monkeypatch: pytest.MonkeyPatch, colour: str) -> None:
    """The last failure is raised; where there is no address at all, that is said; what else fails is not passed over."""
    resolving(monkeypatch, "8.8.8.1", "8.8.8.2")
    last = httpcore.ConnectTimeout("the last")
    case = Connecting(colour, guarded=True, _1=httpcore.ConnectError("no"), _2=last)
    with pytest.raises(httpcore.ConnectTimeout) as caught:
        case.connect()
    assert caught.value is last
    case.net.answers["_1"] = OSError("another")
    with pytest.raises(OSError, match="another"):
        case.connect()
    resolving(monkeypatch)
    with pytest.raises(httpcore.ConnectError, match=r"^h\.test has no address$"):
        case.connect()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("guarded", [True, False])
def test_guarded(monkeypatch: pytest.MonkeyPatch, colour: str, guarded: bool) -> None:
    """Where addresses are checked, one that is not public keeps all of them from being connected to."""
    asked = resolving(monkeypatch, "8.8.8.1", "127.0.0.1")
    case = Connecting(colour, guarded=guarded, _1=Stream(), _t=Stream())
    if guarded:
        with pytest.raises(AudioURLError, match=r"^h\.test was refused: its address 127\.0\.0\.1 is not"):
            case.connect()
        assert case.net.asked == []
    else:
        case.connect()
        host = "8.8.8.1" if colour == "sync" else "h.test"  # an event loop has its own way with names
        assert case.net.asked == [(host, 80, 3.0, "10.0.0.1", [(1, 2, 3)])]
        assert len(asked) == (colour == "sync")


def test_true_sockets() -> None:
    """Each colour has a back-end of its own that truly connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with contextlib.closing(BlockingBackend(guarded=False).connect_tcp("127.0.0.1", port, 5.0)) as stream:
            connection, address = server.accept()
            connection.close()
            assert stream.get_extra_info("client_addr") == address

        async def main() -> Any:
            stream = await AsyncBackend(guarded=False).connect_tcp("127.0.0.1", port, 5.0)
            await stream.aclose()
            return stream.get_extra_info("socket")

        for backend in ("asyncio", "trio"):
            assert anyio.run(main, backend=backend) is not None
