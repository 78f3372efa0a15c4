"""The pauses between attempts, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ModelLoadingError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from hfasr._core.retry import Pacer, is_retryable
from hfasr.testing import FakeClock

BROKEN = ServerError("broken", status_code=500)
LOADING = ModelLoadingError("loading", status_code=503, estimated_time=1809.18)


def pauses(*errors: APIError, jitter: float = 0.0, **policy: Any) -> list[float | None]:
    """Return the pause after each of *errors*, letting the pauses pass."""
    clock = FakeClock(jitter=jitter)
    clock.advance(100.0)
    pacer = Pacer(RetryPolicy(**policy), clock)
    found = []
    for error in errors:
        found.append(pacer.pause_after(error))
        clock.pause(found[-1] or 0.0)
    return found


def limited(retry_after: float | None) -> RateLimitError:
    """Return a 429."""
    return RateLimitError("slow down", status_code=429, retry_after=retry_after)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, [0.5, 1.0, 2.0, 4.0, None]),
        ({"max_attempts": 8}, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, None]),
        ({"max_attempts": 8, "jitter": 1.0}, [0.375, 0.75, 1.5, 3.0, 6.0, 6.0, 6.0, None]),
        ({"wait_initial": 3.0, "wait_max": 5.0}, [3.0, 5.0, 5.0, 5.0, None]),
        ({"wait_initial": 0.0}, [0.0, 0.0, 0.0, 0.0, None]),
        ({"max_attempts": 2}, [0.5, None]),
        ({"max_attempts": 1}, [None]),
    ],
)
def test_back_off(policy: dict[str, Any], expected: list[float | None]) -> None:
    """Pauses double up to the longest; chance takes away up to a quarter; then it is enough."""
    assert pauses(*[BROKEN] * len(expected), **policy) == pytest.approx(expected)


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (0.0, 0.0), (120.0, 120.0), (120.1, None), (None, 0.5)])
@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
def test_asked_pause(kind: type[Any], asked: float | None, pause: float | None) -> None:
    """A server's own time is kept exactly, without jitter, up to the longest that is allowed."""
    error = kind("later", status_code=429, retry_after=asked)
    assert pauses(error) == [pause]
    assert pauses(error, jitter=1.0) == [pause * 0.75 if asked is None and pause else pause]


def test_asked_pause_below_a_lower_limit() -> None:
    """The limit is the policy's."""
    assert pauses(limited(7.0), max_retry_after=6.9) == [None]


def test_asked_pauses_count_as_attempts() -> None:
    """An attempt is an attempt, whoever said how long to wait; the back-off grows with each."""
    assert pauses(limited(3.0), BROKEN, limited(3.0), BROKEN, BROKEN) == [3.0, 1.0, 3.0, 4.0, None]


def test_loading() -> None:
    """A loading model is asked again with growing pauses until its time is over, whatever it estimates."""
    growing = [1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625]
    assert pauses(*[LOADING] * 10, max_attempts=1, loading_timeout=60.0) == pytest.approx(
        [*growing, 15, 60 - sum(growing) - 15, None]
    )
    assert pauses(*[LOADING] * 3, jitter=1.0) == pytest.approx([0.75, 1.125, 1.6875])
    assert pauses(LOADING, loading_timeout=0.0) == [None]
    assert pauses(LOADING, LOADING, LOADING, loading_timeout=1.5) == [1.0, 0.5, None]


@pytest.mark.parametrize(("asked", "pause"), [(30.0, 30.0), (0.5, 1.0), (120.0, 120.0), (121.0, 1.0)])
def test_loading_with_a_time(asked: float, pause: float) -> None:
    """A time that a loading server asks for is the least to wait, within the policy's limit."""
    assert pauses(ModelLoadingError("loading", status_code=503, retry_after=asked)) == [pause]


def test_loading_counts_apart() -> None:
    """Loading uses up no attempts, and failures no loading time."""
    assert pauses(BROKEN, LOADING, BROKEN, LOADING, BROKEN, max_attempts=3) == [0.5, 1.0, 1.0, 1.5, None]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (APIConnectionError("refused"), True),
        (APIConnectionError("bad certificate", permanent=True), False),
        (APITimeoutError("late"), True),
        (APIResponseError("no text", status_code=200), True),
        (limited(None), True),
        (BROKEN, True),
        (LOADING, True),
        (BadRequestError("no", status_code=400), False),
        (AuthenticationError("no", status_code=401), False),
    ],
)
def test_what_is_tried_again(error: APIError, again: bool) -> None:
    """What may pass by itself is tried again, and nothing else."""
    assert is_retryable(error, RetryPolicy()) is again
    assert (pauses(error)[0] is not None) is again


@pytest.mark.parametrize("error", [APITimeoutError("late", maybe_billed=True), ServerError("late", status_code=504, maybe_billed=True)])  # fmt: skip
def test_what_may_have_been_billed(error: APIError) -> None:
    """What may have been charged for is repeated unless the policy says otherwise."""
    assert pauses(error) == [0.5]
    assert pauses(error, retry_maybe_billed=False) == [None]
    assert pauses(BROKEN, retry_maybe_billed=False) == [0.5]
