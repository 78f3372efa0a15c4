"""Where repetition begins to be a loop, and how fast speech can be, at the borders."""

from __future__ import annotations

import math

import pytest

from hfasr import Segment
from hfasr._core.guard_loops import Loop, find_loops, is_notable, loop_seconds, may_repeat, tokens_of
from hfasr._core.guard_pace import counted, least_seconds, too_fast

KANJI = [chr(0x4E00 + i) for i in range(70)]
WORDS = [f"w{i}" for i in range(40)]
SENTENCE = "the quick brown fox jumps over one lazy dog again"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("a " * 7, True),
        ("a " * 6, False),
        ("é " * 7, True),  # no ASCII, but words all the same
        ("é " * 6, False),
        ("a b c d e f g h", False),
        ("あ" * 15, True),
        ("あ" * 14, False),
        ("".join(KANJI), False),
        ("", False),
    ],
)
def test_may_repeat(text: str, may: bool) -> None:
    """Loops are looked for where six pairs of words, or eleven runs of four characters, have been there before."""
    assert may_repeat(text) is may


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("No, no: 日本.", [("no", 0, 3), ("no", 4, 7), ("日", 8, 9), ("本", 9, 10), (".", 10, 11)]),
        ("ab日cd Éa", [("ab", 0, 2), ("日", 2, 3), ("cd", 3, 5), ("éa", 6, 8)]),
        (
            "... “Yes!” – STRASSE straße",
            [("...", 0, 3), ("yes", 4, 10), ("–", 11, 12), ("strasse", 13, 20), ("strasse", 21, 27)],
        ),
        (" \n", []),
    ],
)
def test_tokens(text: str, tokens: list[tuple[str, int, int]]) -> None:
    """Words, and characters of scripts without spaces, are told apart by more than case and punctuation."""
    assert tokens_of(text) == tokens


def loops(text: str) -> list[Loop]:
    return find_loops(text, tokens_of(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{SENTENCE} " * 5, [Loop(0, 10, 5)]),
        (f"{SENTENCE} " * 4, []),
        (f"so {SENTENCE} " + f"{SENTENCE} " * 4 + "so", [Loop(1, 10, 5)]),
        (f"{SENTENCE} " * 5 + "the quick", [Loop(0, 10, 5)]),
        ("no no no no no", []),  # too short to compress
        ("no " * 60 + "yes " * 60, [Loop(0, 1, 60), Loop(60, 1, 60)]),
        ("good day " * 60 + "yes " * 60, [Loop(0, 2, 60), Loop(120, 1, 60)]),
        (" ".join(WORDS[:30] * 5), [Loop(0, 30, 5)]),
        (" ".join(WORDS[:31] * 5), []),
        ("".join(KANJI[:60] * 5), [Loop(0, 60, 5)]),
        ("".join(KANJI[:61] * 5), []),
        ("\ud800 " * 40, [Loop(0, 1, 40)]),  # what no encoding takes
        ("", []),
    ],
)
def test_find_loops(text: str, found: list[Loop]) -> None:
    """Five times is a loop, in units of up to 30 words or 60 characters; the shortest unit wins."""
    assert loops(text) == found


def test_parts_of_a_loop() -> None:
    """A loop says where its repetitions begin and end."""
    loop = Loop(3, 2, 5)
    assert (loop.again, loop.behind) == (5, 13)


@pytest.mark.parametrize(
    ("unit", "repeats", "notable"),
    [
        ("a", 10, True),
        ("a", 9, False),
        ("abcdefghij klmnopqrs", 5, True),
        ("abcdefghij klmnopqr", 5, False),
        ("ありがとう", 5, True),
        ("ありがと", 5, False),
    ],
)
def test_is_notable(unit: str, repeats: int, notable: bool) -> None:
    """Ten repeats are worth a warning, or a unit of 20 letters or five kana."""
    text = "so then " + f"{unit} " * repeats + "and so on and on"
    tokens = tokens_of(text)
    assert is_notable(text, tokens, Loop(2, len(tokens_of(unit)), repeats)) is notable


def test_loop_seconds() -> None:
    """A loop takes its text, from its first character to its last, at two thirds of the fastest pace."""
    text = "so then " + "aa bb " * 5 + "and so on"
    assert loop_seconds(text, tokens_of(text), Loop(2, 2, 5)) == pytest.approx(29 / 40)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("a" * 60, 1.0),
        ("é" * 60, 1.0),
        ("あ" * 15, 1.0),
        ("あ" * 15 + "a" * 60, 2.0),
        ("한" * 30, 2.0),
        ("ก" * 30, 0.5),
    ],
)
def test_least_seconds(text: str, seconds: float) -> None:
    """Nobody says more than 60 letters or 15 syllables a second."""
    assert least_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "duration", "said"),
    [
        ("a" * 120, 1.0, None),
        ("a" * 121, 1.0, "121 characters in 1.00 s of audio"),
        ("あ" * 30, 1.0, None),
        ("あ" * 31, 1.0, "31 characters in 1.00 s of audio"),
        ("a" * 60, 0.0, None),
        ("a" * 61, 0.0, "61 characters in 0.00 s of audio"),
        ("a" * 9999, None, None),
        ("", 0.0, None),
    ],
)
def test_too_fast(text: str, duration: float | None, said: str | None) -> None:
    """Text is too much that does not fit into its audio and a second."""
    assert too_fast(text, (), duration) == said


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([11.0, 11.0], None),
        ([11.0, 10.99], "1 segment beyond 60 letters or 15 syllables a second"),
        ([10.5, 10.99], "2 segments beyond 60 letters or 15 syllables a second"),
        ([11.0, None], None),
    ],
)
def test_too_fast_segments(ends: list[float | None], said: str | None) -> None:
    """Segments are counted that do not fit into their own time and a second."""
    segments = [Segment(10.0, end, "a" * 120) for end in ends]
    assert too_fast("a" * 240, segments, None) == said
    assert too_fast("a" * 240, segments, 60.0) == said


def test_counted() -> None:
    """One has no s."""
    assert [counted(number, "word") for number in (0, 1, 2)] == ["0 words", "1 word", "2 words"]


def test_numbers_that_are_none() -> None:
    """A time that is no number holds nothing."""
    assert too_fast("a", [Segment(0.0, math.nan, "a")], None) == "1 segment beyond 60 letters or 15 syllables a second"
