"""The words of a transcript as they are compared, and text and words cut at them."""

from __future__ import annotations

import math

import pytest

from hfasr._core.tokens import Token, before, fit, from_, join, normalise, tokens_of
from hfasr.types import Segment, Word

GROUPS = Segment(10.0, 12.5, "天気がいい", (Word(10.0, 11.0, "天気", 0.5), Word(11.0, 12.5, "がいい", 0.25)), channel=1)


def units(text: str) -> list[tuple[str, str]]:
    return [(token.normal, text[token.begin : token.stop]) for token in tokens_of(Segment(0.0, 1.0, text))]


def times(*tokens: Token) -> list[float]:
    """Return starts, ends and slacks."""
    return [round(time, 9) for token in tokens for time in (token.start, token.end, token.slack)]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        *(("Don’t!", "dont"), ("ABC", "abc"), ("...", ""), ("Straße", "strasse"), ("STRASSE", "strasse"), ("ÀB", "àb")),
        *(("e\u0301", "é"), ("ＡＢ１２", "ab12"), ("ﬁ", "fi"), ("№", "no"), ("a_b", "ab"), ("$5", "5"), ("½", "12")),
        # Arabic's vowel signs and tatweel are written at will; other marks are not.
        *(("\u0628\u064b", "\u0628"), ("\u0628\u0652", "\u0628"), ("\u0628\u0670", "\u0628"), ("\u0628\u0640", "\u0628")),
        *(("\u0628\u064a", "\u0628\u064a"), ("\u0628\u0653", "\u0628\u0653"), ("สวัสดี", "สวัสดี")),
    ],
)  # fmt: skip
def test_normalise(text: str, normal: str) -> None:
    """Case, punctuation, width and optional signs are no difference; letters, marks and digits are."""
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        (["the end ", "", " of it"], "the end of it"),
        ([" ", "one"], "one"),
        ([], ""),
        (["日本", "語で", "OK", "です"], "日本語で OK です"),
        (["a日", "本b", "c"], "a日本b c"),
        (["日", "b"], "日 b"),
        (["a", "本"], "a 本"),
    ],
)
def test_join(texts: list[str], whole: str) -> None:
    """One space is between texts, none between two characters of a script that writes none."""
    assert join(texts) == whole


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("So, what?", [("so", "So,"), ("what", "what?")]),
        ("— … so — what ?", [("so", "— … so —"), ("what", "what ?")]),
        ("...", []),
        ("", []),
        ("ok天気ok。", [("ok", "ok"), ("天", "天"), ("気", "気"), ("ok", "ok。")]),
        ("「天気」", [("天", "「天"), ("気", "気」")]),
        ("ที่ดี", [("ที่", "ที่"), ("ดี", "ดี")]),
        ("naïve übung", [("naïve", "naïve"), ("übung", "übung")]),
    ],
)
def test_units(text: str, found: list[tuple[str, str]]) -> None:
    """A token is a word, or a character with its marks; punctuation goes with what is before, first with what follows."""
    assert units(text) == found


def test_times_of_characters() -> None:
    """Without words times are in proportion to the text, and the slack is half of what a word does not need."""
    one, two = tokens_of(Segment(10.0, 11.8, "So, what?"))
    assert (one.normal, one.begin, one.stop, one.first, one.last) == ("so", 0, 3, -1, -1)
    assert (two.normal, two.begin, two.stop, two.first, two.last) == ("what", 4, 9, -1, -1)
    assert times(one, two) == [10.0, 10.6, 0.75, 10.8, 11.8, 0.75]
    assert one.middle == pytest.approx(10.3)
    assert times(*tokens_of(Segment(1.0, 1.2, "so"))) == [1.0, 1.2, 0.0]
    assert times(*tokens_of(Segment(1.0, 2.0, "I"))) == [1.0, 2.0, 0.35]
    assert times(*tokens_of(Segment(0.0, 0.6, "a b"))) == [0.0, 0.2, 0.2, 0.4, 0.6, 0.2]  # each takes a third of it


def test_times_that_nobody_knows() -> None:
    """The slack is infinite where the segment's times are not those of what was said; without an end all is at its start."""
    assert [token.slack for token in tokens_of(Segment(1.0, 3.0, "a b"), is_timed=False)] == [math.inf, math.inf]
    assert [(t.start, t.end, t.slack) for t in tokens_of(Segment(1.0, None, "a b"))] == [(1.0, 1.0, 0.0)] * 2


