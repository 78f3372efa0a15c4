"""Requests as they are sent, in both colours: over which connections, until when, and what becomes of errors."""

from __future__ import annotations

import math
import threading
import time

import anyio
import httpx
import pytest

from hfasr import APIConnectionError, APITimeoutError
from hfasr._core import http
from hfasr._core.expiry import EXPIRES
from hfasr._core.http import AsyncHTTP, BlockingHTTP, Reach
from tests.core.http_kit import REQUEST, Pools, Reply, Side


def test_reach() -> None:
    """Without more said, a request is for the API: any address, 8 MiB, into memory."""
    assert Reach() == Reach(audio=False, private=True, max_bytes=8_388_608, sink=None)


def test_refused_before_a_reply(colour: str) -> None:
    """What fails before there is a reply is a failed connection, of that host, with nothing of the request behind it."""
    cause = OSError(111, "Connection refused")
    with pytest.raises(APIConnectionError) as caught:
        Side(colour, cause).send()
    assert str(caught.value).startswith(
        "the connection to h.example failed: Connection refused (ConnectionRefusedError);"
    )
    assert caught.value.__cause__ is cause
    with pytest.raises(APIConnectionError) as caught:
        Side(colour, UnicodeEncodeError("ascii", "hf_é", 3, 4, "no")).send()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("timeout", "expires_in", "expected"), [(5.0, 60.0, 5.0), (5.0, 2.0, 2.0), (5.0, None, 5.0)])
def test_timeout(colour: str, own: bool, timeout: float, expires_in: float | None, expected: float) -> None:
    """One operation may take the timeout, and no longer than there is time at all."""
    side = Side(colour, Reply(b"hi"), own=own)
    began = time.monotonic()
    assert side.send(timeout=timeout, expires_in=expires_in).content == b"hi"
    ((sent, given, expires),) = side.sender.opened
    assert (sent, given) == (REQUEST, expected)
    if colour == "sync" and expires_in is not None:
        assert expires is not None
        assert began + expires_in <= expires <= time.monotonic() + expires_in
    else:
        assert expires is None
    assert EXPIRES.get() is None


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("expires_in", [0.0, -1.0])
def test_no_time(colour: str, own: bool, expires_in: float) -> None:
    """Without time left nothing is sent, so nothing can have been billed."""
    side = Side(colour, Reply(b"hi"), own=own)
    with pytest.raises(APITimeoutError) as caught:
        side.send(expires_in=expires_in)
    assert str(caught.value) == "the call's deadline passed before the request could be sent"
    assert caught.value.maybe_billed is False
    assert side.sender.opened == []


@pytest.mark.parametrize(("audio", "n_own"), [(False, 0), (True, 1)])
def test_client_of_the_callers_own(colour: str, audio: bool, n_own: int) -> None:
    """A client of the caller's is for the API alone: audio is fetched over our own connections."""
    side = Side(colour, Reply(b"hi"), own=False)
    side.send(audio=audio)
    assert len(side.pools.reaches) == n_own


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_deadline_of_an_async_request(backend: str) -> None:
    """On an event loop a request is cut off at its deadline; it may have been billed."""
    side = Side(backend, Reply(b"hi"), waits=5.0)
    with pytest.raises(APITimeoutError) as caught:
        side.send(expires_in=0.02)
    assert str(caught.value) == "the server did not answer before the deadline"
    assert caught.value.maybe_billed is True
    failed = APITimeoutError("of its own")
    with pytest.raises(APITimeoutError) as caught:
        Side(backend, failed).send(expires_in=5.0)
    assert caught.value is failed


