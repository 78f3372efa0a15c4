"""Where two chunks have heard the same: which words are kept."""

from __future__ import annotations

import pytest

from hfasr._core.stitch import Span, Stitcher
from hfasr._core.tokens import normalise, tokens_of
from hfasr.types import Segment, Timestamps, Transcript, Word

OVERLAP_S = 2.0


def timed(text: str, start: float, *, word_s: float = 0.4) -> Transcript:
    """Return *text* with its words one after the other from *start*, seconds."""
    words = tuple(Word(start + i * 0.5, start + i * 0.5 + word_s, word) for i, word in enumerate(text.split()))
    if not words:
        return Transcript("")
    return Transcript(text, (Segment(words[0].start, words[-1].end, text, words),))


def joined(*texts: str, overlap: float = OVERLAP_S) -> Stitcher:
    """Join *texts* of chunks of 10 s, without times."""
    stitcher = Stitcher(False)
    for i, text in enumerate(texts):
        start = i * (10.0 - overlap)
        before, after = overlap if i else 0.0, overlap if i < len(texts) - 1 else 0.0
        stitcher.add(Transcript(text), Span(start, start + 10.0, before, after))
    stitcher.finish()
    return stitcher


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("and the end of the", "end of the story begins", "and the end of the story begins"),
        ("we went to the ocea", "to the ocean and swam", "we went to the ocean and swam"),
        ("we went to the ocean and", "cean and swam", "we went to the ocean and swam"),
        ("I said: don’t go there.", "Don't go there, please", "I said: don’t go there, please"),
        ("the colour of the sea", "color of the seas is blue", "the colour of the seas is blue"),
        ("so the STRASSE is long and", "Straße ist long and wide", "so the STRASSE is long and wide"),
        ("wegen der Donaudampfschifffahrts", "der Donaudampfschifffahrtsgesellschaft ruht", None),
        ("今日は天気がいい", "天気がいいですね", "今日は天気がいいですね"),
        ("今日は天気が良いから", "天気がいいから出かける", "今日は天気がいいから出かける"),
        ("ذهبنا إلى البحر الكَبِير", "إلى البحر الكبير وسبحنا", None),
        ("สวัสดีครับผมชื่อ", "ผมชื่อสมชาย", "สวัสดีครับผมชื่อสมชาย"),
    ],
)
def test_realistic_seams(first: str, second: str, text: str | None) -> None:
    """Words heard by both are there once, the one's own hearing of them where it is far from its edge."""
    stitcher = joined(first, second, overlap=3.0)
    if text is None:
        text = {"w": "wegen der Donaudampfschifffahrtsgesellschaft ruht", "ذ": "ذهبنا إلى البحر الكبير وسبحنا"}[
            first[0]
        ]
    assert [normalise(w) for w in stitcher.text.split()] == [normalise(w) for w in text.split()]
    assert stitcher.warnings == ()


def test_nothing_in_common_without_times() -> None:
    """Where nothing tells which words are the same both sides are kept, and that is said."""
    stitcher = joined("one two three", "four five six")
    assert stitcher.text == "one two three four five six"
    assert stitcher.warnings == ("words may be repeated where chunks meet, at 9.0 s: they heard different words there",)


def test_nothing_in_common_with_times() -> None:
    """With times the first is taken up to the middle of the overlap and the second from there, each sound once."""
    stitcher = Stitcher("word")
    stitcher.add(timed("a b c d", 8.0), Span(0.0, 10.0, 0.0, OVERLAP_S))
    stitcher.add(timed("w x y z", 0.0), Span(8.0, 18.0, OVERLAP_S, 0.0))
    assert stitcher.text == "a b y z"
    assert [word.start for s in stitcher.segments for word in s.words] == [8.0, 8.5, 9.0, 9.5]


@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize("timestamps", [False, "word"])
def test_only_one_side_heard_anything(empty: int, timestamps: Timestamps) -> None:
    """What one side alone has heard in the overlap is kept."""
    sides = [timed("a b c d", 8.0), timed("w x y z", 0.0)]
    sides[empty] = Transcript("")
    stitcher = Stitcher(timestamps)
    stitcher.add(sides[0], Span(0.0, 10.0, 0.0, OVERLAP_S))
    stitcher.add(sides[1], Span(8.0, 18.0, OVERLAP_S, 0.0))
    stitcher.finish()
    assert stitcher.text == ("w x y z" if empty == 0 else "a b c d")


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_gap_between_neighbours(timestamps: Timestamps) -> None:
    """Neighbours keep what they heard of a chunk that failed; the gap is what none of them heard."""
    stitcher = Stitcher(timestamps)
    stitcher.add(timed("a b c d", 8.0), Span(0.0, 10.0, 0.0, OVERLAP_S))
    stitcher.add_gap(Span(8.0, 18.0, OVERLAP_S, OVERLAP_S), "down")
    stitcher.add(timed("w x y z", 0.0), Span(16.0, 26.0, OVERLAP_S, 0.0))
    stitcher.finish()
    assert stitcher.text == "a b c d w x y z"
    assert [(s.start, s.end) for s in stitcher.segments if s.error] == [(10.0, 16.0)]
    assert stitcher.warnings == ("1 of 3 chunks failed and left a gap, 10.0 to 16.0 s: down",)


