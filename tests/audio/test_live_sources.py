"""A live source is read to its end in any colour, and let go of when it is left."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pytest

from hfasr.audio.live_sources import LivePhrases, phrases_of
from hfasr.audio.pieces import Cutting
from hfasr.errors import UnsupportedAudioError
from hfasr.live import LiveAudio
from tests.audio.live_kit import RATE, Given, heard, talk

if TYPE_CHECKING:
    from hfasr.audio.live_phrases import Phrase

STREAM = talk([(0.5, ["sun", "moon"]), (2.5, ["lake"])], 4.0)
DATA = (STREAM * 32_767).astype("<i2").tobytes()
BLOCKS = [DATA[start : start + 3_333] for start in range(0, len(DATA), 3_333)]
CUTTING = Cutting(30.0)


class Source:
    """Gives blocks in both colours, and knows whether it was closed."""

    def __init__(self, blocks: list[bytes], *, then: BaseException | None = None) -> None:
        self.blocks = blocks
        self.then = then
        self.n_given = 0
        self.closed_in: object = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for block in self.blocks:
                self.n_given += 1
                yield block
            if self.then:
                raise self.then
        finally:
            self.closed_in = threading.current_thread()


class AsyncSource(Source):
    """The same, awaited."""

    __iter__ = None  # type: ignore[assignment]  # it has the one colour only

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for block in self.blocks:
                self.n_given += 1
                await anyio.lowlevel.checkpoint()
                yield block
            if self.then:
                raise self.then
        finally:
            self.closed_in = anyio.get_current_task().id


def read(
    colour: str, source: Source, *, most: int = 99, seen: list[Callable[[], list[Phrase]]] | None = None
) -> list[Phrase]:
    """Read *source* as a client of *colour* would; leave after *most* phrases."""
    live = LiveAudio(source, sampling_rate=RATE)
    options = {"sampling_rate": RATE, "cutting": CUTTING}
    found: list[Phrase] = []
    if colour == "sync":
        phrases = phrases_of(live, clock=lambda: float(source.n_given), **options)  # type: ignore[arg-type]  # as above
        assert isinstance(phrases, LivePhrases)
        for phrase in phrases:
            found.append(phrase)
            if len(found) == most:
                break
        phrases.close()
        return found

    async def offload(work: Callable[[], list[Phrase]]) -> list[Phrase]:
        if seen is not None:
            seen.append(work)
        return await anyio.to_thread.run_sync(work)

    async def run() -> None:
        phrases = phrases_of(live, clock=lambda: float(source.n_given), offload=offload, **options)  # type: ignore[arg-type]  # as above
        assert not isinstance(phrases, LivePhrases)
        async for phrase in phrases:
            found.append(phrase)
            if len(found) == most:
                break
        await phrases.aclose()

    anyio.run(run, backend=colour)
    return found


def source_of(colour: str, *args: object, **options: object) -> Source:
    """Return a source that *colour* can read."""
    return (Source if colour == "sync" else AsyncSource)(*args, **options)  # type: ignore[arg-type]  # passed on


def test_phrases_come_as_they_end(colour: str) -> None:
    """The words are those of the stream, and a phrase is given before the next block is asked for."""
    source = source_of(colour, BLOCKS)
    found = read(colour, source)
    assert heard([Given(phrase, 0.0) for phrase in found]) == ["sun", "moon", "lake"]
    assert source.closed_in is not None
    early = source_of(colour, BLOCKS)
    (first,) = read(colour, early, most=1)
    assert early.n_given == pytest.approx((1.0 + 0.5) * 32_000 / 3_333, abs=1)
    assert first.spoken_at == pytest.approx(1.0 * 32_000 / 3_333, abs=1)


def test_leaving_closes_the_source(colour: str) -> None:
    """A caller's generator is closed where the phrases are, in the thread or task that read it."""
    source = source_of(colour, BLOCKS)
    read(colour, source, most=1)
    assert source.n_given < len(BLOCKS)
    assert source.closed_in is not None


def test_what_the_source_raises_is_raised(colour: str) -> None:
    """An error of the caller's own comes through, after the phrases before it."""
    with pytest.raises(ZeroDivisionError):
        read(colour, source_of(colour, BLOCKS, then=ZeroDivisionError()))


def test_a_bad_block_closes_the_source(colour: str) -> None:
    """A block that is none ends it with a typed error, and the source is let go of."""
    source = source_of(colour, [*BLOCKS[:2], np.zeros((3, 5), np.int16)])
    with pytest.raises(UnsupportedAudioError, match="1 channels"):
        read(colour, source)
    assert source.closed_in is not None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_only_long_blocks_leave_the_event_loop(backend: str) -> None:
    """Small blocks are worked on in place, and a large one in a thread, in slices."""
    seen: list[Callable[[], list[Phrase]]] = []
    read(backend, AsyncSource(BLOCKS), seen=seen)
    assert len(seen) == 1  # the end
    seen.clear()
    assert len(read(backend, AsyncSource([DATA * 3]), seen=seen)) == 6
    assert len(seen) == 1 + 3


def test_a_block_at_a_time_without_an_offload() -> None:
    """Left alone, work on a large block goes into a thread of anyio's."""

    async def run() -> list[Phrase]:
        live = LiveAudio(AsyncSource([DATA]), sampling_rate=RATE)
        phrases = phrases_of(live, sampling_rate=RATE, cutting=CUTTING, clock=lambda: 0.0)
        return [phrase async for phrase in phrases]  # type: ignore[union-attr]  # of async blocks

    assert len(anyio.run(run, backend="trio")) == 2


@pytest.mark.parametrize("how", ["stop", "close"])
def test_stop_from_another_thread(how: str) -> None:
    """Stopped while it waits for a block, it ends with that block; a source's own ``stop`` is called."""

    class Stoppable:
        def __init__(self) -> None:
            self.stopped = threading.Event()

        def __iter__(self) -> Iterator[bytes]:
            yield BLOCKS[0]
            assert self.stopped.wait(10)

        def stop(self) -> None:
            self.stopped.set()

    source = Stoppable()
    phrases = phrases_of(LiveAudio(source, sampling_rate=RATE), sampling_rate=RATE, cutting=CUTTING, clock=lambda: 0.0)
    assert isinstance(phrases, LivePhrases)
    timer = threading.Timer(0.1, phrases.stop if how == "stop" else phrases.close)
    timer.start()
    assert list(phrases) == []
    timer.join()


def test_a_file_stays_the_callers() -> None:
    """A file may be iterated over, and is not closed."""
    file = io.BytesIO(DATA)
    phrases = phrases_of(LiveAudio(file, sampling_rate=RATE), sampling_rate=RATE, cutting=CUTTING, clock=lambda: 0.0)
    assert isinstance(phrases, LivePhrases)
    assert heard([Given(phrase, 0.0) for phrase in phrases]) == ["sun", "moon", "lake"]
    assert not file.closed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_while_waiting(backend: str) -> None:
    """A task that is cancelled while it waits for a block closes the source."""
    closed: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield BLOCKS[0]
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async def run() -> None:
        live = LiveAudio(endless(), sampling_rate=RATE)
        offload = functools.partial(anyio.to_thread.run_sync)
        with anyio.move_on_after(0.1):
            phrases = phrases_of(live, sampling_rate=RATE, cutting=CUTTING, clock=lambda: 0.0, offload=offload)
            assert not isinstance(phrases, LivePhrases)
            async for _ in phrases:
                raise AssertionError("nothing was said")
        assert closed

    anyio.run(run, backend=backend)
