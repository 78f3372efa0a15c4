"""A live stream that is encoded, as browsers and radios give it, is decoded as it comes in."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest

from hfasr import AsyncASRClient, LiveAudio
from hfasr.errors import AudioDecodeError, BackendNotInstalledError, EmptyAudioError, UnsupportedAudioError
from hfasr.testing import FakeASRServer, ToneSpeech
from tests.long.stream_kit import CHUNKS, SAID, WORDS, anywhere, make, nothing_is_left, soon, take_all

av = pytest.importorskip("av", reason="the extra av is not installed")

if TYPE_CHECKING:
    from hfasr.types import Segment
    from tests.long.stream_kit import MakeSession

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "200000"}
KINDS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "webm": ("webm", "libopus", 48_000, {"live": "1", "cluster_time_limit": "500"}),  # a browser's MediaRecorder
    "ogg": ("ogg", "libopus", 48_000, {"page_duration": "200000"}),
    "mp3": ("mp3", "libmp3lame", 44_100, {}),
    "mp4": ("mp4", "aac", 48_000, FRAGMENTS),  # Safari's
    "aac": ("adts", "aac", 16_000, {}),
    "flac": ("flac", "flac", 16_000, {}),
    "wav": ("wav", "pcm_s16le", 16_000, {}),
}
MADE: dict[str, bytes] = {}


def encoded(kind: str) -> bytes:
    """Return the talk in a container of that kind."""
    if kind not in MADE:
        name, codec, rate, options = KINDS[kind]
        file = io.BytesIO()
        samples = ToneSpeech().say_at(SAID, duration=21.5, sampling_rate=rate)
        with av.open(file, "w", format=name, options=options) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        MADE[kind] = file.getvalue()
    return MADE[kind]


def live(blocks: Any) -> LiveAudio:
    """Return a live source that says itself what it is."""
    return LiveAudio(blocks)


async def awaited(blocks: Any) -> AsyncIterator[Any]:
    """Give *blocks* as an async generator."""
    for block in blocks:
        await anyio.lowlevel.checkpoint()
        yield block


@pytest.mark.parametrize("form", ["ordinary", "async"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_word_once_at_its_time(session: MakeSession, server: FakeASRServer, kind: str, form: str) -> None:
    """Of every kind that is streamed, in blocks of any size, the words are those that were said, at their times."""
    client = make(session, server)
    if client.colour == "sync" and form == "async":
        pytest.skip("async sources are for the async client")
    blocks = anywhere(encoded(kind), seed=3)
    stream = client.transcribe_stream(live(awaited(blocks) if form == "async" else blocks), return_timestamps="word")
    segments = list(stream)
    words = [word for segment in segments for word in segment.words]
    assert [segment.text for segment in segments] == CHUNKS
    # Codecs begin with some silence of their own: up to 2,112 samples of AAC.
    late = 0.14 if kind in {"aac", "mp4"} else 0.06
    assert [word.start for word in words] == pytest.approx([start for start, _ in SAID], abs=late)
    assert nothing_is_left(server)


@pytest.mark.parametrize("kind", ["webm", "mp3", "ogg", "mp4"])
def test_text_while_the_stream_goes_on(session: MakeSession, server: FakeASRServer, kind: str) -> None:
    """A phrase is given soon after its bytes have come, and not when the stream has ended."""
    data = encoded(kind)
    seen = threading.Event()
    part = len(data) // 3  # over three phrases

    def blocks() -> Iterator[bytes]:
        yield from anywhere(data[:part])
        assert seen.wait(10)
        yield from anywhere(data[part:])

    stream = make(session, server).transcribe_stream(live(blocks()))
    first = [next(stream).text, next(stream).text]
    seen.set()
    assert [*first, *(segment.text for segment in stream)] == CHUNKS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webm", "mp3"])
def test_at_the_pace_of_speech(server: FakeASRServer, kind: str) -> None:
    """At real-time pace the text of a phrase is there within a second of its last sound, and what the codec holds."""
    data = encoded(kind)
    n_blocks = 107  # 0.2 s each
    times: list[float] = []

    async def blocks() -> AsyncIterator[bytes]:
        began = time.perf_counter()
        for n in range(n_blocks):
            await anyio.sleep(max(0.0, began + (n + 1) * 21.5 / n_blocks - time.perf_counter()))
            yield data[len(data) * n // n_blocks : len(data) * (n + 1) // n_blocks]

    async def run() -> float:
        async with AsyncASRClient(router_url=server.router_url, token="x") as asr:
            began = time.perf_counter()
            async with asr.transcribe_stream(live(blocks())) as stream:
                async for _ in stream:
                    times.append(time.perf_counter() - began)  # noqa: PERF401  # it is read while it goes on
            assert stream.max_delay is not None
            return stream.max_delay

    assert anyio.run(run) < 1.0
    assert len(times) == len(WORDS)
    if kind == "mp3":  # of which each second has as many bytes
        assert max(at - (1.8 + 2.0 * n) for n, at in enumerate(times)) < 1.5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "wav"])  # there any bytes are samples
def test_damage(session: MakeSession, server: FakeASRServer, kind: str) -> None:
    """What was said before the stream was damaged comes, then a typed error, and the stream is over."""
    data = encoded(kind)
    half = len(data) // 2
    noise = np.random.default_rng(1).bytes(300_000)
    seen: list[Segment] = []
    stream = make(session, server).transcribe_stream(live(anywhere(data[:half] + noise)))
    with pytest.raises(AudioDecodeError, match="damaged"):
        take_all(stream, seen)
    assert [segment.text for segment in seen[:4]] == CHUNKS[:4]
    assert list(stream) == []
    assert nothing_is_left(server)


def test_the_end_is_damaged(session: MakeSession, server: FakeASRServer) -> None:
    """Also where the stream ends soon after, it is told that not all of it was heard."""
    data = encoded("webm") + np.random.default_rng(1).bytes(50_000)
    seen: list[Segment] = []
    with pytest.raises(AudioDecodeError, match="damaged"):
        take_all(make(session, server).transcribe_stream(live(anywhere(data))), seen)
    assert [segment.text for segment in seen] == CHUNKS


def test_a_header_that_is_damaged(session: MakeSession, server: FakeASRServer) -> None:
    """A stream that cannot be opened is a typed error."""
    noise = np.random.default_rng(1).bytes(100_000)
    with pytest.raises(AudioDecodeError, match="damaged"):
        list(make(session, server).transcribe_stream(live(anywhere(encoded("webm")[:60] + noise))))
    assert nothing_is_left(server)


def test_cut_off(session: MakeSession, server: FakeASRServer) -> None:
    """A stream that ends within a packet is one that has ended."""
    data = encoded("webm")
    texts = [
        segment.text for segment in make(session, server).transcribe_stream(live(anywhere(data[: len(data) // 2])))
    ]
    assert texts[:3] == CHUNKS[:3]
    assert len(texts) < len(CHUNKS)


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ([], EmptyAudioError, "empty"),
        ([b""] * 3, EmptyAudioError, "empty"),
        ([b"<html>", b"<body>not found</body></html>"], UnsupportedAudioError, "HTML page"),
        ([np.arange(-20_000, 20_000, dtype=np.int16).tobytes()], UnsupportedAudioError, "of live PCM, pass the sampl"),
        ([np.zeros(160, np.int16)], TypeError, "PCM needs its sampling_rate"),
        (["text"], TypeError, "is bytes, not str"),
    ],
)
def test_what_is_none(
    session: MakeSession, server: FakeASRServer, blocks: list[Any], error: type[Exception], message: str
) -> None:
    """What is no encoded audio is a typed error that says what to do, and leaves nothing behind."""
    with pytest.raises(error, match=message):
        list(make(session, server).transcribe_stream(live(blocks)))
    assert nothing_is_left(server)


def test_settings_of_pcm_are_refused() -> None:
    """Channels and a type of samples are for PCM alone: they would not be used."""
    for settings in ({"channels": 2}, {"dtype": "float32"}):
        with pytest.raises(ValueError, match="pass its sampling_rate"):
            LiveAudio([b""], **settings)
    assert LiveAudio([b""]).sampling_rate is None


def test_without_pyav(session: MakeSession, server: FakeASRServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyAV is missing the error says what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendNotInstalledError, match=r'pip install "hfasr\[av\]"'):
        list(make(session, server).transcribe_stream(live([encoded("webm") if MADE else b"x"])))


@pytest.mark.parametrize("form", ["ordinary", "async"])
@pytest.mark.parametrize("how", ["close", "forget"])
def test_left_while_the_source_waits(session: MakeSession, server: FakeASRServer, form: str, how: str) -> None:
    """Left half-way, it returns at once, and neither the decoder's thread nor the source is left open."""
    client = make(session, server)
    if client.colour == "sync" and form == "async":
        pytest.skip("async sources are for the async client")
    data, closed, go_on = encoded("webm"), [], threading.Event()

    def waiting() -> Iterator[bytes]:
        try:
            yield data[: len(data) // 3]
            assert go_on.wait(10)
            yield b""
        finally:
            closed.append(True)

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield data[: len(data) // 3]
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    stream = client.transcribe_stream(live(waiting() if form == "ordinary" else endless()))
    assert next(stream).text == CHUNKS[0]
    began = time.monotonic()
    if how == "close":
        stream.close()
        assert time.monotonic() - began < 0.5
    del stream
    if form == "ordinary":
        go_on.set()
    assert soon(lambda: closed == [True])
    assert nothing_is_left(server)
