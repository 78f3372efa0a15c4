"""
The whole call: read the audio, transcribe it in one piece or in many, say how it went.

It awaits nothing but its `IO`, as all of the core.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from hfasr._core.context import CallContext, logger
from hfasr._core.options import check_options
from hfasr._core.routes import plan
from hfasr._core.story import answered, gave_up
from hfasr._core.telemetry import model_attributes
from hfasr._core.watch import Watched
from hfasr.audio import load
from hfasr.errors import HfasrError

from .channels import by_channel
from .pieces import of_any_length

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr._core.io import IO
    from hfasr._core.room import Room
    from hfasr._core.shared import Shared
    from hfasr.audio import Source
    from hfasr.types import AudioInput, Provenance, TranscribeOptions, Transcript

    from .memory import PieceMemory

__all__ = ["Memory", "transcribe"]


class Memory(Protocol):
    """What was transcribed before: a batch's journal and cache."""

    async def recall(self, call: CallContext, source: Source) -> Transcript | None:
        """Return what *source* was transcribed as, ``None`` where that is not known."""
        ...

    async def keep(self, call: CallContext, source: Source, transcript: Transcript) -> None:
        """Remember *transcript*."""
        ...

    @property
    def pieces(self) -> PieceMemory | None:
        """What keeps the pieces of long audio, until it is whole."""
        ...

    @property
    def seats(self) -> Room | None:
        """What the pieces of all calls with this memory take a seat in while they are in work, one each."""
        ...


async def transcribe(
    io: IO,
    config: Config,
    shared: Shared,
    audio: AudioInput,
    options: TranscribeOptions,
    *,
    memory: Memory | None = None,
) -> Transcript:
    """Transcribe *audio*, or take what *memory* has; see `ASRClient.transcribe`."""
    check_options(options)
    routes = plan(config, options.get("model"))
    call = CallContext(io, config, shared, options.get("deadline") or config.deadline)
    pieces = None if memory is None else memory.pieces
    call.seats = None if memory is None else memory.seats
    with Watched("transcribe", lambda: model_attributes(routes[0]), call) as watched:
        try:
            source = await load(
                audio,
                call,
                allow_paths=config.allow_paths,
                allow_private_urls=config.allow_private_urls,
                local_only=config.local_only,
            )
            known = None if memory is None else await memory.recall(call, source)
            if known is not None:
                watched.answered(known, recalled=True)
                return known
            if config.channels == "split":
                transcript = await by_channel(call, routes, source, options, pieces)
            else:
                transcript = await of_any_length(call, routes, source, options, pieces)
            watched.answered(transcript)
            if memory is not None:
                await memory.keep(call, source, transcript)
        except HfasrError as error:
            call.stamp(error)
            if error.attempts:
                logger.log(_level(memory), "%s", gave_up(error))
            raise
        _log(transcript.provenance, _level(memory))
        return transcript


def _level(memory: Memory | None) -> int:
    return logging.WARNING if memory is None else logging.INFO  # a batch may have a million of them


def _log(origin: Provenance | None, level: int) -> None:
    """Write one line about a call that did not go straight."""
    if origin is None:
        return
    if origin.fallback_reason is not None:
        logger.log(level, "%s", answered(origin))
    elif any(attempt.error is not None for attempt in origin.attempts):
        logger.info("%s", answered(origin))  # the first route itself, after all
