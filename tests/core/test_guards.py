"""What models were seen to answer, retyped from public issues, and what the guards make of it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from hfasr import Segment, Transcript, Word
from hfasr._core.guards import guarded

TIMES = "were missing, backward, beyond the audio or stuck; they were estimated from their neighbours"


def heard(*segments: Segment) -> Transcript:
    return Transcript(" ".join(segment.text for segment in segments), segments)


def spans(transcript: Transcript) -> list[tuple[float, float | None]]:
    return [(segment.start, segment.end) for segment in transcript.segments]


def test_sane() -> None:
    """A transcript with which nothing is wrong comes back as the same object."""
    words = (Word(0.1, 0.4, "good"), Word(0.4, 0.9, "day"))
    sane = heard(Segment(0.0, 1.0, "good day", words), Segment(1.0, 2.0, "to you"))
    assert guarded(sane, duration=2.0, is_silent=False) is sane
    assert guarded(sane, duration=None, is_silent=None) is sane


def test_no_end() -> None:
    """A last end that is null becomes the audio's, without a warning (insanely-fast-whisper #91: the next step crashed)."""
    cut_off = heard(Segment(58.0, 60.0, "so very special"), Segment(62.0, None, "but I am"))
    whole = guarded(cut_off, duration=65.4, is_silent=False)
    assert spans(whole) == [(58.0, 60.0), (62.0, 65.4)]
    assert whole.warnings == ()


def test_no_end_and_no_duration() -> None:
    """A last end that nothing tells stays unknown."""
    cut_off = heard(Segment(58.0, None, "but I am", (Word(58.0, 58.5, "but"), Word(58.5, None, "I am"))))
    assert guarded(cut_off, duration=None, is_silent=False) is cut_off


def test_no_end_in_the_middle() -> None:
    """An end that is null before the last becomes the next start, and a warning says so."""
    whole = guarded(heard(Segment(0.0, None, "one"), Segment(4.0, 6.0, "two")), duration=9.0, is_silent=False)
    assert spans(whole) == [(0.0, 4.0), (4.0, 6.0)]
    assert whole.warnings == (f"the times of 1 segment and 0 words {TIMES}",)


def test_times_begin_again() -> None:
    """Windows whose times begin again at zero go on where the one before ended (transformers #31942, #34210, #32131)."""
    reset = heard(
        Segment(0.0, 6.56, "the apostle of the middle classes"),
        Segment(6.56, 11.24, "his manner"),
        Segment(11.24, 16.88, "this festive season"),
        Segment(16.88, 23.76, "similes drawn from eating"),
        Segment(23.76, 29.44, "grave doubts", (Word(23.8, 24.0, "grave"), Word(24.0, 24.5, "doubts"))),
        Segment(0.0, 4.28, "little of rocky", (Word(0.3, 0.5, "little"), Word(0.6, 0.7, "of"), Word(1, 2, "rocky"))),
        Segment(4.28, 10.88, "upguards and atom paintings"),
        Segment(10.88, 15.28, "a jingo poem"),
    )
    whole = guarded(reset, duration=46.0, is_silent=False)
    assert spans(whole)[:5] == spans(reset)[:5]
    assert [start for start, _ in spans(whole)[5:]] == pytest.approx([29.44, 33.72, 40.32])
    assert [word.start for word in whole.segments[5].words] == pytest.approx([29.74, 30.04, 30.44])
    assert whole.warnings == (f"the times of 3 segments and 3 words {TIMES}",)


def test_beyond_the_audio() -> None:
    """Times outside the audio are replaced by what is inside it (faster-whisper #919: 18.71 to 23.07 s of 3 s)."""
    words = (
        Word(18.71, 20.11, "Hey"),
        Word(20.11, 20.11, "Michael,"),
        Word(22.71, 22.71, "how"),
        Word(22.71, 22.71, "are"),
        Word(22.71, 23.07, "you?"),
    )
    whole = guarded(heard(Segment(18.71, 23.07, "Hey Michael, how are you?", words)), duration=3.0, is_silent=False)
    assert spans(whole) == [(0.0, 3.0)]
    starts = [word.start for word in whole.words]
    assert starts == sorted(set(starts))
    assert starts[0] == 0.0
    assert whole.words[-1].end == 3.0
    assert whole.warnings == (f"the times of 1 segment and 5 words {TIMES}",)


@pytest.mark.parametrize(("end", "duration"), [(30.02, 30.0), (30.0, 29.3)])
def test_a_little_beyond_the_audio(end: float, duration: float) -> None:
    """An end just beyond the audio is cut to it without a warning (faster-whisper #1334: 30.02 s of 30 s; whole seconds)."""
    whole = guarded(heard(Segment(0.0, 25.46, "one"), Segment(25.46, end, "two")), duration=duration, is_silent=False)
    assert spans(whole) == [(0.0, 25.46), (25.46, duration)]
    assert whole.warnings == ()


