"""What is left of a loop: exactly which text, segments and words."""

from __future__ import annotations

import math

import pytest

from hfasr import Segment, Word
from hfasr._core.guard_collapse import Collapsed, collapse
from hfasr._core.guard_loops import Loop, loop_seconds, tokens_of


def you(n: int) -> str:
    return " ".join(["you"] * n)


@pytest.mark.parametrize("text", ["", "nothing repeats here", "a b " * 5])
def test_no_loop(text: str) -> None:
    """What holds no loop comes back as it is."""
    segments = (Segment(0.0, 0.1, text),)
    found = collapse(text, segments, 0.1)
    assert found == Collapsed(text, segments, 0, 0)
    assert found.segments is segments


def test_beyond_its_time() -> None:
    """A loop goes only where there was less time than anybody needs for it."""
    text = you(100)
    seconds = loop_seconds(text, tokens_of(text), Loop(0, 1, 100))
    assert collapse(text, (), seconds) == Collapsed(text, (), 0, 100)
    assert collapse(text, (), math.nextafter(seconds, 0.0)) == Collapsed("you", (), 99, 0)
    assert collapse(text, (), None) == Collapsed(text, (), 0, 100)


def test_several() -> None:
    """Repetitions of all loops are counted together; what is around them stays as it is."""
    text = f"Well, {you(60)} said: {'of the ' * 60}end."
    assert collapse(text, (), 1.0) == Collapsed("Well, you said: of the end.", (), 118, 0)


def test_most_repeats() -> None:
    """Of loops that may have been said the longest is told, and none that is too small."""
    assert collapse(f"{'no ' * 60}well {'yes ' * 90}well {'so ' * 70}", (), 60.0)[2:] == (0, 90)
    assert collapse("abc " * 9, (), 60.0)[2:] == (0, 0)


@pytest.mark.parametrize(
    ("n", "end", "following", "duration", "left"),
    [
        (30, 12.0, 12.0, None, 30),  # 2.975 s in 2 s and a second
        (31, 12.0, 12.0, None, 1),  # 3.075 s
        (31, 12.0, 12.5, None, 31),  # up to the next start
        (31, 12.5, 12.0, None, 31),
        (31, 12.0, 12.5, 3.0, 1),  # longer than the audio it cannot be
        (31, None, 12.0, None, 1),
    ],
)
def test_time_of_a_segment(n: int, end: float | None, following: float, duration: float | None, left: int) -> None:
    """A loop within a segment has that segment's time, up to the next one, and a second."""
    others = Segment(following, 90.0, "and so"), Segment(90.0, 99.0, "on")
    found = collapse(f"{you(n)} and so on", (Segment(10.0, end, you(n)), *others), duration)
    assert found.segments == (Segment(10.0, end, you(left)), *others)
    assert found.text == f"{you(left)} and so on"


@pytest.mark.parametrize(
    ("end", "duration", "left"),
    [(12.0, None, 1), (None, None, 31), (None, 13.1, 31), (None, 12.0, 1), (12.0, 90.0, 31)],
)
def test_time_of_the_last_segment(end: float | None, duration: float | None, left: int) -> None:
    """The last one has up to the end of the audio; where nobody knows any end, nothing is beyond doubt."""
    assert collapse(you(31), (Segment(10.0, end, you(31)),), duration).text == you(left)


def test_over_segments() -> None:
    """A loop over several has all their time, up to the end of the one in which its last word is."""
    segments = (Segment(10.0, 12.0, you(39)), Segment(12.0, 20.0, "you"))
    assert collapse(you(40), segments, None) == Collapsed(you(40), segments, 0, 40)
    short = (Segment(10.0, 12.0, you(39)), Segment(12.0, 12.5, "you"))
    assert collapse(you(40), short, None) == Collapsed("you", (Segment(10.0, 12.0, "you"),), 39, 0)


def test_segments_that_go() -> None:
    """Segments of which nothing is left go; the others keep their times, and what else they hold."""
    segments = (
        Segment(0.0, 0.1, "Oh, you", channel=1),
        Segment(0.1, 0.2, you(40)),
        Segment(0.2, 0.3, "you and me.", channel=1),
        Segment(0.3, 0.9, "Yes."),
    )
    text = " ".join(segment.text for segment in segments)
    assert collapse(text, segments, 0.9) == Collapsed(
        "Oh, you and me. Yes.",
        (segments[0], Segment(0.2, 0.3, "and me.", channel=1), segments[3]),
        41,
        0,
    )


def spoken(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(0.0, 0.0, text) for text in texts)


def test_words_that_go() -> None:
    """Words go with the text, also a part of one."""
    first = Segment(0.0, 0.1, f"so {you(3)}", spoken("so", "you", "you you"))
    last = Segment(0.1, 0.2, f"{you(40)} then", spoken(*["you"] * 39, "you then"))
    found = collapse(f"so {you(43)} then", (first, last), 0.2)
    assert found.segments == (
        Segment(0.0, 0.1, "so you", spoken("so", "you")),
        Segment(0.1, 0.2, "then", spoken("then")),
    )


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(0.0, 0.1, you(39)),),
        (Segment(0.0, 0.1, you(39)), Segment(0.1, 0.2, "you", spoken("thou"))),
        (Segment(0.0, 0.1, "you you", spoken("you", "thou")), Segment(0.1, 0.2, you(38))),
    ],
)
def test_parts_that_do_not_line_up(segments: tuple[Segment, ...]) -> None:
    """Where segments or words say something else than the text, nothing is taken out."""
    assert collapse(you(40), segments, 0.2) == Collapsed(you(40), segments, 0, 40)


def test_words_between_go_unread() -> None:
    """Of a segment that goes as a whole the words may be anything."""
    segments = (
        Segment(0.0, 0.1, "you you"),
        Segment(0.1, 0.2, you(37), spoken("thou")),
        Segment(0.2, 0.3, "you"),
    )
    assert collapse(you(40), segments, 0.3) == Collapsed("you", (Segment(0.0, 0.1, "you"),), 39, 0)
