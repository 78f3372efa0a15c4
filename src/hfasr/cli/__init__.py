"""The command ``hfasr``: what the library does, from a shell."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command ``hfasr`` with the process's arguments, and exit."""
    try:
        from .app import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "hfasr":
            raise
        sys.exit(_missing(error))
    app(prog_name="hfasr")


def _missing(error: ImportError) -> int:
    print(f'hfasr: {error}; the command needs more packages: pip install "hfasr[cli]"', file=sys.stderr)
    return 2