def test_one_time_off() -> None:
    """Where a few times run ahead and the rest is right, the rest is kept (whisper.cpp #866: an end before its start)."""
    words = (
        Word(4.02, 7.99, "Music"),
        Word(7.99, 8.05, "plays"),
        Word(9.0, 76.67, "Traffic"),
        Word(76.67, 76.67, "Secrets"),
        Word(76.67, 8.11, "now"),
        Word(8.11, 8.22, "The"),
        Word(8.22, 8.5, "best"),
        Word(8.5, 8.9, "kept"),
        Word(8.9, 9.0, "of"),
        Word(9.0, 9.4, "all"),
    )
    text = " ".join(word.word for word in words)
    whole = guarded(heard(Segment(4.02, 90.0, text, words)), duration=90.0, is_silent=False)
    assert [*whole.words[:2], *whole.words[5:]] == [*words[:2], *words[5:]]
    assert all(8.05 <= a.start < b.start <= 8.11 for a, b in pairwise(whole.words[2:6]))
    assert whole.warnings == (f"the times of 0 segments and 3 words {TIMES}",)


def test_stuck_at_the_end_of_the_window() -> None:
    """Words that all have the window's last time are spread over the audio (transformers #25605: 29.98 for each)."""
    words = tuple(Word(29.98, 29.98, character) for character in "森永の美味しい牛乳")
    whole = guarded(heard(Segment(0.0, None, "森永の美味しい牛乳", words)), duration=13.5, is_silent=False)
    assert [word.start for word in whole.words] == pytest.approx([1.5 * i for i in range(9)])
    assert whole.words[-1].end == 13.5
    assert whole.warnings == (f"the times of 0 segments and 9 words {TIMES}",)


def test_stuck_for_a_while() -> None:
    """Words stuck at one time are spread up to the next time (stable-ts #102: nine words at 36:20.140)."""
    said = ("Interesting.", "So", "here", "I", "go.", "I'm", "going", "to", "double")
    stuck = tuple(Word(2180.14, 2180.14, word) for word in said)
    words = (Word(2179.56, 2179.9, "rotation."), *stuck, Word(2184.74, 2185.0, "check"))
    text = " ".join(word.word for word in words)
    whole = guarded(heard(Segment(2179.0, 2186.0, text, words)), duration=3000.0, is_silent=False)
    assert (whole.words[0], whole.words[-1]) == (words[0], words[-1])
    starts = [word.start for word in whole.words[1:]]
    assert starts[0] == 2180.14
    assert starts == sorted(set(starts))
    assert whole.words[-2].end == 2184.74


def test_small_words_without_length() -> None:
    """A few short words with one time are only rounded (transformers.js #223)."""
    words = (Word(42.88, 42.88, "Oh,"), Word(42.88, 42.88, "what"), Word(42.88, 42.88, "in"), Word(42.88, 43.0, "our"))
    sane = heard(Segment(42.0, 44.0, "Oh, what in our", words))
    assert guarded(sane, duration=60.0, is_silent=False) is sane


def test_words_outside_their_segment() -> None:
    """Words far outside their segment come into it (transformers.js #1357: 69.98 s of 60 s; whisper-timestamped #6)."""
    words = (Word(41.44, 42.02, "robotic"), Word(42.02, 69.98, "claws"), Word(69.98, 69.98, "Oh,"))
    whole = guarded(heard(Segment(40.0, 60.0, "robotic claws Oh,", words)), duration=60.0, is_silent=False)
    assert whole.words[0] == words[0]
    assert whole.words[1].start == 42.02
    assert whole.words[1].end == whole.words[2].start < 60.0 == whole.words[2].end


def test_loop_in_no_time() -> None:
    """A character 150 times in a segment without length is said once (whisper.cpp #2801), and the rest stays."""
    seen = heard(
        Segment(3.92, 6.08, "嫌がるね"),
        Segment(6.08, 7.92, "ってなる"),
        Segment(7.92, 7.92, "フ" * 150),
        Segment(7.92, 10.56, "ちゃんは"),
    )
    whole = guarded(seen, duration=30.0, is_silent=False)
    assert whole.text == "嫌がるね ってなる フ ちゃんは"
    assert [segment.text for segment in whole.segments] == ["嫌がるね", "ってなる", "フ", "ちゃんは"]
    assert spans(whole) == spans(seen)
    assert whole.warnings == ("the model repeated itself: 149 repetitions left out",)


