"""What is handed out when, at the very borders of overlaps, gaps and segments."""

from __future__ import annotations

import pytest

from hfasr._core.stitch import Span, Stitcher
from hfasr.types import Segment, Timestamps, Transcript, Word

FIRST = Span(0.0, 10.0, 0.0, 2.0)
SECOND = Span(8.0, 18.0, 2.0, 0.0)
DIFFERENT = "they heard different words there"


def said(*times: tuple[float, float | None, str]) -> Transcript:
    """Return a transcript of segments without words."""
    return Transcript(" ".join(text for _, _, text in times), tuple(Segment(*one) for one in times))


def worded(*words: tuple[float, float, str]) -> Transcript:
    """Return a transcript of one segment with these words."""
    text = " ".join(word for _, _, word in words)
    timed = tuple(Word(*one) for one in words)
    return Transcript(text, (Segment(timed[0].start, timed[-1].end, text, timed),))


def shape(segments: tuple[Segment, ...]) -> list[tuple[float, float | None, str]]:
    return [(segment.start, segment.end, segment.error or segment.text) for segment in segments]


@pytest.mark.parametrize(("overlap", "text"), [(0.001, "a b b c"), (0.002, "a b c"), (2.0, "a b c")])
def test_the_shortest_overlap(overlap: float, text: str) -> None:
    """Chunks that share a millisecond share nothing: that comes of rounding."""
    stitcher = Stitcher(False)
    stitcher.add(Transcript("a b"), Span(0.0, 10.0, 0.0, overlap))
    stitcher.add(Transcript("b c"), Span(10.0 - overlap, 18.0, overlap, 0.0))
    assert stitcher.text == text


def test_the_overlap_is_no_more_than_was_heard() -> None:
    """Where less was heard than the chunk says it shares, the seam is in the middle of that."""
    stitcher = Stitcher("word")
    stitcher.add(worded((8.0, 8.4, "a"), (8.5, 8.9, "b")), Span(0.0, 9.0, 0.0, 1.0))
    stitcher.add(worded((0.0, 0.4, "x"), (0.5, 0.9, "y"), (1.0, 1.4, "z")), Span(8.0, 18.0, 9.0, 0.0))
    assert stitcher.text == "a y z"


@pytest.mark.parametrize("after", [0.5, 2.0])
def test_what_reaches_into_the_overlap_waits(after: float) -> None:
    """A segment that the next chunk may change comes with that, or at the end; what ends before it at once."""
    stitcher = Stitcher(True)
    early, late = (1.0, 2.0, "a b"), (9.5, 9.8, "c")
    assert shape(stitcher.add(said(early, late), Span(0.0, 10.0, 0.0, after))) == [early]
    assert stitcher.text == "a b c"
    assert shape(stitcher.segments) == [early]
    assert shape(stitcher.finish()) == [late]
    assert shape(stitcher.segments) == [early, late]
    assert stitcher.finish() == ()


def test_a_chunk_comes_whole_where_no_times_were_asked_for() -> None:
    """Without times what ends before the overlap waits for the rest of its chunk."""
    stitcher = Stitcher(False)
    assert shape(stitcher.add(said((0.0, 1.0, "a b")), Span(0.0, 3.0))) == [(0.0, 3.0, "a b")]
    assert stitcher.add(said((1.0, 2.0, "c d"), (6.5, 6.9, "e")), Span(3.0, 10.0, 0.0, 0.5)) == ()
    assert shape(stitcher.finish()) == [(3.0, 10.0, "c d e")]
    assert stitcher.segments == ()  # they are no part of the transcript
    stitcher.add_gap(Span(10.0, 20.0), "down")
    assert len(stitcher.segments) == 3  # but where a gap is to be shown


@pytest.mark.parametrize("after", [0.5, 2.0])
def test_a_gap_waits_for_the_next_chunk(after: float) -> None:
    """A gap that the next chunk may shorten comes with that; one that it cannot comes at once."""
    stitcher = Stitcher(True)
    assert stitcher.add_gap(Span(0.0, 10.0, 0.0, after), "down") == ()
    got = stitcher.add(said((1.0, 2.0, "a")), Span(10.0 - after, 20.0, after, 0.0))
    assert shape(got) == [(0.0, 10.0 - after, "down"), (11.0 - after, 12.0 - after, "a")]
    assert shape(stitcher.add_gap(Span(20.0, 30.0), "down")) == [(20.0, 30.0, "down")]


@pytest.mark.parametrize(("before", "start"), [(0.0, 8.0), (0.5, 10.0), (2.0, 10.0)])
def test_a_gap_begins_where_the_chunk_before_ends(before: float, start: float) -> None:
    """Of a failed chunk that shares something with the one before, the gap is what that has not heard."""
    stitcher = Stitcher(True)
    stitcher.add(said((1.0, 2.0, "a")), Span(0.0, 10.0, 0.0, before))
    assert shape(stitcher.add_gap(Span(8.0, 18.0, before, 0.0), "down")) == [(start, 18.0, "down")]


