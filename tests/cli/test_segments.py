"""Segments, written one by one, make the very document that they make together."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.cli.segments import Segments, StreamedFormat
from hfasr.formats import FORMATS
from hfasr.types import Segment, Transcript, Word

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a --> b", "x\ny", "<i>&", " "]
)


@st.composite
def spoken(draw: st.DrawFn) -> list[Segment]:
    """Segments in order, as a stream gives them; some are gaps."""
    segments, at = [], 0.0
    for text in draw(st.lists(texts, max_size=5)):
        start = at + draw(st.floats(0, 5))
        at = start + draw(st.floats(0.01, 5))
        error = draw(st.sampled_from([None, None, "ServerError: it is down"]))
        segments.append(Segment(start, at, "" if error else text, error=error))
    return segments


def document(format_name: StreamedFormat, segments: list[Segment]) -> str:
    writer = Segments(format_name, "a.wav")
    return writer.head + "".join(map(writer.text, segments))


@pytest.mark.parametrize("format_name", ["srt", "vtt", "tsv"])
@given(segments=spoken())
def test_the_same_document(format_name: StreamedFormat, segments: list[Segment]) -> None:
    """What is written piece by piece is what the format makes of the whole."""
    whole = Transcript("something", segments=tuple(segments)) if segments else Transcript("")
    assert document(format_name, segments) == FORMATS[format_name](whole)


@given(segments=spoken())
def test_text_has_a_line_for_each(segments: list[Segment]) -> None:
    """Text is a line for each segment that says something, and a gap is marked."""
    lines = document("txt", segments).split("\n")
    assert lines.pop() == ""
    assert lines == [
        " ".join(one.text.split()) if one.error is None else "[not transcribed]"
        for one in segments
        if one.error is not None or one.text.split()
    ]


def test_objects_have_everything() -> None:
    """An object has the input's name and all fields of the segment."""
    segment = Segment(0.5, 1.0, "naïve", words=(Word(0.5, 1.0, "naïve"),), channel=1)
    (line,) = document("jsonl", [segment]).splitlines()
    record = json.loads(line)
    assert record.pop("audio") == "a.wav"
    assert record == {**asdict(segment), "words": [asdict(segment.words[0])]}
