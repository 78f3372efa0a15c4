"""
Read a live source to its end, and give its phrases as they end.
"""

from __future__ import annotations

import functools
import inspect
import io
import threading
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import contextmanager
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
_SLICE_BYTES = 16_384  # of an encoded one: some seconds
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
    pick: int | None = None,
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

        pick: Index of the only channel that is wanted, from 0; ``None``: they are mixed.

    Returns:
        `LivePhrases` of an ordinary iterable, an async generator of an async one. Closing it closes the caller's
        generator or iterator, but no file.

    Raises:
        InvalidOptionError: ``"vad"`` was asked for, and the extra is not installed.

        BackendNotInstalledError: It is encoded, and PyAV is missing.

        AudioError: There is no channel *pick*; told later of an encoded stream.
    """
    kind = _PCMFeed if live.sampling_rate is not None else _EncodedFeed
    feed = kind(live, sampling_rate, cutting, clock, pick)
    blocks = live.blocks
    if isinstance(blocks, AsyncIterable):
        return _awaited(blocks, feed, offload or _in_thread)
    return LivePhrases(blocks, feed)


class LivePhrases(Iterator[Phrase]):
    """An iterator that blocks; `stop` and `close` end it from any thread."""

    def __init__(self, blocks: Iterable[Any], feed: _Feed) -> None:
        self._blocks = blocks
        self._feed = feed
        self._stopped = threading.Event()
        self._work = self._read(feed)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Phrase:
        return next(self._work)

    def stop(self) -> None:
        """End it with the block that comes in next, or at once if the source has a ``stop`` of its own."""
        self._stopped.set()
        self._feed.close()
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
            failure: Exception | None = None
            while True:
                try:
                    block = next(blocks)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001  # the source's own, raised below
                    failure = error
                    break
                for work in feed.slices(block):
                    if self._stopped.is_set():
                        return
                    yield from work()
            with _told(failure):  # what was being said when it broke off is not lost
                for work in feed.ending():
                    if self._stopped.is_set():
                        return
                    yield from work()
        finally:
            feed.close()
            if hasattr(blocks, "close") and not isinstance(blocks, io.IOBase):  # a file is the caller's
                blocks.close()


async def _awaited(blocks: AsyncIterable[Any], feed: _Feed, offload: Offload) -> AsyncGenerator[Phrase, None]:
    import anyio.lowlevel

    iterator = aiter(blocks)
    try:
        failure: Exception | None = None
        while True:
            try:
                block = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001  # the source's own, raised below
                failure = error
                break
            for work in feed.slices(block):
                for phrase in await offload(work) if work.is_long else work():
                    yield phrase
            await anyio.lowlevel.checkpoint()  # a source that never waits would stop the event loop
        with _told(failure):
            for work in feed.ending():
                for phrase in await offload(work):
                    yield phrase
    finally:
        feed.close()
        await _close(iterator)


@contextmanager
def _told(failure: Exception | None) -> Iterator[None]:
    """Raise *failure* in the end, whatever else the rest of a stream that broke off leads to."""
    try:
        yield
    except Exception:
        if failure is None:
            raise
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # or it holds this frame


async def _in_thread(work: Callable[[], list[Phrase]]) -> list[Phrase]:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(work)


async def _close(blocks: Any) -> None:
    """End an async generator that was left half-way; here, in the task that ran it."""
    import anyio

    if hasattr(blocks, "aclose"):
        with anyio.CancelScope(shield=True):
            await blocks.aclose()


class _Work:
    """A part of a block that is to be looked at."""

    __slots__ = ("_do", "is_long")

    def __init__(self, do: Callable[[], list[Phrase]], *, is_long: bool) -> None:
        self._do = do
        self.is_long = is_long

    def __call__(self) -> list[Phrase]:
        return self._do()


class _Feed(ABC):
    """Between the caller's blocks and `Phrases`."""

    def __init__(
        self, live: LiveAudio, sampling_rate: int, cutting: Cutting, clock: Callable[[], float], pick: int | None
    ) -> None:
        self._clock = clock
        self._make = functools.partial(
            Phrases, sampling_rate=sampling_rate, cutting=cutting, pause_s=live.pause_s, pick=pick
        )

    @abstractmethod
    def slices(self, block: Any) -> Iterator[_Work]:
        """Give the work that a block is, in parts."""

    @abstractmethod
    def ending(self) -> Iterator[_Work]:
        """Give the work that the end of the stream is."""

    def close(self) -> None:
        """Let go of what is held. From any thread, and more than once."""
        return


class _PCMFeed(_Feed):
    """For samples as they are."""

    def __init__(
        self, live: LiveAudio, sampling_rate: int, cutting: Cutting, clock: Callable[[], float], pick: int | None
    ) -> None:
        super().__init__(live, sampling_rate, cutting, clock, pick)
        rate = live.sampling_rate
        assert rate is not None
        self._n_inline = 0 if cutting.split == "vad" else rate * _INLINE_S
        self._pcm = PCM(channels=live.channels, dtype=live.dtype, slice_frames=max(1, int(rate * _SLICE_S)))
        self._phrases = self._make(given_rate=rate, channels=live.channels)

    def slices(self, block: Any) -> Iterator[_Work]:
        now = self._clock()
        for frames in self._pcm(block):
            work = functools.partial(self._phrases.feed, frames, now=now)
            yield _Work(work, is_long=len(frames) > self._n_inline)

    def ending(self) -> Iterator[_Work]:
        yield _Work(functools.partial(self._phrases.finish, now=self._clock()), is_long=True)


class _EncodedFeed(_Feed):
    """For a stream that is decoded first; what its rate is shows with the first frame."""

    def __init__(
        self, live: LiveAudio, sampling_rate: int, cutting: Cutting, clock: Callable[[], float], pick: int | None
    ) -> None:
        super().__init__(live, sampling_rate, cutting, clock, pick)
        from .live_decoded import LiveDecoder

        self._decoder = LiveDecoder()
        self._phrases: Phrases | None = None

    def slices(self, block: Any) -> Iterator[_Work]:
        if not isinstance(block, bytes | bytearray | memoryview):
            raise TypeError(f"an encoded live block is bytes, not {type(block).__name__}; PCM needs its sampling_rate")
        now = self._clock()
        view = memoryview(block).cast("B")
        for start in range(0, len(view), _SLICE_BYTES):
            yield self._work(functools.partial(self._decoder.push, view[start : start + _SLICE_BYTES]), now)
            yield from self._failure(now)

    def ending(self) -> Iterator[_Work]:
        now = self._clock()
        yield self._work(self._decoder.finish, now)
        yield from self._failure(now)
        yield self._rest(now)

    def close(self) -> None:
        self._decoder.close()

    def _work(self, decode: Callable[[], list[npt.NDArray[np.float32]]], now: float) -> _Work:
        def do() -> list[Phrase]:
            return [phrase for frames in decode() for phrase in self._taken(frames, now)]

        return _Work(do, is_long=True)

    def _taken(self, frames: npt.NDArray[np.float32], now: float) -> list[Phrase]:
        if self._phrases is None:
            self._phrases = self._make(given_rate=self._decoder.sampling_rate, channels=self._decoder.channels)
        return self._phrases.feed(frames, now=now)

    def _rest(self, now: float) -> _Work:
        phrases = self._phrases
        return _Work((list) if phrases is None else functools.partial(phrases.finish, now=now), is_long=True)

    def _failure(self, now: float) -> Iterator[_Work]:
        """Give what was said before the stream could not be decoded any further, and raise why."""
        error = self._decoder.error
        if error is not None:
            yield self._rest(now)
            raise error
