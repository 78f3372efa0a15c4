"""
A local engine for tests.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfasr.types import Audio, Segment, TranscribeOptions, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BackendCall", "FakeBackend"]


@dataclass(frozen=True, slots=True)
class BackendCall:
    """One call of `FakeBackend.transcribe`."""

    batch: tuple[Audio, ...]
    """The clips."""

    options: TranscribeOptions
    """What was asked for."""


class FakeBackend:
    """
    A `hfasr.Backend` that says what it is told to say, or hears the words of `ToneSpeech`.

    Args:
        text: What every clip's transcript says, a function from the clip to its text, or ``None``:
            hear tones.

        name: The engine's name.

        sampling_rate: Rate that it wants, Hz.

        max_duration_s: Longest audio that it says to take, seconds; ``None``: any.

        error: Raised by every call of `transcribe`.

        delay: Seconds that a call takes. `close` ends it early.

    Example:
        >>> import numpy as np
        >>> backend = FakeBackend("hello")
        >>> backend.transcribe([Audio(np.zeros(16_000, np.float32), 16_000)], {})[0].text
        'hello'
        >>> len(backend.calls)
        1

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        text: str | Callable[[Audio], str] | None = "hello world",
        *,
        name: str = "fake",
        sampling_rate: int = 16_000,
        max_duration_s: float | None = None,
        error: Exception | None = None,
        delay: float = 0.0,
    ) -> None:
        self.name = name
        self.sampling_rate = sampling_rate
        self.max_duration_s = max_duration_s
        self.calls: list[BackendCall] = []
        self._text = text
        self._error = error
        self._delay = delay
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        """
        Transcribe each clip, and remember the call.

        Raises:
            Exception: The *error* that it was made with.
            ValueError: A clip is not 1-D, or not at `sampling_rate`.
        """
        self.calls.append(BackendCall(tuple(batch), options))
        if self._delay:
            self._closed.wait(self._delay)
        if self._error is not None:
            raise self._error
        return [self._transcribe(audio, options) for audio in batch]

    def close(self) -> None:
        """End a running `transcribe`. May be called twice."""
        self._closed.set()

    def _transcribe(self, audio: Audio, options: TranscribeOptions) -> Transcript:
        if audio.sampling_rate != self.sampling_rate or audio.waveform.ndim != 1:
            raise ValueError(f"{self.name} takes mono audio at {self.sampling_rate} Hz, not {audio!r}")
        if self._text is None:
            from .tones import ToneSpeech

            return ToneSpeech().hear(audio, options)
        text = self._text if isinstance(self._text, str) else self._text(audio)
        duration = len(audio.waveform) / audio.sampling_rate
        segments = (Segment(0.0, duration, text),) if options.get("return_timestamps") else ()
        return Transcript(text, segments=segments, duration=duration)
