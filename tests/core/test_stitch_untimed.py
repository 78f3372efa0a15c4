"""Chunks that overlap and of which only the text is known: no word is lost, and what nobody can know is said."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr._core.stitch import Span, Stitcher
from hfasr._core.tokens import normalise
from hfasr.types import Segment, Timestamps, Transcript
from tests.core.hearings import PAUSES, Hearing, Said, spans, speech

seeds = st.integers(0, 10**6)

DIFFERENT = "they heard different words there"
AGAIN = "the same words are said more than once there"


def joined(*texts: str, overlap: float = 2.0, length: float = 10.0) -> Stitcher:
    """Join the *texts* of chunks that share *overlap* seconds."""
    stitcher = Stitcher(False)
    for i, text in enumerate(texts):
        start = i * (length - overlap)
        before, after = overlap if i else 0.0, overlap if i < len(texts) - 1 else 0.0
        stitcher.add(Transcript(text), Span(start, start + length, before, after))
    stitcher.finish()
    return stitcher


def heard(said: list[Said], cut: list[Span], rng: random.Random, timestamps: Timestamps = False) -> Stitcher:
    """Join what an ear hears of *said* that knows all words but those that are cut, of which it hears a part."""
    stitcher = Stitcher(timestamps)
    for span in cut:
        stitcher.add(Hearing(rng).hear(said, span, timestamps), span)
    stitcher.finish()
    return stitcher


def is_in_order(words: list[str], got: list[str]) -> bool:
    """Whether all *words* are among those that were got, in order."""
    rest = iter(got)
    return all(word in rest for word in words)


@pytest.mark.parametrize("pauses", PAUSES)
@settings(deadline=None, max_examples=100)
@given(seed=seeds)
def test_no_word_is_lost(pauses: str, seed: int) -> None:
    """
    However sparse speech is, each word that a chunk has heard whole is there, in order.

    Without a warning it is there once, and with one no word is there twice but those in an overlap.
    """
    rng = random.Random(seed)
    said = speech(rng, rng.randint(1, 40), repeats=False, pauses=pauses)
    cut = spans(rng, said[-1].end + rng.uniform(0.0, 4.0), overlap=(0.6, 5.0))
    stitcher = heard(said, cut, rng)
    words, got = [one.word for one in said], [normalise(word) for word in stitcher.text.split()]
    if not any("missing" in warning for warning in stitcher.warnings):
        assert is_in_order(words, got)
    if not stitcher.warnings:
        assert got == words
    shared = [(span.start, span.start + span.overlap_before) for span in cut]
    assert len(got) - len(words) <= sum(one.start < end and start < one.end for one in said for start, end in shared)


@pytest.mark.parametrize("pauses", PAUSES)
def test_most_seams_are_not_in_doubt(pauses: str) -> None:
    """Of an ear that makes no error at most a quarter of the seams are warned of: those where an overlap had nothing."""
    told = []
    for seed in range(40):
        rng = random.Random(seed)
        said = speech(rng, 25, repeats=False, pauses=pauses)
        for one, other in pairwise(spans(rng, said[-1].end, overlap=(0.6, 2.0))):
            told.append(bool(heard(said, [one, other], rng).warnings))
    assert len(told) > 50
    assert sum(told) < len(told) / 4


@pytest.mark.parametrize("begins", [0.05, 1.0, 2.5, 4.7])
def test_one_word_in_five_seconds(begins: float) -> None:
    """Words of which a chunk has one at most are all there, and there is nothing to be said about them."""
    words = ["red", "boat", "green", "river", "apple", "leaf"]
    said = [Said(begins + 5.0 * i, begins + 5.0 * i + 0.2, word) for i, word in enumerate(words)]
    duration = said[-1].end + 1.0
    starts = [4.0 * i for i in range(10) if 4.0 * i < duration - 2.0]
    cut = [Span(at, min(at + 6.0, duration), 2.0 if at else 0.0, 2.0 if at < starts[-1] else 0.0) for at in starts]
    stitcher = heard(said, cut, random.Random(0))
    assert [normalise(word) for word in stitcher.text.split()] == words
    assert stitcher.warnings == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("red boat green", "red leaf apple"),
        ("boat red green", "leaf red apple"),
        ("the red boat green", "the red leaf apple"),
        ("red boat", "leaf red boat"),
        ("a red sun boat", "red boat leaf"),
        ("a red boat", "red sun boat leaf"),
        ("a red sun boat", "red moon boat leaf"),
    ],
)
def test_a_word_that_comes_again_cuts_nothing(first: str, second: str) -> None:
    """A word that both have, but not the one at its end and the other at its beginning, is no reason to drop others."""
    stitcher = joined(first, second)
    assert stitcher.text == f"{first} {second}"
    assert stitcher.warnings == (f"words may be repeated where chunks meet, at 9.0 s: {DIFFERENT}",)


def test_what_few_words_have_in_common_is_no_wonder() -> None:
    """Where the overlap has hardly a word by what the chunks have, that they differ needs no warning; else it does."""
    assert joined("red boat", "green river", overlap=2.0).warnings == ()
    assert joined("red boat", "green river", overlap=3.0).warnings == (
        f"words may be repeated where chunks meet, at 8.5 s: {DIFFERENT}",
    )


@pytest.mark.parametrize("n_words", [10, 40])
def test_one_word_in_common_of_many(n_words: int) -> None:
    """Where the overlap should have twenty words, one is too few to cut any; of five it is enough."""
    first = " ".join(["and", *(f"{a}o" for a in "bcdfghjklmnpqrstvwxz" * 2)][: n_words - 1])
    second = " ".join([f"{a}ee" for a in "bcdfghjklmnpqrstvwxz" * 2][: n_words - 1])
    stitcher = joined(f"{first} sun", f"sun {second}", overlap=5.0)
    if n_words == 10:
        assert stitcher.text == f"{first} sun {second}"
    else:
        assert stitcher.text == f"{first} sun sun {second}"
        assert stitcher.warnings == (f"words may be repeated where chunks meet, at 7.5 s: {DIFFERENT}",)


def test_chunks_of_a_second() -> None:
    """However short chunks are, no time is made up for the words of their text."""
    stitcher = joined("red", "boat", overlap=0.33, length=1.0)
    assert stitcher.text == "red boat"
    assert stitcher.warnings == ()


def test_three_chunks_have_heard_the_same() -> None:
    """What is left of a chunk after a seam has no times either, and is compared with the next but one."""
    stitcher = joined("red boat sun", "red boat sun", "red boat sun leaf", overlap=4.0, length=6.0)
    assert stitcher.text == "red boat sun leaf"
    assert stitcher.warnings == ()


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("down to the ocea", "ocean and swam", "down to the ocean and swam"),
        ("we sat at the table", "able to see", "we sat at the table to see"),
    ],
)
def test_half_of_a_word_alone(first: str, second: str, text: str) -> None:
    """Where nothing but a part of a word is common it is taken for that word cut by the edge, and that is said."""
    stitcher = joined(first, second, overlap=3.0)
    assert stitcher.text == text
    assert stitcher.warnings == (f"words may be missing where chunks meet, at 8.5 s: {DIFFERENT}",)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("it was very very", "very very good indeed", "it was very very good indeed"),
        ("it was very very", "very good indeed", "it was very very good indeed"),
        ("it was very", "very very good indeed", "it was very very good indeed"),
        ("a red red red", "red red boat", "a red red red boat"),
        ("call five two five two", "five two nine", "call five two five two nine"),
        ("call five two fi", "two five two nine", None),
    ],
)
def test_words_said_more_than_once(first: str, second: str, text: str | None) -> None:
    """Of words said several times running nobody knows how many an overlap has: the fewest are taken, and that is said."""
    stitcher = joined(first, second, overlap=3.0)
    assert stitcher.text == (text or "call five two five two nine")
    assert stitcher.warnings == (f"words may be missing where chunks meet, at 8.5 s: {AGAIN}",)


def test_of_what_is_said_again_an_overlap_has_what_fits_into_it() -> None:
    """Where words come again and again, no more of them are taken for the overlap's than are said in its time."""
    stitcher = joined("a b c " * 10, "a b c " * 10, overlap=3.0)
    assert len(stitcher.text.split()) == 60 - 9
    assert stitcher.warnings == (f"words may be missing where chunks meet, at 8.5 s: {AGAIN}",)


