"""How a batch is to be run, checked once, before anything is opened."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from hfasr.batches import Progress
    from hfasr.cache import Cache

__all__ = ["BatchSettings", "Verify", "check_inputs"]

Verify: TypeAlias = Literal["stat", "hash"]
"""How a resumed batch knows a file again: by path, size and modification time, or by its content."""

MAX_WORKERS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """See `ASRClient.transcribe_many` for what each setting means."""

    max_concurrency: int = 8
    ordered: bool = True
    journal: str | os.PathLike[str] | None = None
    cache: Cache | str | os.PathLike[str] | None = None
    progress: bool | Callable[[Progress], object] = False
    verify: Verify = "stat"
    retry_failed: bool | None = None

    def __post_init__(self) -> None:
        n = self.max_concurrency
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"max_concurrency must be a whole number, not {type(n).__name__}")
        if not 1 <= n <= MAX_WORKERS:
            raise ValueError(f"max_concurrency must be from 1 to {MAX_WORKERS}, not {n}")
        if not isinstance(self.ordered, bool):
            raise TypeError(f"ordered must be True or False, not {type(self.ordered).__name__}")
        if self.journal is not None:
            _path("journal", self.journal)
        if self.cache is not None and not (hasattr(self.cache, "get") and hasattr(self.cache, "put")):
            _path("cache", self.cache)
        if not isinstance(self.progress, bool) and not callable(self.progress):
            raise TypeError(f"progress must be True, False or a function, not {type(self.progress).__name__}")
        if self.verify not in {"stat", "hash"}:
            raise ValueError(f'verify must be "stat" or "hash", not {str(self.verify)[:50]!r}')
        if self.retry_failed is not None and not isinstance(self.retry_failed, bool):
            raise TypeError(f"retry_failed must be True, False or None, not {type(self.retry_failed).__name__}")


def check_inputs(audios: object, *, allow_async: bool) -> None:
    """
    See that *audios* is many inputs, and not one.

    Raises:
        TypeError: It is something else; the message says what to pass instead.
    """
    if isinstance(audios, str | os.PathLike | bytes | bytearray | memoryview | Mapping):
        raise TypeError(
            f"transcribe_many takes an iterable of audio, not one {type(audios).__name__}: pass a list, "
            "or call transcribe()"
        )
    if hasattr(audios, "read"):
        raise TypeError("transcribe_many takes an iterable of audio, not one open file: pass a list of them")
    # An array of numbers is one waveform; of objects or strings it may be a column of a table.
    dtype = getattr(audios, "dtype", None)
    if dtype is not None and getattr(dtype, "kind", "f") in "iufcb":  # torch's types have no kind
        raise TypeError(
            "transcribe_many takes an iterable of audio, not one array: pass a list of "
            "hfasr.Audio(waveform, sampling_rate)"
        )
    if isinstance(audios, AsyncIterable):
        if not allow_async:
            raise TypeError("an async iterable of inputs needs AsyncASRClient; or pass an ordinary iterable")
        return
    if not isinstance(audios, Iterable) and not hasattr(audios, "__getitem__"):
        raise TypeError(f"transcribe_many takes an iterable of audio, not {type(audios).__name__}")


def _path(name: str, value: Any) -> None:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, not {type(value).__name__}")
    if not os.fspath(value):
        raise ValueError(f"{name} must not be an empty path")
