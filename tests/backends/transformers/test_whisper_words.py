"""Words of Whisper, from tokens that may be half a character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.backends.transformers.whisper_words import TimedToken, words_of

Token = str | bytes


def timed(*tokens: Token, probability: float | None = 0.5) -> tuple[list[TimedToken], dict[int, bytes]]:
    """Return each of *tokens* as one of a second, and what each stands for."""
    meaning = {n: token.encode() if isinstance(token, str) else token for n, token in enumerate(tokens)}
    return [TimedToken(n, float(n), n + 1.0, probability) for n in meaning], meaning


def found(*tokens: Token) -> list[tuple[str, float, float | None]]:
    said, meaning = timed(*tokens)
    words = words_of(said, lambda ids: b"".join(meaning[n] for n in ids).decode(errors="replace"))
    return [(word.word, word.start, word.end) for word in words]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([" and", " so"], [("and", 0, 1), ("so", 1, 2)]),
        ([" Amer", "ic", "ans"], [("Americans", 0, 3)]),
        ([" so", ",", " my"], [("so,", 0, 2), ("my", 2, 3)]),
        ([" it", "'s", " a"], [("it's", 0, 2), ("a", 2, 3)]),
        ([" he", ' "', "what", '"', " she"], [("he", 0, 1), ('"what"', 1, 4), ("she", 4, 5)]),
        ([" (", "so", ")", "."], [("(so).", 0, 4)]),
        (["And", " so"], [("And", 0, 1), ("so", 1, 2)]),
        ([" ", "so"], [("so", 0, 2)]),
        ([" so", ' "'], [("so", 0, 1), ('"', 1, 2)]),
        ([" "], []),
        ([], []),
        (["日", "本", "。"], [("日", 0, 1), ("本。", 1, 3)]),
        (["ค", "ำ"], [("ค", 0, 1), ("ำ", 1, 2)]),
        (["한", "국"], [("한국", 0, 2)]),
    ],
)
def test_words(tokens: list[Token], expected: list[tuple[str, float, float]]) -> None:
    """A word begins with a space or, where the script has none, with each character; punctuation goes with its word."""
    assert found(*tokens) == expected


def test_broken_characters() -> None:
    """The bytes of one character are put together, with the time of all of them."""
    e_acute, sun = "é".encode(), "日".encode()
    assert found(" caf", e_acute[:1], e_acute[1:]) == [("café", 0, 3)]
    assert found(sun[:1], sun[1:2], sun[2:], "本") == [("日", 0, 3), ("本", 3, 4)]


def test_bytes_that_are_no_character() -> None:
    """Bytes that never become a character do not swallow what follows them."""
    words = found(" a", b"\xff", b"\xff", b"\xff", b"\xff", " so")
    assert words[-1] == ("so", 5, 6)
    assert words[0][0].startswith("a")
    assert found(b"\xe6")[0][1:] == (0, 1)


@pytest.mark.parametrize(("probabilities", "expected"), [((0.2, 0.6), 0.4), ((None, 0.6), 0.6), ((None, None), None)])
def test_confidence(probabilities: tuple[float | None, float | None], expected: float | None) -> None:
    """A word's confidence is the mean of what is known of its tokens."""
    tokens = [TimedToken(n, 0.0, 1.0, probability) for n, probability in enumerate(probabilities)]
    (word,) = words_of(tokens, lambda ids: "".join(" ab"[n + 1 - (n == 0)] for n in ids))
    assert word.confidence == expected


@given(
    st.lists(st.sampled_from([" a", "b", " ", ",", ' "', '"', "日", "。", " (", ")", "-", b"\xe6", b"\x97", b"\xa5"]))
)
def test_nothing_is_lost(tokens: list[Token]) -> None:
    """Whatever the tokens, the words hold all text but spaces, in order of time."""
    _, meaning = timed(*tokens)
    words = found(*tokens)
    assert [start for _, start, _ in words] == sorted(start for _, start, _ in words)
    if not any(isinstance(token, bytes) for token in tokens):
        assert "".join(word for word, *_ in words).replace(" ", "") == b"".join(meaning.values()).decode().replace(
            " ", ""
        )