def test_a_gap_within_what_was_heard() -> None:
    """A failed chunk of which everything was heard is a gap of no length."""
    stitcher = Stitcher(True)
    stitcher.add(said((1.0, 2.0, "a")), Span(0.0, 10.0, 0.0, 2.0))
    assert shape(stitcher.add_gap(Span(8.0, 9.0, 1.0, 0.0), "down")) == [(9.0, 9.0, "down")]


def test_a_gap_stays_between_its_neighbours() -> None:
    """Where the seam of its neighbours goes across a failed chunk, the gap is kept."""
    stitcher = Stitcher("word")
    words = [(5.0 + 0.5 * i, 5.4 + 0.5 * i, letter) for i, letter in enumerate("abcdef")]
    stitcher.add(worded(*words), Span(0.0, 8.0, 0.0, 3.0))
    stitcher.add_gap(Span(5.0, 9.0, 3.0, 3.0), "down")
    stitcher.add(worded(*((start - 6.0, end - 6.0, word) for start, end, word in words[2:])), Span(6.0, 16.0, 3.0, 0.0))
    assert [segment.error for segment in stitcher.segments] == [None, "down", None]
    assert stitcher.text == "a b c d e f"
    assert stitcher.warnings == ("1 of 3 chunks failed and left a gap, 8.0 to 8.0 s: down",)


def test_nothing_is_kept_of_what_goes_on_for_ever() -> None:
    """Without keeping, the segments come in order all the same, and only the last is held."""
    stitcher = Stitcher(True, keep=False)
    stitcher.add(said((1.0, 2.0, "a"), (3.0, 9.0, "b")), Span(0.0, 9.0))
    got = stitcher.add(said((0.0, 3.0, "c")), Span(8.0, 18.0))
    assert shape(got) == [(9.0, 11.0, "c")]
    assert stitcher.text == "c"
    kept = Stitcher(True)
    kept.add(said((1.0, 2.0, "a"), (3.0, 9.0, "b")), Span(0.0, 9.0))
    assert kept.text == "a b"


@pytest.mark.parametrize(("timestamps", "words"), [(True, ()), ("word", (Word(9.0, 10.5, "c"), Word(10.5, 11.0, "d")))])
def test_segments_are_in_order(timestamps: Timestamps, words: tuple[Word, ...]) -> None:
    """A segment begins where the one before ends, and so do its words."""
    stitcher = Stitcher(timestamps)
    stitcher.add(worded((1.0, 9.0, "a")), Span(0.0, 9.0))
    (got,) = stitcher.add(worded((0.0, 2.5, "c"), (2.5, 3.0, "d")), Span(8.0, 18.0))
    assert got == Segment(9.0, 11.0, "c d", words)


@pytest.mark.parametrize(
    ("timestamps", "text", "warnings"),
    [
        (True, "one two", ()),
        (True, " one\n two ", ()),
        (True, "one  tw o", ()),
        (True, "one", ("the text differs from that of the segments, which was taken",)),
        (False, "one", ()),
        (False, " one two", ()),
    ],
)
def test_texts_that_differ(timestamps: Timestamps, text: str, warnings: tuple[str, ...]) -> None:
    """Spaces are no difference between a text and its segments."""
    stitcher = Stitcher(timestamps)
    segments = (Segment(0.0, 1.0, " one"), Segment(1.0, 1.0, " "), Segment(1.0, 2.0, "two"))
    got = stitcher.add(Transcript(text, segments), Span(0.0, 2.0))
    if timestamps:
        assert shape(got) == [(0.0, 1.0, "one"), (1.0, 2.0, "two")]
    else:
        assert shape(got) == [(0.0, 2.0, text.strip())]
    assert stitcher.warnings == warnings


@pytest.mark.parametrize("timestamps", [False, True])
def test_nothing_said(timestamps: Timestamps) -> None:
    """A chunk without a word has no segment, and says nothing of the language."""
    stitcher = Stitcher(timestamps)
    blank = (Segment(0.0, 1.0, " "),)
    assert stitcher.add(Transcript(" ", blank, "de", warnings=("odd",)), Span(0.0, 9.0)) == ()
    assert (stitcher.text, stitcher.segments, stitcher.language) == ("", (), None)
    assert stitcher.warnings == ("odd",)
    other = Stitcher(timestamps)
    other.add(Transcript("", (Segment(0.0, 1.0, "a"),), "de"), Span(0.0, 9.0))
    assert other.text == ("a" if timestamps else "")


def test_language_of_the_most_seconds() -> None:
    """The chunks of a language count together, each for its length."""
    stitcher = Stitcher(False)
    for start, end, language in [(0.0, 5.0, "de"), (5.0, 8.0, "en"), (8.0, 10.5, "en"), (10.5, 10.5, "nn")]:
        stitcher.add(Transcript("a", language=language), Span(start, end))
    assert stitcher.language == "en"


