"""What each failure leads to: try again and when, or go on. The failure table, in code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    ModelLoadingError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from hfasr.types import RetryPolicy

    from .clock import Clock

__all__ = ["JITTER", "Pacer", "is_retryable", "polling_pause"]

JITTER = 0.25
"""Largest part of a pause that chance takes away, so that clients do not return in step."""

_POLL_INITIAL_S = 1.0
_POLL_GROWTH = 1.5
_POLL_MAX_S = 15.0


def polling_pause(n_polls: int, clock: Clock) -> float:
    """Return the seconds to wait for something that is starting up, after *n_polls* earlier pauses; jittered."""
    return _jittered(min(_POLL_INITIAL_S * _POLL_GROWTH ** min(n_polls, 20), _POLL_MAX_S), clock)


def _jittered(seconds: float, clock: Clock) -> float:
    return seconds * (1 - JITTER * clock.random())


def is_retryable(error: APIError, policy: RetryPolicy) -> bool:
    """Whether the same server may answer if asked again."""
    if error.maybe_billed and not policy.retry_maybe_billed:
        return False
    if isinstance(error, APIConnectionError):
        return not error.permanent
    return isinstance(error, APIResponseError | RateLimitError | ServerError)


class Pacer:
    """
    The pauses of one route's attempts.

    Counts attempts and loading time apart: waiting for a model to load does not use up attempts.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._failed = 0
        self._loading_polls = 0
        self._loading_since: float | None = None

    def pause_after(self, error: APIError) -> float | None:
        """
        Return the seconds to wait after *error*, ``None`` where to try no more.

        To be called once per failure.
        """
        if not is_retryable(error, self._policy):
            return None
        if isinstance(error, ModelLoadingError):
            return self._loading_pause(error)
        self._failed += 1
        if self._failed >= self._policy.max_attempts:
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is not None:
            return asked if asked <= self._policy.max_retry_after else None
        backed_off = min(self._policy.wait_initial * 2.0 ** min(self._failed - 1, 60), self._policy.wait_max)
        return _jittered(backed_off, self._clock)

    def _loading_pause(self, error: ModelLoadingError) -> float | None:
        now = self._clock.now()
        if self._loading_since is None:
            self._loading_since = now
        left = self._policy.loading_timeout - (now - self._loading_since)
        if left <= 0:
            return None
        # The server's estimate is often wrong by minutes either way, so the pauses are our own.
        pause = polling_pause(self._loading_polls, self._clock)
        self._loading_polls += 1
        if error.retry_after is not None and error.retry_after <= self._policy.max_retry_after:
            pause = max(pause, error.retry_after)
        return min(pause, left)
