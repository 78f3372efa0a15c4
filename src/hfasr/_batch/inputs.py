"""Reading the inputs of an async batch: lazily, and without holding up the event loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfasr._core.loops import Loop
    from hfasr.types import AudioInput

__all__ = ["pieces"]

_AHEAD = 16
"""Inputs that the thread may be ahead: few, since they are held in memory, but worth a wake-up."""


async def pieces(
    audios: Iterable[AudioInput] | AsyncIterable[AudioInput], loop: Loop
) -> AsyncGenerator[AudioInput, None]:
    """
    Give *audios* one by one.

    An ordinary iterable may block (it lists a folder, asks a database), so a thread of its own reads it.
    Where it still blocks when this is closed, the thread is left behind.
    """
    if isinstance(audios, AsyncIterable):
        try:
            async for audio in audios:
                yield audio
        finally:
            await _close(audios)
    elif isinstance(audios, Sequence):  # already there
        for audio in audios:
            yield audio
    else:
        reader = _Reader(loop)
        threading.Thread(target=reader.read, args=(iter(audios),), name="hfasr-batch-feed", daemon=True).start()
        try:
            while (some := await reader.some()) is not None:
                while some:
                    yield some.popleft()
        finally:
            reader.stop()


async def _close(audios: AsyncIterable[AudioInput]) -> None:
    """End an async generator that was left half-way; here, in the task that ran it."""
    import anyio

    if isinstance(audios, AsyncGenerator):
        with anyio.CancelScope(shield=True):
            await audios.aclose()


class _Reader:
    """Hands over from a thread to an event loop."""

    def __init__(self, loop: Loop) -> None:
        import anyio

        self._loop = loop
        self._news = anyio.Event()
        self._found: deque[AudioInput] = deque()
        self._room = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def read(self, audios: Iterable[AudioInput]) -> None:
        """Read *audios*. In the thread."""
        try:
            for audio in audios:
                with self._room:
                    self._found.append(audio)
                    if len(self._found) == 1:
                        self._loop.call_soon(self._wake)
                    while len(self._found) >= _AHEAD and not self._stopped:
                        self._room.wait()
                    if self._stopped:
                        return
                del audio  # or the one that was read last stays in memory
        except BaseException as error:  # noqa: BLE001  # raised in the event loop
            self._error = error
        finally:
            with self._room:
                self._ended = True
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._news.set()

    async def some(self) -> deque[AudioInput] | None:
        """Return what has been read, ``None`` at the end. Raises what the iterable has raised."""
        import anyio

        while True:
            with self._room:
                found, self._found = self._found, deque()
                self._room.notify()
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

    def stop(self) -> None:
        """Read no more."""
        with self._room:
            self._stopped = True
            self._room.notify()
