from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from hfasr import Audio, TranscribeOptions, Transcript
from hfasr.testing import (
    FakeASRServer,
    FakeBackend,
    Reply,
    Reset,
    ToneSpeech,
)

if TYPE_CHECKING:
    from .conftest import Encode


FLAC = {"content-type": "audio/flac"}


def test_it_answers_with_what_it_decoded(asr_server: FakeASRServer, http: httpx.Client, encode: Encode) -> None:
    """The text is that of the audio which was sent, whatever its rate and channels."""
    for words, rate, channels in (("red boat", 8_000, 1), ("moon", 44_100, 2), ("key lake hat", 96_000, 6)):
        body = encode(words, "WAV", "PCM_16", rate, channels)
        reply = http.post(asr_server.url, content=body, headers={"content-type": "audio/wav"})
        assert reply.json() == {"text": f" {words}"}


def test_requests_are_recorded(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """Method, path, query, headers, body, time, status and the text that was heard stand in order of arrival."""
    before = time.monotonic()
    http.get(f"{asr_server.url}/health")
    http.post(
        f"{asr_server.url}/predict?return_timestamps=true&a%20b=c%26d", content=clip, headers={**FLAC, "X-A": "1"}
    )
    http.post(asr_server.url, content=b"junk", headers=FLAC)
    first, second, third = asr_server.requests
    assert (first.method, first.path, first.body, first.status, first.heard) == ("GET", "/health", b"", 200, None)
    assert (second.method, second.path, second.body) == ("POST", "/predict", clip)
    assert second.query == {"return_timestamps": "true", "a b": "c&d"}
    assert second.headers["x-a"] == "1"
    assert second.headers["content-length"] == str(len(clip))
    assert (third.status, third.heard) == (400, None)
    assert before < first.received_at < second.received_at < third.received_at < time.monotonic()


def test_scripted_replies_come_in_order_then_service_is_normal(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes
) -> None:
    """Each transcription request uses up one; others use none."""
    asr_server.script(Reply(418, json={"a": 1}, headers={"X-B": "c"}), Reply(204))
    assert http.get(f"{asr_server.url}/health").text == "Ok"
    first = http.post(asr_server.url, content=clip, headers=FLAC)
    assert (first.status_code, first.json(), first.headers["x-b"]) == (418, {"a": 1}, "c")
    assert http.post(asr_server.url, content=clip, headers=FLAC).status_code == 204
    assert http.post(asr_server.url, content=clip, headers=FLAC).json() == {"text": " red boat"}
    assert [request.status for request in asr_server.requests] == [200, 418, 204, 200]


def test_a_script_can_be_for_one_path(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """With a path, only requests to it are meant, whatever their method."""
    asr_server.script(Reply(500), path="/health")
    assert http.post(asr_server.url, content=b"x", headers=FLAC).status_code == 400
    assert http.get(f"{asr_server.url}/health").status_code == 500
    assert http.get(f"{asr_server.url}/health").status_code == 200


def test_bodies_over_the_limit_are_413(http: httpx.Client, clip: bytes) -> None:
    """One byte more than the limit is too much; the limit itself is not."""
    with FakeASRServer(max_body_bytes=len(clip)) as server:
        assert http.post(server.url, content=clip, headers=FLAC).status_code == 200
        assert http.post(server.url, content=clip + b"x", headers=FLAC).status_code == 413
        pieces = iter([clip, b"x" * 1_000_000])
        assert http.post(server.url, content=pieces, headers=FLAC).status_code == 413
        assert len(server.requests[-1].body) == len(clip) + 1


def test_an_engine_gets_audio_and_options(http: httpx.Client, encode: Encode) -> None:
    """A function behind the server gets mono float32 at the file's own rate, and what was asked for."""
    got: list[tuple[Audio, TranscribeOptions]] = []

    def engine(audio: Audio, options: TranscribeOptions) -> Transcript:
        got.append((audio, options))
        return Transcript("heard")

    with FakeASRServer(engine) as server:
        body = encode("red", "WAV", "PCM_16", 44_100, 2)
        query = {"return_timestamps": "true"}
        reply = http.post(server.url, content=body, headers={"content-type": "audio/wav"}, params=query)
    assert reply.json() == {"text": " heard", "chunks": [{"timestamp": [0.0, None], "text": " heard"}]}
    (audio, options), *rest = got
    assert (audio.waveform.shape, audio.waveform.dtype.name, audio.sampling_rate) == ((13_230,), "float32", 44_100)
    assert options["return_timestamps"] is True
    assert rest == []


def test_a_backend_can_stand_behind_it(http: httpx.Client, encode: Encode) -> None:
    """A Backend gets one clip at a time, at its own rate."""
    backend = FakeBackend(None, sampling_rate=8_000)
    with FakeASRServer(backend) as server:
        body = encode("red boat", sampling_rate=48_000)
        assert http.post(server.url, content=body, headers=FLAC).json() == {"text": " red boat"}
    (call,) = backend.calls
    assert [audio.sampling_rate for audio in call.batch] == [8_000]


def test_what_an_engine_raises_is_kept_and_answered(http: httpx.Client, clip: bytes) -> None:
    """The client gets the 400 of HF's toolkit, or OpenAI's 500; the test gets the error."""
    error = RuntimeError("out of memory")
    with FakeASRServer(FakeBackend(error=error)) as server:
        reply = http.post(server.url, content=clip, headers=FLAC)
        assert (reply.status_code, reply.json()) == (400, {"error": "out of memory"})
        files = {"file": ("a.flac", clip)}
        reply = http.post(f"{server.openai_url}/audio/transcriptions", files=files, data={"model": "m"})
        assert (reply.status_code, reply.json()["error"]["message"]) == (500, "out of memory")
        assert server.engine_errors == [error, error]


def test_nothing_is_printed(asr_server: FakeASRServer, http: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    """Requests, faults and failures leave no line on the terminal."""
    asr_server.script(Reset("in_body"))
    with pytest.raises(httpx.TransportError):
        http.post(asr_server.url)
    http.post(asr_server.url, content=b"junk", headers=FLAC)
    assert capfd.readouterr() == ("", "")


def test_speech_of_a_minute_goes_through(http: httpx.Client, encode: Encode) -> None:
    """An Inference Endpoint takes audio over 30 s, word for word."""
    words = [word for word in ToneSpeech().vocabulary for _ in range(3)]
    with FakeASRServer() as server:
        reply = http.post(server.url, content=encode(" ".join(words)), headers=FLAC)
    assert reply.json()["text"].split() == words
