"""Which repetitions are loops, and what is left of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr import Segment, Transcript, Word
from hfasr._core.guard_loops import find_loops, tokens_of
from hfasr._core.guards import guarded
from hfasr.testing import ToneSpeech

VOCABULARY = ToneSpeech().vocabulary


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("no no no no", 0.6),
        ("one one one", 0.5),
        ("no " * 8, 0.3),
        ("very very very very very good", 1.0),
        ("ha ha ha ha ha ha ha", 1.2),
        ("one two three four " * 4, 8.0),
        ("we will we will rock you " * 4, 12.0),
        ("はい はい はい はい", 1.0),
        ("ごめんごめんごめんごめん", 1.5),
    ],
)
def test_what_people_say(text: str, duration: float) -> None:
    """People repeat themselves: nothing is taken out, and nothing said of it."""
    said = Transcript(text)
    assert guarded(said, duration=duration, is_silent=False) is said


@pytest.mark.parametrize(("text", "duration"), [("la " * 60, 15.0), ("around the world " * 144, 420.0)])
def test_songs(text: str, duration: float) -> None:
    """What is sung again and again, at a pace that can be sung, stays, with a warning."""
    heard = guarded(Transcript(text), duration=duration, is_silent=False)
    assert heard.text == text
    assert len(heard.warnings) == 1


def test_without_a_duration() -> None:
    """Where nobody knows how long it took, nothing is beyond doubt."""
    heard = guarded(Transcript("thank you " * 500), duration=None, is_silent=False)
    assert heard.text == "thank you " * 500
    assert heard.warnings == (
        "the text repeats itself 500 times in a row, which may be a loop of the model; it was kept",
    )


@pytest.mark.parametrize(
    ("unit", "repeats"),
    [
        ("you", 300),
        ("thank you.", 120),
        ("Und ich habe immer den iPod mit mir.", 40),
        (" ".join(VOCABULARY[:30]), 8),
        ("ご視聴ありがとうございました。", 40),
        ("はーい、お兄ちゃんとタイガちゃんが産まれました。", 30),
        ("웃음소리", 200),
        ("ขอบคุณครับ", 200),
        ("बहुत धन्यवाद", 150),
    ],
)
def test_units(unit: str, repeats: int) -> None:
    """Words, sentences and characters loop; one is left, and what is around it stays."""
    text = " ".join(["Well,", *[unit] * repeats, "goodbye"])
    heard = guarded(Transcript(text), duration=10.0, is_silent=False)
    assert heard.text == f"Well, {unit} goodbye"
    assert heard.warnings == (f"the model repeated itself: {repeats - 1} repetitions left out",)


def test_case_and_punctuation() -> None:
    """A loop is one whatever its case and punctuation."""
    heard = guarded(Transcript("Thank you. thank you, " * 100), duration=5.0, is_silent=False)
    assert heard.text == "Thank you."


def test_half_a_unit_at_the_end() -> None:
    """What comes after the last whole unit stays: it may be the start of something else."""
    heard = guarded(Transcript("thank you very much " * 60 + "thank goodness"), duration=5.0, is_silent=False)
    assert heard.text == "thank you very much thank goodness"


def test_loop_in_a_loop() -> None:
    """A loop that holds another is taken out as well."""
    heard = guarded(Transcript(("well " + "no " * 40) * 10), duration=1.0, is_silent=False)
    assert heard.text == "well no"


def test_segments_and_words() -> None:
    """Segments and words of repetitions go, those around keep their times, and a cut one its first words."""
    step = 0.1
    words = [Word(step * i, step * i + step, "of" if i % 2 else "it") for i in range(200)]
    loop = tuple(
        Segment(20 * i * step, (20 * i + 20) * step, "it of " * 9 + "it of", tuple(words[20 * i : 20 * i + 20]))
        for i in range(10)
    )
    hello, bye = Segment(0.0, 0.0, "hello"), Segment(20.0, 21.0, "bye", (Word(20.0, 21.0, "bye"),))
    fast = [
        Segment(
            s.start / 10,
            (s.end or 0) / 10,
            s.text,
            tuple(Word(w.start / 10, (w.end or 0) / 10, w.word) for w in s.words),
        )
        for s in loop
    ]
    segments = (hello, *fast, bye)
    heard = guarded(Transcript(" ".join(s.text for s in segments), segments), duration=21.0, is_silent=False)
    assert heard.text == " ".join(s.text for s in segments)  # 20 s are enough for it
    close = Segment(2.0, 21.0, "bye", (Word(2.0, 2.5, "bye"),))
    segments = (hello, *fast, close)
    heard = guarded(Transcript(" ".join(s.text for s in segments), segments), duration=21.0, is_silent=False)
    assert heard.text == "hello it of bye"
    assert heard.segments == (hello, Segment(0.0, fast[0].end, "it of", fast[0].words[:2]), close)


def test_words_of_many_characters() -> None:
    """Without spaces a word of the model's may hold several repetitions: it is cut as its segment is."""
    words = tuple(Word(0.01 * i, 0.01 * i + 0.01, "ああああ") for i in range(40))
    heard = guarded(
        Transcript("ああああ" * 40, (Segment(0.0, 0.4, "ああああ" * 40, words),)), duration=3.0, is_silent=False
    )
    assert (heard.text, heard.segments) == ("あ", (Segment(0.0, 0.4, "あ", (Word(0.0, 0.01, "あ"),)),))


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(0.0, 5.0, "something else"),),
        (Segment(0.0, 5.0, "thank you " * 200, (Word(0.0, 5.0, "something"), Word(5.0, 5.0, "else"))),),
    ],
)
def test_parts_that_do_not_line_up(segments: tuple[Segment, ...]) -> None:
    """Where segments or words are not those of the text nothing is taken out of any."""
    heard = guarded(Transcript("thank you " * 200, segments), duration=5.0, is_silent=False)
    assert (heard.text, heard.segments) == ("thank you " * 200, segments)
    assert heard.warnings[0].startswith("the text repeats itself 200 times")


