"""Long audio over every kind of route, and of every kind of input: cut as the route needs it, with every word and time."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hfasr import ASRClient, Audio, AudioTooLongError, Chunking, PayloadTooLargeError, Transcript
from hfasr.testing import FakeASRServer, FakeBackend, Reply, ToneSpeech
from hfasr.testing.heard import decode
from tests.colours import Session
from tests.long.kit import Speech, bare, speech
from tests.tones import tone_audio

Make = Callable[..., Session]

SAID = speech(2, 70.0)


@functools.cache
def flac(sampling_rate: int = 16_000, channels: int = 1, *, name: str = "FLAC") -> bytes:
    """Return what was said as a file."""
    file = io.BytesIO()
    mono = SAID.waveform(sampling_rate)
    soundfile.write(file, np.repeat(mono[:, None], channels, axis=1), sampling_rate, format=name)
    return file.getvalue()


def assert_heard(transcript: Transcript, said: Speech = SAID) -> None:
    """See that every word is there, at its time to 10 ms."""
    assert bare(transcript.text) == said.words
    words = transcript.words
    assert [word.word for word in words] == said.words
    for word, one in zip(words, said.said, strict=True):
        assert abs(word.start - one.start) <= 0.01
        assert word.end is not None
        assert abs(word.end - one.end) <= 0.01
    assert transcript.duration == pytest.approx(said.duration, abs=0.01)


def lengths(server: FakeASRServer) -> list[float]:
    """Return the seconds of audio in each body."""
    decoded = [decode(request.body) for request in server.requests if b"multipart" not in request.body[:100]]
    return [len(audio.waveform) / audio.sampling_rate for audio in decoded]


SERVERS: dict[str, Callable[[FakeASRServer], dict[str, Any]]] = {
    "hf-inference": lambda server: {"router_url": server.router_url},
    "toolkit": lambda server: {"base_url": server.url, "dialect": "hf"},
    "openai": lambda server: {"base_url": server.openai_url},
}


@pytest.mark.parametrize("route", SERVERS)
@pytest.mark.parametrize("length", [None, 20.0])
def test_servers(session: Make, asr_server: FakeASRServer, route: str, length: float | None) -> None:
    """What a server takes goes out whole, unless shorter chunks are asked for; the words and times are the same."""
    asr = session(**SERVERS[route](asr_server), chunking=Chunking(chunk_length_s=length))
    transcript = asr.transcribe(SAID.audio(), return_timestamps="word")
    assert_heard(transcript)
    origin = transcript.provenance
    assert origin is not None
    n_sent = len(asr_server.requests)
    assert origin.chunks == n_sent
    assert (n_sent == 1) == (length is None and route != "hf-inference")
    assert n_sent <= (1 + 70 // (2 / 3 * 20) if length else 4)
    if route != "openai":
        assert max(lengths(asr_server)) <= (length or (30.0 if n_sent > 1 else 70.0))


@pytest.mark.parametrize(("duration", "n_expected"), [(600.0, 1), (605.0, 6)])
def test_ten_minutes_go_whole(duration: float, n_expected: int) -> None:
    """To a server without a limit ten minutes go in one body; more goes in chunks of two minutes at most."""
    heard: list[float] = []

    def listen(audio: Audio, _options: Any) -> Transcript:
        heard.append(len(audio.waveform) / audio.sampling_rate)
        return Transcript("here")

    hum = np.tile(ToneSpeech().say("red"), 2_100)[: round(duration * 16_000)]
    with FakeASRServer(listen) as server, ASRClient(base_url=server.openai_url) as asr:
        transcript = asr.transcribe(Audio(hum, 16_000))
    assert len(heard) == n_expected
    assert max(heard) <= (600.0 if n_expected == 1 else 120.0)
    assert sum(heard) == pytest.approx(duration)
    assert transcript.text == " ".join(["here"] * n_expected)


@pytest.mark.parametrize("sampling_rate", [8_000, 16_000, 22_050])
def test_engine_with_a_limit(session: Make, sampling_rate: int) -> None:
    """An engine gets pieces at its own rate, none longer than it takes."""
    engine = FakeBackend(None, sampling_rate=sampling_rate, max_duration_s=9.5)
    transcript = session(backend=engine).transcribe(flac(44_100, 2), return_timestamps="word")
    assert_heard(transcript)
    clips = [clip for call in engine.calls for clip in call.batch]
    assert {clip.sampling_rate for clip in clips} == {sampling_rate}
    assert max(len(clip.waveform) for clip in clips) <= 9.5 * sampling_rate
    assert transcript.provenance is not None
    assert transcript.provenance.backend == "fake"
    assert transcript.provenance.uploaded_bytes is None
    assert transcript.provenance.chunks == len(clips)


def test_model_on_this_machine(session: Make, tone_model: Path) -> None:
    """A true model hears in chunks what it hears of the whole."""
    text = " ".join(["bad face hag", "cab fed"] * 5)
    waveform = tone_audio(text)
    asr = session(str(tone_model), backend="transformers", chunking=Chunking(chunk_length_s=5))
    transcript = asr.transcribe(Audio(waveform, 16_000), return_timestamps="word")
    assert transcript.text == text
    assert transcript.provenance is not None
    assert transcript.provenance.chunks >= len(waveform) / 16_000 / 5
    whole = session(str(tone_model), backend="transformers").transcribe(
        Audio(waveform, 16_000), return_timestamps="word"
    )
    for word, same in zip(transcript.words, whole.words, strict=True):
        assert word.word == same.word
        assert word.start == pytest.approx(same.start, abs=0.06)  # frames of 20 ms, which begin with each chunk


def test_limit_that_the_server_tells(session: Make, asr_server: FakeASRServer) -> None:
    """A model that does not say that it is a Whisper is asked once with too much; from then on it gets 30 s."""
    asr = session("org/secret", router_url=asr_server.router_url)
    assert_heard(asr.transcribe(SAID.audio(), return_timestamps="word"))
    assert [request.status for request in asr_server.requests][:1] == [400]
    n_sent = len(asr_server.requests)
    assert_heard(asr.transcribe(SAID.audio(), return_timestamps="word"))
    assert len(asr_server.requests) == 2 * n_sent - 1
    assert [request.status for request in asr_server.requests].count(400) == 1
    assert max(lengths(asr_server)[1:]) <= 30.0


def test_little_more_than_the_server_takes(session: Make, asr_server: FakeASRServer) -> None:
    """What is a little longer than the 30 s that a server speaks of is cut at 30 s, and not into halves."""
    seconds = 45.0
    audio = Audio(SAID.waveform()[: round(seconds * 16_000)], 16_000)
    session("org/secret", router_url=asr_server.router_url).transcribe(audio)
    whole, *parts = lengths(asr_server)
    assert whole == seconds
    assert len(parts) == 2
    assert max(parts) > seconds / 2


@pytest.mark.parametrize("route", ["hf-inference", "openai"])
@pytest.mark.parametrize("max_bytes", [100_000, 40_000])
def test_body_that_is_too_large(session: Make, route: str, max_bytes: int) -> None:
    """What a server refuses for its size is compressed, then cut smaller; the next call knows."""
    with FakeASRServer(max_body_bytes=max_bytes) as server:
        asr = session(**SERVERS[route](server))
        transcript = asr.transcribe(SAID.audio(), return_timestamps="word")
        assert_heard(transcript)
        accepted = [len(request.body) for request in server.requests if request.status == 200]
        assert max(accepted) <= max_bytes
        origin = transcript.provenance
        assert origin is not None
        assert 0 < (origin.uploaded_bytes or 0) <= sum(accepted)
        n_first = len(server.requests)
        assert_heard(asr.transcribe(SAID.audio(), return_timestamps="word"))
        refused = [request.status for request in server.requests].count(413)
        assert len(server.requests) - n_first <= n_first
        assert refused < len(server.requests) / 2 + 4


@pytest.mark.parametrize("n_times", [1, 2])
def test_every_body_is_too_large(session: Make, n_times: int) -> None:
    """A server that refuses any size ends the call after few requests, however long the audio is."""
    audio = Audio(np.tile(SAID.waveform()[: 40 * 16_000], n_times), 16_000)
    with FakeASRServer(max_body_bytes=100) as server:
        with pytest.raises(PayloadTooLargeError, match="s: hf-inference answered 413"):
            session(router_url=server.router_url).transcribe(audio)
        assert len(server.requests) <= 8 * 6  # eight chunks at once, two forms, of 30, 15 and 7.5 s
    engine = FakeBackend("here")
    with FakeASRServer(max_body_bytes=100) as server:
        asr = session(router_url=server.router_url, fallback=engine, chunking=Chunking(max_concurrency=2))
        transcript = asr.transcribe(audio)
        assert set(transcript.text.split()) == {"here"}
        assert len(server.requests) <= 24
        assert transcript.provenance is not None
        assert transcript.provenance.backend == "fake"
        assert "PayloadTooLargeError" in (transcript.provenance.fallback_reason or "")
    clips = [clip for call in engine.calls for clip in call.batch]
    assert sum(len(clip.waveform) for clip in clips) == len(audio.waveform)


@pytest.mark.parametrize("upload", ["auto", "original", "flac", "wav", "opus"])
def test_what_is_uploaded(session: Make, asr_server: FakeASRServer, upload: str) -> None:
    """Pieces go out as asked for; a piece of a file has no original bytes, so it goes as FLAC."""
    asr = session(router_url=asr_server.router_url, upload=upload)
    transcript = asr.transcribe(flac(name="MP3"))
    assert bare(transcript.text) == SAID.words
    kinds = {"wav": "audio/wav", "opus": "audio/ogg"}
    assert {request.headers["content-type"] for request in asr_server.requests} == {kinds.get(upload, "audio/flac")}
    origin = transcript.provenance
    assert origin is not None
    assert origin.uploaded_bytes == sum(len(request.body) for request in asr_server.requests)
    assert origin.upload_format == (upload if upload in kinds else "flac")
    assert origin.audio_sha256 == hashlib.sha256(flac(name="MP3")).hexdigest()


def test_original_goes_whole_where_it_is_taken(session: Make, asr_server: FakeASRServer) -> None:
    """The very bytes of a long file go to a server that has no limit."""
    transcript = session(base_url=asr_server.url, dialect="hf", upload="original").transcribe(flac(44_100, 2))
    assert bare(transcript.text) == SAID.words
    assert [request.body for request in asr_server.requests] == [flac(44_100, 2)]


def test_original_that_is_refused_is_cut(session: Make) -> None:
    """The very bytes are sent first; where they are too large they are decoded, compressed and cut."""
    with FakeASRServer(max_body_bytes=100_000) as server:
        asr = session(base_url=server.url, dialect="hf", upload="original")
        transcript = asr.transcribe(flac(44_100, 2), return_timestamps="word")
        assert server.requests[0].status == 413
    assert_heard(transcript)


@contextmanager
def page(data: bytes) -> Iterator[str]:
    """Serve *data* by HTTP and give its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "audio/flac")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/talk.flac"
        finally:
            server.shutdown()
            thread.join()


