"""What a client of the caller's own is asked, what comes of its replies, and which clients there are."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from hfasr._core import user_client
from hfasr._core.expiry import EXPIRES
from hfasr._core.io import run_sync
from hfasr._core.user_client import AsyncUserClient, AsyncUserReply, UserClient, UserReply
from hfasr.wire import Request

URL = "https://h.example/x?y=1"
POST = Request("POST", URL, {"x-one": "1"}, b"audio")


@pytest.fixture(params=[httpx, httpx2])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


class Reply:
    """In the place of a reply of httpx's."""

    status_code = 203

    def __init__(self, **fields: Any) -> None:
        self.headers = {"X-A": "1", "x-b": "Two"}
        self.is_stream_consumed = self.is_closed = False
        self.extensions: dict[str, Any] = {}
        self.n_closed = 0
        vars(self).update(fields)

    def iter_raw(self) -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        yield b"one"

    def close(self) -> None:
        self.n_closed += 1

    async def aclose(self) -> None:
        self.n_closed += 1


class Unread(Reply):
    @property
    def content(self) -> bytes:
        raise RuntimeError("it was not read")


def test_reply() -> None:
    """A reply has its status, headers under lower-case names, and a body in its own pieces; closing closes it."""
    theirs = Reply()
    reply = UserReply(theirs)
    assert (reply.status_code, reply.headers, reply.content) == (203, {"x-a": "1", "x-b": "Two"}, None)
    assert list(reply.chunks()) == [b"one", b"two"]
    reply.close()
    assert theirs.n_closed == 1


@pytest.mark.parametrize(("consumed", "shut"), [(True, False), (False, True), (True, True)])
def test_reply_that_was_read(consumed: bool, shut: bool) -> None:
    """What was read or closed already has its body; where nothing was kept of it, an empty one."""
    fields = {"is_stream_consumed": consumed, "is_closed": shut}
    assert UserReply(Reply(content=b"read", **fields)).content == b"read"
    assert UserReply(Unread(**fields)).content == b""


def test_reply_of_a_call_that_has_gone_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply is read no further than to the end of the request's time."""
    monkeypatch.setattr(user_client, "time", Reply(monotonic=lambda: 7.0))
    for expires, ends in ((None, False), (7.0, False), (math.nextafter(7.0, 0), True)):
        token = EXPIRES.set(expires)
        try:
            with pytest.raises(TimeoutError) if ends else contextlib.nullcontext():
                assert list(UserReply(Reply()).chunks()) == [b"one", b"two"]
        finally:
            EXPIRES.reset(token)


def test_async_reply() -> None:
    """The same of an async client, whose reply is cut at its socket where that is known."""

    class Stream:
        n_closed = 0

        async def aclose(self) -> None:
            self.n_closed += 1

    stream = Stream()
    theirs = Reply(extensions={"network_stream": stream})
    reply = AsyncUserReply(theirs)

    async def read() -> list[bytes]:
        return [chunk async for chunk in reply.chunks()]

    assert run_sync(read()) == [b"one"]
    run_sync(reply.cut())
    assert (stream.n_closed, theirs.n_closed) == (1, 0)
    run_sync(reply.aclose())
    assert (stream.n_closed, theirs.n_closed) == (1, 1)
    run_sync(AsyncUserReply(Reply()).cut())


