"""What a proxy's pool is asked, and what comes of its replies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from hfasr._core.io import run_sync
from hfasr._core.proxied import AsyncProxied, Proxied
from hfasr._core.target import target_of
from hfasr.wire import Request

if TYPE_CHECKING:
    import httpcore

HTTP, HTTPS = target_of("http://h.test/"), target_of("https://h.test:444/x?y=1")


class Pool:
    """In the place of httpcore's, in both colours."""

    def __init__(self) -> None:
        self.asked: list[httpcore.Request] = []
        self.done: list[str] = []
        pool = self

        class Reply:
            status = 203
            headers = [(b"X-A", b"1"), (b"x-a", b"2")]  # noqa: RUF012  # never changed
            stream = (b"one", b"two")
            extensions = {"network_stream": self}  # noqa: RUF012  # never changed

            def close(self) -> None:
                pool.done.append("reply closed")

            async def aclose(self) -> None:
                pool.done.append("reply closed")

        self.reply = Reply()

    def handle_request(self, request: httpcore.Request) -> Any:
        self.asked.append(request)
        return self.reply

    async def handle_async_request(self, request: httpcore.Request) -> Any:
        return self.handle_request(request)

    def close(self) -> None:
        self.done.append("closed")

    async def aclose(self) -> None:
        self.done.append("closed")


def content_of(request: httpcore.Request) -> list[list[bytes]]:
    """Return what *request* gives as its body, read in both colours, twice each."""
    stream: Any = request.stream

    async def read() -> list[bytes]:
        return [chunk async for chunk in stream]

    return [list(stream), list(stream), run_sync(read()), run_sync(read())]


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_through_a_pool(colour: str) -> None:
    """The pool is asked for the very same, with one timeout for all, and its reply read and closed as any other."""
    pool = Pool()
    request = Request("POST", "https://h.test:444/x?y=1", {"x-one": "1"}, b"audio")
    home: Any = (Proxied if colour == "sync" else AsyncProxied)(pool)
    reply: Any = home.open(request, HTTPS, 2.5) if colour == "sync" else run_sync(home.open(request, HTTPS, 2.5))
    (asked,) = pool.asked
    assert (asked.method, asked.headers) == (
        b"POST",
        [(b"host", b"h.test:444"), (b"accept-encoding", b"identity"), (b"x-one", b"1"), (b"content-length", b"5")],
    )
    url = asked.url
    assert (url.scheme, url.host, url.port, url.target) == (b"https", b"h.test", 444, b"/x?y=1")
    assert asked.extensions == {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 2.5)}
    assert content_of(asked) == [[b"audio"]] * 4
    assert (reply.status_code, reply.headers, reply.content) == (203, {"x-a": "1, 2"}, None)
    assert list(reply.chunks()) == [b"one", b"two"]
    if colour == "sync":
        reply.close()
        home.close()
        assert pool.done == ["reply closed", "closed"]
    else:
        for work in (reply.cut, reply.aclose, home.aclose):
            run_sync(work())
        assert pool.done == ["closed", "reply closed", "closed"]


def test_port_of_the_scheme() -> None:
    """A port is left out where it is the scheme's own."""
    pool = Pool()
    Proxied(pool).open(Request("GET", "http://h.test/"), HTTP, math.inf)
    assert pool.asked[0].url.port is None
