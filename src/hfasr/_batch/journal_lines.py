"""
The lines of a journal: JSON, one a line, UTF-8.

The first one is the header. Every other one begins with a fixed layout, ``{"key":"<32 hex>","ok":true,``,
so that an index of a million can be made by looking at bytes. Later lines for a key stand for it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hfasr._version import __version__
from hfasr.errors import JournalError
from hfasr.types import Transcript

from .records import audio_name, error_from_dict, error_to_dict, is_permanent

if TYPE_CHECKING:
    from hfasr.batches import BatchItem

    from .keys import ItemKey

__all__ = ["HEAD_BYTES", "Entry", "Place", "check_header", "decode", "encode", "header", "is_json", "place"]

HEAD_BYTES = 4_096
"""No header is longer."""

VERSION = 1
_MARK = b'{"hfasr_journal":'
_LAYOUT = re.compile(rb'\{"key":"([0-9a-f]{16})([0-9a-f]{16})","ok":[tf]')
_ENDS = (b"}\n", b"}\r\n")  # an editor or git may have turned them


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows of an item: exactly one of `transcript` and `error` is set."""

    key: ItemKey
    """Of the item."""

    audio: str
    """A readable name of the input."""

    at: str
    """When it was written, ISO 8601 in UTC."""

    transcript: Transcript | None = None
    """What was said."""

    error: Exception | None = None
    """Why there is no transcript."""

    permanent: bool = False
    """Whether the error is for good, in the eyes of the version that wrote it."""

    @property
    def ok(self) -> bool:
        """Whether there is a transcript."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Place:
    """What is to be seen of a record without reading it: the halves of its key."""

    high: int
    low: int


def header() -> bytes:
    """Return the first line of a new journal."""
    return _MARK + b"%d" % VERSION + b',"hfasr_version":"%s"}\n' % __version__.encode()


def check_header(head: bytes, name: str) -> int:
    """
    Look at the beginning of a file, and see that it is a journal or about to become one.

    Args:
        head: Its first `HEAD_BYTES`.

        name: What to call it.

    Returns:
        The header's length in bytes; 0: the file is empty, or its writer died within the header.

    Raises:
        JournalError: It is something else, or a journal of a version that is not known here.
    """
    line, newline, _ = head.partition(b"\n")
    unfinished = not newline and len(head) < HEAD_BYTES
    if unfinished and (_MARK.startswith(line) or line.startswith(_MARK)):
        return 0
    try:
        version = json.loads(line)["hfasr_journal"]
    except (IndexError, KeyError, RecursionError, TypeError, ValueError):
        version = None
    if not line.startswith(_MARK) or type(version) is not int or version < 1:  # True is an int
        raise JournalError(f"{name} is no journal of hfasr, and was left as it is; give another name with journal=")
    if version > VERSION:
        raise JournalError(
            f"{name} is a journal of a newer hfasr (version {version}, known here: {VERSION}); "
            "update hfasr, or begin another journal"
        )
    return len(line) + 1


def encode(key: ItemKey, item: BatchItem, *, chunk: int | None = None) -> bytes:
    """
    Return the line for a finished item.

    Args:
        key: What to find it by.

        item: Finished.

        chunk: Which chunk of long audio it is, from 0; ``None``: a whole item.

    Raises:
        TypeError: A transcript of somebody's own engine that JSON cannot carry.
        ValueError: The same.
    """
    record: dict[str, Any] = {"key": key, "ok": item.ok}
    if item.error is not None:
        record["permanent"] = is_permanent(item.error)
    record["audio"] = audio_name(item.audio)
    if chunk is not None:
        record["chunk"] = chunk
    record["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    if item.error is not None:
        record["error"] = error_to_dict(item.error)
    else:
        assert item.transcript is not None
        record["transcript"] = item.transcript.to_dict()
    try:
        return _READABLE.encode(record).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, as in the name of a file that is not UTF-8
        return _ASCII.encode(record).encode() + b"\n"


def decode(line: bytes, key: ItemKey) -> Entry | None:
    """Return the entry in *line*, ``None`` where it is damaged or another item's."""
    try:
        record = json.loads(line)
        if record["key"] != key:
            return None
        audio, at = str(record.get("audio")), str(record.get("at"))
        if record["ok"]:
            return Entry(key, audio, at, transcript=Transcript.from_dict(record["transcript"]))
        error = error_from_dict(record["error"])
        return Entry(key, audio, at, error=error, permanent=bool(record.get("permanent")))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
        return None


def place(line: bytes) -> Place | None:
    """Return what *line* begins with, ``None`` where that is no whole record."""
    match = _LAYOUT.match(line)
    if match is None or not line.endswith(_ENDS):
        return None
    return Place(int(match[1], 16), int(match[2], 16))


def is_json(line: bytes) -> bool:
    """Whether *line* is whole: no beginning of an object is one itself."""
    try:
        json.loads(line)
    except (RecursionError, ValueError):
        return False
    return True


def _number(value: Any) -> Any:
    """Turn numpy's numbers and arrays, which engines give for times, into plain ones."""
    try:
        return value.tolist()
    except AttributeError:
        raise TypeError(f"{type(value).__name__} is nothing that JSON can carry") from None


_READABLE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_number)
_ASCII = json.JSONEncoder(separators=(",", ":"), default=_number)