@pytest.mark.parametrize(
    ("text", "words", "tokens"),
    [
        (
            "Hello, world!",
            (Word(0.0, 0.8, "Hello"), Word(1.0, 1.9, "world")),
            [Token("hello", 0.0, 0.8, 0.0, 0, 6, 0, 0), Token("world", 1.0, 1.9, 0.0, 7, 13, 1, 1)],
        ),
        # A word of the server's may be several of ours, or a part of one, or punctuation alone.
        (
            "New York",
            (Word(2.0, 3.4, "New York"),),
            [Token("new", 2.0, 2.6, 0.0, 0, 3, 0, 0), Token("york", 2.6, 3.4, 0.0, 4, 8, 0, 0)],
        ),
        (
            "don't stop",
            (Word(0.0, 0.2, "don"), Word(0.2, 0.5, "'t"), Word(0.5, 0.5, "–"), Word(1.0, 2.0, "stop"), Word(2.0, 2.1, ".")),
            [Token("dont", 0.0, 0.5, 0.0, 0, 5, 0, 1), Token("stop", 1.0, 2.0, 0.0, 6, 10, 3, 3)],
        ),
        # Where they differ from the text they are taken in proportion to their letters.
        (
            "one two",
            (Word(0.0, 1.0, "one"), Word(1.0, 2.0, "three")),
            [Token("one", 0.0, 1.2, 0.3, 0, 3, 0, 1), Token("two", 1.2, 2.0, 0.3, 4, 7, 1, 1)],
        ),
        (
            "ab cd",
            (Word(0.0, 1.0, "a"), Word(1.0, 2.0, "b"), Word(2.0, 6.0, "cdefghij")),
            [Token("ab", 0.0, 3.5, 0.3, 0, 2, 0, 2), Token("cd", 3.5, 6.0, 0.3, 3, 5, 2, 2)],
        ),
        (
            "ab cd",
            (Word(3.0, None, "abcd"),),
            [Token("ab", 3.0, 3.0, 0.0, 0, 2, 0, 0), Token("cd", 3.0, 3.0, 0.0, 3, 5, 0, 0)],
        ),
    ],
)  # fmt: skip
def test_times_of_words(text: str, words: tuple[Word, ...], tokens: list[Token]) -> None:
    """Words tell when a token was said, letter by letter, and which of them it has a part of."""
    got = tokens_of(Segment(0.0, 9.0, text, words))
    assert [(t.normal, t.slack, t.begin, t.stop, t.first, t.last) for t in got] == [
        (t.normal, t.slack, t.begin, t.stop, t.first, t.last) for t in tokens
    ]
    assert [time for t in got for time in (t.start, t.end)] == pytest.approx(
        [time for t in tokens for time in (t.start, t.end)]
    )


def test_words_without_a_letter() -> None:
    """Where the words are nothing but punctuation the times are the segment's, and no word is a token's."""
    segment = Segment(0.0, 2.0, "a b", (Word(0.0, 1.0, "..."),))
    tokens = tokens_of(segment)
    assert [(round(t.start, 6), t.first, t.last) for t in tokens] == [(0.0, -1, -1), (1.333333, -1, -1)]
    assert before(segment, tokens, 1) == Segment(0.0, tokens[0].end, "a")
    assert from_(segment, tokens, 1) == Segment(tokens[1].start, 2.0, "b")
    assert tokens_of(Segment(0.0, 2.0, "...", (Word(0.0, 1.0, "a"),))) == []


@pytest.mark.parametrize(
    ("index", "text", "end", "words"),
    [
        (1, "天", 10.5, (Word(10.0, 10.5, "天", 0.5),)),
        (2, "天気", 11.0, (Word(10.0, 11.0, "天気", 0.5),)),
        (3, "天気が", 11.5, (Word(10.0, 11.0, "天気", 0.5), Word(11.0, 11.5, "が", 0.25))),
        (4, "天気がい", 12.0, (Word(10.0, 11.0, "天気", 0.5), Word(11.0, 12.0, "がい", 0.25))),
        (5, "天気がいい", 12.5, GROUPS.words),
    ],
)
def test_before(index: int, text: str, end: float, words: tuple[Word, ...]) -> None:
    """What is before a token ends with the one before it, and so does a word of several characters that is cut."""
    assert before(GROUPS, tokens_of(GROUPS), index) == Segment(10.0, end, text, words, channel=1)


@pytest.mark.parametrize(
    ("index", "text", "start", "words"),
    [
        (0, "天気がいい", 10.0, GROUPS.words),
        (1, "気がいい", 10.5, (Word(10.5, 11.0, "気", 0.5), Word(11.0, 12.5, "がいい", 0.25))),
        (2, "がいい", 11.0, (Word(11.0, 12.5, "がいい", 0.25),)),
        (3, "いい", 11.5, (Word(11.5, 12.5, "いい", 0.25),)),
        (4, "い", 12.0, (Word(12.0, 12.5, "い", 0.25),)),
    ],
)
def test_from(index: int, text: str, start: float, words: tuple[Word, ...]) -> None:
    """What is from a token on begins with it, and so does a word of several characters that is cut."""
    assert from_(GROUPS, tokens_of(GROUPS), index) == Segment(start, 12.5, text, words, channel=1)


def test_cut_between_words() -> None:
    """A cut between two words leaves both as they are, without the space between them."""
    segment = Segment(0.0, 2.0, "one two", (Word(0.0, 0.5, "one"), Word(1.0, 1.5, "two", 0.5)))
    tokens = tokens_of(segment)
    assert before(segment, tokens, 1) == Segment(0.0, 0.5, "one", (Word(0.0, 0.5, "one"),))
    assert from_(segment, tokens, 1) == Segment(1.0, 2.0, "two", (Word(1.0, 1.5, "two", 0.5),))


def test_fit() -> None:
    """A segment takes its new times; words come within them, in order, and end no earlier than they begin."""
    words = (
        *(Word(0.0, 0.5, "a"), Word(0.5, 2.0, "b", 0.5), Word(1.5, None, "c"), Word(2.5, 2.0, "d")),
        *(Word(2.2, 3.0, "e"), Word(3.5, 9.0, "f"), Word(8.0, 9.0, "g")),
    )
    fitted = fit(Segment(0.0, 9.0, "a b c d e f g", words, channel=2), 1.0, 4.0)
    assert (fitted.start, fitted.end, fitted.text, fitted.channel) == (1.0, 4.0, "a b c d e f g", 2)
    assert [(word.start, word.end, word.word) for word in fitted.words] == [
        *((1.0, 1.0, "a"), (1.0, 2.0, "b"), (1.5, 1.5, "c"), (2.5, 2.5, "d")),
        *((2.5, 3.0, "e"), (3.5, 4.0, "f"), (4.0, 4.0, "g")),
    ]
    assert fitted.words[1].confidence == 0.5
