"""
Read a live source to its end, and give its phrases as they end.
"""

from __future__ import annotations

import inspect
import io
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, TypeAlias

from .live_pcm import PCM
from .live_phrases import Phrase, Phrases

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import numpy.typing as npt

    from hfasr.live import LiveAudio

    from .pieces import Cutting

__all__ = ["LivePhrases", "Offload", "phrases_of"]

_INLINE_S = 0.25  # up to here a slice is worked on in the event loop: it takes under 1 ms
_SLICE_S = 5.0  # a longer block is worked on in slices, seconds, so that its phrases come one by one


Offload: TypeAlias = "Callable[[Callable[[], list[Phrase]]], Awaitable[list[Phrase]]]"
"""Runs work in a thread."""


def phrases_of(
    live: LiveAudio,
    *,
    sampling_rate: int,
    cutting: Cutting,
    clock: Callable[[], float],
    offload: Offload | None = None,
) -> LivePhrases | AsyncGenerator[Phrase, None]:
    """
    Return the phrases of a live source, as they end; in the colour of its blocks.

    Args:
        live: The source; it is read to its end.

        sampling_rate: Of the pieces, Hz.

        cutting: How speech is told, and the longest piece.

        clock: Gives the time, seconds, on any clock that does not go back.

        offload: Where blocks are awaited: does the work on those of more than 0.25 s, and all of Silero's;
            ``None``: anyio's threads.

    Returns:
        `LivePhrases` of an ordinary iterable, an async generator of an async one. Closing it closes the caller's
        generator or iterator, but no file.

    Raises:
        InvalidOptionError: ``"vad"`` was asked for, and the extra is not installed.
    """
    feed = _Feed(live, sampling_rate, cutting, clock)
    blocks = live.blocks
    if isinstance(blocks, AsyncIterable):
        return _awaited(blocks, feed, offload or _in_thread)
    return LivePhrases(blocks, feed)


class LivePhrases(Iterator[Phrase]):
    """An iterator that blocks; `stop` and `close` end it from any thread."""

    def __init__(self, blocks: Iterable[Any], feed: _Feed) -> None:
        self._blocks = blocks
        self._stopped = threading.Event()
        self._work = self._read(feed)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Phrase:
        return next(self._work)

    def stop(self) -> None:
        """End it with the block that comes in next, or at once if the source has a ``stop`` of its own."""
        self._stopped.set()
        stop = getattr(self._blocks, "stop", None)
        if callable(stop):
            stop()

    def close(self) -> None:
        """End it now, and the caller's iterator, if that can be closed; where another thread reads it, as `stop`."""
        self.stop()
        if inspect.getgeneratorstate(self._work) != inspect.GEN_RUNNING:
            self._work.close()

    def _read(self, feed: _Feed) -> Generator[Phrase, None, None]:
        blocks: Any = iter(self._blocks)
        try:
            for block in blocks:
                for work in feed.slices(block):
                    if self._stopped.is_set():
                        return
                    yield from work()
            if not self._stopped.is_set():
                yield from feed.finish()
        finally:
            if hasattr(blocks, "close") and not isinstance(blocks, io.IOBase):  # a file is the caller's
                blocks.close()


async def _awaited(blocks: AsyncIterable[Any], feed: _Feed, offload: Offload) -> AsyncGenerator[Phrase, None]:
    iterator = aiter(blocks)
    try:
        async for block in iterator:
            for work in feed.slices(block):
                for phrase in await offload(work) if work.is_long else work():
                    yield phrase
        for phrase in await offload(feed.finish):
            yield phrase
    finally:
        await _close(iterator)


async def _in_thread(work: Callable[[], list[Phrase]]) -> list[Phrase]:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(work)


async def _close(blocks: Any) -> None:
    """End an async generator that was left half-way; here, in the task that ran it."""
    import anyio

    if hasattr(blocks, "aclose"):
        with anyio.CancelScope(shield=True):
            await blocks.aclose()


class _Feed:
    """Between the caller's blocks and `Phrases`."""

    def __init__(self, live: LiveAudio, sampling_rate: int, cutting: Cutting, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._n_inline = 0 if cutting.split == "vad" else live.sampling_rate * _INLINE_S
        self._pcm = PCM(
            channels=live.channels, dtype=live.dtype, slice_frames=max(1, int(live.sampling_rate * _SLICE_S))
        )
        self._phrases = Phrases(
            given_rate=live.sampling_rate,
            channels=live.channels,
            sampling_rate=sampling_rate,
            cutting=cutting,
            pause_s=live.pause_s,
        )

    def slices(self, block: Any) -> Iterator[_Slice]:
        """Give the work that a block is, in parts."""
        now = self._clock()
        for frames in self._pcm(block):
            yield _Slice(self._phrases, frames, now, is_long=len(frames) > self._n_inline)

    def finish(self) -> list[Phrase]:
        """Return what the end of the stream ends."""
        return self._phrases.finish(now=self._clock())


class _Slice:
    """A part of a block that is to be looked at."""

    __slots__ = ("_frames", "_now", "_phrases", "is_long")

    def __init__(self, phrases: Phrases, frames: npt.NDArray[np.float32], now: float, *, is_long: bool) -> None:
        self._phrases = phrases
        self._frames = frames
        self._now = now
        self.is_long = is_long

    def __call__(self) -> list[Phrase]:
        return self._phrases.feed(self._frames, now=self._now)