def test_a_phrase_after_a_long_silence() -> None:
    """All words of a chunk may be those of an overlap, however long it was silent before."""
    phrase = "now they all came down to the river at last and"
    stitcher = joined(phrase, f"{phrase} swam", overlap=5.0, length=30.0)
    assert stitcher.text == f"{phrase} swam"
    assert stitcher.warnings == ()


def test_segments_beyond_the_overlap_are_not_compared() -> None:
    """A word that is said again outside of what both have heard is kept, and no seam is in doubt."""
    stitcher = Stitcher(True)
    first, second = "one two three four five six seven eight", "eight nine ten eleven"
    stitcher.add(Transcript(first, (Segment(0.0, 5.0, first),)), Span(0.0, 10.0, 0.0, 2.0))
    stitcher.add(Transcript(second, (Segment(4.0, 8.0, second),)), Span(8.0, 18.0, 2.0, 0.0))
    stitcher.finish()
    assert stitcher.text == f"{first} {second}"
    assert stitcher.warnings == ()


@pytest.mark.parametrize("second", ["boat", "green"])
def test_a_segment_that_is_longer_than_its_word(second: str) -> None:
    """Of a single word in a segment of seconds nobody knows when it was said: it is compared by its sound."""
    stitcher = Stitcher(True)
    stitcher.add(Transcript("boat", (Segment(0.0, 6.0, "boat"),)), Span(0.0, 6.0, 0.0, 2.0))
    stitcher.add(Transcript(second, (Segment(0.0, 6.0, second),)), Span(4.0, 10.0, 2.0, 0.0))
    stitcher.finish()
    assert stitcher.text == ("boat" if second == "boat" else "boat green")
    assert stitcher.warnings == ()
