"""HTTP clients of the caller's own: what is theirs stays theirs, and what the API needs is hfasr's."""

from __future__ import annotations

import contextvars
import gzip
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

import hfasr
from hfasr import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ASRClient,
    AsyncASRClient,
    DeadlineExceededError,
    PayloadTooLargeError,
    RetryPolicy,
    ServerError,
)
from hfasr.testing import FakeASRServer, FakeClock, Reply, replies
from tests.core.conftest import LIBRARIES
from tests.core.test_transport import wait_for

if TYPE_CHECKING:
    from tests.colours import Session

Make = Callable[..., "Session"]
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
ONCE = RetryPolicy(max_attempts=1)
TEXT = "red boat green"


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hook(colour: str, function: Callable[[Any], Any]) -> Any:
    """Return *function* as an event hook of this colour."""

    async def later(value: Any) -> None:
        result = function(value)
        if result is not None:
            await result

    return function if colour == "sync" else later


@pytest.mark.parametrize(
    ("client", "token", "expected"),
    [
        ({}, None, None),
        ({"headers": {"authorization": "Bearer gateway"}}, None, "Bearer gateway"),
        ({"headers": {"authorization": "Bearer gateway"}}, TOKEN, f"Bearer {TOKEN}"),
        ({"auth": ("user", "word")}, TOKEN, "Basic dXNlcjp3b3Jk"),
    ],
    ids=["none", "header", "token over header", "auth over token"],
)
def test_authorization(
    caller: Make, asr_server: FakeASRServer, wav: bytes, library: str, client: Any, token: str | None, expected: str
) -> None:
    """hfasr's token goes before a header of the client's, and the client's auth= before both."""
    caller(library, client, base_url=asr_server.url, dialect="hf", token=token).transcribe(wav)
    assert asr_server.requests[0].headers.get("authorization") == expected