def test_gaps_side_by_side() -> None:
    """Two gaps in a row meet, and at the end of the audio the second goes to its end."""
    stitcher = Stitcher(True)
    stitcher.add(timed("a", 1.0), Span(0.0, 10.0, 0.0, OVERLAP_S))
    stitcher.add_gap(Span(8.0, 18.0, OVERLAP_S, OVERLAP_S), "down")
    stitcher.add_gap(Span(16.0, 26.0, OVERLAP_S, 0.0), "down")
    assert [(s.start, s.end) for s in stitcher.segments] == [(1.0, 1.4), (10.0, 18.0), (18.0, 26.0)]


def test_three_chunks_at_the_same_instant() -> None:
    """A chunk shorter than its overlaps, heard whole by both neighbours, gives no word twice."""
    stitcher = Stitcher("word")
    stitcher.add(timed("a b c d e f", 5.0), Span(0.0, 8.0, 0.0, 3.0))
    stitcher.add(timed("a b c d e f g h", 0.0), Span(5.0, 9.0, 3.0, 3.0))
    stitcher.add(timed("c d e f g h i j", 0.0), Span(6.0, 16.0, 3.0, 0.0))
    assert stitcher.text == "a b c d e f g h i j"
    assert [w.start for s in stitcher.segments for w in s.words] == [5.0 + 0.5 * i for i in range(10)]


def test_gap_where_neighbours_meet() -> None:
    """Where both neighbours of a failed chunk heard its whole, their own seam is mended across it."""
    stitcher = Stitcher("word")
    stitcher.add(timed("a b c d e f", 5.0), Span(0.0, 8.0, 0.0, 3.0))
    stitcher.add_gap(Span(5.0, 9.0, 3.0, 3.0), "down")
    stitcher.add(timed("c d e f g h", 0.0), Span(6.0, 16.0, 3.0, 0.0))
    assert stitcher.text == "a b c d e f g h"


def test_chunk_within_another() -> None:
    """A chunk that lies within what was heard adds nothing."""
    stitcher = Stitcher("word")
    stitcher.add(timed("a b c d", 8.0), Span(0.0, 10.0, 0.0, 2.0))
    stitcher.add(timed("a b", 0.0), Span(8.0, 9.0, 2.0, 0.0))
    stitcher.finish()
    assert stitcher.text == "a b c d"


def test_words_that_one_side_missed() -> None:
    """A word that only one side has is kept although the middle of the overlap is elsewhere."""
    stitcher = Stitcher("word")
    first = timed("a b c d e f g h", 6.0)
    words = tuple(w for w in first.words if w.word != "d")
    first = Transcript("a b c e f g h", (Segment(6.0, 9.9, "a b c e f g h", words),))
    stitcher.add(first, Span(0.0, 10.0, 0.0, 4.0))
    stitcher.add(timed("a b c d e f g h", 0.0), Span(6.0, 16.0, 4.0, 0.0))
    assert stitcher.text == "a b c d e f g h"


def test_segments_are_trimmed() -> None:
    """A segment that straddles a seam keeps what is left of it: text, words and times."""
    stitcher = Stitcher("word")
    stitcher.add(timed("a b c d", 8.0), Span(0.0, 10.0, 0.0, OVERLAP_S))
    stitcher.add(timed("a b c d e", 0.0), Span(8.0, 18.0, OVERLAP_S, 0.0))
    assert [(s.start, s.end, s.text, len(s.words)) for s in stitcher.segments] == [
        (8.0, 8.9, "a b", 2),
        (9.0, 10.4, "c d e", 3),
    ]


def test_words_of_several_characters_are_cut() -> None:
    """Chunks may group characters into words differently; each character is there once, and in one word."""
    stitcher = Stitcher("word")
    first = (Word(8.0, 8.8, "天気"), Word(8.8, 9.6, "がい"))
    second = (Word(0.0, 0.4, "天"), Word(0.4, 1.2, "気が"), Word(1.2, 2.0, "いい"))
    stitcher.add(Transcript("天気がい", (Segment(8.0, 9.6, "天気がい", first),)), Span(0.0, 10.0, 0.0, 2.0))
    stitcher.add(Transcript("天気がいい", (Segment(0.0, 2.0, "天気がいい", second),)), Span(8.0, 18.0, 2.0, 0.0))
    assert stitcher.text == "天気がいい"
    assert "".join(w.word for s in stitcher.segments for w in s.words) == "天気がいい"


