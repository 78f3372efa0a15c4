"""Standard streams that never fail on a character, and that may be closed, full or gone."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

_QUIET = logging.NullHandler()

# What a terminal would obey rather than show: C0 without tab and newline, DEL and C1 (ECMA-48, section 5).
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_aside: Callable[[], AbstractContextManager[Any]] = nullcontext
"""Takes the bar away while something is written."""


class OutputError(OSError):
    """A transcript could not be written; the message names the remedy."""


class StdoutError(OutputError):
    """Standard output takes nothing more, whatever the input."""


def prepare_streams() -> None:
    r"""
    Let both streams write what their encoding cannot as escapes, and keep logs out of them.

    A console of code page 1252 cannot show every language; half a transcript and a traceback
    would be worse than ``\u6f22``. What the library logs, the command says in its own words.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger("hfasr").addHandler(_QUIET)  # else logging prints warnings to standard error by itself


@contextlib.contextmanager
def beside_bar(*, is_shown: bool) -> Iterator[None]:
    """Let what is written meanwhile stand above the library's bar, where one *is_shown*, not in it."""
    global _aside  # noqa: PLW0603  # one process, one screen
    if is_shown:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]  # what draws it

        _aside = tqdm.external_write_mode
    try:
        yield
    finally:
        _aside = nullcontext


def encodes_all() -> bool:
    """Whether standard output takes every character as it is."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def check_stdout() -> None:
    """
    Refuse a standard output that was closed before the command began.

    Raises:
        StdoutError: It was.
    """
    if sys.stdout is None:
        raise StdoutError("standard output is closed; leave it open, or add --output-dir")


def write_stdout(text: str) -> None:
    """
    Write *text* to standard output at once, without what would steer a terminal.

    Raises:
        StdoutError: It is closed, or its disk is full.
        BrokenPipeError: Whoever read it has left.
    """
    check_stdout()
    on_screen = sys.stdout.isatty()
    if on_screen:
        text = _CONTROLS.sub("", text)
    try:
        with _aside() if on_screen else nullcontext():
            print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(
            f"cannot write to standard output: {reason(error)}; send it elsewhere, or add --output-dir"
        ) from error


def write_stderr(line: str) -> None:
    """Write *line* to standard error, where anybody can read that."""
    if sys.stderr is None:  # print would take standard output instead
        return
    try:
        with _aside():
            print(line, file=sys.stderr, flush=True)
    except OSError:  # nobody is left to be told
        discard(sys.stderr)


def discard(stream: IO[str] | None) -> None:
    """Send what *stream* has not written yet nowhere, so that the exit does not fail on it."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, captured or closed: no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]  # None is suppressed


def reason(error: Exception) -> str:
    """Return what the system said, without its number and path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
