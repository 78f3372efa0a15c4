r"""
A transcript as a file: plain text, SubRip, WebVTT, a table, JSON.

Text comes in whole lines that end in ``"\n"``. A transcript that holds no speech gives a valid
empty file; one that holds text but no times cannot become subtitles and raises.

Source:
    WebVTT: https://www.w3.org/TR/webvtt1/ (sections 4.1, 4.2.2). SubRip has no standard; the form is
    that of whisper's ``WriteSRT``, as is the table's (``WriteTSV``), https://github.com/openai/whisper.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .types import Transcript

__all__ = ["FORMATS", "TIMED_FORMATS", "save", "to_json", "to_srt", "to_tsv", "to_txt", "to_vtt"]


_ARROW = re.compile("(?<!-)--+>")  # from the first dash on alone: a line of a million dashes has no arrow
GAP = "[not transcribed]"
"""What stands in subtitles and tables for a stretch that no route could transcribe."""


class _Cue(NamedTuple):
    start: int
    """Milliseconds."""

    end: int
    """Milliseconds, not before `start`."""

    text: str
    """One or more lines, none of them empty."""

    channel: int | None
    """Of the recording, where each was transcribed alone."""

    @property
    def told(self) -> str:
        """The text, after the name of its channel."""
        return self.text if self.channel is None else f"Channel {self.channel}: {self.text}"


def to_txt(transcript: Transcript) -> str:
    r"""
    Return the text, ending in a newline; nothing where nothing was said.

    Example:
        >>> from hfasr import Transcript
        >>> to_txt(Transcript("hello"))
        'hello\n'
    """
    return f"{transcript.text}\n" if transcript.text else ""


def to_json(transcript: Transcript) -> str:
    """
    Return `Transcript.to_dict` as one JSON document, ending in a newline.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.

    Example:
        >>> from hfasr import Transcript
        >>> json.loads(to_json(Transcript("hello")))["text"]
        'hello'
    """
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def to_srt(transcript: Transcript) -> str:
    r"""
    Return the segments as SubRip subtitles.

    SubRip has no escapes: ``-->`` inside the text becomes ``->``, so that no reader takes it for a time.

    Raises:
        ValueError: There are no times; ask for them with ``return_timestamps=True``.

    Example:
        >>> from hfasr import Segment, Transcript
        >>> to_srt(Transcript("hello", segments=(Segment(0.0, 0.5, "hello"),)))
        '1\n00:00:00,000 --> 00:00:00,500\nhello\n'
    """
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_ARROW.sub('->', cue.told)}\n"
        for number, cue in enumerate(_subtitles(transcript), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    r"""
    Return the segments as WebVTT subtitles.

    Raises:
        ValueError: There are no times; ask for them with ``return_timestamps=True``.

    Example:
        >>> from hfasr import Segment, Transcript
        >>> to_vtt(Transcript("a < b", segments=(Segment(0.0, 0.5, "a < b"),)))
        'WEBVTT\n\n00:00:00.000 --> 00:00:00.500\na &lt; b\n'
    """
    cues = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_voice(cue)}{_escape(cue.text)}\n"
        for cue in _subtitles(transcript)
    )
    return "WEBVTT\n" + "".join(cues)


def to_tsv(transcript: Transcript) -> str:
    r"""
    Return the segments as a table: start and end in whole milliseconds, text, one segment a line.

    Raises:
        ValueError: There are no times; ask for them with ``return_timestamps=True``.

    Example:
        >>> from hfasr import Segment, Transcript
        >>> to_tsv(Transcript("hello", segments=(Segment(0.0, 0.5, "hello"),)))
        'start\tend\ttext\n0\t500\thello\n'
    """
    rows = (f"{cue.start}\t{cue.end}\t{' '.join(cue.told.split())}\n" for cue in _cues(transcript))
    return "start\tend\ttext\n" + "".join(rows)


FORMATS: Mapping[str, Callable[[Transcript], str]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "json": to_json,
}
"""Every format by the suffix of its files."""

TIMED_FORMATS = frozenset({"srt", "vtt", "tsv"})
"""The formats that need the times of segments."""


def save(transcript: Transcript, path: str | os.PathLike[str]) -> None:
    """
    Write *transcript* to *path* in the format that its suffix names.

    The file is written beside its place and moved there in one step, so it is never seen half
    written; one that was there keeps its permissions, and a link stays a link. UTF-8 on every system.

    Raises:
        ValueError: Another suffix, or no times for srt, vtt or tsv.
        OSError: The file cannot be written.

    Example:
        >>> from hfasr import Transcript
        >>> save(Transcript("hello"), "hello.doc")
        Traceback (most recent call last):
        ...
        ValueError: cannot tell the format from 'hello.doc'; end its name in .txt, .srt, .vtt, .tsv or .json
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        *others, last = (f".{name}" for name in FORMATS)
        raise ValueError(
            f"cannot tell the format from {Path(path).name!r}; end its name in {', '.join(others)} or {last}"
        )
    # A lone surrogate, which JSON can carry, has no UTF-8: written as its escape nothing is lost.
    _replace(Path(path).resolve(), FORMATS[suffix](transcript).encode("utf-8", errors="backslashreplace"))


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            # As long as it is empty it may be as open as any new file, which tells how open that is to be.
            mode = stat.S_IMODE((path if path.exists() else draft).stat().st_mode)
            draft.chmod(0o600)
            file.write(content)
        draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _subtitles(transcript: Transcript) -> list[_Cue]:
    # WebVTT wants cues in order of their start, and each to end after it (section 4.1).
    cues = sorted(_cues(transcript), key=lambda cue: cue.start)
    return [cue._replace(end=max(cue.end, cue.start + 1)) for cue in cues]


def _cues(transcript: Transcript) -> list[_Cue]:
    segments = transcript.segments
    if not segments and transcript.text.strip():
        raise ValueError("the transcript has no times; ask for them with return_timestamps=True")
    cues = []
    for segment, following in zip_longest(segments, segments[1:]):
        end = segment.end
        if end is None:
            end = following.start if following is not None else transcript.duration
        start_ms = _milliseconds(segment.start)
        end_ms = start_ms if end is None else max(start_ms, _milliseconds(end))
        if text := GAP if segment.error is not None else _lines(segment.text):
            cues.append(_Cue(start_ms, end_ms, text, segment.channel))
    return cues


def _milliseconds(seconds: float) -> int:
    if not math.isfinite(seconds):
        raise ValueError(f"a segment's time is {seconds}, not seconds; correct it before writing subtitles")
    return max(0, round(seconds * 1000))


def _lines(text: str) -> str:
    # An empty line would end the cue. splitlines knows every line break of Unicode.
    return "\n".join(stripped for line in text.replace("\0", "").splitlines() if (stripped := line.strip()))


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


def _voice(cue: _Cue) -> str:
    """Say who speaks, as WebVTT does: section 4.2.2, "WebVTT cue voice span"; its end may be left out."""
    return "" if cue.channel is None else f"<v Channel {cue.channel}>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
