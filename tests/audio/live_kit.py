"""Streams that come in block by block, and what is heard in their phrases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfasr.audio.live_phrases import Phrase, Phrases
from hfasr.audio.pieces import Cutting
from hfasr.testing import ToneSpeech
from hfasr.types import Audio

Floats = npt.NDArray[np.float32]
RATE = 16_000  # Hz, of the pieces
SPEECH = ToneSpeech()


@dataclass(frozen=True)
class Given:
    """A phrase, and how much of the stream had come in when it was given."""

    phrase: Phrase
    at_s: float

    @property
    def samples(self) -> Floats:
        return self.phrase.piece.source.frames[:, 0]

    def words(self) -> list[tuple[str, float]]:
        """Return the words, with their starts in the whole stream."""
        heard = SPEECH.hear(Audio(self.samples, RATE))
        return [(word.word, self.phrase.piece.start + word.start) for word in heard.words]


def live(
    stream: Floats,
    rate: int,
    *,
    sizes: Iterable[int] | None = None,
    longest_s: float = 30.0,
    pause_s: float = 0.5,
    cutting: Cutting | None = None,
) -> list[Given]:
    """Feed *stream* in blocks of so many frames (0.1 s, where nothing is said) on a clock of its own seconds."""
    frames = stream[:, None] if stream.ndim == 1 else stream
    phrases = Phrases(
        given_rate=rate,
        channels=frames.shape[1],
        sampling_rate=RATE,
        cutting=cutting or Cutting(longest_s),
        pause_s=pause_s,
    )
    given: list[Given] = []
    start = 0
    lengths = iter(sizes or ())
    while start < len(frames):
        stop = min(len(frames), start + next(lengths, rate // 10))
        now = stop / rate
        given += [Given(phrase, now) for phrase in phrases.feed(frames[start:stop], now=now)]
        start = stop
    end = len(frames) / rate
    return given + [Given(phrase, end) for phrase in phrases.finish(now=end)]


def heard(given: Iterable[Given]) -> list[str]:
    """Return all words, in order."""
    return [word for one in given for word, _ in one.words()]


def noise(duration: float, rate: int, rms: float, *, seed: int = 1) -> Floats:
    """Return white noise."""
    return (np.random.default_rng(seed).standard_normal(round(duration * rate)) * rms).astype(np.float32)


def talk(phrases: Sequence[tuple[float, Sequence[str]]], duration: float, rate: int = RATE) -> Floats:
    """Return phrases of words, each phrase beginning at its second, and 0.3 s from word to word."""
    words = [(start + 0.3 * i, word) for start, said in phrases for i, word in enumerate(said)]
    return SPEECH.say_at(words, duration=duration, sampling_rate=rate)
