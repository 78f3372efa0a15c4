"""Segments on standard output, each as soon as it is there."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, TypeAlias

from hfasr.formats import FORMATS, GAP, TIMED_FORMATS
from hfasr.types import Transcript

from .console import encodes_all, write_stdout

if TYPE_CHECKING:
    from hfasr.types import Segment

__all__ = ["Segments", "StreamedFormat"]

StreamedFormat: TypeAlias = Literal["txt", "srt", "vtt", "tsv", "jsonl"]
"""The formats that can be written piece by piece."""


class Segments:
    r"""
    Turns segments, one after the other, into a document of a format.

    Args:
        format_name: Of the document.

        name: Of the input.

    Example:
        >>> from hfasr import Segment
        >>> document = Segments("srt", "a.wav")
        >>> document.head + document.text(Segment(0.0, 0.5, "red")) + document.text(Segment(1.0, 1.5, "boat"))
        '1\n00:00:00,000 --> 00:00:00,500\nred\n\n2\n00:00:01,000 --> 00:00:01,500\nboat\n'
    """

    def __init__(self, format_name: StreamedFormat, name: str) -> None:
        self._format = format_name
        self._name = name
        self._n_cues = 0
        self.is_lines = format_name == "jsonl"
        """Whether each segment is an object of its own, and a failure may be one as well."""
        self.head = FORMATS[format_name](Transcript("")) if format_name in TIMED_FORMATS else ""
        """What comes before the first segment."""

    def text(self, segment: Segment) -> str:
        """Return what *segment* adds."""
        if self.is_lines:
            record = {"audio": self._name, **asdict(segment)}
            return json.dumps(record, ensure_ascii=not encodes_all(), allow_nan=False) + "\n"
        if self._format == "txt":
            words = " ".join((GAP if segment.error is not None else segment.text).split())
            return f"{words}\n" if words else ""
        alone = FORMATS[self._format](Transcript(segment.text, segments=(segment,), duration=segment.end))
        added = alone.removeprefix(self.head)
        if self._format == "srt" and added:
            self._n_cues += 1
            before = "\n" if self._n_cues > 1 else ""
            added = f"{before}{self._n_cues}{added.removeprefix('1')}"
        return added

    def begin(self) -> None:
        """
        Write the head.

        Raises:
            StdoutError: Standard output takes nothing.
        """
        write_stdout(self.head)

    def write(self, segment: Segment) -> None:
        """
        Write *segment*, at once.

        Raises:
            StdoutError: Standard output takes nothing.
            BrokenPipeError: Whoever read it has left.
        """
        write_stdout(self.text(segment))
