"""Sounds, files made of them, and the two kinds of IO, for the tests of audio."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hfasr.audio import Source, load
from hfasr.audio.source import BytesSource

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool
    from hfasr.wire import Response

T = TypeVar("T")
Floats = npt.NDArray[np.float32]
SAFE_CONTENT_TYPES = {  # PROTOCOL 6.3: what both of Hugging Face's server codes take
    "audio/flac",
    "audio/wav",
    "audio/mpeg",
    "audio/ogg",
    "audio/webm",
    "audio/m4a",
    "audio/amr",
    "audio/x-audio",
}


class Pages:
    """What the fake web answers, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Response | Exception] = {}
        self.asked: list[str] = []

    def get(self, url: str, sink: Spool) -> Response:
        self.asked.append(url)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        if 200 <= answer.status_code < 300:
            sink.write(answer.content)
        return replace(answer, content=b"")


class BlockingAudioIO:
    """Never suspends, as the sync client's."""

    def __init__(self, pages: Pages, check: Callable[[], None]) -> None:
        self.pages = pages
        self.check = check

    async def offload(self, fn: Callable[[], T], /) -> T:
        return fn()

    async def get(self, url: str, /, *, allow_private: bool, max_bytes: int, sink: Spool) -> Response:
        return self.pages.get(url, sink)

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /) -> None:
        raise TypeError("use AsyncASRClient")

    async def wait(self, awaitable: Awaitable[T], /) -> T:
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise TypeError("use AsyncASRClient")


class AsyncAudioIO(BlockingAudioIO):
    """On anyio, as the async client's."""

    async def offload(self, fn: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(fn)

    async def get(self, url: str, /, *, allow_private: bool, max_bytes: int, sink: Spool) -> Response:
        await anyio.lowlevel.checkpoint()
        return self.pages.get(url, sink)

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /) -> None:
        async for chunk in chunks:
            sink.write(chunk)

    async def wait(self, awaitable: Awaitable[T], /) -> T:
        return await awaitable


class Colour:
    """Runs a coroutine as one of the clients would."""

    def __init__(self, name: str, pages: Pages) -> None:
        self.name = name
        self.is_async = name != "sync"
        self.pages = pages
        self.check: Callable[[], None] = lambda: None
        kind = AsyncAudioIO if self.is_async else BlockingAudioIO
        self.io = kind(pages, self._check)

    def _check(self) -> None:
        self.check()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self.is_async:
            return anyio.run(work, backend=self.name)
        coroutine = work()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            coroutine.close()
        raise AssertionError("suspended in the sync colour")

    def load(self, audio: Any, **options: Any) -> Source:
        return self.run(functools.partial(load, audio, self.io, **options))


def tone(hertz: float = 440.0, *, duration: float = 0.5, sampling_rate: int = 16_000, level: float = 0.5) -> Floats:
    """Return a sine."""
    times = np.arange(round(duration * sampling_rate)) / sampling_rate
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def encode(samples: Floats, sampling_rate: int = 16_000, *, format: str = "WAV", subtype: str | None = None) -> bytes:  # noqa: A002  # soundfile's name
    """Return *samples* as a file, by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples, sampling_rate, format=format, subtype=subtype)
    return file.getvalue()


def encode_av(samples: Floats, sampling_rate: int, *, container: str, codec: str) -> bytes:
    """Return mono *samples* as a file, by FFmpeg."""
    av = pytest.importorskip("av", reason="needs the extra av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=sampling_rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = sampling_rate
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=sampling_rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()


def heard(samples: Floats, sampling_rate: int) -> tuple[float, float]:
    """Return frequency (Hz) and amplitude of the loudest tone in the middle half of *samples*."""
    middle = samples[len(samples) // 4 : len(samples) * 3 // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    loudest = int(spectrum.argmax())
    return loudest * sampling_rate / len(middle), float(np.sqrt(2 * np.mean(middle**2)))


def source(data: bytes, name: str = "tone") -> BytesSource:
    """Return the source of a file's bytes."""
    return BytesSource(data, name=name)


def hide_av(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the extra av look as if it were not installed."""
    monkeypatch.delitem(sys.modules, "hfasr.audio.pyav", raising=False)
    monkeypatch.delattr("hfasr.audio.pyav", raising=False)
    monkeypatch.setitem(sys.modules, "av", None)