def halves(end: float, *, words: str = "", timestamps: Timestamps = True) -> list[tuple[float, float | None, str]]:
    """Join a segment that two chunks have heard each a part of; *words*: which of them have words with times."""

    def one(start: float, end: float, text: str, has_words: bool) -> Transcript:
        letters = text.split()
        each = (end - start) / len(letters)
        timed = tuple(Word(start + i * each, start + (i + 1) * each, word) for i, word in enumerate(letters))
        return Transcript(text, (Segment(start, end, text, timed if has_words else ()),))

    stitcher = Stitcher(timestamps)
    stitcher.add(one(6.0, 10.0, "a b c d", "1" in words), Span(0.0, 10.0, 0.0, 4.0))
    stitcher.add(one(0.0, end - 6.0, "a b c d e", "2" in words), Span(6.0, 60.0, 4.0, 0.0))
    stitcher.finish()
    return shape(stitcher.segments)


def test_halves_of_a_segment() -> None:
    """A segment that a seam has cut is whole again where nobody knows where the seam is in it, up to 30 s."""
    whole = (6.0, 36.0, "a b c d e")
    assert halves(36.0) == [whole]
    assert [text for *_, text in halves(36.01)] == ["a b", "c d e"]
    assert halves(11.0, words="1") == [(6.0, 11.0, "a b c d e")]
    assert halves(11.0, words="2") == [(6.0, 11.0, "a b c d e")]
    assert [text for *_, text in halves(11.0, words="12")] == ["a b", "c d e"]
    assert [text for *_, text in halves(11.0, timestamps="word")] == ["a b", "c d e"]


def test_the_seam_is_where_both_begin_a_segment() -> None:
    """Not far from the middle it is where a segment begins in both hearings, and not where one does in one alone."""
    rest = "sun key ivy moth leaf"
    first = said((10.0, 13.0, "red boat"), (13.0, 20.0, rest))
    both, alone = Stitcher(True), Stitcher(True)
    both.add(first, Span(0.0, 20.0, 0.0, 10.0))
    both.add(said((0.0, 3.0, "red boat"), (3.25, 9.0, rest)), Span(10.0, 30.0, 10.0, 0.0))
    assert shape(both.segments) == [(10.0, 13.0, "red boat"), (13.25, 19.0, rest)]
    alone.add(first, Span(0.0, 20.0, 0.0, 10.0))
    alone.add(said((0.0, 9.0, f"red boat {rest}"), (12.0, 13.0, "gnu")), Span(10.0, 30.0, 10.0, 0.0))
    assert shape(alone.segments) == [(10.0, 13.0, "red boat"), (13.0, 19.0, rest), (22.0, 23.0, "gnu")]


def test_halves_with_a_gap_between() -> None:
    """Across a failed chunk nothing is put together."""
    stitcher = Stitcher(True)
    stitcher.add(said((6.0, 10.0, "a b c d")), Span(0.0, 10.0, 0.0, 4.0))
    stitcher.add_gap(Span(6.0, 10.0, 4.0, 4.0), "down")
    stitcher.add(said((0.0, 5.0, "a b c d e")), Span(6.0, 16.0, 4.0, 0.0))
    assert [segment.error or segment.text for segment in stitcher.segments] == ["a b", "down", "c d e"]


def test_both_sides_share_the_overlap_where_they_differ() -> None:
    """Where both are kept whole, each has half of the overlap's time; the warning names its middle."""
    stitcher = Stitcher(True)
    stitcher.add(said((7.0, 10.0, "red boat sun key")), FIRST)
    stitcher.add(said((0.0, 3.0, "ivy moth leaf gnu")), SECOND)
    assert shape(stitcher.segments) == [(7.0, 9.0, "red boat sun key"), (9.0, 11.0, "ivy moth leaf gnu")]
    assert stitcher.warnings == (f"words may be repeated where chunks meet, at 9.0 s: {DIFFERENT}",)
    inside = Stitcher(True)
    inside.add(said((8.25, 9.75, "red")), FIRST)
    inside.add(said((0.25, 1.75, "ivy")), SECOND)
    assert shape(inside.segments) == [(8.125, 8.875, "red"), (9.125, 9.875, "ivy")]


def test_a_chunk_that_ends_within_another() -> None:
    """Of a chunk inside of what was heard nothing is taken, unless there was nothing; one as long is taken."""
    for end, text in ((9.0, "a b c d"), (9.9985, "a b c d"), (10.0, "a b y z")):
        stitcher = Stitcher("word")
        heard = [(8.0 + 0.5 * i, 8.4 + 0.5 * i, letter) for i, letter in enumerate("abcd")]
        stitcher.add(worded(*heard), FIRST)
        inner = [(0.5 * i, 0.5 * i + 0.4, letter) for i, letter in enumerate("wxyz")]
        stitcher.add(worded(*inner), Span(8.0, end, 2.0, 0.0))
        assert stitcher.text == text
    silent = Stitcher("word")
    silent.add(Transcript(""), FIRST)
    silent.add(worded((0.0, 0.4, "w")), Span(8.0, 9.0, 2.0, 0.0))
    assert silent.text == "w"
