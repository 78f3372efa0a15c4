"""Standard streams that never fail on a character."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def prepare_streams() -> None:
    r"""
    Let both streams write what their encoding cannot as escapes.

    A console of code page 1252 cannot show every language; half a transcript and a traceback
    would be worse than ``\u6f22``.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_stdout() -> None:
    """Send what is still unwritten nowhere: whoever read standard output has left."""
    with contextlib.suppress(OSError, ValueError):  # captured or closed streams have no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
