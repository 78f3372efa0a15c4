"""Senders: one for each reach, made when needed, closed with their client; and of one event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import httpcore
import pytest

from hfasr import APIConnectionError
from hfasr._core import pool
from hfasr._core.connections import AsyncConnections, Connections
from hfasr._core.http import Reach
from hfasr._core.io import run_sync
from hfasr._core.network import AsyncBackend, BlockingBackend
from hfasr._core.pool import AsyncPools, AsyncSender, Pools, Sender
from hfasr._core.proxied import AsyncProxied, Proxied
from hfasr._core.target import Target, target_of
from hfasr._core.ways import Ways
from hfasr.wire import Request

REACHES = [Reach(audio=audio, private=private) for audio in (False, True) for private in (True, False)]
POST = Request("POST", "https://h.test/x", {}, b"audio")


class Home:
    """In the place of a pool of connections, in both colours."""

    def __init__(self, done: list[Any]) -> None:
        self.done = done

    def _open(self, request: Request, target: Target, timeout: float) -> str:
        self.done.append((request, target, timeout))
        return "reply"

    def close(self) -> None:
        self.done.append("closed")


class AsyncHome(Home):
    async def open(self, *args: Any) -> str:
        return self._open(*args)

    async def aclose(self) -> None:
        self.close()


class BlockingHome(Home):
    def open(self, *args: Any) -> str:
        return self._open(*args)


class MyWays:
    """In the place of the ways: needs certificates once, and gives one pool."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.pools = {"a": home, "b": home}
        self.needs = True

    def needs_ssl(self, target: Target) -> bool:
        self.home.done.append(f"needs for {target.host}?")
        return self.needs

    def load_ssl(self) -> None:
        self.home.done.append("certificates")
        self.needs = False

    def pool(self, target: Target) -> Home:
        self.home.done.append(f"pool for {target.host}")
        return self.home


