"""The threads of a run: one that reads the inputs, and those that work on them."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hfasr._core.cancel import CANCEL, Cancel, Cancelled, StoppableBlockingIO
from hfasr._core.io import run_sync
from hfasr._core.loops import context_for_a_thread
from hfasr.errors import BatchError

from .inputs import close
from .standing import NotYet, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfasr.errors import JournalError

    from .order import Opened, Order

__all__ = ["Threads"]

Item = TypeVar("Item")

_LOOK_S = 0.5
"""Longest pause in waiting for an item: Windows sees Ctrl-C only between two."""

_CLOSING_S = 0.1
"""Longest wait for the inputs' thread: it may be waiting in the caller's own iterable, for ever."""


class Threads(Generic[Item]):
    """They, and what they share. Knows nothing of the iterator, which may be forgotten."""

    def __init__(self, order: Order[Any, Item]) -> None:
        self._what = order.what
        self._cancel = Cancel()
        self._io = StoppableBlockingIO(order.io, self._cancel)
        self._open = order.open
        self._opened: Opened[Any, Item] | None = None
        self._source: Any = order.inputs  # until they are read
        self._owns_inputs = order.owns_inputs
        self._check_open = order.check_open
        self._n_workers = order.n_workers
        self._max_waiting = order.max_waiting
        self._standing: Standing[Item] = Standing(ordered=order.ordered, window=order.window)
        self._inputs: deque[tuple[int, Any]] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)  # the feeder waits for it,
        self._work = threading.Condition(self._lock)  # workers for this,
        # The caller waits for this, which Ctrl-C may interrupt anywhere: a condition's own lock would get lost.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wanted = False
        self._context: contextvars.Context | None = None  # of whoever asked for the first item
        self._feeder: threading.Thread | None = None
        self._workers: list[threading.Thread] = []
        self._busy = False  # somebody waits for an item
        self._n_idle = 0
        self._closed = False

    # For the caller

    def enter(self) -> None:
        """See that nobody else waits for an item, and that this process is the one that began."""
        if not self._cancel.is_ours:
            raise RuntimeError(f"this {self._what} belongs to the process that began it; make one in the child")
        with self._lock:
            if self._busy:
                raise RuntimeError(f"this {self._what} is already being iterated over in another thread")
            self._busy = True

    def leave(self) -> None:
        with self._lock:
            self._busy = False

    def next(self) -> Item | None:
        """Return the next item, ``None`` at the end; start the threads where that has not been done."""
        if self._closed:
            return None
        if self._opened is None:
            self._begin()
        outer = self._cancel.outer
        while True:
            with self._lock:
                if outer is not None:
                    outer.check()
                item = self._standing.next()
                if not isinstance(item, NotYet):
                    if len(self._inputs) <= self._n_workers // 2:  # not for each: to wake a thread costs
                        self._room.notify()
                    return item
                if self._closed:
                    raise BatchError(f"the {self._what} was closed before its last item; run it again")
                self._wanted = True
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=_LOOK_S)

    def _begin(self) -> None:
        outer = self._cancel.outer = CANCEL.get()
        if outer is not None:
            outer.adopt(self)
            outer.check()
        self._opened = self._open()
        self._context = context_for_a_thread()
        self._feeder = self._daemon(self._feed, "feed")
        self._feeder.start()

    def _daemon(self, target: Callable[[], None], name: str) -> threading.Thread:
        assert self._context is not None  # it has begun
        run = functools.partial(self._context.copy().run, target)
        return threading.Thread(target=run, name=f"hfasr-{self._what}-{name}", daemon=True)

    def _tell(self) -> None:
        """Wake who waits for an item. With the lock."""
        if self._wanted:
            self._wanted = False
            self._news.put(None)

    def close(self) -> None:
        """Stop, and wait for the threads. May be called again, also where Ctrl-C came in between."""
        if not self._cancel.is_ours:
            return
        with self._lock:
            self._closed = True
            self._stop()
        outer = self._cancel.outer
        if outer is None or outer.was_cut or not outer.stopped.is_set():
            self._cancel.cut()  # else it only was to stop: what is on the wire may be paid for
        if threading.current_thread() is self._feeder or self._cancel.is_around(CANCEL.get()):
            return  # called by the inputs, or by the engine: it cannot wait for itself
        for worker in self._workers:
            worker.join()
        if self._feeder is not None and self._feeder.is_alive():  # not so if Ctrl-C came while it was started
            self._feeder.join(_CLOSING_S)
        try:
            source = self._claim_source()
            if source is not None and self._owns_inputs:  # and nobody has read it
                close(source, owned=True)
        finally:
            if self._opened is not None:
                self._opened.close()
            if outer is not None:
                outer.release(self)

    @staticmethod
    def abandon(run: Threads[Any]) -> None:
        """Close *run*, whose iterator was forgotten, without holding up whoever forgot it."""
        if run._opened is None:
            return
        threading.Thread(target=run.close, name=f"hfasr-{run._what}-close", daemon=True).start()

    # For the run around it

    def stop(self) -> None:
        """Begin nothing more, and let nobody wait for an item."""
        with self._lock:
            self._stop()

    def cut(self) -> None:
        """Shut down what is on the wire, too."""
        self.stop()
        self._cancel.cut()

    # The threads

    def _claim_source(self) -> Any:
        with self._lock:
            source, self._source = self._source, None
            return source

    def _feed(self) -> None:
        CANCEL.set(None)  # what the caller's iterable does of its own is none of the run around this
        try:
            source = self._claim_source()
            if source is not None:
                self._read(source)
        except BaseException as error:  # noqa: BLE001  # the caller's iterable's; raised to the caller
            if not self._stopping:  # else nobody takes it, and its traceback would hold the inputs in a cycle
                self._standing.inputs_error = error
        finally:
            with self._lock:
                self._standing.fed = True
                self._work.notify_all()
                self._tell()

    def _read(self, source: Any) -> None:
        iterator: Any = None
        try:
            if self._stopping:
                return
            iterator = iter(source)
            for given in iterator:
                with self._lock:
                    if self._stopping:
                        return
                    self._inputs.append((self._standing.outlet.take(), given))
                    del given  # or it stays in memory while the next one is read
                    self._work.notify()
                    if self._n_idle < len(self._inputs) and len(self._workers) < self._n_workers:
                        self._hire()
                    while not self._has_room and not self._stopping:
                        self._room.wait()
                    if self._stopping:
                        return
        finally:
            close(source, iterator, owned=self._owns_inputs)

    @property
    def _has_room(self) -> bool:
        full = self._max_waiting is not None and len(self._inputs) >= self._max_waiting
        return self._standing.outlet.has_room and not full

    def _hire(self) -> None:
        """Start one more worker. With the lock."""
        worker = self._daemon(self._labour, str(len(self._workers)))
        try:
            worker.start()
        except RuntimeError as error:  # the system has no thread left: those that are there do the work
            if not self._workers:
                self._standing.fail(error)
                self._stop()
            return
        self._workers.append(worker)

    def _labour(self) -> None:
        CANCEL.set(self._cancel)
        while self._work_on_one():
            pass

    def _work_on_one(self) -> bool:
        """Take an input, and see to it; whether there may be more. What it holds is let go when it returns."""
        taken = self._take()
        if taken is None:
            return False
        index, given = taken
        try:
            self._check_open()
            assert self._opened is not None
            item, key = run_sync(self._opened.job.settle(self._io, index, given))
            if key is None or self._opened.journal is None:
                self._done(index, item)
            else:
                self._opened.journal.append(key, item, functools.partial(self._written, index, item))
        except Cancelled:
            self._dropped()
            return False
        except BaseException as error:  # noqa: BLE001  # raised to the caller
            self._fail(error)
            self._dropped()
            return False
        return True

    def _take(self) -> tuple[int, Any] | None:
        with self._lock:
            self._n_idle += 1
            while not self._inputs and not self._standing.fed and not self._stopping:
                self._work.wait()
            self._n_idle -= 1
            if not self._inputs or self._stopping:
                return None
            self._standing.n_pending += 1
            if self._max_waiting is not None:
                self._room.notify()
            return self._inputs.popleft()

    def _written(self, index: int, item: Item, error: JournalError | None) -> None:
        """Give out what is on the disk. In the journal's thread."""
        if error is None:
            self._done(index, item)
            return
        with self._lock:
            self._standing.not_written(item, error)
            self._stop()

    def _done(self, index: int, item: Item) -> None:
        with self._lock:
            self._standing.done(index, item)
            self._tell()

    def _dropped(self) -> None:
        with self._lock:
            self._standing.dropped()
            self._tell()

    @property
    def _stopping(self) -> bool:
        return self._cancel.stopped.is_set()

    def _stop(self) -> None:
        """With the lock."""
        self._cancel.stop()
        self._room.notify_all()
        self._work.notify_all()
        self._tell()

    def _fail(self, error: BaseException) -> None:
        """End the run with *error*, after what is on the wire."""
        with self._lock:
            self._standing.fail(error)
            self._stop()
