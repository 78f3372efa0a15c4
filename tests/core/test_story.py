"""One line says how a call went, in the log and on the command's standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import hfasr
from hfasr import Attempt, Provenance, RetryPolicy
from hfasr._core.story import answered, gave_up
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, replies
from tests.colours import Session

Make = Callable[..., Session]
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"


def told(*attempts: Attempt, reason: str | None = None, provider: str | None = None) -> str:
    return answered(Provenance("engine", provider, None, None, None, None, None, attempts, reason))


def test_many_routes_in_one_line() -> None:
    """Routes, statuses, errors, pauses, loading and run times stand in order; probes and skips do not repeat."""
    line = told(
        Attempt("http://a/v1", 404, None, None, 0.0, 0.1, 0.0),
        Attempt("http://a/v1", 500, "ServerError", None, 0.1, 0.1, 0.0),
        Attempt("http://a/v1", 503, "ModelLoadingError", None, 1.2, 0.1, 1.0),
        Attempt("http://a/v1", None, "APITimeoutError", None, 3.3, 60.0, 2.0),
        Attempt("b", None, "skipped", None, 63.3, 0.0, 0.0),
        Attempt("c", None, "BackendLoadError", None, 63.3, 1.5, 0.0, 1.5),
        Attempt("engine", None, None, None, 64.8, 2.0, 0.0, 0.001),
        reason="APITimeoutError: no answer; b was skipped: why; BackendLoadError: corrupt",
    )
    assert line == (
        "engine answered in 2.00 s after http://a/v1 failed (500 ServerError, 503 ModelLoadingError, APITimeoutError; "
        "60.20 s, waiting 3.00 s), then c failed (BackendLoadError; 1.50 s, loading 1.50 s): "
        "APITimeoutError: no answer; b was skipped: why; BackendLoadError: corrupt"
    )


def test_own_retries() -> None:
    """A route that answered after all is told as the one that failed, with the pause before its answer."""
    line = told(
        Attempt("r", 503, "ServerError", None, 0.0, 0.25, 0.0),
        Attempt("r", 200, None, None, 0.75, 0.25, 0.5),
        provider="r",
    )
    assert line == "r answered in 0.25 s (waiting 0.50 s) after r failed (503 ServerError; 0.25 s)"


def test_nothing_before() -> None:
    """Where nothing came before nothing is told of it; without attempts, nor of how long it took."""
    assert told() == "engine answered"
    assert told(reason="why") == "engine answered: why"
    assert told(Attempt("r", 200, None, None, 0.0, 0.25, 0.0)) == "engine answered in 0.25 s"
    assert gave_up(hfasr.BackendError("broken")) == "no answer: BackendError: broken"


def test_what_is_shown_of_the_time() -> None:
    """Loading and waiting are shown from 5 ms on, which would read 0.00 s; equal errors are counted from two on."""
    fast = Attempt("r", 200, None, None, 0.0, 1.0, 0.0049, 0.0049)
    slow = Attempt("r", 200, None, None, 0.0, 1.0, 0.005, 0.005)
    assert told(fast) == "engine answered in 1.00 s"
    assert told(slow).startswith("engine answered in 1.00 s (loading 0.0")
    assert told(Attempt("r", 200, None, None, 0.0, 1.0, 2.0, 0.5)) == (
        "engine answered in 1.00 s (loading 0.50 s, waiting 2.00 s)"
    )
    down = Attempt("r", 500, "ServerError", None, 0.0, 0.5, 0.0)
    assert told(down, down, fast) == "engine answered in 1.00 s after r failed (500 ServerError x2; 1.00 s)"


def test_bounded() -> None:
    """However many attempts and however long their reasons, it is one line of at most 500 characters."""
    attempts = [Attempt(f"http://host-{i}/v1", 500, "ServerError", None, 0.0, 0.1, 0.0) for i in range(50)]
    line = told(*attempts, Attempt("engine", None, None, None, 0.0, 1.0, 0.0), reason="a\nb " * 500)
    assert len(line) <= 500
    assert "\n" not in line
    assert len(gave_up(hfasr.AllRoutesFailedError("x " * 300, attempts=attempts))) <= 500


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[tuple[int, str]]:
    return [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "hfasr" and r.levelno >= level]


def test_fallback_is_one_line(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that fell back logs one warning, without the token, the audio or what was said."""
    caplog.set_level(logging.INFO, "hfasr")
    asr_server.script(*[replies.server_error(503)] * 5)
    broken = FakeBackend(name="broken", error=RuntimeError("boom"))
    asr = session(
        router_url=asr_server.router_url, token=TOKEN, clock=fake_clock, fallback=[broken, FakeBackend("secret words")]
    )
    asr.transcribe(wav)
    ((level, line),) = lines(caplog)
    assert level == logging.WARNING
    assert line.startswith(
        "fake answered in 0.00 s after hf-inference failed (503 ServerError x5; 0.00 s, waiting 7.50 s), then broken failed (BackendError; 0.00 s): ServerError: "
    )
    assert "boom" in line
    assert TOKEN not in line
    assert "secret" not in line


def test_failure_is_one_line(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that failed on all routes logs one warning that tells of each."""
    caplog.set_level(logging.INFO, "hfasr")
    asr_server.script(replies.forbidden())
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend(error=RuntimeError("boom")))
    with pytest.raises(hfasr.AllRoutesFailedError):
        asr.transcribe(wav)
    ((level, line),) = lines(caplog)
    assert level == logging.WARNING
    assert line.startswith(
        "no answer after hf-inference failed (403 PermissionDeniedError; 0.00 s), then fake failed (BackendError; "
    )


def test_straight_calls_log_nothing(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that went straight, or never began, logs nothing; one whose own retries helped is no warning."""
    caplog.set_level(logging.INFO, "hfasr")
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy())
    asr.transcribe(wav)
    with pytest.raises(hfasr.EmptyAudioError):
        asr.transcribe(b"")
    assert lines(caplog) == []
    asr_server.script(replies.server_error(500))
    asr.transcribe(wav)
    ((level, line),) = lines(caplog)
    assert level == logging.INFO
    assert line.startswith("hf-inference answered in 0.")
    assert line.endswith("after hf-inference failed (500 ServerError; 0.00 s)")


def test_reason_names_every_route(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Why each route before gave no answer stands in the reason, in order."""
    asr_server.script(replies.forbidden())
    broken = FakeBackend(name="broken", error=RuntimeError("boom"))
    transcript = session(router_url=asr_server.router_url, fallback=[broken, FakeBackend("here")]).transcribe(wav)
    assert transcript.provenance is not None
    first, second = str(transcript.provenance.fallback_reason).split("; BackendError: ")
    assert first.startswith("PermissionDeniedError: ")
    assert second == "broken failed: RuntimeError: boom"
