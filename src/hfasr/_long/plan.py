"""From what `transcribe_stream` is given to an order of work, written once for both colours."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hfasr._core.context import CallContext
from hfasr._core.io import BlockingIO
from hfasr._core.prepared import SAMPLING_RATE_HZ
from hfasr._core.routes import HostedRoute, plan
from hfasr._run.order import Settled
from hfasr.audio import load
from hfasr.errors import HfasrError
from hfasr.live import LiveAudio

from .cutter import Cutter, cutting_of
from .merged import unasked
from .pieces import PieceJob
from .told import Told, Turn
from .work import WorkOrder

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr._core.io import IO
    from hfasr._core.routes import Route
    from hfasr._core.shared import Shared
    from hfasr.audio import Source
    from hfasr.audio.live_phrases import Phrase
    from hfasr.audio.pieces import Piece
    from hfasr.errors import AudioDecodeError
    from hfasr.types import AudioInput, TranscribeOptions

    from .pieces import PieceResult

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
    span: Any = None
    """Of OpenTelemetry, to which what is done belongs."""

    def __post_init__(self) -> None:
        live = self.audio
        if isinstance(live, LiveAudio) and isinstance(live.blocks, AsyncIterable) and isinstance(self.io, BlockingIO):
            raise TypeError("an async iterable of live audio needs AsyncASRClient; or give an ordinary iterable")

    async def planned(self) -> Planned:
        """
        Open what is to be transcribed.

        Raises:
            HfasrError: It cannot be used.
        """
        routes = plan(self.config, self.options.get("model"))
        if isinstance(self.audio, LiveAudio):
            await self.io.offload(lambda: self._get_ready(routes[0]))
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

    def _get_ready(self, route: Route) -> None:
        """Import and look up now what the first phrase would wait for, which is half a second."""
        if isinstance(route, HostedRoute):
            import hfasr._core.pool
            import hfasr.audio.encoding  # noqa: F401  # both take their time

            if route.finds_token:
                with contextlib.suppress(HfasrError):  # raised by the first request
                    self.shared.find_token()

    def _call(self) -> CallContext:
        deadline = self.options.get("deadline") or self.config.deadline
        made = CallContext(self.io, self.config, self.shared, deadline)
        made.span = self.span
        return made

    @property
    def _longest_s(self) -> float:
        return self.config.chunking.chunk_length_s or _CHUNK_S

    def _told(self, routes: tuple[Route, ...], *, is_live: bool) -> Told:
        return Told(self.options.get("return_timestamps", False), nobody=unasked(routes[0]), is_live=is_live)

    def _order(self, inputs: Any, job: Any) -> WorkOrder[Any, Turn]:
        n_workers = self.config.chunking.max_concurrency
        return WorkOrder(
            self.io,
            inputs,
            job,
            n_workers=n_workers,
            what="transcription",
            check_open=self.check_open,
            ahead=2,  # whoever looks at the text as it comes may leave at any time
        )

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
        job = _ChunkJob(PieceJob(call, routes, self.options, None, whole=source))
        keeps_going = self.options.get("on_chunk_error") == "gap"
        return Planned(self._order(cutter, job), self._told(routes, is_live=False), call, cutter, source, keeps_going)

    def _live(self, live: LiveAudio, routes: tuple[Route, ...]) -> Planned:
        from hfasr.audio.live_sources import phrases_of

        phrases = phrases_of(
            live,
            sampling_rate=SAMPLING_RATE_HZ,
            cutting=cutting_of(self.config.chunking, self._longest_s),
            clock=self.io.clock.now,
            pick=None if isinstance(self.config.channels, str) else self.config.channels,
        )
        job = _PhraseJob(self, routes)
        return Planned(self._order(phrases, job), self._told(routes, is_live=True), self._call(), None, None)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be run, and what takes its results."""

    order: WorkOrder[Any, Turn]
    told: Told
    call: CallContext
    cutter: Cutter | None
    """Of audio that has an end."""
    source: Source | None
    keeps_going: bool = False
    """Whether a gap may be left."""

    def leave_rest(self, error: AudioDecodeError) -> None:
        """
        Leave a gap up to the end of audio that is damaged on the way, as `transcribe` does.

        Raises:
            AudioDecodeError: It may not be left, or nothing was read before it.
        """
        if self.cutter is None or not self.keeps_going:
            raise error
        self.told.leave_rest(error, self.cutter.rest())

    async def finish(self) -> None:
        """Take the end."""
        sha256 = None
        if self.source is not None:
            with contextlib.suppress(HfasrError):  # the file is gone by now, or no time is left: never mind
                sha256 = await self.call.offload(self.source.sha256)
        await self.told.finish(self.call.io, self.cutter, sha256=sha256)


class _Job(ABC):
    """
    Gives what came of each piece its turn, the error that ends the stream as well: what comes before it counts.

    What comes after it is not begun.
    """

    def __init__(self) -> None:
        self._failed_at: int | None = None

    async def settle(self, io: IO, index: int, given: Any, /) -> Settled[Turn]:
        if self._failed_at is not None and index > self._failed_at:
            return Settled(Turn(index, None), None)
        try:
            return Settled(Turn(index, await self._result(io, index, given)), None)
        except Exception as error:  # noqa: BLE001  # raised to the caller
            self._failed_at = index if self._failed_at is None else min(index, self._failed_at)
            return Settled(Turn(index, error), None)

    @abstractmethod
    async def _result(self, io: IO, index: int, given: Any) -> PieceResult:
        """Return what came of *given*."""


class _ChunkJob(_Job):
    """Transcribes chunks of audio that has an end, in one call."""

    def __init__(self, job: PieceJob) -> None:
        super().__init__()
        self._pieces = job

    async def _result(self, io: IO, index: int, given: Piece) -> PieceResult:
        return (await self._pieces.settle(io, index, given)).item


class _PhraseJob(_Job):
    """Transcribes phrases of live audio, each with a deadline and a log of its own."""

    def __init__(self, ask: StreamAsk, routes: tuple[Route, ...]) -> None:
        super().__init__()
        self._ask = ask
        self._routes = routes

    async def _result(self, io: IO, index: int, given: Phrase) -> PieceResult:
        job = PieceJob(self._ask._call(), self._routes, self._ask.options, None, whole=None)  # noqa: SLF001  # one of us
        return replace((await job.settle(io, index, given.piece)).item, spoken_at=given.spoken_at)
