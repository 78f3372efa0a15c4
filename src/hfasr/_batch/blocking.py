"""The sync client's batch: an iterator, and the threads behind it."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from hfasr._core.cancel import CANCEL, Cancel, Cancelled, StoppableBlockingIO
from hfasr._core.io import run_sync
from hfasr.errors import BatchError

from .progress import reporter
from .standing import NotYet, Standing
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from hfasr.batches import BatchItem
    from hfasr.errors import JournalError
    from hfasr.types import AudioInput

    from .opening import Opened, Order

__all__ = ["Batch"]

_LOOK_S = 0.5
"""Longest pause in waiting for an item: Windows sees Ctrl-C only between two."""


class Batch:
    """
    Finished items of a batch, one by one; an iterator and a context manager.

    Nothing begins before the first item is asked for. Leave it half-way with ``break`` in a ``with``
    block, or call `close`: requests under way are cut off, and no thread is left.

    The inputs are read from a thread of the batch's own, and no further than need be.
    """

    def __init__(self, order: Order) -> None:
        self._run = _Run(order)
        self._tally = Tally(order.n_total)
        self._progress = order.settings.progress
        self._report: Any = None
        self._finalizer = weakref.finalize(self, _Run.abandon, self._run)
        self._finalizer.atexit = False  # the threads are daemons, and no more can be started by then

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchItem:
        if self._report is None:
            self._report = reporter(self._progress)
        self._run.enter()
        try:
            item = self._run.next()
        except BaseException:
            self.close()
            raise
        finally:
            self._run.leave()
        if item is None:
            self.close()
            raise StopIteration
        self._report(self._tally.add(item))
        return item

    def close(self) -> None:
        """Stop, wait for what cannot be cut off, and close the journal. May be called twice."""
        self._finalizer.detach()
        self._run.close()
        if self._report is not None:
            self._report.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _daemon(target: Callable[[], None], name: str) -> threading.Thread:
    return threading.Thread(target=target, name=f"hfasr-batch-{name}", daemon=True)


class _Run:
    """The threads, and what they share. Knows nothing of the iterator, which may be forgotten."""

    def __init__(self, order: Order) -> None:
        self._cancel = Cancel()
        self._io = StoppableBlockingIO(order.io, self._cancel)
        self._open = order.open
        self._opened: Opened | None = None
        self._audios: Iterable[AudioInput] | None = order.audios
        self._check_open = order.check_open
        self._n_workers = order.n_workers
        self._standing = Standing(ordered=order.settings.ordered, window=order.window)
        self._inputs: deque[tuple[int, AudioInput]] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)  # the feeder waits for it,
        self._work = threading.Condition(self._lock)  # workers for this,
        # The caller waits for this, which Ctrl-C may interrupt anywhere: a condition's own lock would get lost.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wanted = False
        self._feeder: threading.Thread | None = None
        self._workers: list[threading.Thread] = []
        self._busy = False  # somebody waits for an item
        self._n_idle = 0
        self._closed = False

    # For the caller

    def enter(self) -> None:
        """See that nobody else waits for an item, and that this process is the one that began."""
        if not self._cancel.is_ours:
            raise RuntimeError("this batch belongs to the process that began it; make one in the child")
        with self._lock:
            if self._busy:
                raise RuntimeError("this batch is already being iterated over in another thread")
            self._busy = True

    def leave(self) -> None:
        with self._lock:
            self._busy = False

    def next(self) -> BatchItem | None:
        """Return the next item, ``None`` at the end; start the threads where that has not been done."""
        if self._closed:
            return None
        if self._opened is None:
            self._opened = self._open()
            self._feeder = _daemon(self._feed, "feed")
            self._feeder.start()
        while True:
            with self._lock:
                item = self._standing.next()
                if not isinstance(item, NotYet):
                    if len(self._inputs) <= self._n_workers // 2:  # not for each: to wake a thread costs
                        self._room.notify()
                    return item
                if self._closed:
                    raise BatchError("the batch was closed before its last item; run it again")
                self._wanted = True
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=_LOOK_S)

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
        self._cancel.cut()
        own = threading.current_thread()
        if own is self._feeder or own in self._workers:
            return  # called by the inputs, or by the engine: it cannot wait for itself
        for worker in self._workers:
            worker.join()
        # It may be waiting in the caller's own iterable, for ever; or Ctrl-C came while it was started.
        if self._feeder is not None and self._feeder.is_alive():
            self._feeder.join(0.1)
        if self._opened is not None:
            self._opened.close()

    @staticmethod
    def abandon(run: _Run) -> None:
        """Close *run*, whose iterator was forgotten, without holding up whoever forgot it."""
        if run._opened is None:
            return
        threading.Thread(target=run.close, name="hfasr-batch-close", daemon=True).start()

    # The threads

    def _feed(self) -> None:
        try:
            audios, self._audios = self._audios, None
            assert audios is not None
            for audio in audios:
                with self._lock:
                    if self._stopping:
                        return
                    self._inputs.append((self._standing.outlet.take(), audio))
                    self._work.notify()
                    if self._n_idle < len(self._inputs) and len(self._workers) < self._n_workers:
                        self._hire()
                    while not self._standing.outlet.has_room and not self._stopping:
                        self._room.wait()
                    if self._stopping:
                        return
        except BaseException as error:  # noqa: BLE001  # the caller's iterable's; raised to the caller
            self._standing.inputs_error = error
        finally:
            with self._lock:
                self._standing.fed = True
                self._work.notify_all()
                self._tell()

    def _hire(self) -> None:
        """Start one more worker. With the lock."""
        worker = _daemon(self._labour, str(len(self._workers)))
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
        while (taken := self._take()) is not None:
            try:
                self._check_open()
                assert self._opened is not None
                item, key = run_sync(self._opened.job.settle(self._io, *taken))
                if key is None or self._opened.journal is None:
                    self._done(item)
                else:
                    self._opened.journal.append(key, item, functools.partial(self._written, item))
            except Cancelled:
                self._done(None)
                return
            except BaseException as error:  # noqa: BLE001  # raised to the caller
                self._fail(error)
                self._done(None)
                return

    def _take(self) -> tuple[int, AudioInput] | None:
        with self._lock:
            self._n_idle += 1
            while not self._inputs and not self._standing.fed and not self._stopping:
                self._work.wait()
            self._n_idle -= 1
            if not self._inputs or self._stopping:
                return None
            self._standing.n_pending += 1
            return self._inputs.popleft()

    def _written(self, item: BatchItem, error: JournalError | None) -> None:
        """Give out what is on the disk. In the journal's thread."""
        if error is None:
            self._done(item)
            return
        with self._lock:
            self._standing.not_written(item, error)
            self._stop()

    def _done(self, item: BatchItem | None) -> None:
        with self._lock:
            self._standing.done(item)
            self._tell()

    @property
    def _stopping(self) -> bool:
        return self._cancel.stopped.is_set()

    def _stop(self) -> None:
        self._cancel.stop()
        self._room.notify_all()
        self._work.notify_all()
        self._tell()

    def _fail(self, error: BaseException) -> None:
        """End the batch with *error*, after what is on the wire."""
        with self._lock:
            self._standing.fail(error)
            self._stop()
