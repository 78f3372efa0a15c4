"""What holds for any transcript whatsoever."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr import Segment, Transcript, Word
from hfasr._core.guard_mend import ROUNDING_S, longest_in_order
from hfasr._core.guard_times import LATEST_S, sound
from hfasr._core.guards import guarded

texts = st.text(max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "no",
        "Oh,",
        "thank you very much indeed",
        "フ" * 30,
        "word " * 40,
        "of the phonetic alphabet " * 60,
        "安\ud800",
    ]
)
odd_times = (0.0, 0.01, 1.0, 1.02, 5.0, 29.98, 30.0, 30.02, -0.2, 1e9, 5e-324, math.nan, math.inf, -math.inf)
times = st.sampled_from(odd_times) | st.floats(0, 40) | st.floats()
ends = st.none() | times
words = st.builds(Word, times, ends, texts, st.none() | st.floats(0, 1))
segments = st.builds(
    Segment, times, ends, texts, st.lists(words, max_size=6).map(tuple), error=st.none() | st.just("gap")
)
rows = st.lists(segments, max_size=6).map(tuple)
anything = st.builds(Transcript, texts, rows, warnings=st.lists(texts, max_size=1).map(tuple)) | rows.map(
    lambda row: Transcript(" ".join(segment.text for segment in row), row)
)
durations = st.none() | st.sampled_from((0.0, 3.0, 30.0, 60.0, 5e-324, math.nan, math.inf, -1.0)) | st.floats(0, 100)

WARNINGS = {
    "the audio is silent; what the model said was left out",
    "the model repeated itself: N repetitions left out",
    "the text repeats itself N times in a row, which may be a loop of the model; it was kept",
    "the times of N segments and N words were missing, backward, beyond the audio or stuck; they were estimated from their neighbours",
    "more text than can be said in the time: N characters in N s of audio",
    "more text than can be said in the time: N segments beyond N letters or N syllables a second",
}


@given(anything, durations, st.none() | st.booleans())
def test_anything(transcript: Transcript, duration: float | None, is_silent: bool | None) -> None:
    """
    A second time changes nothing; times are finite, in order and inside the audio; warnings are each given once and
    hold numbers alone.
    """
    once = guarded(transcript, duration=duration, is_silent=is_silent)
    assert guarded(once, duration=duration, is_silent=is_silent) is once

    top = duration if duration is not None and 0 <= duration <= LATEST_S else LATEST_S
    both: tuple[tuple[Segment | Word, ...], ...] = (once.segments, once.words)
    for row in both:
        assert all(before.start <= after.start for before, after in pairwise(row))
        for span in row:
            assert 0 <= span.start <= top
            assert span.end is None or span.start <= span.end <= top

    n_before = len(transcript.warnings)
    assert once.warnings[:n_before] == transcript.warnings
    new = [re.sub(r"segment\b", "segments", re.sub(r"\b\d+(\.\d+)?", "N", w)) for w in once.warnings[n_before:]]
    new = [re.sub(r"word\b", "words", re.sub(r"repetition\b", "repetitions", w)) for w in new]
    assert set(new) <= WARNINGS
    assert len({warning[:20] for warning in new}) == len(new)


@given(rows, durations)
def test_times_alone(row: tuple[Segment, ...], duration: float | None) -> None:
    """Where nothing loops, mending times loses no segment, word, confidence or error, and leaves the text alone."""
    plain = tuple(
        Segment(
            s.start, s.end, f"s{i}", tuple(Word(w.start, w.end, f"w{i}", w.confidence) for w in s.words), error=s.error
        )
        for i, s in enumerate(row)
    )
    before = Transcript(" ".join(s.text for s in plain), plain)
    after = guarded(before, duration=duration, is_silent=False)
    assert after.text == before.text
    assert [(s.text, s.error) for s in after.segments] == [(s.text, s.error) for s in plain]
    assert [(w.word, w.confidence) for w in after.words] == [(w.word, w.confidence) for w in before.words]


@st.composite
def sane_transcripts(draw: st.DrawFn) -> tuple[Transcript, float]:
    """Draw what a good model gives, of plain words, and the duration."""
    clock, said = 0.0, []
    for i in range(draw(st.integers(0, 8))):
        start = clock = clock + draw(st.floats(0, 2))
        spoken = []
        for k in range(draw(st.integers(1, 6))):
            clock += draw(st.floats(0, 0.3))
            end = clock + draw(st.floats(0.1, 0.6))
            spoken.append(Word(clock, end, f"w{i}-{k}"))
            clock = end
        shown = tuple(spoken) if draw(st.booleans()) else ()
        said.append(Segment(start, clock, " ".join(word.word for word in spoken), shown))
    return Transcript(" ".join(s.text for s in said), tuple(said)), clock + draw(st.floats(0, 2))


@given(sane_transcripts())
def test_sane(drawn: tuple[Transcript, float]) -> None:
    """A sane transcript comes back as the same object."""
    transcript, duration = drawn
    assert guarded(transcript, duration=duration, is_silent=False) is transcript
    assert guarded(transcript, duration=None, is_silent=None) is transcript


@given(sane_transcripts(), st.lists(st.floats(-ROUNDING_S / 2.1, ROUNDING_S / 2.1), min_size=16, max_size=16))
def test_rounded(drawn: tuple[Transcript, float], off: list[float]) -> None:
    """Times that are only rounded are no fault: at most they are moved by as much, without a warning."""
    transcript, duration = drawn
    noisy = tuple(
        Segment(s.start + off[2 * i], (s.end or 0.0) + off[2 * i + 1], s.text)
        for i, s in enumerate(transcript.segments)
    )
    mended = guarded(Transcript(transcript.text, noisy), duration=duration, is_silent=False)
    assert mended.warnings == ()
    for before, after in zip(noisy, mended.segments, strict=True):
        assert after.start == pytest.approx(before.start, abs=ROUNDING_S)


@given(sane_transcripts(), st.data())
def test_one_bad_time(drawn: tuple[Transcript, float], data: st.DataObject) -> None:
    """One start that is no time moves no other."""
    transcript, duration = drawn
    if not transcript.segments:
        return
    bad = data.draw(st.integers(0, len(transcript.segments) - 1))
    row = list(transcript.segments)
    row[bad] = Segment(math.nan, row[bad].end, row[bad].text)
    after = guarded(Transcript(transcript.text, tuple(row)), duration=duration, is_silent=False).segments
    assert [s for i, s in enumerate(after) if i != bad] == [s for i, s in enumerate(row) if i != bad]
    assert sound(after, duration)


@given(st.lists(st.none() | st.floats(0, 9), max_size=9))
def test_longest_in_order(times: list[float | None]) -> None:
    """What is kept is in order and in its place, and no row that is in order is longer."""
    kept = longest_in_order(times)
    left = [time for time in kept if time is not None]
    assert left == sorted(left)
    assert all(new is None or new == old for new, old in zip(kept, times, strict=True))
    longest = [0] * len(times)
    for i, time in enumerate(times):
        if time is not None:
            earlier = (longest[k] for k, before in enumerate(times[:i]) if before is not None and before <= time)
            longest[i] = 1 + max(earlier, default=0)
    assert len(left) == max(longest, default=0)