def test_what_the_client_adds(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """Headers, parameters and cookies of the client's own go along; hfasr's headers are not replaced."""
    own = {"x-mine": "1", "accept-encoding": "gzip", "content-type": "text/plain", "user-agent": "mine"}
    client = {"headers": own, "params": {"key": "2"}, "cookies": {"session": "3"}}
    asr_server.script(Reply(200, json={"text": "ok"}))  # else it would refuse a parameter that it does not know
    assert caller(library, client, router_url=asr_server.router_url).transcribe(wav).text == "ok"
    request = asr_server.requests[0]
    assert (request.headers["x-mine"], request.query, request.headers["cookie"]) == ("1", {"key": "2"}, "session=3")
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"].startswith("audio/")
    assert request.headers["user-agent"].startswith("hfasr/")


def test_defaults_that_are_not_taken(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """Neither the client's base_url nor its time-out counts: hfasr's own do."""
    client = {"base_url": "http://127.0.0.1:1/elsewhere", "timeout": 0.05}
    asr_server.script(replies.Normal(delay=0.3), replies.Hang())
    asr = caller(library, client, router_url=asr_server.router_url, retry=ONCE)
    assert asr.transcribe(wav).text == TEXT
    asr = caller(library, {"timeout": None}, router_url=asr_server.router_url, retry=ONCE, timeout=0.2)
    with pytest.raises(APITimeoutError):
        asr.transcribe(wav)


def test_redirects(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A client that follows redirects is told not to: nothing goes to another server, its own are followed by hfasr."""
    asr = caller(library, {"follow_redirects": True}, base_url=asr_server.url, dialect="hf", token=TOKEN)
    with FakeASRServer() as other:
        asr_server.script(Reply(307, headers={"location": other.url}))
        with pytest.raises(APIStatusError, match="another server"):
            asr.transcribe(wav)
        assert other.connections.accepted == 0
    asr_server.script(Reply(308, headers={"location": "/predict"}))
    assert asr.transcribe(wav).text == TEXT
    assert [request.path for request in asr_server.requests] == ["/", "/", "/predict"]


def test_retries(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """Failures of any kind are tried again with the same client, which stays open, also when hfasr's is closed."""
    asr_server.script(replies.server_error(500), replies.Reset("in_body"), replies.Reset("before_reply"))
    asr = caller(library, router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0))
    transcript = asr.transcribe(wav)
    assert transcript.text == TEXT
    assert transcript.provenance is not None
    assert [attempt.error for attempt in transcript.provenance.attempts] == [
        "ServerError", "APIResponseError", "APIConnectionError", None,
    ]  # fmt: skip
    asr.call("close" if asr.colour == "sync" else "aclose")
    client = asr.client._io.http._user_client._client
    assert not client.is_closed


def test_smaller_after_413(caller: Make, wav: bytes, library: str) -> None:
    """What is too large is packed better and sent again."""
    with FakeASRServer(max_body_bytes=len(wav) - 1) as server:
        assert caller(library, router_url=server.router_url, upload="original").transcribe(wav).text == TEXT
        assert len(server.requests) == 2


def test_packed_reply(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A reply that comes packed is unpacked once."""
    asr_server.script(Reply(200, body=gzip.compress(b'{"text": "packed"}'), headers={"content-encoding": "gzip"}))
    assert caller(library, router_url=asr_server.router_url).transcribe(wav).text == "packed"


@pytest.mark.parametrize("reads", [False, True], ids=["unread", "read"])
def test_hook_that_raises_for_the_status(
    caller: Make, colour: str, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, library: str, reads: bool
) -> None:
    """A response hook with raise_for_status, as httpx's documentation has it, leaves each status its meaning."""

    def check(response: Any) -> Any:
        if colour == "sync":
            if reads:
                response.read()
            response.raise_for_status()
            return None
        return check_later(response)

    async def check_later(response: Any) -> None:
        if reads:
            await response.aread()
        response.raise_for_status()

    client = {"event_hooks": {"response": [hook(colour, check)]}}
    asr = caller(library, client, router_url=asr_server.router_url, clock=fake_clock)
    asr_server.script(replies.rate_limited(retry_after=7), replies.server_error(500))
    assert asr.transcribe(wav).text == TEXT
    assert fake_clock.sleeps[0] == 7
    asr_server.script(*[Reply(400, json={"error": "no such language"})] * 2)
    with pytest.raises(hfasr.BadRequestError, match="no such language" if reads else "answered 400"):
        asr.transcribe(wav)


def test_hooks_are_called(caller: Make, colour: str, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """Each request of the API passes the client's hooks; audio that is fetched does not."""
    seen: list[str] = []
    client = {"event_hooks": {"request": [hook(colour, lambda request: seen.append(request.url.path))]}}
    asr_server.script(Reply(200, body=wav), path="/clip.wav")
    asr = caller(library, client, router_url=asr_server.router_url, allow_private_urls=True)
    assert asr.transcribe(f"{asr_server.url}/clip.wav").text == TEXT
    assert len(asr_server.requests) == 2
    assert seen == ["/hf-inference/models/openai/whisper-large-v3"]


@pytest.mark.parametrize("deadline", [None, 60])
def test_hooks_see_the_context(asr_server: FakeASRServer, wav: bytes, library: str, deadline: float | None) -> None:
    """They find the context variables of whoever called: a trace, or an id of the request that is served."""
    here = contextvars.ContextVar("here", default="nowhere")
    seen: list[str] = []
    hooks = {"request": [lambda _: seen.append(here.get())]}
    token = here.set("in this call")
    try:
        with LIBRARIES[library].Client(event_hooks=hooks) as client:
            asr = ASRClient(router_url=asr_server.router_url, http_client=client)
            assert asr.transcribe(wav, deadline=deadline).text == TEXT
    finally:
        here.reset(token)
    assert seen == ["in this call"]


def test_hook_that_fails(caller: Make, colour: str, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """What a hook raises is a typed error that names its kind."""

    def fail(_: Any) -> None:
        raise KeyError("gone")

    client = {"event_hooks": {"request": [hook(colour, fail)]}}
    with pytest.raises(APIConnectionError, match="KeyError"):
        caller(library, client, router_url=asr_server.router_url).transcribe(wav)
    assert asr_server.requests == []


def test_mounts(caller: Make, colour: str, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A transport that is mounted for the server's address serves it; its ready-made reply is read."""
    module = LIBRARIES[library]
    mock = module.MockTransport(lambda _: module.Response(200, json={"text": "mounted"}))
    client = {"mounts": {"http://api.example": mock}}
    assert caller(library, client, router_url="http://api.example").transcribe(wav).text == "mounted"
    assert caller(library, client, router_url=asr_server.router_url).transcribe(wav).text == TEXT


@pytest.mark.parametrize("status", [200, 400, 503])
def test_mock_transport(caller: Make, wav: bytes, library: str, status: int) -> None:
    """A mock's status, headers and body mean what a server's do."""
    module = LIBRARIES[library]
    transport = module.MockTransport(lambda _: module.Response(status, json={"text": "mocked", "error": ""}))
    asr = caller(library, {"transport": transport}, base_url="http://mock.test", dialect="openai", retry=ONCE)
    if status == 200:
        assert asr.transcribe(wav).text == "mocked"
    else:
        with pytest.raises(hfasr.BadRequestError if status == 400 else ServerError):
            asr.transcribe(wav)


def test_deadline(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A server that hangs is left at the deadline, and the client serves the next call."""
    asr = caller(library, router_url=asr_server.router_url)
    asr_server.script(replies.Hang(20))
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        asr.transcribe(wav, deadline=0.5)
    assert time.monotonic() - began < 15
    assert asr.transcribe(wav, deadline=60).text == TEXT


def test_thread_that_is_left_behind(asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """The thread of a request that outlives the deadline ends with the next piece of a reply that drips."""
    asr_server.script(replies.Drip(interval=0.1, reply=Reply(200, body=b" " * 10_000)))
    client = LIBRARIES[library].Client()
    with client, ASRClient(router_url=asr_server.router_url, http_client=client) as asr:
        with pytest.raises(DeadlineExceededError):
            asr.transcribe(wav, deadline=0.5)
        wait_for(lambda: all(thread.name != "hfasr-send" for thread in threading.enumerate()), 20)


def test_closed_client(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A client that has been closed is named as the fault, and not tried again."""
    asr = caller(library, router_url=asr_server.router_url)
    asr.close_http(asr.client._io.http._user_client._client)
    with pytest.raises(APIConnectionError, match="client has been closed; make a new one") as caught:
        asr.transcribe(wav)
    assert len(caught.value.attempts) == 1
    assert asr_server.connections.accepted == 0


def test_many_threads(asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """One client serves many threads at once, with deadlines and without."""
    texts: list[str] = []
    with LIBRARIES[library].Client() as client, ASRClient(router_url=asr_server.router_url, http_client=client) as asr:

        def work(number: int) -> None:
            texts.append(asr.transcribe(wav, deadline=60 if number % 2 else None).text)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == [TEXT] * 16


@pytest.mark.parametrize(
    ("make", "client"),
    [
        (ASRClient, httpx.AsyncClient),
        (ASRClient, httpx2.AsyncClient),
        (AsyncASRClient, httpx.Client),
        (AsyncASRClient, httpx2.Client),
        (ASRClient, object),
        (ASRClient, httpx.HTTPTransport),
    ],
)
def test_wrong_kind(make: type[ASRClient], client: type[object]) -> None:
    """A client of the wrong colour, or no client at all, is a TypeError in the constructor that names the right one."""
    wanted = "Client" if make is ASRClient else "AsyncClient"
    with pytest.raises(TypeError, match=rf"must be an httpx\.{wanted} \(or httpx2\.{wanted}\), not {client.__name__}"):
        make(http_client=client())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (replies.NotHTTP(f"HTTP/1.1 {TOKEN} red boat\r\n\r\n".encode()), APIConnectionError),
        (replies.NotHTTP(f"HTTP/1.1 200 OK\r\n{TOKEN} red boat\r\n\r\n".encode()), APIConnectionError),
        (replies.NotHTTP(f"HTTP/1.1 200 OK\r\nx: y\x00{TOKEN} red boat\r\n\r\n".encode()), APIConnectionError),
        (
            replies.NotHTTP(
                f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{TOKEN} red boat\r\n".encode(),
            ),
            APIResponseError,
        ),
        (replies.Truncated(3), APIResponseError),
    ],
    ids=["status line", "header", "value of a header", "chunk", "cut off"],
)
def test_nothing_that_was_sent_is_told(
    caller: Make, asr_server: FakeASRServer, wav: bytes, library: str, reply: replies.Action, error: type[Exception]
) -> None:
    """What a server echoes outside of a body is in no message, cause or context, and no error holds a request."""
    asr_server.script(reply)
    with pytest.raises(error) as caught:
        caller(library, router_url=asr_server.router_url, token=TOKEN, retry=ONCE).transcribe(wav)
    link: BaseException | None = caught.value
    told = "".join(traceback.format_exception(caught.value))
    while link is not None:
        told += repr(link)
        assert not hasattr(link, "_request")
        link = link.__cause__ or link.__context__
    assert TOKEN[5:] not in told
    assert "red boat" not in told


def test_too_large_for_413_is_typed(caller: Make, asr_server: FakeASRServer, wav: bytes, library: str) -> None:
    """A 413 that nothing mends is the error of a 413."""
    asr_server.script(*[replies.too_large()] * 20)
    with pytest.raises(PayloadTooLargeError):
        caller(library, router_url=asr_server.router_url).transcribe(wav)
