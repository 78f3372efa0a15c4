"""
Ending the calls of a batch from outside, in the blocking colour too, and what runs within them.

A thread that waits on a socket cannot be interrupted, but its socket can be shut down; a pause can
be waited out on an event. What was stopped so ends in `Cancelled`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from hfasr._forks import in_child

from .io import AsyncIO, BlockingIO

if TYPE_CHECKING:
    from hfasr.wire import Request, Response

    from .bells import Bell
    from .http import Reach

__all__ = [
    "CANCEL",
    "Cancel",
    "Cancelled",
    "CutOff",
    "Stoppable",
    "StoppableAsyncIO",
    "StoppableBlockingIO",
    "shut_down",
]


class Cancelled(BaseException):
    """The batch that this call belongs to has stopped. No `Exception`: nothing on the way handles it."""


class CutOff(Cancelled):
    """The same, while it was on the wire."""


class Stoppable(Protocol):
    """What goes on within a call of a batch and must end with it."""

    def stop(self) -> None:
        """See `Cancel.stop`; from any thread."""
        ...

    def cut(self) -> None:
        """See `Cancel.cut`; from any thread."""
        ...


class Cancel:
    """
    One batch's way to stop its calls; any thread may use it.

    `stop` ends pauses, and lets what is on the wire finish: it may be paid for. `cut` ends that as well.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.was_cut = False
        self.outer: Cancel | None = None
        """Of the batch within which this one runs."""

        self._inner: set[Stoppable] = set()
        self._streams: set[Any] = set()
        self._bells: set[Bell] = set()
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that began the batch: a forked child shares its sockets."""
        return os.getpid() == self._process

    def stop(self) -> None:
        """Begin nothing more, and end every pause."""
        self.stopped.set()
        with self._lock:
            bells, inner = list(self._bells), list(self._inner)
        for bell in bells:
            bell.ring()
        for one in inner:
            one.stop()

    def cut(self) -> None:
        """Shut down the sockets that are being waited on, too."""
        if not self.is_ours:
            return
        self.stop()
        with self._lock:
            self.was_cut = True
            for stream in self._streams:
                shut_down(stream)
            inner = list(self._inner)
        for one in inner:
            one.cut()

    def check(self) -> None:
        """Raise `Cancelled` where the batch has stopped."""
        if self.stopped.is_set():
            raise Cancelled

    def adopt(self, inner: Stoppable) -> None:
        """Stop and cut *inner* together with this, until it is released; at once where that has happened already."""
        with self._lock:
            self._inner.add(inner)
            was_cut = self.was_cut
        if was_cut:
            inner.cut()
        elif self.stopped.is_set():
            inner.stop()

    def release(self, inner: Stoppable) -> None:
        """Forget *inner*, which has ended."""
        with self._lock:
            self._inner.discard(inner)

    def is_around(self, other: Cancel | None) -> bool:
        """Whether *other* is this, or belongs to what runs within this."""
        while other is not None and other is not self:
            other = other.outer
        return other is self

    @contextmanager
    def watching(self, stream: Any) -> Iterator[None]:
        """Let `cut` reach *stream*, a network stream of httpcore, while it is waited on."""
        with self._lock:
            if self.was_cut:
                raise Cancelled
            self._streams.add(stream)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(stream)

    @contextmanager
    def hearing(self, bell: Bell) -> Iterator[None]:
        """Let `stop` ring *bell* while it is waited for."""
        with self._lock:
            self._bells.add(bell)
        try:
            self.check()  # only now: a stop before this would not have rung
            yield
        finally:
            with self._lock:
                self._bells.discard(bell)
        self.check()


CANCEL: ContextVar[Cancel | None] = ContextVar("hfasr_cancel", default=None)
"""Of the batch for which this thread or task works."""

in_child(functools.partial(CANCEL.set, None))  # the batch is the parent's


def shut_down(stream: Any) -> None:
    """End whatever waits on *stream*, a network stream of httpcore, in any thread. Closing it would wake nobody."""
    sock = stream.get_extra_info("socket")
    if isinstance(sock, socket.socket):
        # Not the TLS socket's own method: it first forgets that there is TLS, and a thread that is
        # writing would go on in clear text.
        with contextlib.suppress(OSError):  # it has just been closed
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class StoppableBlockingIO(BlockingIO):
    """A client's IO, for the threads of a batch."""

    def __init__(self, io: BlockingIO, cancel: Cancel) -> None:
        super().__init__(io.http, io.clock)
        self._cancel = cancel

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        self._cancel.check()
        try:
            return await super().send(request, timeout=timeout, expires_in=expires_in, reach=reach)
        except Exception:
            if self._cancel.was_cut:
                raise CutOff from None
            raise

    async def sleep(self, seconds: float) -> None:
        self._cancel.stopped.wait(self.clock.pause(seconds))
        self._cancel.check()

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        with self._cancel.hearing(bell):
            await super().hear(bell, seconds)

    def check_cancelled(self) -> None:
        self._cancel.check()


class StoppableAsyncIO(AsyncIO):
    """A client's IO, for the tasks of a batch; what it waits for ends when they are stopped."""

    def __init__(self, io: AsyncIO, cancel: Cancel) -> None:
        super().__init__(io.http, io.clock)
        self._cancel = cancel

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        self._cancel.check()
        return await super().send(request, timeout=timeout, expires_in=expires_in, reach=reach)

    async def sleep(self, seconds: float) -> None:
        await self.hear(self.bell(), self.clock.pause(seconds))

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        with self._cancel.hearing(bell):
            await super().hear(bell, seconds)
