"""Transcripts as files, by properties: whatever was said, readers written by other rules find it again."""

from __future__ import annotations

import contextlib
import io
import json
import math
import pickle
import re
import unicodedata
from html import unescape
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfasr.formats import FORMATS, GAP, to_json, to_srt, to_tsv, to_txt, to_vtt
from hfasr.types import Attempt, Provenance, Segment, Transcript, Word

HOSTILE = [
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\u202egnirts\u202c", "\u2066x\u2069", "a\u200bb", "\ufeffa"),
    *("a\nb", "a\r\n\r\nb", "a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h", "\t", "a\tb", "\x00", "a\x00b", "\ud800", "\U0001f600"),
    *("1\n00:00:00,000 --> 00:00:01,000\nforged", "-->", "--->", "->", "-- >", "- ->", "-\x00->", "-\n->", "WEBVTT"),
    *("NOTE x", "STYLE\n::cue{}", "REGION", "<b>", "</v><v Other>", "&lt;", "&amp;amp;", "{\\an8}", '"', "\\", "a,b"),
]  # fmt: skip
texts = st.text(st.characters(), max_size=30) | st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=5), max_size=4
).map("".join)
seconds = st.floats(0, 400_000) | st.sampled_from([0.0, 0.0004, 0.0005, 59.9995, 3_599.9996, 360_000.0])
segments = st.builds(
    Segment,
    seconds,
    st.none() | seconds,
    texts,
    st.just(()),
    st.none() | st.integers(0, 7),
    st.none() | st.just("a route failed"),
)
transcripts = st.builds(
    Transcript, texts, st.lists(segments, min_size=1, max_size=6).map(tuple), duration=st.none() | seconds
)

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.builds(Word, finite, st.none() | finite, texts, st.none() | finite)
attempts = st.builds(
    Attempt,
    *(texts, st.none() | st.integers(), st.none() | texts, st.none() | texts, finite, finite, finite, finite),
    st.none() | st.integers(),
)
provenances = st.builds(
    Provenance,
    *(texts, st.none() | texts, st.none() | texts, st.none() | texts, st.none() | finite, st.none() | st.integers()),
    *(st.none() | texts, st.lists(attempts, max_size=2).map(tuple), st.none() | texts),
    *(st.lists(texts, max_size=2).map(tuple), texts, st.none() | texts, st.integers()),
)
any_transcripts = st.builds(
    Transcript,
    texts,
    st.lists(
        st.builds(
            Segment,
            *(finite, st.none() | finite, texts, st.lists(words, max_size=3).map(tuple)),
            *(st.none() | st.integers(), st.none() | texts),
        ),
        max_size=3,
    ).map(tuple),
    *(st.none() | texts, st.none() | finite, st.none() | provenances, st.lists(texts, max_size=3).map(tuple)),
)


def lines(text: str) -> list[str]:
    """Return the lines of *text* that show anything, as a reader would: NUL is nothing, and ends are trimmed."""
    return [line.strip() for line in text.replace("\0", "").splitlines() if line.strip()]


def said(segment: Segment) -> list[str]:
    """Return what a cue of *segment* says, without its channel; nothing where there is no cue."""
    return [GAP] if segment.error is not None else lines(segment.text)


def milliseconds(value: float) -> int:
    """Round as everybody does, to the nearest."""
    return round(value * 1_000)


def spans(transcript: Transcript) -> list[tuple[int, int, Segment]]:
    """Return start, end and segment of every cue, in the transcript's order."""
    found = []
    for number, segment in enumerate(transcript.segments):
        last = number + 1 == len(transcript.segments)
        following = transcript.duration if last else transcript.segments[number + 1].start
        stop = segment.end if segment.end is not None else following
        start = milliseconds(segment.start)
        if said(segment):
            found.append((start, max(start, start if stop is None else milliseconds(stop)), segment))
    return found


def subtitles(transcript: Transcript) -> list[tuple[int, int, Segment]]:
    """Return the same in order of their start, each with a length."""
    return sorted(
        ((start, max(stop, start + 1), one) for start, stop, one in spans(transcript)), key=lambda cue: cue[0]
    )


CLOCK = r"(\d{2,}):([0-5]\d):([0-5]\d)%s(\d{3})"
TIMES = {point: re.compile(f"{CLOCK % point} --> {CLOCK % point}", re.ASCII) for point in (",", r"\.")}


def clock(hours: str, minutes: str, secs: str, thousandths: str) -> int:
    """Return milliseconds."""
    return ((int(hours) * 60 + int(minutes)) * 60 + int(secs)) * 1_000 + int(thousandths)


def blocks_of(document: str) -> list[list[str]]:
    """Part a document into blocks by its empty lines, as WHATWG's parser of WebVTT does; only "\\n" ends a line."""
    assert "\0" not in document
    assert document == "" or document.endswith("\n")
    return [block.strip("\n").split("\n") for block in re.split(r"\n\n+", document.removesuffix("\n")) if block]


@given(transcripts)
@example(Transcript("x", (Segment(0.0, 1.0, "-" * 300 + ">"), Segment(0.0, None, "a"))))
def test_srt(transcript: Transcript) -> None:
    """SubRip: one block a cue, numbered from 1, with its times and its lines; no text is taken for a time."""
    blocks, expected = blocks_of(to_srt(transcript)), subtitles(transcript)
    assert len(blocks) == len(expected)
    for number, (block, (start, stop, segment)) in enumerate(zip(blocks, expected, strict=True), start=1):
        assert block[0] == str(number)
        timed = TIMES[","].fullmatch(block[1])
        assert timed
        assert (clock(*timed.groups()[:4]), clock(*timed.groups()[4:])) == (start, stop)
        text = "\n".join(block[2:])
        assert "-->" not in text
        channel = "" if segment.channel is None else f"Channel {segment.channel}: "
        wanted = channel + "\n".join(said(segment))
        assert text == re.sub("-+>", lambda arrow: arrow[0] if len(arrow[0]) < 3 else "->", wanted)


