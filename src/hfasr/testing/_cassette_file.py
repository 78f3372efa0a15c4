"""The file in which recorded exchanges are kept: JSON, sorted, a line for each value."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Take", "Track", "check_writable", "read", "write"]

_VERSION = 1
_HEAD_BYTES = 64
_SURROGATES = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot carry

Take = list[dict[str, Any]]
"""What one call over one route was answered, in order."""


@dataclass(slots=True)
class Track:
    """All that was recorded for one key."""

    key: Mapping[str, Any]
    """What was asked, as JSON: audio and options, or a request without audio; and which server."""

    takes: list[Take] = field(default_factory=list)
    """One for each call that asked this."""


def read(path: Path) -> list[Track]:
    """
    Return what *path* holds; nothing, where there is no such file.

    Raises:
        ValueError: It is not a cassette.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    reason = "it is damaged"
    try:
        whole = json.loads(data.decode())
        version = whole["hfasr_cassette"]
        if version == _VERSION:
            return [_track(dict(entry)) for entry in whole["recordings"]]
        reason = f"it is of version {version!r:.20}, and this hfasr reads {_VERSION}"
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(f"{path.name} is no cassette that can be read: {reason}; record it again, or name another file")


def _track(entry: dict[str, Any]) -> Track:
    takes = entry.pop("takes")
    if not takes or not all(isinstance(take, list) and take and all(map(_is_answer, take)) for take in takes):
        raise KeyError("takes")
    return Track(entry, takes)


def _is_answer(kept: Any) -> bool:
    return isinstance(kept, dict) and (isinstance(kept.get("status"), int) or isinstance(kept.get("error"), str))


def check_writable(path: Path) -> None:
    """
    See whether `write` could, and may, write to *path*: what was recorded before that shows is lost.

    Raises:
        OSError: It could not.
        ValueError: There is a file of another kind.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it for the recording")
    if path.exists():
        with path.open("rb") as file:
            if file.read(_HEAD_BYTES).strip()[:1] not in (b"", b"{"):
                raise ValueError(f"{path} is there, and no cassette; name another file for the recording")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, so {path} cannot be recorded; name another path")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"nothing can be written to {folder}, so {path} cannot be recorded; name another path")


def write(path: Path, tracks: list[Track]) -> None:
    """Write *tracks* to *path*, all or nothing. Their order is that of their keys, whoever was faster."""
    entries = sorted(
        ({**track.key, "takes": track.takes} for track in tracks),
        key=lambda entry: json.dumps([entry.get(name) for name in ("audio", "options", "request", "server")]),
    )
    whole = {"hfasr_cassette": _VERSION, "recordings": entries}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    text = _SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with beside.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
