"""The async client's batch: an iterator, and the one task that hosts its workers."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import AsyncIterable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from hfasr._core.cancel import Cancel, Cancelled, StoppableAsyncIO
from hfasr.errors import BatchError

from .inputs import pieces
from .progress import reporter
from .standing import NotYet, Standing
from .tally import Tally

if TYPE_CHECKING:
    from types import TracebackType

    from hfasr.batches import BatchItem
    from hfasr.errors import JournalError
    from hfasr.types import AudioInput

    from .opening import Opened, Order

    Inputs = Iterable[AudioInput] | AsyncIterable[AudioInput]

__all__ = ["AsyncBatch"]

_HOSTED_BY: ContextVar[object] = ContextVar("hfasr_batch", default=None)
"""The batch in one of whose tasks this runs."""


class AsyncBatch:
    """
    Finished items of a batch, one by one; an async iterator and an async context manager.

    No async generator: its workers live in one task of its own, so that leaving the loop half-way
    cancels them, on asyncio and on trio. Nothing begins before the first item is asked for.

    See `Batch`; the inputs may be an async iterable.
    """

    def __init__(self, order: Order) -> None:
        self._run = _Run(order)
        self._tally = Tally(order.n_total)
        self._progress = order.settings.progress
        self._report: Any = None
        self._finalizer = weakref.finalize(self, self._run.abandon)
        self._finalizer.atexit = False  # the loop has ended by then, and the task with it

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchItem:
        if self._report is None:
            self._report = reporter(self._progress)
        self._run.enter()
        try:
            item = await self._run.next()
        except Exception:
            await self.aclose()
            raise
        finally:
            self._run.leave()
        if item is None:
            await self.aclose()
            raise StopAsyncIteration
        self._report(self._tally.add(item))
        return item

    async def aclose(self) -> None:
        """Cancel what is under way, and close the journal. May be called twice."""
        self._finalizer.detach()
        await self._run.close()
        if self._report is not None:
            self._report.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Run:
    """The tasks, and what they share. Knows nothing of the iterator, which may be forgotten."""

    def __init__(self, order: Order) -> None:
        self._client_io = order.io
        self._make_opened = order.open
        self._opened: Opened | None = None
        self._audios: Inputs | None = order.audios
        self._check_open = order.check_open
        self._n_workers = order.n_workers
        self._standing = Standing(ordered=order.settings.ordered, window=order.window)
        self._loop: Any = None
        self._host: object = None  # asyncio keeps only weak references to its tasks
        self._busy = False  # somebody waits for an item
        self._closed = False

    def enter(self) -> None:
        """See that nobody else waits for an item, and that this event loop is the one in which it began."""
        if self._loop is not None and not self._loop.is_current():
            raise RuntimeError("this batch belongs to the event loop in which it began; make one in this loop")
        if self._busy:
            raise RuntimeError("this batch is already being iterated over in another task")
        self._busy = True

    def leave(self) -> None:
        self._busy = False

    async def next(self) -> BatchItem | None:
        """Return the next item, ``None`` at the end; start the host where that has not been done."""
        import anyio

        if self._closed:
            return None
        if self._host is None:
            self._start()
        while isinstance(item := self._standing.next(), NotYet):
            self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return item

    def _start(self) -> None:
        import anyio

        from hfasr._core.loops import Loop

        self._cancel = Cancel()
        self._io = StoppableAsyncIO(self._client_io, self._cancel)
        self._news, self._room, self._ended = anyio.Event(), anyio.Event(), anyio.Event()
        self._scope, self._feeding = anyio.CancelScope(), anyio.CancelScope()
        self._loop = Loop()
        self._host = self._loop.spawn(self._host_workers, "hfasr-batch")

    async def close(self) -> None:
        import anyio

        self._closed = True
        if self._host is None:
            return
        self._cancel.stop()
        if self._loop.has_ended:  # without cancelling its tasks: nobody else closes the journal any more
            if self._opened is not None:
                await self._client_io.finish(self._opened.close)
            return
        if _HOSTED_BY.get() is self or not self._loop.is_current():
            self._loop.call_soon(self._scope.cancel)  # it cannot wait for itself, nor for another loop
            return
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()

    def abandon(self) -> None:
        """Cancel everything; the iterator was forgotten, perhaps in another thread."""
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon(self._scope.cancel)

    # The tasks

    async def _host_workers(self) -> None:
        """Open, work, close. Catches everything: what a system task of trio raises ends trio."""
        import anyio

        _HOSTED_BY.set(self)
        try:
            with self._scope:
                await self._client_io.offload(self._open)
                send, receive = anyio.create_memory_object_stream[Any](0)
                async with anyio.create_task_group() as tasks:
                    with receive:
                        for _ in range(self._n_workers):
                            tasks.start_soon(self._labour, receive.clone())
                    await self._feed(send)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001  # raised to the caller
            self._fail(error)
        finally:
            await self._finish()

    def _open(self) -> None:
        self._opened = self._make_opened()  # kept here: a cancelled task would lose what its thread returns

    async def _finish(self) -> None:
        try:
            if self._opened is not None:
                await self._client_io.finish(self._opened.close)
        except Exception as error:  # noqa: BLE001  # raised to the caller
            self._fail(error)
        finally:
            standing = self._standing
            standing.n_pending = 0
            if not (standing.fed and standing.outlet.all_finished):
                standing.fail(BatchError("the batch was cancelled before its last item; run it again"))
            standing.outlet.release()
            self._news.set()
            self._ended.set()

    async def _feed(self, send: Any) -> None:
        import anyio

        audios, self._audios = self._audios, None
        assert audios is not None
        with send, self._feeding:
            try:
                async with contextlib.aclosing(pieces(audios, self._loop)) as source:
                    async for audio in source:
                        await send.send((self._standing.outlet.take(), audio))
                        while not self._standing.outlet.has_room:
                            self._room = anyio.Event()
                            await self._room.wait()
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001  # the caller's iterable's; raised to the caller
                self._standing.inputs_error = error
            self._standing.fed = True
            self._news.set()

    async def _labour(self, receive: Any) -> None:
        import anyio

        assert self._opened is not None
        job, journal = self._opened.job, self._opened.journal
        with receive:
            async for index, audio in receive:
                self._standing.n_pending += 1
                try:
                    self._check_open()
                    item, key = await job.settle(self._io, index, audio)
                    if key is None or journal is None:
                        self._done(item)
                    else:
                        journal.append(key, item, functools.partial(self._written, item))
                except Cancelled:
                    self._done(None)
                    return
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as error:  # noqa: BLE001  # raised to the caller
                    self._fail(error)
                    self._done(None)
                    return

    def _written(self, item: BatchItem, error: JournalError | None) -> None:
        """Give out what is on the disk. In the journal's thread."""
        self._loop.call_soon(lambda: self._on_disk(item, error))

    def _on_disk(self, item: BatchItem, error: JournalError | None) -> None:
        if error is None:
            self._done(item)
            return
        self._standing.not_written(item, error)
        self._stop()

    def _done(self, item: BatchItem | None) -> None:
        self._standing.done(item)
        self._news.set()

    def _fail(self, error: BaseException) -> None:
        """End the batch with *error*, after what is on the wire."""
        self._standing.fail(error)
        self._stop()

    def _stop(self) -> None:
        self._cancel.stop()
        self._feeding.cancel()
        self._news.set()
