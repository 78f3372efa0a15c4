"""How a call went, in one line: for the log, and for the command."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from hfasr.errors import clean

from .context import CANCELLED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr.errors import HfasrError
    from hfasr.types import Attempt, Provenance

__all__ = ["answered", "gave_up"]

_SHOWN_S = 0.005  # what is less would read 0.00 s


def answered(origin: Provenance) -> str:
    r"""
    Say who answered, and what came before.

    Example:
        >>> from hfasr import Attempt, Provenance
        >>> attempts = (
        ...     Attempt("hf-inference", 503, "ServerError", None, 0.0, 0.25, 0.0),
        ...     Attempt("hf-inference", 503, "ServerError", None, 0.75, 0.25, 0.5),
        ...     Attempt("transformers", None, None, None, 1.0, 3.5, 0.0, loading=2.0),
        ... )
        >>> how = Provenance("transformers", None, "m", None, 1.0, None, None, attempts, "ServerError: down")
        >>> print(answered(how).replace(" after ", "\nafter "))
        transformers answered in 3.50 s (loading 2.00 s)
        after hf-inference failed (503 ServerError x2; 0.50 s, waiting 0.50 s): ServerError: down
    """
    took, before = "", ""
    if origin.attempts:
        *others, last = origin.attempts
        spent = _spent([last])
        took = f" in {last.duration:.2f} s" + (f" ({', '.join(spent)})" if spent else "")
        before = f" after {steps}" if (steps := _steps(others)) else ""
    reason = f": {origin.fallback_reason}" if origin.fallback_reason else ""
    return clean(f"{origin.provider or origin.backend} answered{took}{before}{reason}")


def gave_up(error: HfasrError) -> str:
    """
    Say that there is no answer, and what came before.

    Example:
        >>> from hfasr import Attempt, PermissionDeniedError
        >>> attempt = Attempt("hf-inference", 403, "PermissionDeniedError", None, 0.0, 0.25, 0.0)
        >>> gave_up(PermissionDeniedError("not yours", status_code=403, attempts=[attempt]))
        'no answer after hf-inference failed (403 PermissionDeniedError; 0.25 s): PermissionDeniedError: not yours'
    """
    before = f" after {steps}" if (steps := _steps(error.attempts)) else ""
    return clean(f"no answer{before}: {type(error).__name__}: {error}")


def _steps(attempts: Sequence[Attempt]) -> str:
    """Tell of all that failed, route by route; why one was skipped stands in the reason that follows."""
    failed = [attempt for attempt in attempts if attempt.error not in {None, SKIPPED, CANCELLED}]
    return ", then ".join(_step(name, list(some)) for name, some in groupby(failed, lambda attempt: attempt.route))


def _step(route: str, attempts: list[Attempt]) -> str:
    names = [f"{attempt.status or ''} {attempt.error}".lstrip() for attempt in attempts]
    counted = [(name, len(list(same))) for name, same in groupby(names)]
    met = ", ".join(f"{name} x{n}" if n > 1 else name for name, n in counted)
    seconds = [f"{sum(attempt.duration for attempt in attempts):.2f} s", *_spent(attempts)]
    return f"{route} failed ({met}; {', '.join(seconds)})"


def _spent(attempts: Sequence[Attempt]) -> list[str]:
    """Return what of the time went into loading, and how long the pauses before were."""
    spent = {
        "loading": sum(attempt.loading for attempt in attempts),
        "waiting": sum(attempt.waited for attempt in attempts),
    }
    return [f"{what} {seconds:.2f} s" for what, seconds in spent.items() if seconds >= _SHOWN_S]
