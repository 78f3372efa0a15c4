"""The values of `transcribe_many`: an item that is done, and how far the batch is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .types import AudioInput, Transcript

__all__ = ["BatchItem", "Progress"]


@dataclass(frozen=True, slots=True)
class BatchItem:
    """
    One input of a batch, and what came of it: exactly one of `transcript` and `error` is set.

    Example:
        >>> BatchItem(0, "speech.flac", error=ValueError("no")).ok
        False
    """

    index: int
    """Place among the inputs, from 0."""

    audio: AudioInput
    """The very object that was passed in."""

    transcript: Transcript | None = None
    """What was said."""

    error: Exception | None = None
    """Why there is no transcript: an `HfasrError`, or the ``TypeError`` of an input that is no audio."""

    resumed: bool = False
    """Whether it comes from the journal: nothing was sent for it this time."""

    def __repr__(self) -> str:
        values = {f.name: repr(getattr(self, f.name)) for f in fields(self) if f.name != "audio"}
        shown = {"index": "", "audio": _shown(self.audio), **values}
        return f"BatchItem({', '.join(f'{name}={value}' for name, value in shown.items())})"

    @property
    def ok(self) -> bool:
        """Whether there is a transcript."""
        return self.error is None


def _shown(audio: Any) -> str:
    """Say which input it is: items are printed and logged, and the input may be all of the audio."""
    if isinstance(audio, str | os.PathLike):
        name = str(audio)
        return repr(re.sub(r"(?<=://)[^/?#]*@|[?#].*", "", name) if "://" in name else name)[:200]
    if isinstance(audio, bytes | bytearray | memoryview):
        return f"<{len(audio)} bytes>"
    return f"<{type(audio).__name__}>"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is; handed to ``progress=`` after each item."""

    n_done: int
    """Items that are finished, the failed ones too."""

    n_failed: int
    """Items that ended in an error."""

    n_resumed: int
    """Items that came from the journal."""

    n_cached: int
    """Items that came from the cache."""

    n_retries: int
    """Requests and engine runs that followed a failed one: repeated ones, and those of other routes."""

    n_total: int | None
    """Items in all, where the inputs have a length."""

    audio_s: float
    """Seconds of audio that were transcribed, where their duration is known."""

    elapsed_s: float
    """Seconds since the batch began."""

    @property
    def items_per_s(self) -> float:
        """Items that were finished per second, those of the journal left out; 0 at the very beginning."""
        return (self.n_done - self.n_resumed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def speed(self) -> float:
        """Seconds of audio transcribed per second; 0 at the very beginning."""
        return self.audio_s / self.elapsed_s if self.elapsed_s > 0 else 0.0