def test_words_without_punctuation() -> None:
    """Words that lack the text's punctuation are found in it by their letters."""
    words = (Word(0.0, 0.4, "Well"), Word(0.5, 0.9, "it's"), Word(1.0, 1.4, "fine"))
    tokens = tokens_of(Segment(0.0, 1.5, "— Well, it’s … fine!", words))
    assert [(t.normal, t.start, t.end) for t in tokens] == [("well", 0.0, 0.4), ("its", 0.5, 0.9), ("fine", 1.0, 1.4)]


def test_long_overlaps() -> None:
    """An overlap of minutes is mended around its middle, in bounded time."""
    words = [f"w{i}{'abcdefghij'[i % 10] * 3}" for i in range(1200)]
    stitcher = Stitcher("word")
    stitcher.add(timed(" ".join(words[:800]), 0.0), Span(0.0, 400.0, 0.0, 200.0))
    stitcher.add(timed(" ".join(words[400:]), 0.0), Span(200.0, 600.0, 200.0, 0.0))
    assert stitcher.text == " ".join(words)


def test_half_of_a_word_at_both_edges() -> None:
    """In an overlap shorter than a word the half that is less gives way, though it is before the middle."""
    stitcher = Stitcher("word")
    words = (Word(4.5, 4.66, "horse"), Word(4.7, 5.08, "ho"))
    stitcher.add(Transcript("horse ho", (Segment(4.5, 5.08, "horse ho", words),)), Span(0.0, 5.08, 0.0, 0.11))
    rest = (Word(0.0, 0.13, "horse"),)
    stitcher.add(Transcript("horse", (Segment(0.0, 0.13, "horse", rest),)), Span(4.97, 9.0, 0.11, 0.0))
    assert stitcher.text == "horse horse"


def test_chunks_meet_within_the_overlap() -> None:
    """Without times asked for the segments of two chunks meet where the one gave over to the other."""
    stitcher = Stitcher(False)
    stitcher.add(timed("a b c d", 8.0), Span(0.0, 10.0, 0.0, OVERLAP_S))
    first, second = stitcher.add(timed("a b c d e", 0.0), Span(8.0, 18.0, OVERLAP_S, 0.0))
    assert (first.start, second.end) == (0.0, 18.0)
    assert (first.text, second.text) == ("a b", "c d e")
    assert first.end == second.start == pytest.approx(8.95)


def test_an_error_near_the_edge_does_not_draw_the_seam_to_it() -> None:
    """Of a word that one side alone has, near the edge of its chunk, the other side is believed: it heard more of it."""
    words = "ten nine eight seven six five four three two one"
    stitcher = joined(f"so {words[:-3]} quiz one", f"{words} zero", overlap=5.0)
    assert stitcher.text == f"so {words} zero"
    assert stitcher.warnings == ()


def test_a_segment_that_a_seam_cuts_is_whole_again() -> None:
    """Without times of words a segment on a seam has the start of the one hearing and the end of the other."""
    stitcher = Stitcher(True)
    stitcher.add(Transcript("a b c d", (Segment(6.0, 10.0, "a b c d"),)), Span(0.0, 10.0, 0.0, 4.0))
    stitcher.add(Transcript("a b c d e", (Segment(0.0, 5.0, "a b c d e"),)), Span(6.0, 16.0, 4.0, 0.0))
    stitcher.finish()
    assert [(s.start, s.end, s.text) for s in stitcher.segments] == [(6.0, 11.0, "a b c d e")]


def test_a_seam_is_where_both_begin_a_segment() -> None:
    """Where a segment ends in both hearings is the seam, rather than inside of one."""
    stitcher = Stitcher(True)
    tail = (Segment(5.0, 7.5, "a b c"), Segment(8.0, 10.0, "d e"))
    head = (Segment(0.0, 2.5, "a b c"), Segment(3.0, 7.0, "d e f g"))
    stitcher.add(Transcript("a b c d e", tail), Span(0.0, 10.0, 0.0, 5.0))
    stitcher.add(Transcript("a b c d e f g", head), Span(5.0, 15.0, 5.0, 0.0))
    stitcher.finish()
    assert [(s.start, s.end, s.text) for s in stitcher.segments] == [(5.0, 7.5, "a b c"), (8.0, 12.0, "d e f g")]