def handled(library: Any, colour: str, request: Request, **settings: Any) -> tuple[Any, bytes, Any]:
    """Send *request* by a client of *library* with *settings*; return what was sent, its body, and the reply."""
    seen: list[tuple[Any, bytes]] = []

    def handle(sent: Any) -> Any:
        seen.append((sent, sent.content))
        return library.Response(302, headers={"location": "/elsewhere"}, content=b"page")

    async def handle_async(sent: Any) -> Any:
        seen.append((sent, await sent.aread()))
        return library.Response(302, headers={"location": "/elsewhere"}, content=b"page")

    if colour == "sync":
        with library.Client(transport=library.MockTransport(handle), **settings) as client:
            reply: Any = UserClient(client).open(request, 7.5)
    else:

        async def main() -> Any:
            async with library.AsyncClient(transport=library.MockTransport(handle_async), **settings) as client:
                return await AsyncUserClient(client).open(request, 7.5)

        reply = asyncio.run(main())
    ((sent, body),) = seen
    return sent, body, reply


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(
    "settings", [{}, {"timeout": 1.0, "follow_redirects": True, "headers": {"accept-encoding": "br"}}]
)
def test_what_is_sent(library: Any, colour: str, settings: dict[str, Any]) -> None:
    """Method, address, headers, body and time-out are ours whatever the client's defaults; no redirect is followed."""
    sent, body, reply = handled(library, colour, POST, **settings)
    assert (sent.method, str(sent.url), body) == ("POST", URL, b"audio")
    assert (sent.headers["x-one"], sent.headers["accept-encoding"]) == ("1", "identity")
    assert sent.headers["content-length"] == "5"
    assert set(sent.extensions["timeout"].values()) == {7.5}
    assert (reply.status_code, reply.headers["location"]) == (302, "/elsewhere")
    assert type(reply) is (UserReply if colour == "sync" else AsyncUserReply)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_header_of_the_requests_own(library: Any, colour: str) -> None:
    """A request may ask for a packed reply itself."""
    sent, body, _ = handled(library, colour, Request("GET", URL, {"accept-encoding": "gzip"}))
    assert (sent.headers["accept-encoding"], body) == ("gzip", b"")
    assert "content-length" not in sent.headers


def test_streams(library: Any) -> None:
    """Replies of a blocking client are asked for as streams, and redirects not followed."""
    asked: list[dict[str, Any]] = []

    def send(_: Any, **options: Any) -> Any:
        asked.append(options)
        return Reply()

    client = library.Client()
    client.send = send
    UserClient(client).open(POST, 1.0)
    assert asked == [{"stream": True, "follow_redirects": False}]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_async_streams(library: Any, method: str) -> None:
    """So are an async client's, and a body is given to it once each time that it is asked for."""
    asked: list[dict[str, Any]] = []
    reply = Reply()

    class Client(library.AsyncClient):  # type: ignore[misc]  # of either
        async def send(self, request: Any, **options: Any) -> Any:
            asked.append(options)
            self.given = [[chunk async for chunk in request.stream] for _ in range(2)]
            self.kind = type(request.stream)
            return reply

    client = Client()
    run_sync(AsyncUserClient(client).open(Request(method, URL, {}, b"audio" if method == "POST" else b""), 1.0))
    assert asked == [{"stream": True, "follow_redirects": False}]
    assert client.given == ([[b"audio"]] * 2 if method == "POST" else [[b""]] * 2)
    assert issubclass(client.kind, library.AsyncByteStream)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_hook_that_raises(library: Any, colour: str) -> None:
    """The reply of a hook's status error is the answer; any other error is raised as it is."""
    reply = Reply()

    class Error(library.HTTPStatusError):  # type: ignore[misc]  # a kind of it counts, too
        def __init__(self) -> None:
            self.response = reply

    class HTTPStatusError(Exception):
        """Of the same name, and without a reply."""

    class OtherError(Exception):
        response = reply

    def opened(error: Exception) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        client: Any = (library.Client if colour == "sync" else library.AsyncClient)()
        client.send = fail
        if colour == "sync":
            return UserClient(client).open(POST, 1.0)
        return run_sync(AsyncUserClient(client).open(POST, 1.0))

    assert opened(Error()).status_code == 203
    for error in (OtherError(), HTTPStatusError(), ValueError()):
        with pytest.raises(type(error)) as caught:
            opened(error)
        assert caught.value is error


@pytest.mark.parametrize("make", [UserClient, AsyncUserClient])
def test_colours(library: Any, make: Any) -> None:
    """A client must be of the colour, of either library, or derived from one; anything else is named."""
    right, wrong = (library.Client, library.AsyncClient)[:: 1 if make is UserClient else -1]
    name = "Client" if make is UserClient else "AsyncClient"
    derived = type("Derived", (right,), {"__module__": "theirs"})
    for kind in (right, derived):
        assert make(kind())._client is not None
    for client in (wrong(), right, "client", None):
        with pytest.raises(TypeError) as caught:
            make(client)
        assert str(caught.value) == (
            f"http_client must be an httpx.{name} (or httpx2.{name}), not {type(client).__name__}"
        )


def test_nothing_else_of_the_library(library: Any) -> None:
    """Something of a library that is no client is none."""
    with pytest.raises(TypeError, match="not Headers"):
        UserClient(library.Headers())
