"""Segments as they are done: the iterators that `transcribe_stream` gives."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

from hfasr._core.cancel import Cancelled
from hfasr._core.io import run_sync
from hfasr._core.routes import plan
from hfasr._core.telemetry import model_attributes
from hfasr._core.watch import Watched
from hfasr.errors import AudioDecodeError

if TYPE_CHECKING:
    from types import TracebackType

    from hfasr._run.asynchronous import AsyncRunner
    from hfasr._run.blocking import Runner
    from hfasr.types import Segment, Transcript

    from .plan import Planned, StreamAsk
    from .told import Told, Turn

__all__ = ["AsyncTranscriptStream", "TranscriptStream"]


class _Stream:
    """What is known of a stream, in both colours."""

    def __init__(self, ask: StreamAsk) -> None:
        self._ask = ask
        self._told: Told | None = None
        self._closed = False
        self._busy = threading.Lock()
        self._stop: Callable[[], object] = _nothing
        self._watched = Watched("transcribe", lambda: _attributes(ask))

    @contextmanager
    def _alone(self, others: str) -> Iterator[None]:
        """See that nobody else waits for a segment."""
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(f"this transcription is already being iterated over in another {others}")
        try:
            yield
        finally:
            self._busy.release()

    def _ask_watched(self) -> StreamAsk:
        """Begin the span, whose end is sure also where this is forgotten, and return what is asked for within it."""
        watched = self._watched.begin()
        if watched.span is None:
            return self._ask
        weakref.finalize(self, watched.end)
        return replace(self._ask, span=watched.span)

    def _begin(self, planned: Planned) -> None:
        self._told = planned.told
        stop = getattr(planned.order.inputs, "stop", None)
        if callable(stop):  # it may be waited for, such as a microphone; let it stop also where this is forgotten
            self._stop = weakref.finalize(self, stop)

    @property
    def duration(self) -> float:
        """Seconds of audio that have been dealt with so far."""
        return 0.0 if self._told is None else self._told.duration

    @property
    def delay(self) -> float | None:
        """Seconds from the end of the last phrase until its text was there; of live audio alone."""
        return None if self._told is None else self._told.delay

    @property
    def max_delay(self) -> float | None:
        """The largest `delay` so far."""
        return None if self._told is None else self._told.max_delay

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be done, and what was repaired, so far."""
        return () if self._told is None else self._told.warnings

    @property
    def transcript(self) -> Transcript:
        """
        All of it, after the last segment.

        Raises:
            ValueError: The end has not been reached, or it is live audio, of which nothing is kept.
        """
        if self._told is None:
            raise ValueError("the stream has not ended; read its segments first")
        return self._told.transcript()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream cannot be pickled or copied: it holds threads and connections; use its segments")


def _attributes(ask: StreamAsk) -> dict[str, Any]:
    return {**model_attributes(plan(ask.config, ask.options.get("model"))[0]), "hfasr.stream": True}


def _nothing() -> None:
    """Other inputs need no stop."""


class TranscriptStream(_Stream):
    """
    Segments of one input, in order, each as soon as it is done; an iterator and a context manager.

    Nothing begins before the first is asked for. Leave it half-way with ``break`` in a ``with`` block, or call
    `close`: what is under way is cut off, and no thread is left. After an error it is closed.
    """

    _planned: Planned | None = None
    _runner: Runner[Turn] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Segment:
        with self._alone("thread"):
            try:
                segment = self._next()
            except BaseException as error:
                self._watched.failed(error)
                self.close()
                raise
            if segment is None:
                self.close()
                raise StopIteration
            return segment

    def _next(self) -> Segment | None:
        if self._told is None and not self._closed:
            self._open(run_sync(self._ask_watched().planned()))
        told = self._told
        while told is not None and not self._closed:
            segment = told.pop()
            if segment is not None or told.is_complete:
                return segment
            runner, planned = self._runner, self._planned
            if runner is None or planned is None:  # closed in another thread
                break
            try:
                turn = next(runner, None)
            except AudioDecodeError as error:
                planned.leave_rest(error)
                turn = None
            if turn is None:
                run_sync(planned.finish())
            else:
                run_sync(told.take(planned.call.io, turn))
        return None

    def _open(self, planned: Planned) -> None:
        from hfasr._run.blocking import Runner

        self._runner = Runner(planned.order)
        self._planned = planned
        self._begin(planned)

    def close(self) -> None:
        """Stop, and wait for what cannot be cut off. May be called twice."""
        self._closed = True
        self._stop()
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                runner.close()
        finally:
            self._planned = None
            self._watched.end()

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

    _planned: Planned | None = None
    _runner: AsyncRunner[Turn] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Segment:
        with self._alone("task"):
            try:
                segment = await self._next()
            except (Exception, Cancelled) as error:
                self._watched.failed(error)
                await self.aclose()
                raise
            if segment is None:
                await self.aclose()
                raise StopAsyncIteration
            return segment

    async def _next(self) -> Segment | None:
        if self._told is None and not self._closed:
            self._open(await self._ask_watched().planned())
        told = self._told
        while told is not None and not self._closed:
            segment = told.pop()
            if segment is not None or told.is_complete:
                return segment
            runner, planned = self._runner, self._planned
            if runner is None or planned is None:  # closed in another task
                break
            try:
                turn = await anext(runner, None)
            except AudioDecodeError as error:
                planned.leave_rest(error)
                turn = None
            if turn is None:
                await planned.finish()
            else:
                await told.take(planned.call.io, turn)
        return None

    def _open(self, planned: Planned) -> None:
        from hfasr._run.asynchronous import AsyncRunner

        self._runner = AsyncRunner(planned.order)
        self._planned = planned
        self._begin(planned)

    async def aclose(self) -> None:
        """Cancel what is under way. May be called twice."""
        self._closed = True
        self._stop()
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                await runner.aclose()
        finally:
            self._planned = None
            self._watched.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
