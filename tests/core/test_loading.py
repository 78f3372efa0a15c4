"""Models that are loading, endpoints that scale up, and waiting for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfasr import (
    AuthenticationError,
    BackendNotFoundError,
    DeadlineExceededError,
    ModelLoadingError,
    RetryPolicy,
    ServerError,
)
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, replies
from tests.colours import Session

Make = Callable[..., Session]


def test_loading_uses_up_no_attempts(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """A loading model is waited for with growing pauses, even when only one attempt is allowed."""
    asr_server.script(*[replies.loading(estimated_time=1809.18)] * 9)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy(max_attempts=1))
    transcript = asr.transcribe(wav)
    assert transcript.text == "red boat green"
    assert fake_clock.sleeps == pytest.approx([1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625, 15, 15])
    assert transcript.provenance is not None
    assert [a.error for a in transcript.provenance.attempts] == ["ModelLoadingError"] * 9 + [None]


def test_loading_timeout(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """After loading_timeout the error is raised, with the server's estimate in it."""
    asr_server.script(*[replies.loading(estimated_time=22.3)] * 40)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy(loading_timeout=20))
    with pytest.raises(ModelLoadingError) as caught:
        asr.transcribe(wav)
    assert caught.value.estimated_time == 22.3
    assert fake_clock.slept == pytest.approx(20)


def test_loading_then_failing_counts_apart(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """Attempts are counted for failures alone, however much loading lies between them."""
    asr_server.script(replies.server_error(500), replies.loading(), replies.loading(), replies.server_error(500))
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy(max_attempts=2))
    with pytest.raises(ServerError):
        asr.transcribe(wav)
    assert fake_clock.sleeps == pytest.approx([0.5, 1.0, 1.5])


def test_endpoint_that_scales_up(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """An endpoint's empty 503 is waited for, and its proxy is asked to hold the request."""
    asr_server.script(*[replies.scaling_up()] * 6)
    asr = session(base_url=asr_server.url, dialect="hf", clock=fake_clock, timeout=60)
    assert asr.transcribe(wav).text == "red boat green"
    assert len(fake_clock.sleeps) == 6
    assert asr_server.requests[0].headers["x-scale-up-timeout"] == "54"


def test_scale_up_header_stays_below_the_deadline(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """The proxy must not hold the request for longer than the call may take."""
    session(base_url=asr_server.url, dialect="hf", deadline=10).transcribe(wav)
    assert 1 <= int(asr_server.requests[0].headers["x-scale-up-timeout"]) <= 9


def test_wait_until_ready_asks_for_health(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """An endpoint is asked for /health with growing pauses until it answers; no audio is sent."""
    asr_server.script(*[replies.scaling_up()] * 3, path="/health")
    session(base_url=asr_server.url, dialect="hf", clock=fake_clock).call("wait_until_ready", timeout=60)
    assert [r.path for r in asr_server.requests] == ["/health"] * 4
    assert fake_clock.sleeps == pytest.approx([1, 1.5, 2.25])


def test_wait_until_ready_survives_any_passing_failure(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock
) -> None:
    """Resets and 502s are part of starting up, also while the dialect is being found out."""
    asr_server.script(
        replies.Reset("before_reply"), replies.server_error(502), replies.scaling_up(), path="/v1/audio/transcriptions"
    )
    session(base_url=asr_server.url, clock=fake_clock).call("wait_until_ready", timeout=60)
    assert asr_server.requests[-1].path == "/health"


def test_wait_until_ready_behind_the_router(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """The router has no health address: a short silence is transcribed."""
    asr_server.script(replies.loading(), replies.loading())
    session(router_url=asr_server.router_url, clock=fake_clock).call("wait_until_ready", timeout=60)
    assert len(asr_server.requests) == 3
    assert len(asr_server.requests[-1].body) < 2_000


@pytest.mark.parametrize("channels", ["split", 1])
def test_wait_until_ready_whatever_the_channels(session: Make, asr_server: FakeASRServer, channels: str | int) -> None:
    """The short silence that is sent has one channel, whichever ones the client takes of recordings."""
    session(router_url=asr_server.router_url, channels=channels).call("wait_until_ready", timeout=60)
    assert [request.status for request in asr_server.requests] == [200]


def test_wait_until_ready_gives_up(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """When the time is up, the error says so, and its cause is the last answer."""
    asr_server.script(*[replies.loading()] * 40)
    with pytest.raises(DeadlineExceededError) as caught:
        session(router_url=asr_server.router_url, clock=fake_clock).call("wait_until_ready", timeout=30)
    assert isinstance(caught.value.__cause__, ModelLoadingError)
    assert fake_clock.slept < 30


def test_wait_until_ready_raises_what_waiting_does_not_mend(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock
) -> None:
    """A bad token is raised at once."""
    asr_server.script(replies.unauthorized())
    with pytest.raises(AuthenticationError):
        session(router_url=asr_server.router_url, clock=fake_clock).call("wait_until_ready", timeout=30)
    assert fake_clock.sleeps == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1"])
def test_wait_until_ready_checks_its_timeout(session: Make, timeout: object) -> None:
    """A timeout that is no time is refused before anything is asked."""
    with pytest.raises((ValueError, TypeError), match="timeout must be"):
        session(backend=FakeBackend("x")).call("wait_until_ready", timeout=timeout)


def test_preload_finds_engines(session: Make) -> None:
    """Preloading names an engine that does not exist; without engines there is nothing to do."""
    session().call("preload")
    with pytest.raises(BackendNotFoundError, match="pocketsphinx"):
        session(fallback="no-such-engine").call("preload")
