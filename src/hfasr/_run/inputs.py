"""Reading the inputs of a run: lazily, without holding up the event loop, and closing them where they were read."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from hfasr._core.loops import Loop

__all__ = ["close", "close_async", "pieces"]

In = TypeVar("In")

_AHEAD = 32
"""Inputs that the thread may be ahead: few, since they are held in memory, but worth a wake-up."""

_CLOSING_S = 0.1
"""Longest wait for inputs that are being closed: they may be waiting themselves, for ever."""


async def pieces(
    inputs: Iterable[In] | AsyncIterable[In], loop: Loop, *, owned: bool, most: int | None, name: str
) -> AsyncGenerator[In, None]:
    """
    Give *inputs* one by one, and close them in the end.

    An ordinary iterable may block (it lists a folder, asks a database, decodes a file), so a thread of its
    own reads it. Where it still blocks when this is closed, the thread is left behind, and closes it later.

    Args:
        inputs: Any iterable.

        loop: The event loop that runs now.

        owned: See `close`.

        most: Most inputs that are held here, the one that was given last included; ``None`` for a few.

        name: Of the thread.
    """
    if isinstance(inputs, AsyncIterable):
        source = aiter(inputs)
        try:
            async for given in source:
                yield given
                del given  # or it stays in memory while the next one is awaited
        finally:
            await close_async(inputs, source, owned=owned)
    elif isinstance(inputs, Sequence):  # already there
        for given in inputs:
            yield given
    else:
        reader: _Reader[In] = _Reader(loop, _AHEAD if most is None else most)
        threading.Thread(target=reader.read, args=(inputs, owned), name=name, daemon=True).start()
        try:
            while (some := await reader.some()) is not None:
                while some:
                    yield some.popleft()
                    reader.let_go()
        finally:
            await reader.stop()


def close(inputs: Any, iterator: Any = None, *, owned: bool) -> None:
    """
    End what was left half-way, or open; in the thread that read it.

    Args:
        inputs: What was given.

        iterator: What `iter` made of it, where it did.

        owned: Whether it is closed as well where it is no generator. A caller's own file, cursor or loader is
            left as it is.
    """
    with contextlib.ExitStack() as stack:  # the last one first
        for one in (inputs,) if iterator is inputs else (inputs, iterator):
            if isinstance(one, Generator) or (owned and hasattr(one, "close")):
                stack.callback(one.close)


async def close_async(inputs: Any, iterator: Any = None, *, owned: bool) -> None:
    """End what was left half-way, or open; in the task that read it. See `close`."""
    import anyio

    with anyio.CancelScope(shield=True):
        async with contextlib.AsyncExitStack() as stack:
            for one in (inputs,) if iterator is inputs else (inputs, iterator):
                if isinstance(one, AsyncGenerator) or (owned and hasattr(one, "aclose")):
                    stack.push_async_callback(one.aclose)


class _Reader(Generic[In]):
    """Hands over from a thread to an event loop."""

    def __init__(self, loop: Loop, most: int) -> None:
        import anyio

        self._loop = loop
        self._most = most
        self._news = anyio.Event()
        self._found: deque[In] = deque()
        self._n_held = 0
        self._room = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def read(self, inputs: Iterable[In], owned: bool) -> None:
        """Read *inputs*, and close them. In the thread."""
        iterator: object = None
        try:
            try:
                iterator = source = iter(inputs)
                for given in source:
                    self._put(given)
                    del given  # or it stays in memory while the next one is awaited
                    if not self._wait_for_room():
                        return
            finally:
                close(inputs, iterator, owned=owned)
        except BaseException as error:  # noqa: BLE001  # raised in the event loop
            if not self._stopped:  # else nobody takes it, and its traceback would hold the inputs in a cycle
                self._error = error
        finally:
            with self._room:
                self._ended = True
            self._loop.call_soon(self._wake)

    def _put(self, given: In) -> None:
        with self._room:
            self._found.append(given)
            self._n_held += 1
            if len(self._found) == 1:
                self._loop.call_soon(self._wake)

    def _wait_for_room(self) -> bool:
        with self._room:
            while self._n_held >= self._most and not self._stopped:
                self._room.wait()
            return not self._stopped

    def _wake(self) -> None:
        self._news.set()

    async def some(self) -> deque[In] | None:
        """Return what has been read, ``None`` at the end. Raises what the iterable has raised."""
        import anyio

        while True:
            with self._room:
                found, self._found = self._found, deque()
                ended = self._ended
                if not found and not ended:
                    self._news = anyio.Event()
            if found:
                return found
            if ended:
                if self._error is not None:
                    raise self._error
                return None
            await self._news.wait()

    def let_go(self) -> None:
        """Hold one less."""
        with self._room:
            self._n_held -= 1
            if self._n_held <= self._most // 2:  # not for each: to wake a thread costs
                self._room.notify()

    async def stop(self) -> None:
        """Read no more, and wait for the inputs to be closed, but not where they block."""
        import anyio

        with self._room:
            self._stopped = True
            self._found.clear()
            self._room.notify()
        with anyio.move_on_after(_CLOSING_S, shield=True):
            while not self._ended:
                self._news = anyio.Event()
                await self._news.wait()
