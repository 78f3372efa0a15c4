"""The transcripts of chunks joined into one: times, gaps, warnings, and what is handed out when."""

from __future__ import annotations

import gc
import random
import time

import pytest

from hfasr._core.stitch import Span, Stitcher
from hfasr.types import Segment, Timestamps, Transcript, Word
from tests.core.hearings import Hearing, spans, speech

SYLLABLES = ("ba", "be", "bi", "bo", "bu")


def spoken(*words: tuple[float, float, str]) -> Transcript:
    """Return a transcript of one segment with these words."""
    timed = tuple(Word(start, end, word) for start, end, word in words)
    text = " ".join(word.word for word in timed)
    return Transcript(text, (Segment(timed[0].start, timed[-1].end, text, timed),))


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["one two", " three "], "one two three"),
        (["one", "", "  ", "two"], "one two"),
        (["日本語は", "美しい。", "OK"], "日本語は美しい。 OK"),
        (["안녕", "하세요"], "안녕 하세요"),
        (["مرحبا", "بالعالم"], "مرحبا بالعالم"),
    ],
)
def test_side_by_side(texts: list[str], joined: str) -> None:
    """Without an overlap texts are joined by one space, or by none where the script has none."""
    stitcher = Stitcher(False)
    given = [s for i, text in enumerate(texts) for s in stitcher.add(Transcript(text), Span(i * 10.0, i * 10.0 + 10))]
    assert stitcher.finish() == ()
    assert stitcher.text == joined
    assert [s.text for s in given] == [text.strip() for text in texts if text.strip()]
    assert stitcher.segments == ()


def test_one_segment_a_chunk_without_times() -> None:
    """Who asked for no times gets, on the way, one segment for each chunk, however the route answered."""
    stitcher = Stitcher(False)
    assert stitcher.add(Transcript("a b"), Span(0.0, 10.0)) == (Segment(0.0, 10.0, "a b"),)
    two = (Segment(1.0, 2.0, "c"), Segment(3.0, 4.0, "d"))
    assert stitcher.add(Transcript("c d", two), Span(10.0, 20.0)) == (Segment(10.0, 20.0, "c d"),)


def test_times_in_the_whole_audio() -> None:
    """Times are the chunk's own plus its start, and nothing else is changed."""
    word = Word(0.25, 0.75, "hello,", 0.5)
    stitcher = Stitcher("word")
    segment = Segment(0.25, 1.5, "hello,", (word,), channel=1)
    (got,) = stitcher.add(Transcript("hello,", (segment,)), Span(30.0, 60.0))
    assert got == Segment(30.25, 31.5, "hello,", (Word(30.25, 30.75, "hello,", 0.5),), channel=1)


def test_words_only_where_asked_for() -> None:
    """Segments lose their words where only segments were asked for."""
    stitcher = Stitcher(True)
    stitcher.add(spoken((0.0, 0.5, "a")), Span(0.0, 1.0))
    assert stitcher.segments == (Segment(0.0, 0.5, "a"),)


def test_odd_times() -> None:
    """Times beyond the chunk, backwards or unknown come out in order, within it and known."""
    odd = (Segment(5.0, None, "a"), Segment(4.0, 4.5, "b"), Segment(6.0, 99.0, "c"), Segment(7.0, None, "d"))
    stitcher = Stitcher(True)
    stitcher.add(Transcript("a b c d", odd), Span(10.0, 20.0))
    stitcher.add(Transcript("e", (Segment(0.0, 1.0, "e"),)), Span(20.0, 30.0))
    assert [(s.start, s.end) for s in stitcher.segments] == [(15, 15), (15, 15), (16, 17), (17, 20), (20, 21)]


def test_no_times_although_asked_for() -> None:
    """A chunk whose route gave no times is one segment."""
    stitcher = Stitcher("word")
    stitcher.add(Transcript("a b", warnings=("no timestamps",)), Span(10.0, 20.0))
    assert stitcher.segments == (Segment(10.0, 20.0, "a b"),)
    assert stitcher.warnings == ("no timestamps",)


def test_text_that_differs_from_its_segments() -> None:
    """With times asked for the segments are the text, and that is said; without, the text is."""
    odd = Transcript("one two", (Segment(0.0, 1.0, "one"),))
    timed, plain = Stitcher(True), Stitcher(False)
    timed.add(odd, Span(0.0, 2.0))
    plain.add(odd, Span(0.0, 2.0))
    assert (timed.text, plain.text) == ("one", "one two")
    assert timed.warnings == ("the text differs from that of the segments, which was taken",)
    assert plain.warnings == ()


def test_gap() -> None:
    """A chunk that failed is a segment with an error, a warning, and the reason for having segments at all."""
    stitcher = Stitcher(False)
    stitcher.add(Transcript("one"), Span(0.0, 10.0))
    assert stitcher.add_gap(Span(10.0, 20.0), "ServerError: down") == (
        Segment(10.0, 20.0, "", error="ServerError: down"),
    )
    stitcher.add(Transcript("two"), Span(20.0, 30.0))
    stitcher.finish()
    assert stitcher.text == "one two"
    assert [(s.start, s.end, s.text) for s in stitcher.segments] == [(0, 10, "one"), (10, 20, ""), (20, 30, "two")]
    assert stitcher.warnings == ("1 of 3 chunks failed and left a gap, 10.0 to 20.0 s: ServerError: down",)