unit_words = st.lists(st.sampled_from(VOCABULARY[:20]), min_size=1, max_size=30, unique=True)
other_words = st.lists(st.sampled_from(VOCABULARY[20:]), max_size=20, unique=True)


@given(other_words, unit_words, st.integers(1, 60), other_words, st.none() | st.floats(0, 60))
def test_no_other_word_is_lost(
    before: list[str], unit: list[str], repeats: int, after: list[str], duration: float | None
) -> None:
    """Either everything stays, or all but the repetitions."""
    text = " ".join([*before, *unit * repeats, *after])
    heard = guarded(Transcript(text), duration=duration, is_silent=False).text
    assert heard in {text, " ".join([*before, *unit, *after])}


@given(st.text(st.sampled_from("ab あいก한 .,'\ud800") | st.characters(), max_size=60))
def test_tokens(text: str) -> None:
    """Tokens hold all that is not white space, in order, each where it says; loops lie in them."""
    tokens = tokens_of(text)
    assert "".join(text[token.start : token.end] for token in tokens) == "".join(text.split())
    assert all(token.key for token in tokens)
    for loop in find_loops(text * 9, tokens_of(text * 9)):
        assert 0 <= loop.first < loop.again < loop.behind <= len(tokens_of(text * 9))


@given(st.permutations(VOCABULARY), st.lists(st.integers(1, 4), min_size=1, max_size=64))
def test_tone_speech(order: list[str], counts: list[int]) -> None:
    """Random words of which some are repeated at once come back as the same object."""
    said = [word for word, count in zip(order, counts, strict=False) for _ in range(count)]
    transcript = Transcript(" ".join(said))
    assert guarded(transcript, duration=0.3 * len(said), is_silent=False) is transcript
