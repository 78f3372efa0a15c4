"""The format jsonl: one JSON object a line, for each input."""

from __future__ import annotations

import json
import stat
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hfasr.types import Transcript

from .console import OutputError, encodes_all, reason
from .report import RECORD_KEYS, as_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LINES_FILE", "Lines", "line"]

LINES_FILE = "transcripts.jsonl"
_OURS = frozenset({"audio", *RECORD_KEYS, *(field.name for field in fields(Transcript))})


def line(
    name: str, extra: Mapping[str, Any], transcript: Transcript | None = None, *, error: Exception | None = None
) -> str:
    r"""
    Return the line for an input: exactly one of *transcript* and *error* is given.

    Args:
        name: Of the input.

        extra: Keys to write through; one that has the name of ours gets ``manifest_`` before it.

        transcript: What was said.

        error: Why there is none.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.

    Example:
        >>> line("a.wav", {"speaker": 7, "text": "hallo"}, error=ValueError("no"))[:60]
        '{"audio": "a.wav", "text": null, "error": "ValueError", "mes'
    """
    record: dict[str, Any] = {"audio": name}
    if transcript is not None:
        record |= transcript.to_dict() | {"error": None}
    elif error is not None:
        record |= {"text": None} | as_record(error)
    for key, value in extra.items():
        while key in _OURS or key in record:
            key = f"manifest_{key}"  # noqa: PLW2901  # until it is free
        record[key] = value
    # Where the console's encoding lacks a character, JSON's own escape is one that readers know.
    return json.dumps(record, ensure_ascii=not encodes_all(), allow_nan=False) + "\n"


class Lines:
    """
    A file of lines that is seen as a whole only, once all are written.

    Args:
        path: Its place. Until it is whole, it lies beside that, hidden.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.tmp")
        self._draft.unlink(missing_ok=True)  # of a run that was killed
        # A lone surrogate, as in the name of a file that is not UTF-8, becomes its escape, which JSON knows.
        self._file = self._draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._mode = stat.S_IMODE(self._draft.stat().st_mode)  # of any new file
        self._draft.chmod(0o600)  # while it is a draft, it is for its owner alone

    def write(self, text: str) -> None:
        """
        Add a line.

        Raises:
            OutputError: The disk takes no more.
        """
        try:
            self._file.write(text)
        except OSError as error:
            raise self._explained(error) from error

    def finish(self) -> None:
        """
        Put the file in its place.

        Raises:
            OutputError: It cannot be.
        """
        try:
            self._file.close()
            self._draft.chmod(self._mode)
            self._draft.replace(self._path)
        except OSError as error:
            raise self._explained(error) from error

    def discard(self) -> None:
        """Remove what is not finished. May be called after `finish`, too."""
        try:
            self._file.close()
        except OSError:  # what was not written yet; nobody wants it
            pass
        finally:
            self._draft.unlink(missing_ok=True)

    def _explained(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {reason(error)}; mend that, and add --resume")