def test_warnings_are_counted() -> None:
    """A warning of many chunks is told once, with how many; a single chunk's as it is; and there is an end to them."""
    stitcher = Stitcher(False)
    for i in range(40):
        stitcher.add(Transcript("a", warnings=("same", "same", f"other {i}")), Span(i, i + 1.0))
    lines = stitcher.warnings
    assert lines[:2] == ("same (in 40 of 40 chunks)", "other 0 (in 1 of 40 chunks)")
    assert lines[-1] == "21 more warnings of chunks are not shown"
    assert len(lines) == 21


def test_places_are_bounded() -> None:
    """However many chunks fail, the warning names a few of them."""
    stitcher = Stitcher(True)
    for i in range(1000):
        stitcher.add_gap(Span(i, i + 1.0), "ServerError: down")
    (line,) = stitcher.warnings
    assert line.endswith("4.0 to 5.0 s and 995 more: ServerError: down")


def test_language_of_the_most_audio() -> None:
    """The language is that of most seconds in which something was said."""
    stitcher = Stitcher(False)
    assert stitcher.language is None
    for text, language, start, end in [
        ("a", "de", 0.0, 10.0),
        ("b", "en", 10.0, 14.0),
        ("c", "en", 14.0, 18.0),
        ("", "nn", 18.0, 60.0),
        ("d", None, 60.0, 99.0),
    ]:
        stitcher.add(Transcript(text, language=language), Span(start, end))
    assert stitcher.language == "de"


def test_final_segments_come_at_once() -> None:
    """What ends before the overlap is handed out with its chunk, what reaches into it with the next."""
    stitcher = Stitcher(True)
    first = Transcript("a b c", (Segment(0.0, 2.0, "a"), Segment(3.0, 6.0, "b"), Segment(8.5, 9.5, "c")))
    assert [s.text for s in stitcher.add(first, Span(0.0, 10.0, 0.0, 2.0))] == ["a", "b"]
    second = Transcript("c d", (Segment(0.5, 1.5, "c"), Segment(3.0, 4.0, "d")))
    assert [s.text for s in stitcher.add(second, Span(8.0, 18.0, 2.0, 2.0))] == ["c", "d"]
    assert stitcher.finish() == ()


def join_many(n_chunks: int, timestamps: Timestamps, duration: float, overlap: float) -> float:
    """Join *n_chunks* of 150 words; return the seconds of the processor that it took."""
    rng = random.Random(0)
    step = duration - overlap
    truth = [f"{rng.choice(SYLLABLES)}{i % 997}" for i in range(int(step * n_chunks * 2.5))]
    chunks = []
    for c in range(n_chunks):
        first = int(c * step * 2.5)
        words = [Word(i / 2.5, i / 2.5 + 0.3, word) for i, word in enumerate(truth[first : first + 150])]
        groups = [words[i : i + 10] for i in range(0, len(words), 10)]
        text = " ".join(word.word for word in words)
        segments = tuple(
            Segment(g[0].start, g[-1].end, " ".join(w.word for w in g), tuple(g) if timestamps == "word" else ())
            for g in groups
        )
        span = Span(c * step, c * step + duration, overlap if c else 0.0, overlap if c < n_chunks - 1 else 0.0)
        chunks.append((Transcript(text, segments if timestamps else ()), span))
    stitcher = Stitcher(timestamps)
    gc.disable()  # its time grows with what other tests have left
    try:
        began = time.thread_time()
        for transcript, span in chunks:
            stitcher.add(transcript, span)
        stitcher.finish()
        took = time.thread_time() - began
    finally:
        gc.enable()
    assert stitcher.text.split() == truth
    return took


@pytest.mark.parametrize("timestamps", [False, True, "word"])
@pytest.mark.parametrize(("duration", "overlap"), [(60.0, 0.0), (60.0, 5.0)])
def test_many_chunks(timestamps: Timestamps, duration: float, overlap: float) -> None:
    """Chunks of 150 words come out right, and each takes as long as any: eight times as many, about eight times."""
    few, many = (min(join_many(n, timestamps, duration, overlap) for _ in range(2)) for n in (50, 400))
    assert many < 30 * few  # 64 times if each took longer than the one before


def test_text_grows_with_the_chunks() -> None:
    """The text is that of everything added so far, whatever is still to be handed out."""
    rng = random.Random(3)
    said = speech(rng, 40, repeats=False)
    stitcher = Stitcher("word")
    for span in spans(rng, said[-1].end, overlap=(1.0, 2.0)):
        stitcher.add(Hearing(rng).hear(said, span, "word"), span)
        n_heard = sum(one.end <= span.end for one in said)
        assert len(stitcher.text.split()) in {n_heard, n_heard + 1}
    stitcher.finish()
    assert stitcher.text == " ".join(segment.text for segment in stitcher.segments)
