"""From what `transcribe_stream` is given to an order of work, written once for both colours."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hfasr._core.context import CallContext
from hfasr._core.io import BlockingIO
from hfasr._core.prepared import SAMPLING_RATE_HZ
from hfasr._core.routes import plan
from hfasr._run.order import Settled
from hfasr.audio import load
from hfasr.live import LiveAudio

from .cutter import Cutter, cutting_of
from .pieces import PieceJob, PieceResult
from .told import Told
from .work import WorkOrder

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr._core.io import IO
    from hfasr._core.routes import Route
    from hfasr._core.shared import Shared
    from hfasr.audio import Source
    from hfasr.audio.live_phrases import Phrase
    from hfasr.types import AudioInput, TranscribeOptions

__all__ = ["Planned", "StreamAsk"]

_CHUNK_S = 30.0  # no route takes less, and text comes soon


@dataclass(frozen=True, slots=True)
class StreamAsk:
    """What a client is asked for by `transcribe_stream`, checked."""

    io: Any
    """The client's, of its colour."""
    config: Config
    shared: Shared
    audio: AudioInput | LiveAudio
    options: TranscribeOptions
    check_open: Callable[[], None]

    async def planned(self) -> Planned:
        """
        Open what is to be transcribed.

        Raises:
            HfasrError: It cannot be used.
        """
        routes = plan(self.config, self.options.get("model"))
        if isinstance(self.audio, LiveAudio):
            return self._live(self.audio, routes)
        call = self._call()
        source = await load(
            self.audio,
            call,
            allow_paths=self.config.allow_paths,
            allow_private_urls=self.config.allow_private_urls,
            local_only=self.config.local_only,
        )
        return self._of_source(call, source, routes)

    def _call(self) -> CallContext:
        deadline = self.options.get("deadline") or self.config.deadline
        return CallContext(self.io, self.config, self.shared, deadline)

    @property
    def _longest_s(self) -> float:
        return self.config.chunking.chunk_length_s or _CHUNK_S

    def _told(self, routes: tuple[Route, ...], *, is_live: bool) -> Told:
        return Told(self.options.get("return_timestamps", False), backend=routes[0].name, is_live=is_live)

    def _order(self, inputs: Any, job: Any) -> WorkOrder[Any, PieceResult]:
        n_workers = self.config.chunking.max_concurrency
        return WorkOrder(self.io, inputs, job, n_workers=n_workers, what="transcription", check_open=self.check_open)

    def _of_source(self, call: CallContext, source: Source, routes: tuple[Route, ...]) -> Planned:
        channels = self.config.channels
        assert channels != "split"
        cutter = Cutter(
            source,
            sampling_rate=SAMPLING_RATE_HZ,
            channels=channels,
            chunking=self.config.chunking,
            longest_s=self._longest_s,
            check=call.check,
        )
        job = PieceJob(call, routes, self.options, None)
        return Planned(self._order(cutter, job), self._told(routes, is_live=False), cutter, source)

    def _live(self, live: LiveAudio, routes: tuple[Route, ...]) -> Planned:
        from hfasr.audio.live_sources import phrases_of

        if isinstance(live.blocks, AsyncIterable) and isinstance(self.io, BlockingIO):
            raise TypeError("an async iterable of live audio needs AsyncASRClient; or give an ordinary iterable")
        phrases = phrases_of(
            live,
            sampling_rate=SAMPLING_RATE_HZ,
            cutting=cutting_of(self.config.chunking, self._longest_s),
            clock=self.io.clock.now,
        )
        job = _PhraseJob(self, routes)
        return Planned(self._order(phrases, job), self._told(routes, is_live=True), None, None)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be run, and what takes its results."""

    order: WorkOrder[Any, PieceResult]
    told: Told
    cutter: Cutter | None
    """Of audio that has an end."""
    source: Source | None


class _PhraseJob:
    """Transcribes phrases of live audio, each with a deadline and a log of its own."""

    def __init__(self, ask: StreamAsk, routes: tuple[Route, ...]) -> None:
        self._ask = ask
        self._routes = routes

    async def settle(self, io: IO, index: int, phrase: Phrase, /) -> Settled[PieceResult]:
        job = PieceJob(self._ask._call(), self._routes, self._ask.options, None)  # noqa: SLF001  # one of us
        settled = await job.settle(io, index, phrase.piece)
        return Settled(replace(settled.item, spoken_at=phrase.spoken_at), None)