@given(transcripts)
def test_vtt(transcript: Transcript) -> None:
    """WebVTT: its signature, then one block a cue; undoing the escapes gives what was said, and the voice its channel."""
    head, *blocks = blocks_of(to_vtt(transcript))
    expected = subtitles(transcript)
    assert head == ["WEBVTT"]
    assert len(blocks) == len(expected)
    for block, (start, stop, segment) in zip(blocks, expected, strict=True):
        timed = TIMES[r"\."].fullmatch(block[0])
        assert timed
        assert (clock(*timed.groups()[:4]), clock(*timed.groups()[4:])) == (start, stop)
        text = "\n".join(block[1:])
        voice = re.match(r"<v Channel (\d+)>", text)
        assert (None if voice is None else int(voice[1])) == segment.channel
        text = text[voice.end() if voice else 0 :]
        assert not set(text) & set("<>")
        assert re.sub("&(amp|lt|gt);", "", text).count("&") == 0
        assert text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == "\n".join(said(segment))
    assert [start for start, _, _ in expected] == sorted(start for start, _, _ in expected)


@given(transcripts)
def test_tsv(transcript: Transcript) -> None:
    """The table: one row a cue, three cells, in the transcript's own order; nothing in a text makes a row or a cell."""
    head, *rows = to_tsv(transcript).removesuffix("\n").split("\n")
    assert head == "start\tend\ttext"
    expected = spans(transcript)
    assert len(rows) == len(expected)
    for row, (start, stop, segment) in zip(rows, expected, strict=True):
        first, last, text = row.split("\t")
        assert (int(first), int(last)) == (start, stop)
        channel = "" if segment.channel is None else f"Channel {segment.channel}: "
        assert text == " ".join((channel + "\n".join(said(segment))).split())
        assert len(text.splitlines()) == 1


@given(texts)
def test_txt(text: str) -> None:
    """Plain text is the text and one newline; of nothing, nothing."""
    assert to_txt(Transcript(text)) == (text + "\n" if text else "")


@given(any_transcripts)
def test_round_trips(transcript: Transcript) -> None:
    """Any transcript of finite numbers comes back from its dictionary, its JSON and a pickle, and from no other object."""
    plain = transcript.to_dict()
    assert Transcript.from_dict(plain) == transcript
    assert Transcript.from_dict({**plain, "later": 1, "raw": "x"}) == transcript
    document = to_json(transcript)
    assert document.endswith("}\n")
    strict = json.loads(document, parse_constant=pytest.fail)
    assert strict == plain
    assert Transcript.from_dict(strict) == transcript
    assert pickle.loads(pickle.dumps(transcript)) == transcript


shapes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "text",
                        "segments",
                        "words",
                        "start",
                        "end",
                        "word",
                        "provenance",
                        "attempts",
                        "warnings",
                        "audio_changes",
                    ),
                    *("backend", "duration", "language", "channel", "error", "confidence", "route", "status", "chunks"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["text", "segments", "provenance", "warnings", "duration"]), shapes) | shapes)
@example({"text": "x", "duration": 10**400})
@example({"text": "x", "segments": [{"start": True, "end": None, "text": "x"}]})
def test_any_dictionary(data: Any) -> None:
    """What is not a transcript's dictionary is a `ValueError`; what is gives one of the documented types."""
    try:
        transcript = Transcript.from_dict(data)
    except ValueError:
        return
    assert type(transcript.text) is str
    assert transcript.duration is None or type(transcript.duration) is float
    assert all(type(segment.start) is float and type(segment.text) is str for segment in transcript.segments)
    again = Transcript.from_dict(transcript.to_dict())
    assert again == transcript or _has_nan(transcript.to_dict())


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_nan, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and math.isnan(value)


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


@given(transcripts, st.sampled_from(sorted(FORMATS)))
def test_a_terminal_is_not_steered(transcript: Transcript, name: str) -> None:
    """On a terminal no text colours, moves or renames anything; every cue is still the one cue with its own lines."""
    from hfasr.cli.console import write_stdout

    document, screen = FORMATS[name](transcript), Screen()
    with contextlib.redirect_stdout(screen):
        write_stdout(document)
    shown = screen.getvalue()
    assert not {char for char in shown if unicodedata.category(char) == "Cc"} - {"\n", "\t"}
    assert shown.count("\n") == document.count("\n")
    if name in {"srt", "vtt"}:
        heads = [block[name == "srt"] for block in blocks_of(shown) if block != ["WEBVTT"]]
        assert len(heads) == len(subtitles(transcript))
        assert all(TIMES["," if name == "srt" else r"\."].fullmatch(head) for head in heads)


def test_unescaping_is_html_s() -> None:
    """The escapes of WebVTT are understood by a reader of HTML, too."""
    for text in HOSTILE:
        if lines(text):
            body = to_vtt(Transcript("x", (Segment(0.0, 1.0, text),))).split("\n", 3)[3].removesuffix("\n")
            assert unescape(body) == "\n".join(lines(text))
