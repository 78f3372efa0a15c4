"""Segments as they are done: the iterators that `transcribe_stream` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from hfasr._core.io import run_sync

if TYPE_CHECKING:
    from types import TracebackType

    from hfasr._run.asynchronous import AsyncRunner
    from hfasr._run.blocking import Runner
    from hfasr.types import Segment, Transcript

    from .pieces import PieceResult
    from .plan import Planned, StreamAsk

__all__ = ["AsyncTranscriptStream", "TranscriptStream"]


class _Stream:
    """What is known of a stream, in both colours."""

    def __init__(self, ask: StreamAsk) -> None:
        self._ask = ask
        self._planned: Planned | None = None
        self._closed = False

    def _stop(self) -> None:
        """Begin nothing more; a microphone that somebody waits for stops as well."""
        self._closed = True
        stop = None if self._planned is None else getattr(self._planned.order.inputs, "stop", None)
        if callable(stop):
            stop()

    @property
    def duration(self) -> float:
        """Seconds of audio that have been dealt with so far."""
        return 0.0 if self._planned is None else self._planned.told.duration

    @property
    def delay(self) -> float | None:
        """Seconds from the end of the last phrase until its text was there; of live audio alone."""
        return None if self._planned is None else self._planned.told.delay

    @property
    def max_delay(self) -> float | None:
        """The largest `delay` so far."""
        return None if self._planned is None else self._planned.told.max_delay

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be done, and what was repaired, so far."""
        return () if self._planned is None else self._planned.told.warnings

    @property
    def transcript(self) -> Transcript:
        """
        All of it, after the last segment.

        Raises:
            ValueError: The end has not been reached, or it is live audio, of which nothing is kept.
        """
        planned = self._planned
        if planned is None or not planned.told.is_complete:
            raise ValueError("the stream has not ended; read its segments first")
        if planned.cutter is None or planned.source is None:
            raise ValueError("nothing is kept of live audio, which may go on for ever; keep its segments yourself")
        return planned.told.transcript(planned.cutter, planned.source.sha256())


class TranscriptStream(_Stream):
    """
    Segments of one input, in order, each as soon as it is done; an iterator and a context manager.

    Nothing begins before the first is asked for. Leave it half-way with ``break`` in a ``with`` block, or call
    `close`: what is under way is cut off, and no thread is left.
    """

    _runner: Runner[PieceResult] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Segment:
        from hfasr._run.blocking import Runner

        if self._closed:
            raise StopIteration
        if self._planned is None:
            self._planned = run_sync(self._ask.planned())
            self._runner = Runner(self._planned.order)
        told = self._planned.told
        while (segment := told.pop()) is None:
            result = None if self._runner is None else next(self._runner, None)
            if result is None:
                if self._runner is not None:
                    told.finish(self._planned.cutter)
                self._runner = None
                if (segment := told.pop()) is None:
                    raise StopIteration
                return segment
            told.take(result)
        return segment

    def close(self) -> None:
        """Stop, and wait for what cannot be cut off. May be called twice."""
        self._stop()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncTranscriptStream(_Stream):
    """
    Segments of one input, in order, each as soon as it is done; an async iterator and context manager.

    See `TranscriptStream`. Its workers live in a task of its own, so that leaving the loop half-way cancels them.
    """

    _runner: AsyncRunner[PieceResult] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Segment:
        from hfasr._run.asynchronous import AsyncRunner

        if self._closed:
            raise StopAsyncIteration
        if self._planned is None:
            self._planned = await self._ask.planned()
            self._runner = AsyncRunner(self._planned.order)
        told = self._planned.told
        while (segment := told.pop()) is None:
            result = None if self._runner is None else await anext(self._runner, None)
            if result is None:
                if self._runner is not None:
                    told.finish(self._planned.cutter)
                self._runner = None
                if (segment := told.pop()) is None:
                    raise StopAsyncIteration
                return segment
            told.take(result)
        return segment

    async def aclose(self) -> None:
        """Cancel what is under way. May be called twice."""
        self._stop()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
