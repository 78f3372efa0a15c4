"""Long speech of which every word and its time is known, and a server's ear that is bad at the edges of clips."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from hfasr import Audio, Segment, Transcript, Word
from hfasr.testing import ToneSpeech
from hfasr.testing.tones import VOCABULARY, WORD_S
from tests.core.hearings import OTHER_WORDS, Said

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.types import TranscribeOptions

__all__ = ["Speech", "WorseAtEdges", "bare", "speech"]


@dataclass(frozen=True)
class Speech:
    """Words at random, with pauses at random."""

    said: tuple[Said, ...]
    duration: float
    """Seconds."""

    @property
    def words(self) -> list[str]:
        """What was said."""
        return [one.word for one in self.said]

    def waveform(self, sampling_rate: int = 16_000) -> np.ndarray:
        """Return it as samples, mono."""
        places = ((one.start, one.word) for one in self.said)
        return ToneSpeech().say_at(places, duration=self.duration, sampling_rate=sampling_rate)

    def audio(self) -> Audio:
        """Return it as samples at 16 kHz."""
        return Audio(self.waveform(), 16_000)

    def write(self, path: Path, *, sampling_rate: int, channels: int = 1) -> Path:
        """Write it as a file, the same on all channels."""
        mono = self.waveform(sampling_rate)
        soundfile.write(path, np.repeat(mono[:, None], channels, axis=1), sampling_rate)
        return path


def speech(seed: int, duration: float, *, edge_s: float = 0.0) -> Speech:
    """Return *duration* seconds of it, silent for *edge_s* at both ends; words are 0.1 to 2.5 s apart."""
    rng = random.Random(seed)
    said: list[Said] = []
    now = edge_s + rng.uniform(0.05, 1.0)
    while now + WORD_S < duration - edge_s - 0.05:
        said.append(Said(now, now + WORD_S, rng.choice(VOCABULARY)))
        now += WORD_S + rng.choice((0.1, 0.1, 0.15, 0.3, rng.uniform(0.1, 0.6), rng.uniform(0.6, 2.5)))
    return Speech(tuple(said), duration)


@dataclass(frozen=True)
class WorseAtEdges:
    """
    Hears tone speech, and words in the first and last *depth_s* seconds of a clip otherwise.

    There it misses some (*missing*: the share), and takes others for another word or for half of themselves (*wrong*).
    Case and punctuation are as chance has it, everywhere. The same clip is heard alike each time.
    """

    depth_s: float
    missing: float = 0.0
    wrong: float = 0.0

    def __call__(self, audio: Audio, options: TranscribeOptions) -> Transcript:
        heard = ToneSpeech().hear(audio, options)
        rng = random.Random(zlib.crc32(repr(heard.words).encode()))
        until, since = self.depth_s, len(audio.waveform) / audio.sampling_rate - self.depth_s
        segments = []
        for segment in heard.segments:
            words = []
            for word in segment.words:
                assert word.end is not None
                at_start, at_end = word.end < until, word.start > since
                chance = rng.random() if at_start or at_end else 1.0
                if chance < self.missing:
                    continue
                text = self._mistaken(rng, word.word, at_start) if chance < self.missing + self.wrong else word.word
                words.append(Word(word.start, word.end, _dressed(rng, text)))
            if words:
                text = " ".join(word.word for word in words)
                segments.append(Segment(words[0].start, words[-1].end, text, tuple(words)))
        return Transcript(" ".join(segment.text for segment in segments), tuple(segments), language="en")

    @staticmethod
    def _mistaken(rng: random.Random, word: str, at_start: bool) -> str:
        half = (len(word) + 1) // 2
        return rng.choice((*OTHER_WORDS[:2], word[half:] if at_start else word[:half]))


def _dressed(rng: random.Random, word: str) -> str:
    dress = rng.choice((str, str, str.title, str.upper))
    return dress(word) + rng.choice(("", "", "", ",", ".", "!?"))


def bare(text: str) -> list[str]:
    """Return the words of *text* without case and punctuation."""
    return ["".join(filter(str.isalpha, word)).lower() for word in text.split()]
