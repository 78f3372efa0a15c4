"""
How a call is to be tried again, and how long audio is to be cut: what a client is told once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

__all__ = ["Chunking", "RetryPolicy", "Split"]

Split: TypeAlias = Literal["silence", "vad", "none"]
"""
Where long audio is cut. ``"silence"``: at the quietest point in the last part of a chunk. ``"vad"``: between
stretches of speech, and what holds none is left out (extra ``vad``). ``"none"``: at fixed times, with an overlap.
"""

MAX_CHUNKS_AT_ONCE = 128
"""Each has a thread, in the sync client, and seconds of audio."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How long and how often to try again. All times are seconds.

    Example:
        >>> RetryPolicy(max_attempts=2).wait_max
        8.0
    """

    max_attempts: int = 5
    """Requests per route, 1 or more; 1 never tries again."""

    wait_initial: float = 0.5
    """Pause before the second attempt, 0 or more; it doubles each time."""

    wait_max: float = 8.0
    """Longest pause of the back-off, not below `wait_initial`; jitter takes away up to a quarter."""

    max_retry_after: float = 120.0
    """Longest pause that a server may ask for, 0 or more; beyond it the next route is tried at once."""

    loading_timeout: float = 300.0
    """Total time to wait for a loading model, 0 or more; waiting does not use up attempts."""

    retry_maybe_billed: bool = True
    """Whether to repeat a request that the server may have charged for (a timeout, a 502 or 504)."""

    breaker_threshold: int | None = 5
    """Calls in a row that a route may fail before it is skipped, 1 or more; ``None``: it never is."""

    breaker_recovery: float = 30.0
    """Time for which it is skipped after its last failure, 0 or more; then one call probes it."""

    def __post_init__(self) -> None:
        _check_count("max_attempts", self.max_attempts)
        if self.breaker_threshold is not None:
            _check_count("breaker_threshold", self.breaker_threshold)
        for name in ("wait_initial", "wait_max", "max_retry_after", "loading_timeout", "breaker_recovery"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be seconds, 0 or more, not {value!r}")
        if self.wait_max < self.wait_initial:
            raise ValueError(f"wait_max ({self.wait_max}) must not be below wait_initial ({self.wait_initial})")


@dataclass(frozen=True, slots=True)
class Chunking:
    """
    How audio is cut that is longer than a route takes at once; the client's *chunking*.

    Nothing has to be set: audio of any length is taken as it is. A shorter `chunk_length_s` gives text sooner in
    `ASRClient.transcribe_stream`, and more at once; a longer one gives the model more context.

    Raises:
        ValueError: A value is out of range, or `stride_length_s` is given with another `split` than ``"none"``.

        TypeError: Seconds that are no number.

    Example:
        >>> Chunking(chunk_length_s=20).max_concurrency
        8
    """

    chunk_length_s: float | None = None
    """
    Longest chunk, seconds, 1 or more; audio that is longer is cut, and a route that takes less gets less. ``None``:
    what the route takes (30 s for Whisper on Hugging Face's servers). Where it takes anything, audio of over 10
    minutes is cut into chunks of 2. `ASRClient.transcribe_stream` takes 30 s for every route.
    """

    max_concurrency: int = 8
    """
    Chunks of one input that are in work at once, from 1 to 128. By default fewer where chunks are longer than 30 s:
    each is held in memory.
    """

    split: Split = "silence"
    """Where to cut; see `Split`."""

    stride_length_s: float | None = None
    """
    With ``split="none"``: seconds that a chunk shares with each of its neighbours, 0 or more, under half a chunk;
    ``None``: a sixth of the chunk, as in transformers' pipeline.
    """

    def __post_init__(self) -> None:
        _check_count("max_concurrency", self.max_concurrency)
        if self.max_concurrency > MAX_CHUNKS_AT_ONCE:
            raise ValueError(f"max_concurrency must be at most {MAX_CHUNKS_AT_ONCE}, not {self.max_concurrency}")
        if self.split not in get_args(Split):
            raise ValueError(f"split must be one of {', '.join(get_args(Split))}, not {str(self.split)[:50]!r}")
        length, stride = self.chunk_length_s, self.stride_length_s
        if length is not None and not 1 <= _number("chunk_length_s", length) < float("inf"):
            raise ValueError(f"chunk_length_s must be seconds, 1 or more, not {length!r}")
        if stride is not None:
            if self.split != "none":
                raise ValueError('stride_length_s goes with split="none"; other cuts need no overlap')
            if not 0 <= _number("stride_length_s", stride) < float("inf"):
                raise ValueError(f"stride_length_s must be seconds, 0 or more, not {stride!r}")
            if length is not None and 2 * stride >= length:
                raise ValueError(f"stride_length_s ({stride}) must be under half of chunk_length_s ({length})")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    return float(value)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, not {value!r}")
