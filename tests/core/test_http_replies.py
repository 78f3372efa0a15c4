"""Replies as they are read, in both colours: where they go, how much of them, and what is closed when."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import pytest

from hfasr import APIResponseError, APITimeoutError, AudioURLError
from hfasr._core.http import Reach
from hfasr._core.loops import Loop
from hfasr.wire import Response
from tests.core.http_kit import REQUEST, Reply, Side, Sink


def test_answer(colour: str) -> None:
    """All of the body is read, and the reply closed after that."""
    reply = Reply(b"one ", b"two", headers={"x": "y"}, status_code=404)
    side = Side(colour, reply)
    assert side.send(private=False) == Response(404, {"x": "y"}, b"one two")
    assert reply.done == ["read", "read", "close"]
    assert side.sender.opened == [(REQUEST, 5.0, None)]
    assert side.pools.reaches == [Reach(private=False)]


def test_answer_that_was_read_already(colour: str) -> None:
    """What a mock or a hook has read is not read again; an empty body counts as read."""
    for content in (b"mocked", b""):
        reply = Reply(b"never", content=content, headers={"x": "y"}, status_code=201)
        assert Side(colour, reply).send() == Response(201, {"x": "y"}, content)
        assert reply.done == ["close"]


def test_sink(colour: str) -> None:
    """The body of a 2xx goes into the sink, which writes wherever it is due: off an event loop's thread."""
    sink = Sink()
    reply = Reply(b"one", b"two", status_code=206)
    assert Side(colour, reply).send(sink=sink) == Response(206, {}, b"")
    assert sink.pieces == [b"one", b"two"]
    assert [n_pieces for n_pieces, _ in sink.flushed] == [1, 2]
    assert {thread is threading.current_thread() for _, thread in sink.flushed} == {colour == "sync"}


@pytest.mark.parametrize("status", [199, 300, 302, 404])
@pytest.mark.parametrize(
    ("length", "content"),
    [
        ("65536", b"page"),
        ("4", b"page"),
        ("0", b"page"),
        ("65537", b""),
        ("9999999999", b""),
        ("10000000", b""),
        ("-1", b""),
        ("٤", b""),
        ("", b""),
        (None, b""),
    ],
)
def test_page_aside(colour: str, status: int, length: str | None, content: bytes) -> None:
    """With a sink, the body of another status is read only where it is short, so that the connection can be kept."""
    sink = Sink()
    headers = {} if length is None else {"content-length": length}
    reply = Reply(b"page", status_code=status, headers=headers)
    assert Side(colour, reply).send(sink=sink) == Response(status, headers, content)
    assert reply.done == (["read", "close"] if content else ["close"])
    assert sink.pieces == []


@pytest.mark.parametrize("status", [200, 299])
def test_sink_takes_every_2xx(colour: str, status: int) -> None:
    """Each 2xx is the audio, whatever its length."""
    sink = Sink()
    Side(colour, Reply(b"audio", status_code=status)).send(sink=sink)
    assert sink.pieces == [b"audio"]


@pytest.mark.parametrize("status", [200, 404])
def test_larger_than_its_cap(colour: str, status: int) -> None:
    """A reply larger than what may come back is left there; on an event loop its socket is cut first, and it is read on."""
    reply = Reply(b"x" * 10, b"x", b"never", status_code=status)
    with pytest.raises(APIResponseError, match="larger") as caught:
        Side(colour, reply).send(max_bytes=10)
    assert caught.value.status_code == status
    assert reply.done == (["read", "read", "close"] if colour == "sync" else ["read", "read", "cut", "read", "close"])


def test_page_aside_that_says_too_little(colour: str) -> None:
    """A page that is longer than it said is left at 64 KiB."""
    reply = Reply(b"x" * 65_536, b"x", status_code=404, headers={"content-length": "3"})
    with pytest.raises(APIResponseError, match="larger"):
        Side(colour, reply).send(sink=Sink())


def test_packed_in_an_unknown_way(colour: str) -> None:
    """A reply that cannot be unpacked is closed unread, and the error names its status."""
    reply = Reply(b"x", headers={"content-encoding": "br"}, status_code=202)
    with pytest.raises(APIResponseError, match="packed") as caught:
        Side(colour, reply).send()
    assert (caught.value.status_code, reply.done) == (202, ["close"])
    reply = Reply(b"x", headers={"content-encoding": "br", "content-length": "1"}, status_code=404)
    with pytest.raises(APIResponseError, match="packed") as caught:
        Side(colour, reply).send(sink=Sink())
    assert caught.value.status_code == 404


def test_cut_off(colour: str) -> None:
    """A reply that breaks off after its head is cut off: it may have been billed, its status is known, and its cause."""
    cause = OSError("reset")
    reply = Reply(b"half", cause, status_code=203)
    with pytest.raises(APIResponseError) as caught:
        Side(colour, reply).send()
    assert str(caught.value) == (
        "the server's reply was cut off; try again, and if it stays so, look at the server's own log"
    )
    assert (caught.value.status_code, caught.value.maybe_billed) == (203, True)
    assert caught.value.__cause__ is cause
    assert caught.value.__context__ in {None, cause}
    assert reply.done[-1] == "close"


@pytest.mark.parametrize("error", [TimeoutError(), AudioURLError("refused")])
def test_errors_that_stay_what_they_are(colour: str, error: Exception) -> None:
    """A reply that takes too long, or leads where it may not, is no reply that was cut off."""
    with pytest.raises((APITimeoutError, AudioURLError)) as caught:
        Side(colour, Reply(b"half", error)).send()
    if isinstance(error, AudioURLError):
        assert caught.value is error
    else:
        assert str(caught.value) == "h.example did not answer in time; raise timeout= or shorten the audio"


def test_given_up(colour: str) -> None:
    """What is no error of the reply's goes through as it is, and the reply is closed all the same."""
    reply = Reply(b"half", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Side(colour, reply).send()
    assert reply.done[-1] == "close"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_writing_is_not_cancelled(backend: str) -> None:
    """A piece that is being written when the call is cancelled is written to its end, and the reply closed."""
    written: list[int] = []
    scopes: list[tuple[Loop, anyio.CancelScope]] = []

    class Slow(Sink):
        def flush(self) -> None:
            loop, scope = scopes[0]
            loop.call_soon(scope.cancel)
            time.sleep(0.02)
            written.append(len(self.pieces))
            self.due = False

    reply = Reply(b"one", b"two", b"three")

    async def main() -> bool:
        sink: Any = Slow()
        with anyio.CancelScope() as scope:
            scopes.append((Loop(), scope))
            await Side(backend, reply).http.send(REQUEST, timeout=5.0, expires_in=None, reach=Reach(sink=sink))
        return scope.cancel_called

    assert anyio.run(main, backend=backend)
    assert written[0] == 1
    assert reply.done[-1] == "close"
