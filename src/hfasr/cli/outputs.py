"""Where transcripts go: standard output, or files in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hfasr.errors import clean
from hfasr.formats import FORMATS, TIMED_FORMATS

from .console import OutputError, check_stdout, reason, write_stdout
from .lines import LINES_FILE, Lines, line
from .names import folded, marked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from hfasr.types import Transcript

    from .inputs import Found

LINES = "jsonl"
"""The format that has a line for each input, in one file."""


class FolderError(OutputError):
    """The folder takes no files."""


class Output:
    """
    Write transcripts to standard output, or into a folder.

    Args:
        formats: Keys of `hfasr.formats.FORMATS`, or `LINES`; one alone where there is no folder.

        folder: Made by `prepare`; ``None``: standard output.

        several: Whether documents on standard output are to be told apart.

        kept: Whether a journal keeps what cannot be written.
    """

    def __init__(self, formats: Sequence[str], folder: Path | None, *, several: bool, kept: bool = False) -> None:
        self._formats = formats
        self._folder = folder
        self._several = several
        self._kept = kept
        self._lines: Lines | None = None
        self._taken: dict[bytes, bytes] | None = None

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
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".hfasr-") as probe:
                if Path(probe.name.upper()).exists() or sys.platform == "darwin":
                    self._taken = {}  # names that differ in case, or on macOS in composition, are one file here
            if LINES in self._formats:
                self._lines = Lines(self._folder / LINES_FILE)
        except (OSError, ValueError) as error:
            raise FolderError(
                f"cannot write into {self._folder}: {reason(error)}; choose another --output-dir"
            ) from error

    def write(self, found: Found, transcript: Transcript, *, again: bool = False) -> None:
        """
        Write the transcript of an input.

        Args:
            found: The input.

            transcript: Of it.

            again: It was finished in an earlier run: files that are there, newer than the input and not
                empty, stay as they are.

        Raises:
            ValueError: Times are needed and the route gave none.
            OutputError: A file cannot be written; if no journal has it, the document went to standard output.
            StdoutError: Standard output takes nothing.
        """
        untimed = []
        for format_name in self._formats:
            if format_name in TIMED_FORMATS and not transcript.segments and transcript.text:
                untimed.append(format_name)
            elif format_name == LINES:
                self._write_line(line(found.name, found.extra, transcript))
            elif self._folder is None:
                write_stdout(self._document(format_name, found.name, transcript))
            else:
                self._save(format_name, found, transcript, again=again)
        if untimed:
            needing = " and ".join(untimed)
            raise ValueError(f"the model gave no times, which {needing} needs; use --format txt or another --model")

    def fail(self, name: str, extra: Mapping[str, Any], error: Exception) -> None:
        """Write down, where the format has room for it, that an input failed."""
        if LINES in self._formats:
            self._write_line(line(name, extra, error=error))

    def finish(self) -> None:
        """
        Put the file of lines in its place.

        Raises:
            OutputError: It cannot be written.
        """
        if self._lines is not None:
            self._lines.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.discard()

    def _write_line(self, text: str) -> None:
        if self._lines is not None:
            self._lines.write(text)
        else:
            write_stdout(text)

    def _save(self, format_name: str, found: Found, transcript: Transcript, *, again: bool) -> None:
        assert self._folder is not None
        path = self._folder / f"{self._own(found.place)}.{format_name}"
        if again and found.is_own_place and _is_newer(path, found.audio):
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            transcript.save(path)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that the file system cannot spell
            problem = f"cannot write {path}: {reason(error)}"
            if self._kept:
                raise OutputError(f"{problem}; its text is in the journal: mend that, and add --resume") from error
            write_stdout(self._document(format_name, found.name, transcript))
            raise OutputError(
                f"{problem}; its text is on standard output instead; choose another --output-dir for the next run"
            ) from error

    def _own(self, place: str) -> str:
        """Return *place*, or where the file system takes it for one that another input has, another name."""
        if self._taken is None:
            return place
        exact = _digest(place)
        if self._taken.setdefault(_digest(folded(place)), exact) == exact:
            return place
        above, slash, name = place.rpartition("/")
        return f"{above}{slash}{marked(name, place)}"

    def _document(self, format_name: str, name: str, transcript: Transcript) -> str:
        if not self._several:
            return FORMATS[format_name](transcript)
        if format_name == "json":  # one object a line, so that they can be told apart
            return json.dumps({"input": name, **transcript.to_dict()}, ensure_ascii=False) + "\n"
        return f"==> {clean(name)} <==\n{FORMATS[format_name](transcript)}"


def _is_newer(path: Path, audio: str | Path) -> bool:
    """Whether *path* has something in it, and was written after *audio*, where that is a file."""
    try:
        written = path.stat()
    except OSError:
        return False
    with contextlib.suppress(OSError, ValueError):  # a URL, or a file that has gone since
        return written.st_size > 0 and written.st_mtime_ns > Path(audio).stat().st_mtime_ns
    return written.st_size > 0


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
