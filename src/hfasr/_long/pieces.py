"""Audio that a route does not take at once: cut, sent in parallel, joined."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfasr._core.about import Stretch
from hfasr._core.call import transcribe_piece
from hfasr._core.failover import TakesLessError
from hfasr._core.prepared import PreparedAudio
from hfasr._core.stitch import Span
from hfasr._core.watch import Watched
from hfasr._run.order import Settled
from hfasr.errors import (
    AllRoutesFailedError,
    APIError,
    AudioDecodeError,
    AudioError,
    BackendError,
    HfasrError,
    UnsupportedAudioError,
    clean,
)
from hfasr.types import Transcript

from .cutter import Cutter
from .joined import Facts, Joined
from .merged import Merged, unasked
from .work import WorkOrder, each, one_by_one

if TYPE_CHECKING:
    from hfasr._core.context import CallContext
    from hfasr._core.io import IO
    from hfasr._core.routes import Route
    from hfasr.audio import Source
    from hfasr.audio.pieces import Piece
    from hfasr.types import Attempt, TranscribeOptions

    from .memory import PieceMemory

__all__ = ["PieceJob", "PieceResult", "of_any_length", "placed"]

_WHOLE_S = 30.0  # what *max_concurrency* pieces are counted in: longer ones are fewer at once, by default


class _CannotCutError(Exception):
    """Nobody here can decode the audio, so that it cannot be cut."""


@dataclass(frozen=True, slots=True)
class PieceResult:
    """What came of one piece: a transcript, with times of its own, or an error."""

    span: Span
    transcript: Transcript | None
    error: HfasrError | None = None
    attempts: tuple[Attempt, ...] = ()
    done_at: float = 0.0
    """When, on the call's clock."""
    spoken_at: float | None = None
    """When the end of a phrase of live audio had come in, on the same clock."""


async def of_any_length(
    call: CallContext,
    routes: tuple[Route, ...],
    source: Source,
    options: TranscribeOptions,
    memory: PieceMemory | None = None,
    *,
    is_piece: bool = False,
) -> Transcript:
    """
    Transcribe *source*: in one piece where a route takes it so, else in many.

    Args:
        call: The call, of one channel or of the mix.

        routes: In order.

        source: From `load`.

        options: What was asked for.

        memory: What has pieces that were transcribed before.

        is_piece: Whether *source* is a piece itself, so that others are in work beside it.

    Raises:
        HfasrError: Every route failed, or the audio cannot be read; with ``on_chunk_error="gap"`` only where
            nothing at all was transcribed.
    """
    audio = PreparedAudio(call, source)
    try:
        return await transcribe_piece(call, routes, audio, options)
    except TakesLessError as error:
        less = error
    audio.forget()
    for refusal in (less, less.__cause__):
        if refusal is not None:
            refusal.__traceback__ = None  # it holds what was refused, too
    try:
        whole = _Whole(call, source=source, audio=audio, less=less, options=options, memory=memory)
        return await whole.transcribe(is_piece=is_piece)
    except _CannotCutError:
        if len(less.routes) == 1:
            assert less.__cause__ is not None
            raise less.__cause__ from None
        return await of_any_length(call, less.routes[1:], source, options, memory, is_piece=is_piece)


class PieceJob:
    """
    Transcribes one piece after the other, for one worker or many.

    Args:
        call: The call, of one channel or of the mix.

        routes: In order.

        options: What was asked for.

        memory: What has pieces that were transcribed before.

        whole: What the pieces are cut from; ``None``: live audio, of which there is no whole.
    """

    def __init__(
        self,
        call: CallContext,
        routes: tuple[Route, ...],
        options: TranscribeOptions,
        memory: PieceMemory | None,
        *,
        whole: Source | None,
    ) -> None:
        self._call = call
        self._whole = call.stretch  # it is a part itself
        if self._whole is None and whole is not None:
            self._whole = Stretch(whole, call.config.channels, 0.0, 0.0)
        self._config = replace(call.config, channels="mix")  # a piece has one channel
        self._routes = routes
        self._options = options
        self._memory = memory
        self._keeps_going = options.get("on_chunk_error") == "gap"

    async def settle(self, io: IO, index: int, piece: Piece, /) -> Settled[PieceResult]:
        """
        Return what came of *piece*.

        Raises:
            HfasrError: It failed, and no gap may be left.
        """
        span = Span(piece.start, piece.end, piece.overlap_before, piece.overlap_after)
        if piece.is_silent:  # nothing in it could be heard
            nothing = Transcript("", duration=piece.end - piece.start)
            return Settled(PieceResult(span, nothing, done_at=io.clock.now()), None)
        chunk = index if self._call.chunk is None else self._call.chunk
        part = self._call.part(io, chunk=chunk, config=self._config)
        part.stretch = self._whole and replace(
            self._whole, start=self._whole.start + piece.start, end=self._whole.start + piece.end
        )
        name = "chunk" if self._call.chunk is None else None  # cut again: its attempts belong to the chunk that it was

        def about() -> dict[str, float]:
            return {"hfasr.chunk": chunk, "hfasr.chunk.start": span.start, "hfasr.chunk.end": span.end}

        with Watched(name, about, part) as watched:
            try:
                transcript = await self._transcribe(part, piece.source)
            except (APIError, BackendError, AudioError, AllRoutesFailedError) as error:
                attempts = part.every_attempt()
                part.stamp(error)
                if not self._keeps_going:
                    if self._call.chunk is not None:  # cut again: whoever cut it first says where it is
                        raise
                    raise placed(error, f"from {span.start:.1f} to {span.end:.1f} s", attempts) from error.__cause__
                watched.failed(error)
                return Settled(PieceResult(span, None, error, attempts, io.clock.now()), None)
            finally:
                part.forget_errors()
            watched.answered(transcript, recalled=not part.attempts)
            return Settled(PieceResult(span, transcript, None, tuple(part.attempts), io.clock.now()), None)

    async def _transcribe(self, part: CallContext, source: Source) -> Transcript:
        known = None if self._memory is None else await self._memory.recall(part, source)
        if known is not None:
            return known
        transcript = await self._seated(part, source)
        if self._memory is not None:
            await self._memory.keep(part, source, transcript)
        return transcript

    async def _seated(self, part: CallContext, source: Source) -> Transcript:
        options: TranscribeOptions = {**self._options, "on_chunk_error": "raise"}
        seats, part.seats = part.seats, None  # what it may be cut into again has its seat
        if seats is None:
            return await of_any_length(part, self._routes, source, options, is_piece=True)
        try:
            await seats.enter(part.io, 1, left=part.left)
        except TimeoutError:
            raise part.deadline_error("waiting for its turn in the batch") from None
        try:
            return await of_any_length(part, self._routes, source, options, is_piece=True)
        finally:
            seats.leave(1)


