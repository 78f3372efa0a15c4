"""A live source at the pace of speech, measured from outside; and an hour of it in little memory."""

from __future__ import annotations

import gc
import math
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np
import pytest

from hfasr import ASRClient, AsyncASRClient, LiveAudio, Transcript
from hfasr.testing import FakeASRServer, ToneSpeech
from hfasr.testing.tones import SLOT_S, VOCABULARY, WORD_S

RATE = 16_000
BLOCK_S = 0.1
SERVER_S = 0.3
DURATION_S = 24.0


@dataclass
class Talk:
    """Phrases of one to five words, with pauses of 0.7 to 2.5 s, said in blocks at the pace of speech."""

    seed: int
    phrases: list[list[str]] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    """When the last word of each phrase ends, seconds."""
    handed_out: list[float] = field(default_factory=list)
    """When each block was handed out, on the system's clock."""

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        words: list[tuple[float, str]] = []
        at = rng.uniform(0.3, 1.0)
        while at + 5 * SLOT_S + 1.0 < DURATION_S:
            self.phrases.append(rng.choices(VOCABULARY, k=rng.randint(1, 5)))
            words += [(at + SLOT_S * i, word) for i, word in enumerate(self.phrases[-1])]
            self.ends.append(words[-1][0] + WORD_S)
            at = self.ends[-1] + rng.uniform(0.7, 2.5)
        samples = ToneSpeech().say_at(words, duration=DURATION_S)
        self._blocks = np.split((samples * 32_767).astype(np.int16), round(DURATION_S / BLOCK_S))

    def said_at(self, phrase: int) -> float:
        """Return when the last sample of that phrase was handed out."""
        return self.handed_out[math.ceil(round(self.ends[phrase] / BLOCK_S, 6)) - 1]

    def __iter__(self) -> Iterator[bytes]:
        began = time.perf_counter()
        for n, block in enumerate(self._blocks):
            time.sleep(max(0.0, began + (n + 1) * BLOCK_S - time.perf_counter()))
            self.handed_out.append(time.perf_counter())
            yield block.tobytes()

    async def awaited(self) -> AsyncIterator[bytes]:
        """Give the same blocks at the same pace, asynchronously."""
        began = time.perf_counter()
        for n, block in enumerate(self._blocks):
            await anyio.sleep(max(0.0, began + (n + 1) * BLOCK_S - time.perf_counter()))
            self.handed_out.append(time.perf_counter())
            yield block.tobytes()


@dataclass
class Told:
    """What came of a talk."""

    talk: Talk
    texts: list[str] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    """When each segment came, on the system's clock."""
    delays: list[float] = field(default_factory=list)
    """What the stream said of each, seconds."""
    max_delay: float | None = None

    def check(self) -> None:
        """Hold it to what is promised."""
        assert [text.split() for text in self.texts] == self.talk.phrases
        measured = [seen - self.talk.said_at(n) for n, seen in enumerate(self.seen)]
        assert max(measured) < 1.0 + SERVER_S
        assert self.delays == pytest.approx(measured, abs=0.1)
        assert self.max_delay == max(self.delays)

    def take(self, text: str, delay: float | None) -> None:
        """Note a segment as it comes."""
        assert delay is not None
        self.seen.append(time.perf_counter())
        self.texts.append(text)
        self.delays.append(delay)


def by_threads(url: str) -> Told:
    """Stream a talk through the sync client."""
    told = Told(Talk(3))
    with (
        ASRClient(router_url=url, token="x") as asr,
        asr.transcribe_stream(LiveAudio(told.talk, sampling_rate=RATE)) as stream,
    ):
        for segment in stream:
            told.take(segment.text, stream.delay)
    told.max_delay = stream.max_delay
    return told


async def by_tasks(url: str) -> Told:
    """Stream a talk through the async client."""
    told = Told(Talk(4))
    async with (
        AsyncASRClient(router_url=url, token="x") as asr,
        asr.transcribe_stream(LiveAudio(told.talk.awaited(), sampling_rate=RATE)) as stream,
    ):
        async for segment in stream:
            told.take(segment.text, stream.delay)
    told.max_delay = stream.max_delay
    return told


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_text_within_a_second_and_the_servers_delay(colour: str) -> None:
    """Each phrase's text is there within 1 s plus the server's delay after its last sample, and no word is lost."""
    with FakeASRServer(delay=SERVER_S) as server:
        told = (
            by_threads(server.router_url)
            if colour == "sync"
            else anyio.run(by_tasks, server.router_url, backend=colour)
        )
    told.check()


MINUTES = 60
WARM_MINUTES = 5


def resident_bytes() -> int:
    """Return the memory that this process has."""
    if sys.platform == "win32":
        pytest.skip("Windows has no /proc")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return int(pages * os.sysconf("SC_PAGE_SIZE"))


class Meter:
    """An hour of talk, as fast as it is taken; measures what is held at two of its minutes."""

    def __init__(self, minutes: int) -> None:
        rng = random.Random(7)
        words = []
        at = 0.5
        while at + 2.0 < 60.0:
            words += [(at + SLOT_S * i, rng.choice(VOCABULARY)) for i in range(4)]
            at += 4 * SLOT_S + rng.uniform(1.0, 3.0)
        samples = ToneSpeech().say_at(words, duration=60.0)
        self._minute = (samples * 32_767).astype("<i2").tobytes()
        self._minutes = minutes
        self.n_words = len(words) * minutes
        self.held: dict[int, int] = {}

    def __iter__(self) -> Iterator[bytes]:
        for minute in range(self._minutes):
            for start in range(0, len(self._minute), 3_200):
                yield self._minute[start : start + 3_200]
            if minute + 1 in {WARM_MINUTES, self._minutes}:
                gc.collect()
                self.held[minute + 1] = resident_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_memory_is_flat_over_an_hour(colour: str) -> None:
    """Of an hour of live audio nothing is kept but what is in work: less than 10 MB between minutes 5 and 60."""
    meter = Meter(MINUTES)
    n_heard = 0

    class Engine:
        """Counts phrases, and says nothing of what it heard; so that an hour takes seconds."""

        name, sampling_rate, max_duration_s = "counter", RATE, None

        def transcribe(self, batch: list[object], options: object) -> list[Transcript]:
            return [Transcript("a phrase", language="en") for _ in batch]

        def close(self) -> None:
            """Nothing is open."""

    live = LiveAudio(meter, sampling_rate=RATE)
    if colour == "sync":
        with ASRClient(backend=Engine()) as asr, asr.transcribe_stream(live, return_timestamps=True) as stream:  # type: ignore[arg-type]
            for _ in stream:
                n_heard += 1
    else:

        async def run() -> int:
            async with AsyncASRClient(backend=Engine()) as asr:  # type: ignore[arg-type]
                return len([1 async for _ in asr.transcribe_stream(live, return_timestamps=True)])

        n_heard = anyio.run(run)
    assert n_heard == meter.n_words // 4
    assert meter.held[MINUTES] - meter.held[WARM_MINUTES] < 10e6
