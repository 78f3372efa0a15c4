"""What goes to standard error: failures, warnings, progress."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hfasr.errors import AuthenticationError, HfasrError, clean

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBUG_VARIABLE = "HFASR_DEBUG"
"""Set to 1, it adds the traceback to every failure."""

_ARGUMENT = re.compile(r"\b(allow_private_urls|backend|base_url|deadline|dialect|fallback|timeout|upload)=(?:True)?")
"""The library's arguments that are the command's options."""


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
        if self._as_json:
            self._line(json.dumps({"input": name, "warning": text}))
        else:
            self._line(_sentence(name, f"warning: {text}"))

    def failure(self, name: str | None, error: BaseException) -> None:
        """Tell why an input (``None``: all of them) failed."""
        message = describe(error)
        if self._as_json:
            self._line(json.dumps({"input": name, **as_record(error), "message": message}))
        else:
            self._line(_sentence(name, message))
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exception(error)

    @contextmanager
    def progress(self, name: str, number: int, total: int) -> Iterator[None]:
        """Show on a terminal which input is at work."""
        if self._as_json or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status(escape(f"{number}/{total} {clean(name)}"), spinner="line"):
            yield

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def describe(error: BaseException) -> str:
    """
    Return one line that says what happened and what to do from a shell.

    Example:
        >>> describe(KeyError("x"))
        "unexpected KeyError: 'x'; please report it, with the traceback that HFASR_DEBUG=1 prints"
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if not isinstance(error, (HfasrError, OSError, ValueError)):
        kind = type(error).__name__
        return clean(f"unexpected {kind}: {error}; please report it, with the traceback that {DEBUG_VARIABLE}=1 prints")
    message = clean(_ARGUMENT.sub(lambda found: f"--{found[1].replace('_', '-')}", str(error))) or type(error).__name__
    if isinstance(error, AuthenticationError) and "--backend" not in message:
        login = "" if "hf auth login" in message else "log in with `hf auth login`, or "
        message += f"; {login}stay offline with --backend pocketsphinx"
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


def _sentence(name: str | None, text: str) -> str:
    return f"hfasr: {clean(name)}: {text}" if name is not None else f"hfasr: {text}"
