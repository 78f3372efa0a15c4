"""
Everything that the core may wait for, in both colours.

The core is written once, as ``async def``, and awaits nothing but an `IO`. `BlockingIO` never
suspends, so `run_sync` finishes a coroutine with a single ``send(None)``: no thread, no event
loop, and it works inside a running one. `AsyncIO` runs on asyncio and on trio, through anyio.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .bells import TaskBell, ThreadBell

if TYPE_CHECKING:
    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar

    from hfasr.audio.spool import Spool
    from hfasr.wire import Request, Response

    from .bells import Bell
    from .clock import Clock
    from .http import AsyncHTTP, BlockingHTTP, Reach

__all__ = ["IO", "AsyncIO", "BlockingIO", "run_sync"]

T = TypeVar("T")

_MAX_WAITING = 128  # calls in line for engines, each with a thread: four full batches


class IO(Protocol):
    """Everything that the core may wait for."""

    @property
    def clock(self) -> Clock:
        """Time and chance."""
        ...

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        """
        Send *request* and read the whole answer, following no redirect.

        Args:
            request: What to send.

            timeout: Seconds for one network operation, above 0.

            expires_in: Seconds for all of it, ``None`` for no such limit.

            reach: Which addresses may be connected to, and how much may come back.

        Raises:
            APIConnectionError: No response arrived.
            APIResponseError: It was cut off after its status line, or too large.
            AudioURLError: *reach* does not allow the address.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...

    def bell(self) -> Bell:
        """Return a bell that this call can hear."""
        ...

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        """Wait until *bell* rings, or *seconds* have truly passed."""
        ...

    async def offload(self, fn: Callable[[], T], /, *, abandon: bool = False, waits: bool = False) -> T:
        """
        Run blocking work off the event loop.

        Args:
            fn: The work.

            abandon: Whether it may be left behind when the call is cancelled.

            waits: Whether it may wait long for a turn, and so must not take the threads of other work.
        """
        ...

    async def wait(self, awaitable: Awaitable[T], /, *, expires_in: float | None) -> T:
        """Wait for something of the caller's own; ``TimeoutError`` when the time is up."""
        ...

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /, *, expires_in: float | None) -> None:
        """Write the chunks to *sink*; ``TimeoutError`` when the time is up."""
        ...

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        """Run *work*, cut off with ``TimeoutError`` after *seconds* where this colour can."""
        ...

    def check_cancelled(self) -> None:
        """Raise where the call was cancelled; for worker threads, between blocks."""
        ...


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine whose IO blocks instead of suspending."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # the coroutine's own return value
    finally:
        coroutine.close()
    raise RuntimeError("the core awaited something other than its IO")


class BlockingIO:
    """The sync client's: every method blocks, none suspends."""

    def __init__(self, http: BlockingHTTP, clock: Clock) -> None:
        self.http = http
        self.clock = clock

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        return self.http.send(request, timeout=timeout, expires_in=expires_in, reach=reach)

    async def sleep(self, seconds: float) -> None:
        time.sleep(self.clock.pause(seconds))  # noqa: ASYNC251  # this colour blocks

    def bell(self) -> Bell:
        return ThreadBell()

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        assert isinstance(bell, ThreadBell)
        bell.wait(seconds)

    async def offload(self, fn: Callable[[], T], /, *, abandon: bool = False, waits: bool = False) -> T:  # noqa: ARG002  # the protocol's
        return fn()

    async def wait(self, awaitable: Awaitable[T], /, *, expires_in: float | None) -> T:  # noqa: ARG002  # the protocol's
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise TypeError(
            "this audio must be awaited to be read: use AsyncASRClient, or read it first and pass the bytes"
        )

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /, *, expires_in: float | None) -> None:  # noqa: ARG002  # the protocol's
        raise TypeError("an async iterable of audio needs AsyncASRClient; or pass an ordinary iterable of bytes")

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:  # noqa: ARG002  # a running engine cannot be stopped
        return await work

    def check_cancelled(self) -> None:
        return None


class AsyncIO:
    """The async client's, on asyncio and trio."""

    def __init__(self, http: AsyncHTTP, clock: Clock) -> None:
        self.http = http
        self.clock = clock

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        return await self.http.send(request, timeout=timeout, expires_in=expires_in, reach=reach)

    async def sleep(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(self.clock.pause(seconds))

    def bell(self) -> Bell:
        return TaskBell()

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        assert isinstance(bell, TaskBell)
        await bell.wait(seconds)

    async def offload(self, fn: Callable[[], T], /, *, abandon: bool = False, waits: bool = False) -> T:
        import anyio.to_thread

        limiter = _waiting_room() if waits else None
        return await anyio.to_thread.run_sync(fn, abandon_on_cancel=abandon, limiter=limiter)

    async def finish(self, fn: Callable[[], object], /) -> None:
        """Run blocking work off the event loop to its end, also in a task that was cancelled."""
        import anyio.to_thread

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(fn)

    async def wait(self, awaitable: Awaitable[T], /, *, expires_in: float | None) -> T:
        import anyio

        with anyio.fail_after(expires_in):
            return await awaitable

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /, *, expires_in: float | None) -> None:
        import anyio.lowlevel

        try:
            with anyio.fail_after(expires_in):
                async for chunk in chunks:
                    sink.add(chunk)
                    if sink.due:
                        await self.finish(sink.flush)
                        await anyio.lowlevel.checkpoint()  # chunks that never wait would outlast any deadline
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                with anyio.CancelScope(shield=True):
                    await close()

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        import anyio

        with anyio.fail_after(seconds):
            return await work

    def check_cancelled(self) -> None:
        import anyio.from_thread

        try:
            anyio.from_thread.check_cancelled()
        except RuntimeError:
            return  # on the event loop's own thread: small work is done there, and the next await will tell


def _waiting_room() -> CapacityLimiter:
    """Return what bounds the threads of this event loop that wait for a turn: anyio's own 40 are for work."""
    import anyio

    room = _room_of_the_loop().get(None)
    if room is None:
        room = anyio.CapacityLimiter(_MAX_WAITING)
        _room_of_the_loop().set(room)
    return room


@functools.cache
def _room_of_the_loop() -> RunVar[CapacityLimiter]:
    from anyio.lowlevel import RunVar

    return RunVar("hfasr_waiting_room")
