"""Steps from a refused form to the next that both dialects take alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .dialect import Ask, Failure, Fix, Form

if TYPE_CHECKING:
    from hfasr.types import Timestamps

__all__ = ["audio_steps", "times_steps", "without"]


def without(form: Form, ask: Ask, named: set[str]) -> Iterator[Form]:
    """Yield *form* without the parameters that the server named, where they were asked for."""
    refused = (set(ask.names()) - form.dropped) & named
    if refused:
        yield replace(form, dropped=form.dropped | refused)


def times_steps(form: Form, nearest: list[Timestamps]) -> Iterator[Form]:
    """Yield *form* with the nearest times that the server may give, ending with none."""
    if form.timestamps:
        for timestamps in nearest:
            yield replace(form, timestamps=timestamps)


def audio_steps(form: Form, failure: Failure) -> Iterator[Form]:
    """Yield *form* with the audio decoded, or smaller."""
    if failure.fix is Fix.DECODE and form.upload == "first":
        yield replace(form, upload="flac")
    elif failure.fix is Fix.SHRINK and form.upload != "opus":
        yield replace(form, upload="opus")
