"""What the shell calls an input, as what the library takes."""

from __future__ import annotations

import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hfasr.errors import AudioNotFoundError

from .console import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = ("-", "/dev/stdin")


@contextmanager
def opened(name: str) -> Iterator[str | IO[bytes]]:
    """
    Give what to pass for *name*: an open file for standard input and named pipes, else the name itself.

    The library opens no pipes, since they may block for ever; from a shell they are meant, and
    Ctrl-C is at hand.

    Raises:
        AudioNotFoundError: Standard input is closed, or the pipe cannot be opened.
    """
    if name in STDIN:
        if sys.stdin is None:
            raise AudioNotFoundError("standard input is closed; name a file, or pipe audio into the command")
        yield sys.stdin.buffer
    elif _is_pipe(name):
        with _open(name) as pipe:
            yield pipe
    else:
        yield name


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):  # URLs, and what the library will say more about
        return False


def _open(name: str) -> IO[bytes]:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise AudioNotFoundError(f"the pipe cannot be opened: {reason(error)}; name a file") from error
