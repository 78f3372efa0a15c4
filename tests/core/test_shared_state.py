"""What the calls of one client share: tokens, dialects, connections and engines."""

from __future__ import annotations

import io
import socket
import threading
import time
import wave
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

import hfasr.backends
from hfasr import (
    ASRClient,
    Audio,
    AuthenticationError,
    DeadlineExceededError,
    NotFoundError,
    Segment,
    TranscribeOptions,
    Transcript,
    Word,
)
from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech
from tests.colours import Session

Make = Callable[..., Session]
CTC = "facebook/wav2vec2-base-960h"  # takes audio of any length


class HuggingFace:
    """Stands for Hugging Face's router, in the caller's own HTTP client: takes one token alone."""

    def __init__(self, colour: str, token: str) -> None:
        self.token = token
        self.seen: list[str] = []
        kind: type[Any] = httpx.Client if colour == "sync" else httpx.AsyncClient
        self.client = kind(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "router.huggingface.co"
        self.seen.append(request.headers["authorization"].removeprefix("Bearer "))
        if self.seen[-1] != self.token:
            return httpx.Response(401, json={"error": "Invalid username or password."})
        return httpx.Response(200, json={"text": "heard"})


def test_found_token_is_kept(session: Make, colour: str, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that works is looked for once."""
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    hub = HuggingFace(colour, "hf_first")
    asr = session(http_client=hub.client)
    assert asr.transcribe(wav).text == "heard"
    monkeypatch.setenv("HF_TOKEN", "hf_second")
    assert asr.transcribe(wav).text == "heard"
    assert hub.seen == ["hf_first", "hf_first"]
    asr.close_http(hub.client)


def test_refused_token_is_looked_for_again(
    session: Make, colour: str, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 401 the next call takes the token that is found then: a login may have been renewed."""
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    hub = HuggingFace(colour, "hf_renewed")
    asr = session(http_client=hub.client)
    with pytest.raises(AuthenticationError):
        asr.transcribe(wav)
    monkeypatch.setenv("HF_TOKEN", "hf_renewed")
    assert asr.transcribe(wav).text == "heard"
    assert hub.seen == ["hf_expired", "hf_renewed"]
    asr.close_http(hub.client)


@pytest.mark.parametrize(("before", "after"), [("openai", "toolkit"), ("toolkit", "openai")])
def test_dialect_is_asked_again_after_a_404(session: Make, wav: bytes, before: Any, after: Any) -> None:
    """Where another kind of server has taken over an address, one call fails, and the next finds out."""
    with FakeASRServer(speaks=before) as server:
        asr = session(CTC, base_url=server.url)
        assert asr.transcribe(wav).text == "red boat green"
        n_first = len(server.requests)
        assert asr.transcribe(wav).text == "red boat green"
        assert len(server.requests) == n_first + 1
        port = int(server.url.rpartition(":")[2])
    with FakeASRServer(speaks=after, port=port) as server:
        with pytest.raises(NotFoundError):
            asr.transcribe(wav)
        assert asr.transcribe(wav).text == "red boat green"


class Timed:
    """An engine that knows some ends and not others."""

    name = "timed"
    sampling_rate = 16_000
    max_duration_s = None

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        first = Segment(0.0, 0.4, "a b", (Word(0.0, 0.2, "a"), Word(0.2, 0.4, "b")))
        last = Segment(0.4, None, "c d", (Word(0.4, 0.6, "c"), Word(0.6, None, "d", 0.5)))
        return [Transcript("a b c d", (first, last))]

    def close(self) -> None:
        return None


def test_open_ends_become_the_duration(session: Make, wav: bytes) -> None:
    """An end that nobody knows, of a segment or a word, is the audio's; the others stay as they are."""
    transcript = session(backend=Timed()).transcribe(wav, return_timestamps="word")
    assert transcript.duration == pytest.approx(0.9, abs=0.1)
    end = transcript.duration
    assert transcript.segments == (
        Segment(0.0, 0.4, "a b", (Word(0.0, 0.2, "a"), Word(0.2, 0.4, "b"))),
        Segment(0.4, end, "c d", (Word(0.4, 0.6, "c"), Word(0.6, end, "d", 0.5))),
    )


class slow_reader:  # noqa: N801  # reads as a function
    """A server that takes *n_bytes* of the first request every 10 ms, and never answers."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            while not self._stopping.wait(0.01):
                try:
                    if self._n_bytes and not connection.recv(self._n_bytes):
                        return
                except OSError:
                    return

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(5)
        self._socket.close()


@pytest.mark.parametrize("n_bytes", [0, 40_000], ids=["reads nothing", "reads 4 MB/s"])
def test_large_upload_ends_on_time(session: Make, n_bytes: int) -> None:
    """A server that takes a large body slowly, or not at all, cannot outlive the deadline."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(bytes(40_000_000))  # far beyond what sockets buffer: 10 s at that speed
    with slow_reader(n_bytes) as url:
        asr = session(CTC, router_url=url, upload="original")
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            asr.transcribe(file.getvalue(), deadline=1.0)
        assert time.monotonic() - began < 2.5
        assert [attempt.error for attempt in caught.value.attempts] == ["APITimeoutError"]


def test_threads_have_their_own_connections(wav: bytes) -> None:
    """Calls from many threads are under way at the same time, each on a connection of its own."""
    together = threading.Barrier(4, timeout=10)
    ear = ToneSpeech()

    def hear(audio: Audio, options: TranscribeOptions) -> Transcript:
        together.wait()  # until all four are here
        return ear.hear(audio, options)

    texts: list[str] = []
    with FakeASRServer(hear) as server, ASRClient(router_url=server.router_url) as asr:
        threads = [threading.Thread(target=lambda: texts.append(asr.transcribe(wav).text)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["red boat green"] * 4
        assert server.peak_concurrency == 4
        assert server.connections.accepted == 4


def test_closing_closes_loaded_engines(session: Make, colour: str, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client closes the engines that it loaded, once, and leaves the caller's own alone."""
    loaded: dict[tuple[str, str | None], FakeBackend] = {}

    def load(name: str, model: str | None = None) -> FakeBackend:
        assert (name, model) not in loaded
        loaded[name, model] = FakeBackend(name, error=RuntimeError("no") if name == "broken" else None)
        return loaded[name, model]

    monkeypatch.setattr(hfasr.backends, "load", load)
    monkeypatch.setattr(hfasr.backends, "check_name", lambda name: None)
    close = "close" if colour == "sync" else "aclose"
    own = FakeBackend("own")
    asr = session(backend="broken", fallback=["toy:small", own])
    assert [asr.transcribe(wav).text for _ in range(2)] == ["toy", "toy"]
    assert loaded.keys() == {("broken", None), ("toy", "small")}
    parent, asr.client = asr.client, asr.client.with_options(timeout=9.0)
    assert asr.transcribe(wav).text == "toy"
    asr.call(close)
    assert not any(engine.closed for engine in loaded.values())
    asr.client = parent
    asr.call(close)
    assert all(engine.closed for engine in loaded.values())
    assert not own.closed
