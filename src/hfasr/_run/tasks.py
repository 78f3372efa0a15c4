"""The tasks of a run: the one that hosts it, which reads the inputs, and those that work on them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hfasr._core.cancel import CANCEL, Cancel, Cancelled, StoppableAsyncIO
from hfasr.errors import BatchError

from .inputs import close, close_async, pieces
from .standing import NotYet, Standing

if TYPE_CHECKING:
    from hfasr.errors import JournalError

    from .order import Opened, Order

__all__ = ["Tasks"]

Item = TypeVar("Item")

_HOSTED_BY: ContextVar[tuple[object, ...]] = ContextVar("hfasr_run", default=())
"""The runs in one of whose tasks this runs, the outermost first."""


class Tasks(Generic[Item]):
    """They, and what they share. Knows nothing of the iterator, which may be forgotten."""

    def __init__(self, order: Order[Any, Item]) -> None:
        self._what = order.what
        self._client_io = order.io
        self._make_opened: Any = order.open  # until the end
        self._opened: Opened[Any, Item] | None = None
        self._source: Any = order.inputs  # until they are read
        self._owns_inputs = order.owns_inputs
        self._check_open = order.check_open
        self._n_workers = order.n_workers
        self._max_waiting = order.max_waiting
        self._standing: Standing[Item] = Standing(ordered=order.ordered, window=order.window)
        self._cancel = Cancel()
        self._loop: Any = None
        self._host: object = None  # asyncio keeps only weak references to its tasks
        self._busy = False  # somebody waits for an item
        self._closed = False

    def enter(self) -> None:
        """See that nobody else waits for an item, and that this event loop is the one in which it began."""
        if self._loop is not None and not self._loop.is_current():
            raise RuntimeError(f"this {self._what} belongs to the event loop in which it began; make one in this loop")
        if self._busy:
            raise RuntimeError(f"this {self._what} is already being iterated over in another task")
        self._busy = True

    def leave(self) -> None:
        self._busy = False

    async def next(self) -> Item | None:
        """Return the next item, ``None`` at the end; start the host where that has not been done."""
        import anyio

        if self._closed:
            return None
        if self._host is None:
            self._start()
        while isinstance(item := self._next(), NotYet):
            self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return item

    def _next(self) -> Item | NotYet | None:
        if self._cancel.outer is not None:
            self._cancel.outer.check()
        return self._standing.next()

    def _start(self) -> None:
        import anyio

        from hfasr._core.loops import Loop

        outer = CANCEL.get()
        if outer is not None:
            outer.check()
        self._io = StoppableAsyncIO(self._client_io, self._cancel)
        self._news, self._room, self._ended = anyio.Event(), anyio.Event(), anyio.Event()
        self._scope, self._feeding = anyio.CancelScope(), anyio.CancelScope()
        self._loop = Loop()
        self._host = self._loop.spawn(self._host_workers, f"hfasr-{self._what}")
        if outer is not None:
            self._cancel.outer = outer
            outer.adopt(self)

    async def close(self) -> None:
        self._closed = True
        if self._host is None:
            await self._let_source_go()
            return
        self._cancel.stop()
        if self._loop.has_ended:  # without cancelling its tasks: nobody else closes the journal any more
            if self._opened is not None:
                await self._client_io.finish(self._opened.close)
            return
        if self in _HOSTED_BY.get() or not self._loop.is_current():
            self._loop.call_soon(self._scope.cancel)  # it cannot wait for itself, nor for another loop
            return
        await self._end()

    async def _end(self) -> None:
        import anyio

        outer = self._cancel.outer
        try:
            if outer is not None and outer.stopped.is_set():
                self._stop()  # unless this is cancelled: what is on the wire may be paid for
                await self._ended.wait()
        finally:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()

    def abandon(self) -> None:
        """Cancel everything; the iterator was forgotten, perhaps in another thread."""
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon(self._scope.cancel)

    # For the run around it

    def stop(self) -> None:
        """Begin nothing more, and let nobody wait for an item."""
        self._loop.call_soon(self._stop)

    def cut(self) -> None:
        """Cancel what is on the wire, too."""
        self._loop.call_soon(self._scope.cancel)

    # The tasks

    async def _host_workers(self) -> None:
        """Open, work, close. Catches everything: what a system task of trio raises ends trio."""
        import anyio

        _HOSTED_BY.set((*_HOSTED_BY.get(), self))
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
            try:
                await self._let_source_go()
            finally:
                if self._opened is not None:
                    await self._client_io.finish(self._opened.close)
        except Exception as error:  # noqa: BLE001  # raised to the caller
            self._fail(error)
        finally:
            standing = self._standing
            standing.n_pending = 0
            if not (standing.fed and standing.outlet.all_finished):
                standing.fail(BatchError(f"the {self._what} was cancelled before its last item; run it again"))
            standing.outlet.release()
            # Cancelled tasks may be in cycles, and hold this until a garbage collection: let the order go.
            self._opened = self._make_opened = None
            if self._cancel.outer is not None:
                self._cancel.outer.release(self)
            self._news.set()
            self._ended.set()

    async def _let_source_go(self) -> None:
        """Close what nobody has read."""
        source, self._source = self._source, None
        if source is None or not self._owns_inputs:
            return
        if isinstance(source, AsyncIterable):
            await close_async(source, owned=True)
        else:
            await self._client_io.finish(functools.partial(close, source, owned=True))

    async def _feed(self, send: Any) -> None:
        import anyio

        source, self._source = self._source, None
        owned, name = self._owns_inputs, f"hfasr-{self._what}-feed"
        with send, self._feeding:
            try:
                given_ones = pieces(source, self._loop, owned=owned, most=self._max_waiting, name=name)
                async with contextlib.aclosing(given_ones) as inputs:
                    async for given in inputs:
                        await send.send((self._standing.outlet.take(), given))
                        del given  # or it stays in memory while the next one is awaited
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
        CANCEL.set(self._cancel)
        with receive:
            async for index, given in receive:
                goes_on = await self._work_on_one(index, given)
                del given  # or it stays in memory while the next one is awaited
                if not goes_on:
                    return

    async def _work_on_one(self, index: int, given: Any) -> bool:
        """See to an input; whether there may be more."""
        import anyio

        assert self._opened is not None
        self._standing.n_pending += 1
        try:
            self._check_open()
            item, key = await self._opened.job.settle(self._io, index, given)
            if key is None or self._opened.journal is None:
                self._done(index, item)
            else:
                self._opened.journal.append(key, item, functools.partial(self._written, index, item))
        except Cancelled:
            self._dropped()
            return False
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001  # raised to the caller
            self._fail(error)
            self._dropped()
            return False
        return True

    def _written(self, index: int, item: Item, error: JournalError | None) -> None:
        """Give out what is on the disk. In the journal's thread."""
        self._loop.call_soon(lambda: self._on_disk(index, item, error))

    def _on_disk(self, index: int, item: Item, error: JournalError | None) -> None:
        if error is None:
            self._done(index, item)
            return
        self._standing.not_written(item, error)
        self._stop()

    def _done(self, index: int, item: Item) -> None:
        self._standing.done(index, item)
        self._news.set()

    def _dropped(self) -> None:
        self._standing.dropped()
        self._news.set()

    def _fail(self, error: BaseException) -> None:
        """End the run with *error*, after what is on the wire."""
        self._standing.fail(error)
        self._stop()

    def _stop(self) -> None:
        self._cancel.stop()
        self._feeding.cancel()
        self._news.set()
