"""Every row of the failure table: which error, how many requests, how long a wait, on three colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hfasr
from hfasr import AllRoutesFailedError, RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, Reset, Truncated, replies
from tests.colours import Session

Make = Callable[..., Session]
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
BACK_OFF = [0.5, 1.0, 2.0, 4.0]  # five attempts: 0.5 s, doubling, below 8 s


class Row:
    """What one failure, without end, leads to."""

    def __init__(self, name: str, action: Any, error: str, n_requests: int, sleeps: list[float], **extra: Any) -> None:
        self.name = name
        self.action = action
        self.error = error
        self.n_requests = n_requests
        self.sleeps = sleeps
        self.status = extra.get("status")
        self.maybe_billed = extra.get("maybe_billed", False)
        self.raised_with_fallback = extra.get("raised_with_fallback", False)


ROWS = [
    Row("reset", Reset("before_reply"), "APIConnectionError", 5, BACK_OFF),
    Row("garbage", replies.NotHTTP(), "APIConnectionError", 5, BACK_OFF),
    Row(
        "200 with an error",
        Reply(200, json={"error": "out of luck"}),
        "APIResponseError",
        5,
        BACK_OFF,
        status=200,
        maybe_billed=True,
    ),
    Row(
        "200 with HTML",
        Reply(200, body="<!doctype html><html></html>", headers={"content-type": "text/html"}),
        "APIResponseError",
        5,
        BACK_OFF,
        status=200,
        maybe_billed=True,
    ),
    Row(
        "200 without text", Reply(200, json={"foo": 1}), "APIResponseError", 5, BACK_OFF, status=200, maybe_billed=True
    ),
    Row(
        "200 with a null text",
        Reply(200, json={"text": None}),
        "APIResponseError",
        5,
        BACK_OFF,
        status=200,
        maybe_billed=True,
    ),
    Row("cut off body", Truncated(3), "APIResponseError", 5, BACK_OFF, status=200, maybe_billed=True),
    Row("reset in the body", Reset("in_body"), "APIResponseError", 5, BACK_OFF, status=200, maybe_billed=True),
    Row("malformed audio", replies.malformed_audio(), "BadRequestError", 1, [], status=400, raised_with_fallback=True),
    Row("other 400", Reply(400, json={"error": "CUDA out of memory"}), "BadRequestError", 1, [], status=400),
    Row("422", Reply(422, json={"error": "nope", "error_type": "validation"}), "BadRequestError", 1, [], status=422),
    Row("401", replies.unauthorized(), "AuthenticationError", 1, [], status=401),
    Row("401 as HTML", replies.unauthorized(html=True), "AuthenticationError", 1, [], status=401),
    Row("402", replies.payment_required(), "PaymentRequiredError", 1, [], status=402),
    Row("403", replies.forbidden(), "PermissionDeniedError", 1, [], status=403),
    Row("400 not hosted", replies.not_hosted(), "ModelNotHostedError", 1, [], status=400),
    Row("404 Not Found", replies.not_found(), "ModelNotHostedError", 1, [], status=404),
    Row("404 no such model", replies.does_not_exist(), "NotFoundError", 1, [], status=404),
    Row("410", replies.gone(), "EndpointGoneError", 1, [], status=410),
    Row("413", replies.too_large(), "PayloadTooLargeError", 2, [], status=413),
    Row("429 in seconds", replies.rate_limited(retry_after=7), "RateLimitError", 5, [7.0] * 4, status=429),
    Row("429 in milliseconds", replies.rate_limited(retry_after_ms=1500), "RateLimitError", 5, [1.5] * 4, status=429),
    Row("429 as the Hub says it", replies.rate_limited(reset=55), "RateLimitError", 5, [55.0] * 4, status=429),
    Row("429 for too long", replies.rate_limited(retry_after=121), "RateLimitError", 1, [], status=429),
    Row("429 without a time", replies.rate_limited(), "RateLimitError", 5, BACK_OFF, status=429),
    Row("500", replies.server_error(500), "ServerError", 5, BACK_OFF, status=500),
    Row("502", replies.server_error(502), "ServerError", 5, BACK_OFF, status=502, maybe_billed=True),
    Row("504", replies.server_error(504), "ServerError", 5, BACK_OFF, status=504, maybe_billed=True),
    Row("503 overloaded", replies.overloaded(), "ServerError", 5, BACK_OFF, status=503),
    Row("408", Reply(408, json={"error": "too slow"}), "ServerError", 5, BACK_OFF, status=408),
]


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    """One row of the table."""
    assert isinstance(request.param, Row)
    return request.param


def endless(server: FakeASRServer, row: Row) -> None:
    """Let every request fail so."""
    server.script(*[row.action] * 12)


def test_row_without_a_fallback(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """The error is the documented one, after the documented requests and waits, and says what was done."""
    endless(asr_server, row)
    asr = session(router_url=asr_server.router_url, token=TOKEN, clock=fake_clock)
    with pytest.raises(hfasr.HfasrError) as caught:
        asr.transcribe(wav)
    error: Any = caught.value
    assert type(error).__name__ == row.error
    assert len(asr_server.requests) == row.n_requests
    assert fake_clock.sleeps == pytest.approx(row.sleeps)
    assert getattr(error, "status_code", None) == row.status
    assert error.maybe_billed is row.maybe_billed
    assert [a.error for a in error.attempts] == [row.error] * row.n_requests
    assert [a.waited for a in error.attempts if a.waited] == pytest.approx(row.sleeps)
    message = str(error)
    assert "\n" not in message
    assert len(message) <= 500
    assert TOKEN not in message


def test_row_with_a_fallback(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """The next route takes over after the same requests, unless no route can mend it."""
    endless(asr_server, row)
    fallback = FakeBackend(None)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=fallback)
    if row.raised_with_fallback:
        with pytest.raises(getattr(hfasr, row.error)):
            asr.transcribe(wav)
        assert fallback.calls == []
    else:
        transcript = asr.transcribe(wav)
        assert transcript.text == "red boat green"
        assert transcript.provenance is not None
        assert transcript.provenance.backend == "fake"
        assert str(transcript.provenance.fallback_reason).startswith(f"{row.error}: ")
        assert [a.error for a in transcript.provenance.attempts] == [row.error] * row.n_requests + [None]
    assert len(asr_server.requests) == row.n_requests
    assert fake_clock.sleeps == pytest.approx(row.sleeps)


@pytest.mark.parametrize("row", [row for row in ROWS if row.n_requests > 1], ids=lambda row: row.name)
def test_row_that_ends_well(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """What is retried works once the failure is over, and the provenance tells of it."""
    asr_server.script(row.action)
    transcript = session(router_url=asr_server.router_url, clock=fake_clock).transcribe(wav)
    assert transcript.text == "red boat green"
    assert transcript.provenance is not None
    assert [a.error for a in transcript.provenance.attempts] == [row.error, None]
    assert fake_clock.sleeps == pytest.approx(row.sleeps[:1])


def test_maybe_billed_is_not_repeated_when_told_so(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """With retry_maybe_billed=False a 504 is raised at once; a 500 is still tried again."""
    retry = RetryPolicy(retry_maybe_billed=False)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=retry)
    asr_server.script(replies.server_error(504))
    with pytest.raises(hfasr.ServerError):
        asr.transcribe(wav)
    asr_server.script(replies.server_error(500))
    assert asr.transcribe(wav).text == "red boat green"
    assert len(asr_server.requests) == 3


def test_refused_connection(session: Make, fake_clock: FakeClock, wav: bytes) -> None:
    """A port where nobody listens is tried as often as the policy says."""
    with FakeASRServer() as server:
        url = server.url
    asr = session(router_url=url, clock=fake_clock, retry=RetryPolicy(max_attempts=3))
    with pytest.raises(hfasr.APIConnectionError) as caught:
        asr.transcribe(wav)
    assert not isinstance(caught.value, hfasr.APITimeoutError)
    assert len(caught.value.attempts) == 3
    assert fake_clock.sleeps == pytest.approx([0.5, 1.0])


def test_timeout(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """A server that does not answer is a timeout, maybe billed, and tried again."""
    asr_server.script(replies.Hang(2), replies.Hang(2))
    asr = session(router_url=asr_server.router_url, clock=fake_clock, timeout=0.1, retry=RetryPolicy(max_attempts=2))
    with pytest.raises(hfasr.APITimeoutError) as caught:
        asr.transcribe(wav)
    assert caught.value.maybe_billed
    assert isinstance(caught.value, TimeoutError)
    assert len(asr_server.requests) == 2
    assert fake_clock.sleeps == pytest.approx([0.5])


def test_unknown_host_is_tried_again(session: Make, fake_clock: FakeClock, wav: bytes) -> None:
    """A name that does not resolve may resolve later."""
    asr = session(router_url="http://nowhere.invalid", clock=fake_clock, retry=RetryPolicy(max_attempts=2))
    with pytest.raises(hfasr.APIConnectionError):
        asr.transcribe(wav)
    assert fake_clock.sleeps == pytest.approx([0.5])


def test_jitter_takes_away_up_to_a_quarter(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Chance shortens the pauses of the back-off, but not what a server asked for."""
    clock = FakeClock(jitter=1.0)
    asr_server.script(replies.server_error(500), replies.rate_limited(retry_after=3))
    session(router_url=asr_server.router_url, clock=clock).transcribe(wav)
    assert clock.sleeps == pytest.approx([0.375, 3.0])


