"""What goes to standard error: failures, warnings, progress."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hfasr._core.story import answered
from hfasr.audio.source import short_name
from hfasr.errors import AudioError, AuthenticationError, HfasrError, clean

from .console import OutputError, reason, write_stderr
from .wording import KEY_VARIABLE, in_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfasr.types import Transcript

DEBUG_VARIABLE = "HFASR_DEBUG"
"""Set to 1, it adds the traceback to every failure."""


class Report:
    """
    Tell what happens on standard error.

    Args:
        as_json: One JSON object a line instead of text, and no progress.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def warning(self, name: str | None, text: str) -> None:
        """Tell something about an input that did not fail."""
        text = clean(in_shell(text))
        if self._as_json:
            write_stderr(json.dumps({"input": name, "warning": text}))
        else:
            write_stderr(f"hfasr: {clean(name)}: warning: {text}" if name is not None else f"hfasr: warning: {text}")

    def failure(self, name: str | None, error: BaseException) -> None:
        """Tell why an input (``None``: all of them) failed."""
        if self._as_json:
            write_stderr(json.dumps({"input": name, **as_record(error)}))
        else:
            write_stderr(f"hfasr: {told(name, error)}")
        if os.environ.get(DEBUG_VARIABLE) == "1":
            write_stderr("".join(traceback.format_exception(error)).rstrip())

    def explain(self, name: str, transcript: Transcript) -> None:
        """Tell what a transcript lacks of what was asked for, and who gave it where that was not the first route."""
        for warning in transcript.warnings:
            self.warning(name, warning)
        origin = transcript.provenance
        if origin is not None and origin.fallback_reason is not None:
            self.warning(name, answered(origin))

    def summary(self, text: str) -> None:
        """Tell how it ended; as JSON, the lines before have told everything."""
        if not self._as_json:
            write_stderr(f"hfasr: {text}")

    def shows_progress(self, wanted: bool | None) -> bool:
        """Return whether a bar is drawn: as *wanted*, else on a terminal; never among lines of JSON."""
        if self._as_json or sys.stderr is None:
            return False
        return sys.stderr.isatty() if wanted is None else wanted

    @contextmanager
    def progress(self, name: str) -> Iterator[None]:
        """Show on a terminal that the only input is at work."""
        if self._as_json or sys.stderr is None or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status(escape(clean(name)), spinner="line"):
            yield


RECORD_KEYS = frozenset({"error", "message", "status_code", "request_id", "attempts", "errors"})
"""All that `as_record` may give."""


def told(name: str | None, error: BaseException) -> str:
    """
    Return `describe`'s line after the name of what failed, which is not said twice.

    Example:
        >>> told("a.wav", AudioError("a.wav is a poem; name audio"))
        'a.wav: is a poem; name audio'
    """
    message = describe(error)
    if name is None:
        return message
    return f"{clean(name)}: {_without_name(message, name) if isinstance(error, AudioError) else message}"


def describe(error: BaseException) -> str:
    """
    Return one line that says what happened and what to do from a shell.

    Example:
        >>> describe(KeyError("x"))
        "unexpected KeyError: 'x'; please report it, with the traceback that HFASR_DEBUG=1 prints"
    """
    if isinstance(error, KeyboardInterrupt):
        return clean(": ".join(["interrupted", *map(str, error.args)]))
    if not isinstance(error, (HfasrError, OSError, ValueError)):
        kind = type(error).__name__
        return clean(f"unexpected {kind}: {error}; please report it, with the traceback that {DEBUG_VARIABLE}=1 prints")
    if isinstance(error, OSError) and not isinstance(error, (HfasrError, OutputError)):
        where = f"{error.filename}: " if error.filename else ""
        return clean(f"{where}{reason(error)}; look at the disk's space and the rights there, and try again")
    message = clean(in_shell(str(error))) or type(error).__name__
    if isinstance(error, AuthenticationError) and "--backend" not in message and KEY_VARIABLE not in message:
        login = "" if "hf auth login" in message else "log in with `hf auth login`, "
        message += f"; {login}or stay offline with --backend pocketsphinx"
    return message


def as_record(error: BaseException) -> dict[str, Any]:
    """Return *error* as plain values, fit for JSON."""
    record: dict[str, Any] = {
        "error": type(error).__name__,
        "message": describe(error),
        "status_code": getattr(error, "status_code", None),
        "request_id": getattr(error, "request_id", None),
        "attempts": [asdict(attempt) for attempt in getattr(error, "attempts", ())],
    }
    if errors := getattr(error, "errors", ()):
        record["errors"] = [as_record(one) for one in errors]
    return record


def _without_name(message: str, name: str) -> str:
    """Leave out the name with which the library begins, since the line has it already."""
    for known in (clean(name), clean(short_name(name))):
        if known and message.startswith(f"{known} "):
            return message[len(known) + 1 :]
    return message