def of(colour: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call *function*; in a colour of event loops, await what it returns there."""
    if colour == "sync":
        return function(*args)

    async def main() -> Any:
        return await function(*args)

    return anyio.run(main, backend=colour)


def sender_of(colour: str) -> tuple[Any, list[Any]]:
    """Return a sender over one pool, and what is done with that."""
    done: list[Any] = []
    kind: Any = Sender if colour == "sync" else AsyncSender
    sender = kind(guarded=False)
    sender._ways = MyWays(BlockingHome(done) if colour == "sync" else AsyncHome(done))
    return sender, done


def test_sending(colour: str) -> None:
    """Certificates are loaded before the pool is asked for, once; the pool gets the request and where it goes."""
    sender, done = sender_of(colour)
    opened = (POST, target_of(POST.url), 2.5)
    assert of(colour, sender.open, POST, 2.5) == "reply"
    assert done == ["needs for h.test?", "certificates", "pool for h.test", opened]
    done.clear()
    assert of(colour, sender.open, POST, 2.5) == "reply"
    assert done == ["needs for h.test?", "pool for h.test", opened]


def test_certificates_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop goes on while they are loaded; a client that was closed meanwhile sends nothing."""
    sender, done = sender_of("asyncio")

    async def run_sync(work: Any) -> None:
        work()
        done.append("in a thread")
        await sender.aclose()

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    with pytest.raises(APIConnectionError, match="closed while a call was under way"):
        of("asyncio", sender.open, POST, 2.5)
    assert done == ["needs for h.test?", "certificates", "in a thread", "closed", "closed"]


def test_closing_a_sender(colour: str) -> None:
    """Closing ends all of its pools; a blocking one's sockets first, as a thread may wait on them. It is for good."""
    sender, done = sender_of(colour)
    if colour == "sync":
        sender._backend.cut = lambda: done.append("cut")
    of(colour, sender.close if colour == "sync" else sender.aclose)
    assert done == [*(["cut"] if colour == "sync" else []), "closed", "closed"]
    done.clear()
    with pytest.raises(APIConnectionError, match="closed while a call was under way"):
        of(colour, sender.open, POST, 2.5)
    assert not [one for one in done if isinstance(one, tuple)]


@pytest.mark.parametrize("guarded", [True, False])
def test_what_a_sender_is_made_of(monkeypatch: pytest.MonkeyPatch, guarded: bool) -> None:
    """Each colour has its own connections, proxies and sockets, which check addresses where they must."""
    made: list[tuple[Any, ...]] = []

    class Noted(Ways):
        def __init__(self, kinds: Any, backend: Any, *, guarded: bool) -> None:
            made.append((kinds, backend, guarded))
            super().__init__(kinds, backend, guarded=guarded)

    monkeypatch.setattr(pool, "Ways", Noted)
    sender = Sender(guarded=guarded)
    AsyncSender(guarded=guarded)
    (kinds, backend, checks), (async_kinds, async_backend, async_checks) = made
    assert kinds == (Connections, httpcore.HTTPProxy, httpcore.SOCKSProxy, Proxied)
    assert async_kinds == (
        AsyncConnections, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy, AsyncProxied,
    )  # fmt: skip
    assert sender._backend is backend
    assert isinstance(backend, BlockingBackend)
    assert isinstance(async_backend, AsyncBackend)
    assert [checks, async_checks, backend._guarded, async_backend._guarded] == [guarded] * 4


def test_one_sender_for_each_reach(colour: str) -> None:
    """Requests of the same reach share a sender; audio and the API never do. Private addresses are let through or not."""
    pools: Any = Pools() if colour == "sync" else AsyncPools()

    async def main() -> list[Any]:
        return [pools.sender(reach) for reach in (*REACHES, *REACHES)]

    senders = run_sync(main()) if colour == "sync" else anyio.run(main, backend=colour)
    assert senders[:4] == senders[4:]
    assert len(set(map(id, senders))) == 4
    assert [sender._ways._guarded for sender in senders[:4]] == [False, True, False, True]
    other = Reach(max_bytes=5)

    async def again() -> Any:
        return pools.sender(other)

    if colour == "sync":
        assert pools.sender(other) is senders[0]
    else:
        assert anyio.run(again, backend=colour) is not senders[0]  # of another loop


class Closed:
    """A sender that notes that it was closed."""

    def __init__(self) -> None:
        self.n_closed = 0

    def close(self) -> None:
        self.n_closed += 1

    async def aclose(self) -> None:
        self.n_closed += 1


def test_closing_all(colour: str) -> None:
    """Closing closes every sender once, and gives no more."""
    pools: Any = Pools() if colour == "sync" else AsyncPools()
    senders = [Closed(), Closed()]

    async def main() -> None:
        pools.sender(Reach())
        pools._senders = dict(enumerate(senders))
        for _ in range(2):
            if colour == "sync":
                pools.close()
            else:
                await pools.aclose()
        with pytest.raises(APIConnectionError, match="closed while a call was under way"):
            pools.sender(Reach())

    run_sync(main()) if colour == "sync" else anyio.run(main, backend=colour)
    assert [sender.n_closed for sender in senders] == [1, 1]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_connections_of_a_loop_that_has_ended(backend: str) -> None:
    """They are left alone, by requests and by closing: they ended with their loop, and another one cannot close them."""
    pools: Any = AsyncPools()
    left = Closed()

    async def first() -> None:
        pools.sender(Reach())
        pools._senders = {"left": left}

    async def second() -> None:
        assert pools.sender(Reach()) is pools.sender(Reach())
        assert "left" not in pools._senders

    async def last() -> None:
        await pools.aclose()

    anyio.run(first, backend=backend)
    anyio.run(second, backend=backend)
    pools._senders = {"left": left}
    anyio.run(last, backend=backend)
    assert left.n_closed == 0
    assert pools._senders == {}