def test_loop_in_a_short_clip() -> None:
    """A phrase 30 times in a command of a few seconds is said once (WhisperAttack #38)."""
    seen = Transcript("Thank you for listening to the phonetic alphabet " + "of the phonetic alphabet " * 30)
    whole = guarded(seen, duration=5.0, is_silent=False)
    assert whole.text == "Thank you for listening to the phonetic alphabet of the phonetic alphabet"


@pytest.mark.parametrize(
    ("seen", "duration"),
    [
        (heard(*(Segment(2.0 * i, 2.0 * i + 2.0, "I'm not sure I can get through this.") for i in range(12))), 24.0),
        (Transcript("Jag transcribe em estático. " * 28), 81.0),
        (Transcript("あ、" * 101), 30.0),
        (
            heard(*(Segment(30.0 * i, 30.0 * i + 29.98, "To become one of them one must drink.") for i in range(6))),
            180.0,
        ),
    ],
    ids=["Const-me/Whisper #67", "app-vox #381", "Whisper-WebUI #238", "subtitleedit #13081"],
)
def test_loop_that_could_be_said(seen: Transcript, duration: float) -> None:
    """A loop no faster than people speak is kept as it is, with a warning."""
    (warning,) = guarded(seen, duration=duration, is_silent=False).warnings
    assert warning.startswith("the text repeats itself ")
    assert guarded(seen, duration=duration, is_silent=False).text == seen.text


@pytest.mark.parametrize("text", ["Thank you.", "Thanks for watching!", "ご視聴ありがとうございました"])
def test_silence(text: str) -> None:
    """What a model says of silence is left out; of audio that is not silent, or not looked at, it stays."""
    seen = heard(Segment(0.0, 2.0, text, (Word(0.0, 1.0, text),)))
    quiet = guarded(seen, duration=5.0, is_silent=True)
    assert (quiet.text, quiet.segments) == ("", ())
    assert quiet.warnings == ("the audio is silent; what the model said was left out",)
    assert guarded(seen, duration=5.0, is_silent=False) is seen
    assert guarded(seen, duration=5.0, is_silent=None) is seen


def test_silence_without_text() -> None:
    """Nothing said of silence is right, and what is not known stays not known."""
    nothing = Transcript(" ", (Segment(0.0, 3.0, "", error="it failed"),))
    assert guarded(nothing, duration=3.0, is_silent=True) is nothing
    known = Transcript("you", (Segment(0.0, 1.0, "you"), Segment(1.0, 3.0, "", error="it failed")))
    assert guarded(known, duration=3.0, is_silent=True).segments == known.segments[1:]


def test_more_than_can_be_said() -> None:
    """More text than anybody says in the time stays, with a warning that has the numbers."""
    text = " ".join(f"number{i}" for i in range(40))
    whole = guarded(Transcript(text), duration=2.0, is_silent=False)
    assert whole.text == text
    assert whole.warnings == (f"more text than can be said in the time: {len(text)} characters in 2.00 s of audio",)
    assert guarded(Transcript(text), duration=6.0, is_silent=False).warnings == ()
    assert guarded(Transcript(text), duration=None, is_silent=False).warnings == ()


def test_more_than_can_be_said_in_a_segment() -> None:
    """A segment with too much text gives a warning; a short text in a coarse time does not."""
    text = " ".join(f"number{i}" for i in range(40))
    (warning,) = guarded(heard(Segment(0.0, 2.0, text)), duration=60.0, is_silent=False).warnings
    assert warning == "more text than can be said in the time: 1 segment beyond 60 letters or 15 syllables a second"
    short = heard(Segment(0.0, 0.0, "yes"), Segment(1.0, 1.2, "of course I do"))
    assert guarded(short, duration=60.0, is_silent=False) is short


@pytest.mark.parametrize("duration", [math.nan, math.inf, -1.0])
def test_duration_that_is_none(duration: float) -> None:
    """A duration that can not be one is unknown."""
    sane = heard(Segment(0.0, 9.0, "good day"))
    assert guarded(sane, duration=duration, is_silent=False) is sane


def test_everything_at_once() -> None:
    """Each kind of fault gives one warning, behind those that were there, and everything else is kept."""
    loop = "of the phonetic alphabet " * 30
    seen = Transcript(loop + "end", (Segment(0.0, math.nan, loop + "end"),), "en", 7.0, None, ("before",), {"raw": 1})
    whole = guarded(seen, duration=5.0, is_silent=False)
    assert whole.text == "of the phonetic alphabet end"
    assert whole.segments == (Segment(0.0, 5.0, "of the phonetic alphabet end"),)
    assert [warning.partition(":")[0] for warning in whole.warnings] == [
        "before",
        "the model repeated itself",
        f"the times of 1 segment and 0 words {TIMES}",
    ]
    assert (whole.language, whole.duration, whole.raw) == ("en", 7.0, {"raw": 1})
