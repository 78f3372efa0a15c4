"""Lists of audio with one JSON object a line, as NeMo and ESPnet have them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hfasr.errors import AudioError, AudioNotFoundError

from .console import reason
from .names import is_url, marked, mirrored
from .walking import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "entries", "is_manifest"]

_KEYS = ("audio_filepath", "audio", "path")
_OUTSIDE = "_root"
"""Holds what lies outside the manifest's folder, by its whole path; nothing is ever written outside."""


class Entry(NamedTuple):
    """One line."""

    audio: str
    """URL, or path that can be opened from here."""

    place: str
    """Where its output goes, below the output folder."""

    extra: dict[str, Any]
    """Its other keys."""


def is_manifest(name: str) -> bool:
    """Whether *name* is a file that lists audio."""
    return name.lower().endswith(".jsonl") and os.path.isfile(name)  # noqa: PTH113  # takes a NUL


def entries(manifest: str) -> Iterator[Entry | Failed]:
    """Read *manifest* lazily; a bad line is given with its number, and the next one is read."""
    folder = os.path.dirname(manifest)  # noqa: PTH120  # strings all the way
    try:
        with Path(manifest).open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901  # Windows' editors put it there
                if not line.isspace():
                    try:
                        yield _entry(line, folder)
                    except (RecursionError, ValueError) as error:
                        yield Failed(f"{manifest}:{number}", _explained(error))
    except OSError as error:
        yield Failed(manifest, AudioNotFoundError(f"the manifest cannot be read: {reason(error)}; check its rights"))


def _entry(line: bytes, folder: str) -> Entry:
    data = json.loads(line)
    if not isinstance(data, dict):
        raise AudioError("no JSON object; write one a line")
    key = next((key for key in _KEYS if data.get(key) is not None), None)
    if key is None:
        raise AudioError('no audio is named; give its path or URL as "audio_filepath", "audio" or "path"')
    audio = data[key]
    if not isinstance(audio, str) or not audio:
        raise AudioError(f'"{key}" is no path and no URL; write it as a text')
    if data.get("offset"):
        raise AudioError('"offset" names a part of a file, and only whole files are taken; cut it out first')
    json.dumps(data, allow_nan=False)  # numbers that JSON lacks could not be written through
    extra = {name: value for name, value in data.items() if name != "audio"}
    if is_url(audio):
        parts = audio.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")
        return Entry(audio, marked(mirrored([parts[2]]), audio), extra)
    return Entry(os.path.join(folder, audio), _place(audio, folder), extra)  # noqa: PTH118  # Path would fold "./-"


def _place(audio: str, folder: str) -> str:
    """Mirror *audio* as it lies in *folder*, else by its whole path below a folder of its own."""
    base = Path(os.path.abspath(folder))  # noqa: PTH100  # folds "..", which resolve would follow
    path = Path(os.path.abspath(base / audio))  # noqa: PTH100  # the same
    if path.is_relative_to(base):
        parts = path.relative_to(base).parts or ("_",)
        return mirrored(parts) if parts[:1] != (_OUTSIDE,) else f"{marked(_OUTSIDE, audio)}/{mirrored(parts[1:])}"
    drive = [path.drive] if path.drive else []
    return f"{_OUTSIDE}/{mirrored([*drive, *(path.parts[1:] or ('_',))])}"


def _explained(error: Exception) -> AudioError:
    if isinstance(error, AudioError):
        return error
    return AudioError(f"the line is no JSON ({type(error).__name__}); write one object a line, as UTF-8")
