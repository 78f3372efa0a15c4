"""Times that hold, whatever the model said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr import Segment, Transcript, Word
from hfasr.backends.transformers.tidy import tidy

times = st.floats(-1e3, 1e6)
ends = st.none() | times
words = st.builds(Word, times, ends, st.just("word"), st.none() | st.floats(0, 1))
segments = st.builds(Segment, times, ends, st.just("word"), st.lists(words, max_size=3).map(tuple))


@given(st.lists(segments, max_size=3).map(tuple), st.floats(0, 1e5))
def test_inside_the_audio(spoken: tuple[Segment, ...], duration: float) -> None:
    """Every time lies inside the audio, no end is before its start, and a second time changes nothing."""
    tidied = tidy(Transcript("word", spoken, duration=duration))
    assert tidy(tidied) == tidied
    spans: tuple[Segment | Word, ...] = (*tidied.segments, *tidied.words)
    for span in spans:
        assert 0 <= span.start <= duration
        assert span.end is None or span.start <= span.end <= duration


@given(st.lists(segments, max_size=3).map(tuple))
def test_nothing_else_changes(spoken: tuple[Segment, ...]) -> None:
    """Texts, confidences and unknown ends stay, and without a duration so does everything."""
    before = Transcript("word", spoken)
    assert tidy(before) is before
    after = tidy(Transcript("word", spoken, duration=2.0))
    assert [(w.word, w.confidence, w.end is None) for w in after.words] == [
        (w.word, w.confidence, w.end is None) for w in before.words
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((0.0199999, 0.06000001), (0.02, 0.06)),
        ((-0.3, 0.5), (0.0, 0.5)),
        ((1.0, 42.0), (1.0, 2.33333)),  # the audio's own end, to the last digit
        ((42.0, 59.0), (2.33333, 2.33333)),
        ((1.5, 0.5), (1.5, 1.5)),
    ],
)
def test_times(said: tuple[float, float], expected: tuple[float, float]) -> None:
    """Times are rounded to milliseconds, and what lies beyond the audio becomes its end."""
    (segment,) = tidy(Transcript("a", (Segment(*said, "a"),), duration=2.33333)).segments
    assert (segment.start, segment.end) == expected


def test_plain_floats() -> None:
    """NumPy's numbers do not get through."""
    (segment,) = tidy(Transcript("a", (Segment(np.float64(0.1), np.float64(0.5), "a"),), duration=1.0)).segments
    assert {type(segment.start), type(segment.end)} == {float}
