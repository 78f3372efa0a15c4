"""Random speech, cut at random and heard badly at the edges of chunks, joined into what was said."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr._core.align import TIMED, UNTIMED, align
from hfasr._core.seams import cut
from hfasr._core.stitch import Stitcher
from hfasr._core.tokens import from_, join, normalise, tokens_of
from hfasr.types import Segment, Timestamps
from tests.core.hearings import Hearing, Said, spans, speech

seeds = st.integers(0, 10**6)
texts = st.lists(st.text(st.sampled_from("abcdé日本語かな"), min_size=1, max_size=6), max_size=12).map(" ".join)


def stitched(
    seed: int,
    timestamps: Timestamps,
    hearing: Hearing,
    overlap: tuple[float, float],
    *,
    repeats: bool,
    gaps: float = 0.0,
) -> tuple[list[Said], Stitcher, list[Segment]]:
    """Join what *hearing* makes of random speech; of chunks *gaps* fail."""
    rng = hearing.rng
    rng.seed(seed)
    said = speech(rng, rng.randint(1, 60), repeats=repeats)
    stitcher = Stitcher(timestamps)
    given_out: list[Segment] = []
    for span in spans(rng, said[-1].end + 0.3, overlap=overlap):
        if rng.random() < gaps:
            given_out += stitcher.add_gap(span, "down")
        else:
            given_out += stitcher.add(hearing.hear(said, span, timestamps), span)
    given_out += stitcher.finish()
    return said, stitcher, given_out


def heard(stitcher: Stitcher) -> list[str]:
    return [normalise(word) for word in stitcher.text.split()]


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_timed_words_are_what_was_said(seed: int) -> None:
    """With times, every word is there once and in order: words said twice, cut by edges, dressed in any way."""
    said, stitcher, _ = stitched(seed, "word", Hearing(random.Random()), (0.1, 4.0), repeats=True)
    assert heard(stitcher) == [one.word for one in said]
    assert stitcher.warnings == ()


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_errors_in_the_halves_near_the_edges(seed: int) -> None:
    """Where a chunk missed or mistook words in the half of the overlap nearer to its edge, the other is taken."""
    bad = Hearing(random.Random(), missing=0.2, wrong=0.2)
    said, stitcher, _ = stitched(seed, "word", bad, (0.1, 4.0), repeats=False)
    assert heard(stitcher) == [one.word for one in said]


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_times_of_words(seed: int) -> None:
    """Words have the times at which they were said, to 10 ms, unless the edge of a chunk has cut them; none goes back."""
    said, stitcher, _ = stitched(seed, "word", Hearing(random.Random()), (0.6, 4.0), repeats=True)
    words = [word for segment in stitcher.segments for word in segment.words]
    assert [normalise(word.word) for word in words] == [one.word for one in said]
    for word, one in zip(words, said, strict=True):
        assert abs(word.start - one.start) < 0.01
        assert word.end is not None
        assert abs(word.end - one.end) < 0.01


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_words_alone_are_what_was_said(seed: int) -> None:
    """Without times, the words are what was said; else there is a warning, and no word is lost."""
    said, stitcher, _ = stitched(seed, False, Hearing(random.Random()), (1.5, 5.0), repeats=False)
    truth, got = [one.word for one in said], iter(heard(stitcher))
    if stitcher.warnings:
        assert all(word in got for word in truth)
    else:
        assert list(got) == truth


@pytest.mark.parametrize("timestamps", [False, True, "word"])
@settings(deadline=None, max_examples=50)
@given(seed=seeds)
def test_whatever_happens(timestamps: Timestamps, seed: int) -> None:
    """With errors, jitter and gaps: segments in order and apart, the text theirs, all that was handed out."""
    bad = Hearing(random.Random(), missing=0.3, wrong=0.3, jitter=0.2)
    _, stitcher, given_out = stitched(seed, timestamps, bad, (0.0, 6.0), repeats=True, gaps=0.15)
    for one, other in pairwise(given_out):
        assert one.end is not None
        assert one.start <= one.end <= other.start
    assert join(segment.text for segment in given_out) == stitcher.text
    has_gap = any(segment.error for segment in given_out)
    assert stitcher.segments == (tuple(given_out) if timestamps or has_gap else ())
    assert all((segment.error is None) == bool(segment.text) for segment in given_out)
    for segment in given_out:
        assert not segment.words or timestamps == "word"
        starts = [segment.start, *(word.start for word in segment.words), segment.end]
        assert starts == sorted(starts)  # type: ignore[type-var]  # all ends are known


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_gaps_take_nothing_else(seed: int) -> None:
    """A word that any chunk has heard whole is there, whichever chunks failed."""
    hearing = Hearing(random.Random())
    said, stitcher, given_out = stitched(seed, "word", hearing, (0.1, 4.0), repeats=False, gaps=0.3)
    gaps = [segment for segment in given_out if segment.error]
    lost = [one for one in said if any(g.start < one.end and one.start < (g.end or 0.0) for g in gaps)]
    got = iter(heard(stitcher))
    assert all(one.word in got for one in said if one not in lost)


@given(texts)
def test_joining_with_itself_changes_nothing(text: str) -> None:
    """Where both sides heard the same, the result is that, wherever the seam is."""
    tokens = tokens_of(Segment(0.0, 5.0, text))
    where = cut(tokens, tokens, 0.0, 5.0)
    assert where.tail == where.head or where.doubt == "repeated"


@given(texts, texts, st.sampled_from([TIMED, UNTIMED]))
def test_pairs_go_forwards(first: str, second: str, costs: object) -> None:
    """Pairs of an alignment are in order on both sides, and in range."""
    some, others = tokens_of(Segment(0.0, 5.0, first)), tokens_of(Segment(0.0, 5.0, second))
    score, pairs = align(some, others, costs)  # type: ignore[arg-type]  # one of the two
    assert (score > 0) == bool(pairs)
    for one, other in pairwise(pairs):
        assert one.first < other.first
        assert one.second < other.second
    assert all(p.first < len(some) and p.second < len(others) and 0 <= p.alike <= 1 for p in pairs)


@given(texts)
def test_tokens_cover_the_text(text: str) -> None:
    """Every letter of a text is in exactly one token, and cutting from the first token changes nothing."""
    segment = Segment(0.0, 5.0, text)
    tokens = tokens_of(segment)
    assert "".join(token.normal for token in tokens) == normalise(text)
    assert all(one.stop <= other.begin and one.end <= other.start + 1e-9 for one, other in pairwise(tokens))
    if tokens:
        assert from_(segment, tokens, 0) == segment