def blocks(data: bytes) -> Iterator[bytes]:
    """Give *data* bit by bit."""
    for start in range(0, len(data), 50_000):
        yield data[start : start + 50_000]


async def async_blocks(data: bytes) -> AsyncIterator[bytes]:
    """Give *data* bit by bit, to async code."""
    for block in blocks(data):
        yield block


KINDS: dict[str, Callable[[Path], Any]] = {
    "str": str,
    "path": lambda path: path,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "file": lambda path: io.BytesIO(path.read_bytes()),
    "iterable": lambda path: blocks(path.read_bytes()),
    "array": lambda path: Audio(soundfile.read(path, dtype="float32")[0].mean(axis=1), 22_050),
    "datasets array": lambda path: {
        "array": soundfile.read(path, dtype="float32")[0].mean(axis=1),
        "sampling_rate": 22_050,
    },
    "datasets bytes": lambda path: {"bytes": path.read_bytes(), "path": None},
    "datasets path": lambda path: {"bytes": None, "path": str(path)},
}


@pytest.mark.parametrize("kind", [*KINDS, "url", "async iterable"])
def test_every_kind_of_input(session: Make, asr_server: FakeASRServer, tmp_path: Path, kind: str) -> None:
    """Long audio may come as anything that short audio may."""
    data = flac(22_050, 2)
    path = tmp_path / "talk.flac"
    path.write_bytes(data)
    asr = session(router_url=asr_server.router_url, allow_private_urls=True)
    with page(data) as url:
        if kind == "async iterable":
            if asr.colour == "sync":
                with pytest.raises(TypeError, match="AsyncASRClient"):
                    asr.transcribe(async_blocks(data))
                return
            given: Any = async_blocks(data)
        else:
            given = url if kind == "url" else KINDS[kind](path)
        transcript = asr.transcribe(given, return_timestamps="word")
    assert_heard(transcript)
    origin = transcript.provenance
    assert origin is not None
    assert origin.chunks == len(asr_server.requests) > 2
    if "array" not in kind or kind == "bytearray":
        assert origin.audio_sha256 == hashlib.sha256(data).hexdigest()
    assert "resampled 22050 to 16000 Hz" in origin.audio_changes


def test_length_that_nobody_reads(session: Make, asr_server: FakeASRServer) -> None:
    """Where the server finds too long what cannot be decoded here, that is what is raised."""
    asr_server.script(Reply(400, json={"error": "the audio file is too long"}))
    unknown = b"ID3\x04" + bytes(2_000)
    with pytest.raises((AudioTooLongError, ValueError)):
        session(base_url=asr_server.url, dialect="hf", upload="original").transcribe(unknown)


def test_nothing_is_cut_that_fits(session: Make, asr_server: FakeASRServer) -> None:
    """Audio of just what the route takes goes in one request, and says so."""
    waveform = ToneSpeech().say_at([(0.5, "red"), (29.0, "boat")], duration=30.0)
    transcript = session(router_url=asr_server.router_url).transcribe(Audio(waveform, 16_000))
    assert (transcript.text, len(asr_server.requests)) == ("red boat", 1)
    assert transcript.provenance is not None
    assert transcript.provenance.chunks == 1
    assert transcript.provenance.attempts[0].chunk is None
