"""Words into segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.grouping import MAX_DURATION_S, MAX_PAUSE_S, group_words, segments_of
from hfasr.types import Segment, Word


def test_no_words() -> None:
    """Nothing said is no segment."""
    assert group_words([]) == ()


def test_one_segment() -> None:
    """Words without a pause between them are one segment, from the first start to the last end."""
    words = (Word(0.5, 0.9, "one"), Word(1.0, 1.4, "two", 0.5))
    assert group_words(words) == (Segment(0.5, 1.4, "one two", words),)


@pytest.mark.parametrize(("pause", "segments"), [(MAX_PAUSE_S, 1), (MAX_PAUSE_S + 0.01, 2)])
def test_pause(pause: float, segments: int) -> None:
    """Only a longer pause than the limit ends a segment."""
    assert len(group_words([Word(0.0, 1.0, "a"), Word(1.0 + pause, 2.0, "b")])) == segments


@pytest.mark.parametrize(("end", "segments"), [(MAX_DURATION_S, 1), (MAX_DURATION_S + 0.01, 2)])
def test_duration(end: float, segments: int) -> None:
    """A word that would make the segment longer than the limit begins the next."""
    assert len(group_words([Word(0.0, 6.5, "a"), Word(6.5, end, "b")])) == segments


def test_long_word_stays_whole() -> None:
    """One word longer than the limit is a segment of its own."""
    assert [s.text for s in group_words([Word(0.0, 20.0, "a"), Word(20.0, 20.5, "b")])] == ["a", "b"]


def test_limits_can_be_given() -> None:
    """Both limits are the caller's to change."""
    words = [Word(0.0, 0.4, "a"), Word(0.5, 0.9, "b"), Word(1.0, 1.4, "c")]
    assert len(group_words(words, max_pause_s=0.05)) == 3
    assert len(group_words(words, max_duration_s=1.0)) == 2


def test_unknown_ends() -> None:
    """A word whose end nobody knows has no pause after it, and its segment no end."""
    assert [(s.end, s.text) for s in group_words([Word(0.0, None, "a"), Word(3.0, None, "b")])] == [(None, "a b")]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("你", "好"), "你好"),
        (("你好", "world"), "你好 world"),
        (("สวัสดี", "ครับ"), "สวัสดีครับ"),
        (("안녕", "하세요"), "안녕 하세요"),
    ],
)
def test_scripts_without_spaces(words: tuple[str, str], text: str) -> None:
    """Words are joined as their script is written."""
    first, second = words
    assert group_words([Word(0.0, 0.5, first), Word(0.5, 1.0, second)])[0].text == text


def test_what_is_asked_for() -> None:
    """Segments have their words only where words were asked for, and there are none where nothing was."""
    words = (Word(0.5, 0.9, "one"), Word(1.0, 1.4, "two", 0.5))
    assert segments_of(words, "word") == (Segment(0.5, 1.4, "one two", words),)
    assert segments_of(words, True) == (Segment(0.5, 1.4, "one two"),)
    assert segments_of(words, False) == ()


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), max_size=30))
def test_nothing_is_lost(steps: list[tuple[float, float]]) -> None:
    """Every word is in exactly one segment, in order, and no segment of several words is too long."""
    words, now = [], 0.0
    for pause, length in steps:
        words.append(Word(now + pause, now + pause + length, "x"))
        now += pause + length
    segments = group_words(words)
    assert [word for segment in segments for word in segment.words] == words
    assert all(s.end is not None and s.end - s.start <= MAX_DURATION_S for s in segments if len(s.words) > 1)
