"""Speech of which everything is known, and what recognisers that hear chunks of it make of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from hfasr._core.stitch import Span
from hfasr.testing.tones import VOCABULARY
from hfasr.types import Segment, Timestamps, Transcript, Word

OTHER_WORDS = ("xylophone", "quiz", "zigzag", "jukebox", "vex", "hymn")
"""What is heard wrongly: nothing like the vocabulary."""


@dataclass(frozen=True)
class Said:
    """A word that was said."""

    start: float
    end: float
    word: str


PAUSES: dict[str, Callable[[random.Random], float]] = {
    "dense": lambda rng: rng.choice((0.02, 0.1, 0.2, rng.uniform(0.2, 0.8))),
    "even": lambda rng: rng.uniform(0.3, 2.0),
    "sparse": lambda rng: rng.uniform(2.0, 7.0),
    "rare": lambda rng: rng.uniform(6.0, 18.0),
    "bursts": lambda rng: rng.choice((*(0.05, 0.1, 0.2) * 3, rng.uniform(4.0, 15.0))),
}
"""Seconds from word to word: several words in each overlap, some, or none as a rule, or now many and now none."""


def speech(rng: random.Random, n_words: int, *, repeats: bool = True, pauses: str = "") -> list[Said]:
    """
    Return words with pauses between them, of the kind *pauses*.

    With *repeats* some are said two or three times running, else none soon again.
    """
    said: list[Said] = []
    now = rng.uniform(0.0, 0.5)
    while len(said) < n_words:
        recent = {one.word for one in said[-1 if repeats else -20 :]}
        word = rng.choice([w for w in VOCABULARY if w not in recent])
        for _ in range(rng.choice((1, 1, 1, 2, 3)) if repeats else 1):
            length = rng.uniform(0.15, 0.5)
            said.append(Said(now, now + length, word))
            now += length + (PAUSES[pauses](rng) if pauses else rng.choice((0.02, 0.1, 0.2, rng.uniform(0.2, 1.5))))
    return said


def spans(rng: random.Random, duration: float, *, overlap: tuple[float, float]) -> list[Span]:
    """Cut *duration* seconds at random, neighbours sharing a random length within *overlap*."""
    cuts: list[tuple[float, float]] = []
    start, shared = 0.0, 0.0
    while True:
        after = rng.uniform(*overlap)
        end = start + shared + rng.uniform(1.0, 8.0) + after
        last = end >= duration
        cuts.append((start, duration if last else end))
        if last:
            break
        start, shared = end - after, after
    before = [0.0] + [max(0.0, a_end - b_start) for (_, a_end), (b_start, _) in pairwise(cuts)]
    return [Span(a, b, shared, after) for (a, b), shared, after in zip(cuts, before, [*before[1:], 0.0], strict=True)]


@dataclass(frozen=True)
class Hearing:
    """
    A recogniser that is bad at its own edges.

    Words in the part of an overlap near to its edge (*depth*, 0.5: the half) it may miss (*missing*) or replace (*wrong*); of a word that is
    cut it hears the letters that are there, at 60 % or more as the whole; case and punctuation are as chance has it.
    """

    rng: random.Random
    missing: float = 0.0
    wrong: float = 0.0
    jitter: float = 0.0
    depth: float = 0.5

    def hear(self, said: list[Said], span: Span, timestamps: Timestamps) -> Transcript:
        """Return what it hears of *span*, with times from its start."""
        words: list[Word] = []
        for one in said:
            start, end = max(one.start, span.start), min(one.end, span.end)
            share = (end - start) / (one.end - one.start)
            if share <= 0.2:
                continue
            word = self._part(one, span, share)
            if self._near_an_edge(one, span):
                chance = self.rng.random()
                if chance < self.missing:
                    continue
                if chance < self.missing + self.wrong:
                    word = self.rng.choice(OTHER_WORDS)
            shift = self.rng.uniform(-self.jitter, self.jitter)
            lowest = words[-1].start if words else 0.0
            begin = min(max(start + shift - span.start, lowest), span.end - span.start)
            words.append(Word(begin, max(begin, min(end + shift, span.end) - span.start), self._dressed(word)))
        text = " ".join(word.word for word in words)
        if not timestamps:
            return Transcript(text)
        groups = [words[i : i + 6] for i in range(0, len(words), 6)]
        return Transcript(
            text,
            tuple(
                Segment(
                    group[0].start,
                    group[-1].end,
                    " ".join(word.word for word in group),
                    tuple(group) if timestamps == "word" else (),
                )
                for group in groups
            ),
        )

    @staticmethod
    def _part(one: Said, span: Span, share: float) -> str:
        if share >= 0.6:
            return one.word
        letters = max(1, round(share * len(one.word)))
        return one.word[:letters] if one.end > span.end else one.word[-letters:]

    def _near_an_edge(self, one: Said, span: Span) -> bool:
        until, since = span.start + span.overlap_before * self.depth, span.end - span.overlap_after * self.depth
        return one.end < until - self.jitter or one.start > since + self.jitter

    def _dressed(self, word: str) -> str:
        dress = self.rng.choice((str, str, str.title, str.upper))
        return dress(word) + self.rng.choice(("", "", "", ",", ".", "!?"))
