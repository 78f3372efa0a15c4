"""What a request is for, whatever bytes it is made of: for whoever tells requests apart, such as recordings of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Ask
    from hfasr.audio import Source

    from .config import Channels

__all__ = ["About", "Stretch"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of longer audio."""

    source: Source
    """The whole."""

    channels: Channels
    """What of it: the mix, or one channel."""

    start: float
    """Seconds from the start of the whole."""

    end: float
    """Seconds from the start of the whole."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class About:
    """One call over one route: all of its requests carry the very same one. Making it reads and hashes nothing."""

    provider: str | None
    """Behind the router; ``None``: a server of the caller's own."""

    model: str | None
    """Hub id; ``None``: whatever that server runs."""

    ask: Ask
    """What was asked for, however it is put."""

    source: Source
    """The audio."""

    channels: Channels
    """What of it: the mix, or one channel."""

    stretch: Stretch | None
    """Where the audio was cut out of longer audio."""