def test_all_routes_failed(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """With fallbacks, the error holds one error per route, in order, and its message names each."""
    asr_server.script(replies.forbidden())
    backends = [
        FakeBackend(name="one", error=RuntimeError("boom")),
        FakeBackend(name="two", error=hfasr.BackendError("no")),
    ]
    asr = session(router_url=asr_server.router_url, fallback=backends)
    with pytest.raises(AllRoutesFailedError) as caught:
        asr.transcribe(wav)
    assert [type(e).__name__ for e in caught.value.errors] == ["PermissionDeniedError", "BackendError", "BackendError"]
    assert "PermissionDeniedError" in str(caught.value)
    assert "boom" in str(caught.value)
    assert [a.route for a in caught.value.attempts] == ["hf-inference", "one", "two"]


def test_refused_credential_is_not_used_again(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """After a 401 or 402, routes that would use the same token are left out."""
    with FakeASRServer() as other:
        for reply in (replies.unauthorized(), replies.payment_required()):
            asr_server.script(reply)
            asr = session(
                router_url=asr_server.router_url, token=TOKEN, fallback=[asr_server.openai_url, other.openai_url]
            )
            assert asr.transcribe(wav).text == "red boat green"
        assert len(asr_server.requests) == 2
        assert len(other.requests) == 2
        assert all("authorization" not in request.headers for request in other.requests)
