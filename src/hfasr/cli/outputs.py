"""Where transcripts go, and names that every system takes."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hfasr.errors import clean
from hfasr.formats import FORMATS, TIMED_FORMATS

from .console import OutputError, check_stdout, reason, write_stdout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfasr.types import Transcript

MAX_STEM_BYTES = 200
"""Room for a number and a suffix within the 255 bytes that file systems give a name."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # surrogates: undecodable bytes
# Windows: https://learn.microsoft.com/windows/win32/fileio/naming-a-file (names with a suffix are reserved, too)
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


class FolderError(OutputError):
    """The folder takes no files."""


class Output:
    """
    Write transcripts to standard output, or into a folder.

    Args:
        format_name: A key of `hfasr.formats.FORMATS`.

        folder: Made by `prepare`; ``None``: standard output.

        inputs: All inputs, in order; they decide the names.
    """

    def __init__(self, format_name: str, folder: Path | None, inputs: Sequence[str]) -> None:
        self._format = format_name
        self._folder = folder
        self._names = file_names(inputs, format_name)
        self._several = len(inputs) > 1

    def prepare(self) -> None:
        """
        Make sure that transcripts can be written, before anything is paid for.

        Raises:
            FolderError: The folder cannot be made, or takes no file.
            StdoutError: Standard output is closed.
        """
        if self._folder is None:
            check_stdout()
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".hfasr-"):
                pass
        except (OSError, ValueError) as error:
            raise FolderError(
                f"cannot write into {self._folder}: {reason(error)}; choose another --output-dir"
            ) from error

    def write(self, index: int, name: str, transcript: Transcript) -> None:
        """
        Write the transcript of input number *index*, called *name*.

        Raises:
            ValueError: Times are needed and the route gave none.
            OutputError: The file cannot be written; the document went to standard output instead.
            StdoutError: Standard output takes nothing.
        """
        if self._format in TIMED_FORMATS and not transcript.segments and transcript.text:
            raise ValueError(
                f"the model gave no times, which {self._format} needs; use --format txt or another --model"
            )
        if self._folder is None:
            write_stdout(self._document(name, transcript))
            return
        path = self._folder / self._names[index]
        try:
            transcript.save(path)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that the file system cannot spell
            write_stdout(self._document(name, transcript))
            raise OutputError(
                f"cannot write {path}: {reason(error)}; its text is on standard output instead; "
                "choose another --output-dir for the next run"
            ) from error

    def _document(self, name: str, transcript: Transcript) -> str:
        if not self._several:
            return FORMATS[self._format](transcript)
        if self._format == "json":  # one object a line, so that they can be told apart
            return json.dumps({"input": name, **transcript.to_dict()}, ensure_ascii=False) + "\n"
        return f"==> {clean(name)} <==\n{FORMATS[self._format](transcript)}"


def file_names(inputs: Iterable[str], suffix: str) -> list[str]:
    """
    Return one file name for each input: its stem and *suffix*, valid everywhere, no two the same.

    Example:
        >>> file_names(["a/talk.mp3", "b/Talk.wav", "https://x.org/CON.flac?v=1", "-"], "srt")
        ['talk.srt', 'Talk-2.srt', 'CON_.srt', 'stdin.srt']
    """
    names: list[str] = []
    taken: set[str] = set()
    for source in inputs:
        stem = _stem(source)
        number, name = 1, stem
        while _folded(name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(_folded(name))
        names.append(f"{name}.{suffix}")
    return names


def _stem(source: str) -> str:
    if source == "-":
        return "stdin"
    if _URL.match(source):
        last = PurePosixPath(unquote(urlsplit(source).path)).name
        stem = PurePosixPath(last).stem
    else:
        stem = Path(source).stem
    stem = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", stem)).strip(". ")
    stem = stem.encode("utf-8", errors="replace")[:MAX_STEM_BYTES].decode("utf-8", errors="ignore").rstrip(". ")
    if _RESERVED.fullmatch(stem):
        head, dot, rest = stem.partition(".")
        stem = f"{head}_{dot}{rest}"
    return stem or "audio"


def _folded(name: str) -> str:
    # macOS and Windows take names that differ in case or composition only for the same.
    return unicodedata.normalize("NFC", name.casefold())