class _Whole:
    """One long input, joined piece by piece."""

    def __init__(
        self,
        call: CallContext,
        *,
        source: Source,
        audio: PreparedAudio,
        less: TakesLessError,
        options: TranscribeOptions,
        memory: PieceMemory | None,
    ) -> None:
        self._call = call
        self._source = source
        self._audio = audio
        self._options = options
        self._routes = less.routes
        self._keeps_going = options.get("on_chunk_error") == "gap"
        self._job = PieceJob(call, less.routes, options, memory, whole=source)
        self._longest_s = less.longest_s
        self._merged = Merged(unasked(less.routes[0]), call.attempts, less.reason)
        self._joined = Joined(options.get("return_timestamps", False), self._merged)
        self._raws: list[object] = []

    async def transcribe(self, *, is_piece: bool) -> Transcript:
        call = self._call
        sha256 = self._audio.sha256 or await call.offload(self._source.sha256)
        cutter = self._cutter(is_piece=is_piece)
        try:
            if is_piece:
                await one_by_one(call.io, cutter, self._job, self._take)
            else:
                await each(self._order(cutter), self._take)
        except AudioDecodeError as error:
            if not (self._keeps_going and self._joined.has_answer):
                error.attempts = call.every_attempt()
                raise
            self._joined.leave_rest(error, cutter.rest())
        except HfasrError as error:
            if isinstance(error, UnsupportedAudioError) and not cutter.was_opened:
                raise _CannotCutError from error
            error.attempts = call.every_attempt()
            raise
        finally:
            cutter.stop()  # it may be far from the next piece
        self._joined.check()
        await self._joined.finish(call.io)
        call.take_over(self._merged.attempts)
        return await self._joined.whole(call.io, self._facts(sha256, cutter))

    def _cutter(self, *, is_piece: bool) -> Cutter:
        call = self._call
        return Cutter(
            self._source,
            sampling_rate=self._audio.sampling_rate,
            channels=self._audio.channels,
            chunking=replace(call.config.chunking, split="silence", stride_length_s=None)
            if is_piece
            else call.config.chunking,
            longest_s=self._longest_s,
            check=call.check,
        )

    def _order(self, cutter: Cutter) -> WorkOrder[Piece, PieceResult]:
        chunking = self._call.config.chunking
        n_workers = chunking.max_concurrency
        if chunking.chunk_length_s is None:
            n_workers = max(1, int(n_workers * min(1.0, _WHOLE_S / self._longest_s)))
        return WorkOrder(self._call.io, cutter, self._job, n_workers=n_workers, what="transcription")

    async def _take(self, result: PieceResult) -> None:
        """Join one more piece, in order."""
        if result.transcript is not None:
            self._raws.append(result.transcript.raw)
        await self._joined.take(self._call.io, result)

    def _facts(self, sha256: str | None, cutter: Cutter) -> Facts:
        joined = self._joined
        duration = cutter.duration if cutter.duration is not None else self._source.info().duration
        self._audio.duration = duration
        is_whole = self._call.chunk is None
        how = f"cut into {joined.n_pieces} chunks" if is_whole else "chunks cut again"
        warnings = joined.warnings(silence=True) if is_whole else joined.seam_warnings
        return Facts(sha256, duration, (*cutter.changes, how), warnings, tuple(self._raws))


def placed(error: HfasrError, where: str, attempts: tuple[Attempt, ...]) -> HfasrError:
    """Return *error* with *where* it came about; an engine may raise the same one for another part."""
    again = copy.copy(error)
    again.args = (clean(f"{where}: {error}"), *error.args[1:])
    again.attempts = attempts
    again.__cause__ = error.__cause__
    return again
