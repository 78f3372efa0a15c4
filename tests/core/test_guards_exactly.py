"""What the guards make of a transcript as a whole, at the borders."""

from __future__ import annotations

import math

import pytest

from hfasr import Segment, Transcript, Word
from hfasr._core.guards import guarded

SILENT = "the audio is silent; what the model said was left out"


@pytest.mark.parametrize(
    ("duration", "end"),
    [(0.0, 0.0), (0.5, 0.5), (1e9, 1e9), (1.1e9, None), (-0.1, None), (math.nan, None), (None, None)],
)
def test_duration(duration: float | None, end: float | None) -> None:
    """A duration from 0 to 1e9 s ends the last segment; another one is taken for unknown."""
    found = guarded(Transcript("hm", (Segment(0.0, None, "hm"),)), duration=duration, is_silent=None)
    assert found.segments[0].end == end


@pytest.mark.parametrize(
    "said",
    [
        Transcript("Thank you."),
        Transcript("", (Segment(0.0, 1.0, "Thank you."),)),
        Transcript(" ", (Segment(0.0, 1.0, " ", (Word(0.0, 1.0, "you"),)),)),
    ],
)
def test_said_in_silence(said: Transcript) -> None:
    """Whatever is said on silent audio goes, wherever it stands, and a second time changes nothing."""
    found = guarded(said, duration=2.0, is_silent=True)
    assert found == Transcript("", (), warnings=(SILENT,))
    assert guarded(found, duration=2.0, is_silent=True) is found


@pytest.mark.parametrize("is_silent", [False, None])
def test_not_silent(is_silent: bool | None) -> None:
    """On audio that is not silent, or that nobody looked at, what is said stays."""
    said = Transcript("Thank you.", (Segment(0.0, 1.0, "Thank you."),))
    assert guarded(said, duration=2.0, is_silent=is_silent) is said


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_said_in_silence(text: str) -> None:
    """Silent audio on which nothing is said is as it should be."""
    said = Transcript(text, (Segment(0.0, 1.0, text),))
    assert guarded(said, duration=2.0, is_silent=True) is said


def test_gaps_in_silence() -> None:
    """A stretch that failed stays told of, without text."""
    failed = Segment(1.0, 2.0, "you", (Word(1.0, 2.0, "you"),), error="it failed")
    found = guarded(Transcript("you you", (Segment(0.0, 1.0, "you"), failed)), duration=2.0, is_silent=True)
    assert found.segments == (Segment(1.0, 2.0, "", (), error="it failed"),)


def test_loop_of_loops() -> None:
    """Repetitions of a loop that shows only when another is taken out are counted, too."""
    found = guarded(Transcript(("no " * 60 + "yes and well then ") * 20), duration=2.0, is_silent=False)
    assert found.text == "no yes and well then"
    assert found.warnings == (f"the model repeated itself: {20 * 59 + 19} repetitions left out",)


def test_order_of_warnings() -> None:
    """New warnings come behind those that are there, and none comes twice."""
    times = "were missing, backward, beyond the audio or stuck; they were estimated from their neighbours"
    said = Transcript("a" * 200, (Segment(0.0, 0.5, "a" * 200), Segment(9.0, 8.0, "b")), warnings=("before",))
    found = guarded(said, duration=1.0, is_silent=False)
    assert found.warnings == (
        "before",
        f"the times of 1 segment and 0 words {times}",
        "more text than can be said in the time: 200 characters in 1.00 s of audio",
    )
    assert guarded(found, duration=1.0, is_silent=False) is found