def test_deadline_of_a_blocking_client() -> None:
    """A request by a blocking client is left behind at its deadline, in a thread that keeps no process alive."""
    begun, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    expires: list[float | None] = []

    def work() -> str:
        threads.append(threading.current_thread())
        expires.append(EXPIRES.get())
        begun.set()
        go_on.wait(10)
        return "done"

    began = time.monotonic()
    with pytest.raises(APITimeoutError) as caught:
        http._in_helper_thread(work, 0.02)
    assert str(caught.value) == "the server did not answer before the deadline"
    assert caught.value.maybe_billed is True
    assert begun.wait(10)
    assert (threads[0].name, threads[0].daemon) == ("hfasr-send", True)
    assert expires[0] is not None
    assert began + 0.02 <= expires[0] <= time.monotonic() + 0.02
    go_on.set()
    threads[0].join(10)
    assert http._in_helper_thread(work, 10.0) == "done"


def test_error_in_the_helper_thread() -> None:
    """What fails there fails here, whatever it is, as the very same error; nothing at all is a result."""

    def fail() -> None:
        raise error

    for error in (OSError("gone"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            http._in_helper_thread(fail, 10.0)
        assert caught.value is error
    assert http._in_helper_thread(lambda: None, 10.0) is None


def test_expiry_is_of_one_request() -> None:
    """Until when sockets may work is said for one request, and taken back when it fails, too."""
    side = Side("sync", OSError("gone"))
    token = EXPIRES.set(12.5)
    try:
        with pytest.raises(APIConnectionError):
            side.send()
        assert side.sender.opened[0][2] is None
        with pytest.raises(APIConnectionError):
            side.send(expires_in=60.0)
        assert EXPIRES.get() == 12.5
    finally:
        EXPIRES.reset(token)


def test_after_a_fork(colour: str) -> None:
    """A child leaves its parent's connections alone, but keeps them from being closed as garbage, and makes its own."""
    side = Side(colour, Reply(b"hi"))
    side.http.renew()
    assert side.http._pools is None
    assert side.http._inherited is side.pools


def test_closing(colour: str) -> None:
    """Closing closes our own connections once they are there, and no more are made."""
    side = Side(colour, Reply(b"hi"))
    close = side.http.close if colour == "sync" else side.http.aclose

    def shut() -> None:
        close() if colour == "sync" else anyio.run(close, backend=colour)

    shut()
    assert side.pools.n_closed == 1
    side.http._pools = None
    shut()
    assert side.pools.n_closed == 1
    with pytest.raises(APIConnectionError) as caught:
        side.send()
    assert str(caught.value) == "this client was closed while a call was under way; make a new one"
    assert side.http._pools is None


def test_connections_are_made_once(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request makes what the later ones use; where another was faster, its are used."""
    from hfasr._core import pool

    made: list[Pools] = []
    side = Side(colour, Reply(b"hi", content=b"hi"))
    theirs = Pools(side.sender)
    other: list[Pools] = []

    def make() -> Pools:
        made.append(Pools(side.sender))
        if other:
            side.http._pools = other.pop()
        return made[-1]

    monkeypatch.setattr(pool, "Pools" if colour == "sync" else "AsyncPools", make)
    side.http._pools = None
    side.send()
    side.send()
    assert len(made) == 1
    assert side.http._pools is made[0]
    side.http._pools = None
    other.append(theirs)
    side.send()
    assert side.http._pools is theirs
    assert len(theirs.reaches) == 1


def test_no_client_of_another_colour() -> None:
    """A client of the caller's is checked when it is given, and asked in its own colour."""
    with httpx.Client() as client:
        with pytest.raises(TypeError, match=r"httpx\.AsyncClient"):
            AsyncHTTP(client)
        assert BlockingHTTP(client)._user_client._client is client  # type: ignore[union-attr]
    other = httpx.AsyncClient()
    with pytest.raises(TypeError, match=r"httpx\.Client"):
        BlockingHTTP(other)
    assert AsyncHTTP(other)._user_client._client is other  # type: ignore[union-attr]


def test_limits_to() -> None:
    """No limit leaves the timeout; the least moment counts."""
    assert http._limits_to(3.0, None) == 3.0
    assert http._limits_to(3.0, math.ulp(0.0)) == math.ulp(0.0)
