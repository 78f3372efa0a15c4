"""
What goes over the wire, as plain values: the core and the dialects know no HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Request", "Response"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    method: str
    """``"GET"`` or ``"POST"``."""

    url: str
    """Absolute URL, without user info."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Lower-case names; may hold the token, so they stay out of the repr."""

    content: bytes = field(default=b"", repr=False)
    """The whole body."""

    about: object = field(default=None, repr=False, compare=False)
    """What it is for, for whoever stands between; never sent. See `hfasr._core.about`."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, read to its end under a size cap and inflated."""

    status_code: int
    """HTTP status, 100 to 599."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Lower-case names; values of repeated names joined by ``", "``."""

    content: bytes = field(default=b"", repr=False)
    """The whole body."""
