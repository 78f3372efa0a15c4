"""The deadline covers everything: reading, decoding, uploads, waits, retries and fallbacks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import numpy as np
import pytest

from hfasr import (
    AllRoutesFailedError,
    APITimeoutError,
    Audio,
    BackendError,
    DeadlineExceededError,
    RateLimitError,
    ServerError,
)
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, replies
from tests.colours import Session

Make = Callable[..., Session]


@pytest.mark.parametrize(
    "action",
    [replies.Hang(5), replies.Drip(interval=0.05), replies.Drip(interval=0.05, headers=True)],
    ids=["hang", "drip", "drip headers"],
)
def test_deadline_inside_a_request(
    session: Make, asr_server: FakeASRServer, wav: bytes, action: replies.Action
) -> None:
    """A server that hangs, or drips a byte now and then, cannot outlive the deadline."""
    asr_server.script(action)
    asr = session(router_url=asr_server.router_url)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        asr.transcribe(wav, deadline=0.5)
    assert time.monotonic() - began < 1.5
    assert isinstance(caught.value.__cause__, APITimeoutError)
    assert isinstance(caught.value, TimeoutError)
    assert len(caught.value.attempts) == 1


def test_deadline_with_a_client_of_ones_own(session: Make, colour: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """The deadline holds over the caller's httpx client, too."""
    asr_server.script(replies.Drip(interval=0.05))
    client = httpx.Client() if colour == "sync" else httpx.AsyncClient()
    asr = session(router_url=asr_server.router_url, http_client=client)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        asr.transcribe(wav, deadline=0.5)
    assert time.monotonic() - began < 1.5
    asr.close_http(client)


def test_wait_that_would_pass_the_deadline_is_not_begun(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """The server's own error is raised at once, instead of sleeping into the deadline."""
    asr_server.script(replies.rate_limited(retry_after=30))
    asr = session(router_url=asr_server.router_url, clock=fake_clock)
    with pytest.raises(RateLimitError):
        asr.transcribe(wav, deadline=30)
    assert fake_clock.sleeps == []
    fake_clock.pause(30)  # until then no call would have been sent at all
    asr_server.script(replies.rate_limited(retry_after=29))
    assert asr.transcribe(wav, deadline=30).text == "red boat green"


def test_back_off_ends_with_the_deadline(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """Retries go on as long as the next pause fits."""
    asr_server.script(*[replies.server_error(500)] * 5)
    with pytest.raises(ServerError):
        session(router_url=asr_server.router_url, clock=fake_clock, deadline=3).transcribe(wav)
    assert fake_clock.sleeps == pytest.approx([0.5, 1.0])


def test_a_route_gets_its_share(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """With a fallback, the first route may use half of the time; the fallback gets the rest."""
    asr_server.script(*[replies.server_error(500)] * 9)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend(None), deadline=3)
    transcript = asr.transcribe(wav)
    assert transcript.provenance is not None
    assert transcript.provenance.backend == "fake"
    assert fake_clock.sleeps == pytest.approx([0.5])


def test_share_that_ends_inside_a_request(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A route that hangs is left when its share is over, and the fallback answers in time."""
    asr_server.script(replies.Hang(5))
    began = time.monotonic()
    transcript = session(router_url=asr_server.router_url, fallback=FakeBackend(None)).transcribe(wav, deadline=1)
    assert time.monotonic() - began < 1
    assert transcript.provenance is not None
    assert str(transcript.provenance.fallback_reason).startswith("APITimeoutError")


def test_deadline_while_an_engine_runs(session: Make, colour: str, wav: bytes) -> None:
    """The async call raises on time; the sync call as soon as the engine returns."""
    asr = session(backend=FakeBackend("late", delay=0.8))
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="fake"):
        asr.transcribe(wav, deadline=0.3)
    took = time.monotonic() - began
    assert took >= 0.8 if colour == "sync" else took < 0.7


def test_share_that_ends_inside_an_engine(session: Make, colour: str, wav: bytes) -> None:
    """An engine that outlives its share is one failed route; a transcript that is there before the deadline is kept."""
    slow, broken = FakeBackend("late", name="slow", delay=0.4), FakeBackend(name="broken", error=RuntimeError("boom"))
    asr = session(backend=slow, fallback=broken)
    if colour == "sync":
        assert asr.transcribe(wav, deadline=0.6).text == "late"
        return
    with pytest.raises(AllRoutesFailedError) as caught:
        asr.transcribe(wav, deadline=0.6)
    assert [type(e) for e in caught.value.errors] == [BackendError, BackendError]


def test_deadline_while_decoding(session: Make) -> None:
    """Decoding looks at the deadline between its blocks."""
    audio = Audio(np.zeros((2, 48_000 * 600), np.float32), 48_000)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="reading"):
        session(backend=FakeBackend("x")).transcribe(audio, deadline=0.02)
    assert time.monotonic() - began < 2


def test_deadline_while_an_async_source_is_read(session: Make, colour: str) -> None:
    """A source that never ends is left on time."""
    import anyio

    if colour == "sync":

        def slowly() -> Iterator[bytes]:
            yield b"RIFF"
            while True:
                time.sleep(0.05)
                yield b"\0"

        source: object = slowly()
    else:

        async def slowly_async() -> AsyncIterator[bytes]:
            yield b"RIFF"
            while True:
                await anyio.sleep(0.05)
                yield b"\0"

        source = slowly_async()
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        session(backend=FakeBackend("x")).transcribe(source, deadline=0.3)
    assert time.monotonic() - began < 1.5


def test_deadline_of_the_call_beats_the_client_s(session: Make, wav: bytes) -> None:
    """A call's own deadline replaces the client's."""
    asr = session(backend=FakeBackend("late", delay=0.2), deadline=0.05)
    assert asr.transcribe(wav, deadline=5).text == "late"


@pytest.mark.parametrize("deadline", [0, -1, float("inf"), float("nan"), True, "1"])
def test_bad_deadlines(session: Make, wav: bytes, deadline: object) -> None:
    """A deadline that is no time is refused."""
    with pytest.raises((ValueError, TypeError), match="deadline must be"):
        session(backend=FakeBackend("x")).transcribe(wav, deadline=deadline)
