"""What options of the command are for the library: settings of the client, and of its engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import typer

from hfasr.formats import TIMED_FORMATS
from hfasr.policies import Chunking

from .wording import KEY_VARIABLE, in_shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfasr.policies import Split
    from hfasr.types import Timestamps

__all__ = ["channels_of", "chunking_of", "client_settings", "engine_of", "timestamps_of"]


def client_settings(
    *, base_url: str | None, router_url: str | None, fallback: list[str] | None, **others: Any
) -> dict[str, Any]:
    """Return arguments of `hfasr.ASRClient`: *others* as they are, and the key for the server that was named."""
    return {
        "base_url": base_url,
        "router_url": router_url,
        "fallback": tuple(fallback or ()),
        "token": _key(base_url, router_url),
        **others,
    }


def chunking_of(length_s: float | None, concurrency: int, split: Split, stride_s: float | None) -> Chunking:
    """
    Return how long audio is cut.

    Raises:
        typer.BadParameter: The options do not go together.
    """
    try:
        return Chunking(length_s, concurrency, split, stride_s)
    except ValueError as error:
        raise typer.BadParameter(in_shell(str(error))) from error


def channels_of(text: str) -> Literal["mix", "split"] | int:
    """
    Return what ``--channels`` means.

    Raises:
        typer.BadParameter: It means nothing.
    """
    if text == "mix":
        return "mix"
    if text == "split":
        return "split"
    if not (text.isascii() and text.isdecimal()):
        raise typer.BadParameter(f"--channels must be mix, split or the number of one, from 0, not {text[:50]!r}")
    return int(text[:9])


def timestamps_of(timestamps: str | None, formats: Iterable[str]) -> Timestamps:
    """Return which times are asked for: those of ``--timestamps``, or what one of *formats* needs."""
    if timestamps == "word":
        return "word"
    return timestamps == "segment" or not TIMED_FORMATS.isdisjoint(formats)


def engine_of(backend: str, options: dict[str, str | None]) -> dict[str, Any]:
    """
    Return those of *options* that were given, for the engine called *backend*.

    Raises:
        typer.BadParameter: There is no engine, or a value is none.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if given and backend == "hosted":
        raise typer.BadParameter(
            "--device, --dtype and --batch-size set up an engine on this machine; add --backend transformers"
        )
    batch_size = given.get("batch_size", "auto")
    if batch_size != "auto":
        if not batch_size.isdecimal() or int(batch_size) < 1:
            raise typer.BadParameter(f"--batch-size must be auto or a whole number of 1 or more, not {batch_size!r}")
        given["batch_size"] = int(batch_size)
    return given


def _key(base_url: str | None, router_url: str | None) -> str | None:
    """Return the key for the server that was named; Hugging Face's own gets only the token that is its."""
    named = base_url or router_url or os.environ.get("HFASR_ROUTER_URL")
    return (os.environ.get(KEY_VARIABLE) or None) if named else None
