"""Sending again in another form: what each server takes, asked for once and remembered."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile

from hfasr import Audio, AudioDecodeError, AudioTooLongError, BadRequestError, PayloadTooLargeError
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, ToneSpeech, replies
from tests.audio.kit import hide_av
from tests.colours import Session
from tests.conftest import clip

Make = Callable[..., Session]


def sent(server: FakeASRServer) -> list[tuple[str, str]]:
    """Return content type and query of each request."""
    return [(r.headers["content-type"], urlencode(r.query)) for r in server.requests]


def test_plain_call_is_raw_bytes(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Without parameters the audio goes out as it is, under an exact content type."""
    session(router_url=asr_server.router_url).transcribe(wav)
    request = asr_server.requests[0]
    assert request.path == "/hf-inference/models/openai/whisper-large-v3"
    assert sent(asr_server) == [("audio/flac", "")]
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"].startswith("hfasr/")


def test_flat_parameters_go_into_the_query(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Times are asked for in the query string, which both of Hugging Face's servers read."""
    transcript = session(router_url=asr_server.router_url).transcribe(wav, return_timestamps=True)
    assert sent(asr_server) == [("audio/flac", "return_timestamps=true")]
    assert [s.text for s in transcript.segments] == ["red boat green"]
    assert transcript.warnings == ()


def test_word_times(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Word times come as words inside segments, within 10 ms of the truth."""
    transcript = session(router_url=asr_server.router_url).transcribe(wav, return_timestamps="word")
    truth = ToneSpeech().hear(Audio(soundfile.read(io.BytesIO(wav), dtype="float32")[0], 16_000))
    assert [w.word for w in transcript.words] == ["red", "boat", "green"]
    for word, true in zip(transcript.words, truth.words, strict=True):
        assert word.start == pytest.approx(true.start, abs=0.01)
        assert word.end == pytest.approx(true.end, abs=0.01)


def test_language_on_a_toolkit_endpoint(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Language and task travel as generation settings in JSON, where alone the toolkit takes them."""
    asr = session(base_url=asr_server.url, dialect="hf")
    transcript = asr.transcribe(wav, language="en", task="translate", generation_parameters={"num_beams": 2})
    body = json.loads(asr_server.requests[0].body)
    assert body["parameters"] == {"generation_parameters": {"language": "en", "task": "translate", "num_beams": 2}}
    assert transcript.text == "red boat green"
    assert transcript.warnings == ()


def test_base64_refused_then_raw_and_remembered(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """hf-inference refuses JSON: the audio goes again as raw bytes, with a warning; the next call knows."""
    asr = session(router_url=asr_server.router_url)
    for _ in range(2):
        transcript = asr.transcribe(wav, language="en", prompt="boats", return_timestamps=True)
        assert transcript.text == "red boat green"
        assert len(transcript.segments) == 1
        assert [w.split(";")[0] for w in transcript.warnings] == [
            "hf-inference cannot take language",
            "hf-inference cannot take prompt",
        ]
    assert [kind for kind, _ in sent(asr_server)] == ["application/json", "audio/flac", "audio/flac"]


def test_resending_is_no_attempt(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """Another form is sent at once and does not count against max_attempts."""
    from hfasr import RetryPolicy

    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy(max_attempts=1))
    transcript = asr.transcribe(wav, language="en")
    assert transcript.provenance is not None
    assert [a.status for a in transcript.provenance.attempts] == [400, 200]
    assert fake_clock.sleeps == []


def test_unknown_parameter_is_left_out(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """The parameter that the server names goes, with a warning; the rest stays."""
    error = "AutomaticSpeechRecognitionPipeline._sanitize_parameters() got an unexpected keyword argument 'colour'"
    asr_server.script(Reply(400, json={"error": error}))
    asr = session(base_url=asr_server.url, dialect="hf")
    transcript = asr.transcribe(wav, extra_parameters={"colour": "red"}, return_timestamps=True)
    assert sent(asr_server) == [
        ("audio/flac", "colour=red&return_timestamps=true"),
        ("audio/flac", "return_timestamps=true"),
    ]
    assert transcript.warnings == (f"{asr_server.url} cannot take colour; it was left out",)


def test_ctc_gives_words_which_become_segments(session: Make, wav: bytes) -> None:
    """A CTC model refuses True: word times are asked for and grouped."""
    with FakeASRServer(model_kind="ctc") as server:
        transcript = session("facebook/wav2vec2-base-960h", router_url=server.router_url).transcribe(
            wav, return_timestamps=True
        )
        assert [query for _, query in sent(server)] == ["return_timestamps=true", "return_timestamps=word"]
    assert [s.text for s in transcript.segments] == ["red boat green"]
    assert transcript.words == ()
    assert transcript.warnings == ()


def test_no_alignment_heads_gives_segments(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A Whisper without alignment heads gives segments instead of words, and the result says so."""
    asr_server.script(
        Reply(
            400,
            json={"error": "Model generation config has no `alignment_heads`, token-level timestamps not available."},
        )
    )
    transcript = session(router_url=asr_server.router_url).transcribe(wav, return_timestamps="word")
    assert len(transcript.segments) == 1
    assert transcript.warnings == ("hf-inference gave no word times, only segments'",)


def test_original_refused_as_malformed_is_decoded(session: Make, asr_server: FakeASRServer) -> None:
    """Original bytes that the server cannot read go again as FLAC decoded here."""
    mp3 = clip("red boat green", format="MP3")
    asr_server.script(replies.malformed_audio())
    transcript = session(router_url=asr_server.router_url).transcribe(mp3)
    assert [kind for kind, _ in sent(asr_server)] == ["audio/mpeg", "audio/flac"]
    assert transcript.text == "red boat green"
    assert transcript.provenance is not None
    assert transcript.provenance.upload_format == "flac"


def test_malformed_after_decoding_is_raised(session: Make, asr_server: FakeASRServer) -> None:
    """When the decoded audio is refused as well, no route can mend it."""
    asr_server.script(replies.malformed_audio(), replies.malformed_audio())
    fallback = FakeBackend(None)
    with pytest.raises(BadRequestError, match="cannot read this audio"):
        session(router_url=asr_server.router_url, fallback=fallback).transcribe(clip("red boat", format="MP3"))
    assert fallback.calls == []


def test_413_compresses_harder(session: Make, wav: bytes) -> None:
    """A body that is too large goes as FLAC, then as Opus, then the error is raised."""
    loud = (np.random.default_rng(0).standard_normal(16_000 * 4) * 0.2).astype(np.float32)
    speech = np.concatenate([loud, ToneSpeech().say("red boat green")])
    with FakeASRServer(max_body_bytes=60_000) as server:
        transcript = session(router_url=server.router_url).transcribe(Audio(speech, 16_000))
        assert [kind for kind, _ in sent(server)] == ["audio/flac", "audio/ogg"]
        assert transcript.text.endswith("red boat green")
    with FakeASRServer(max_body_bytes=100) as server, pytest.raises(PayloadTooLargeError):
        session(router_url=server.router_url).transcribe(wav)


def test_too_long_is_cut_before_sending(session: Make, asr_server: FakeASRServer) -> None:
    """Audio longer than the route takes is never sent whole: it goes there in pieces, and not to a fallback."""
    never = FakeBackend("long")
    audio = Audio(ToneSpeech().say_at([(1.0, "red"), (30.5, "boat")], duration=31.0), 16_000)
    transcript = session(router_url=asr_server.router_url, fallback=never).transcribe(audio)
    assert transcript.text == "red boat"
    assert [request.status for request in asr_server.requests] == [200, 200]
    assert never.calls == []


def test_length_that_only_the_server_sees(
    session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the length cannot be read here, the server's complaint becomes an error that names the remedy."""
    hide_av(monkeypatch)
    asr_server.script(Reply(400, json={"error": "You have passed more than 3000 mel input features (> 30 seconds)"}))
    wma = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(400)
    with pytest.raises(AudioTooLongError, match=r"hfasr\[av\]"):
        session(router_url=asr_server.router_url, upload="original").transcribe(wma)


def test_damaged_audio_is_raised_before_sending(session: Make, asr_server: FakeASRServer) -> None:
    """What cannot be decoded here is the caller's fault: no request, no fallback."""
    flac = bytearray(clip("red boat green", format="FLAC", sampling_rate=44_100))
    flac[len(flac) // 3 :] = b""
    fallback = FakeBackend(None)
    with pytest.raises(AudioDecodeError):
        session(router_url=asr_server.router_url, fallback=fallback).transcribe(bytes(flac))
    assert asr_server.requests == []
    assert fallback.calls == []


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_openai_dialect(session: Make, asr_server: FakeASRServer, wav: bytes, timestamps: bool | str) -> None:
    """OpenAI-style servers get a multipart form, and verbose JSON where times are asked for."""
    asr = session("openai/whisper-tiny", base_url=asr_server.openai_url)
    transcript = asr.transcribe(
        wav,
        return_timestamps=timestamps,
        language="en",
        prompt="boats",
        generation_parameters={"temperature": 0.2, "num_beams": 3},
    )
    assert transcript.text == "red boat green"
    assert len(transcript.segments) == (1 if timestamps else 0)
    assert len(transcript.words) == (3 if timestamps == "word" else 0)
    assert transcript.warnings == (f"{asr_server.openai_url} cannot take num_beams; it was left out",)
    body = asr_server.requests[0].body
    for name, value in {
        "model": "openai/whisper-tiny",
        "language": "en",
        "prompt": "boats",
        "temperature": "0.2",
    }.items():
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in body


def test_openai_translation_has_its_own_address(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """task="translate" goes to /audio/translations."""
    session(base_url=asr_server.openai_url).transcribe(wav, task="translate")
    assert [r.path for r in asr_server.requests] == ["/v1/audio/translations"]


def test_openai_server_without_verbose_json(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A server that knows no verbose_json gives text without times, and the result says so."""
    refusal = {
        "error": {
            "message": "response_format verbose_json is not supported",
            "type": "invalid",
            "param": "response_format",
            "code": None,
        }
    }
    asr_server.script(Reply(400, json=refusal))
    transcript = session(base_url=asr_server.openai_url).transcribe(wav, return_timestamps=True)
    assert transcript.text == "red boat green"
    assert transcript.warnings == (f"{asr_server.openai_url} gave no times",)


def test_server_that_ignores_what_was_asked(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Times that a server silently leaves out become a warning."""
    asr_server.script(Reply(200, json={"text": "red boat green"}))
    transcript = session(base_url=asr_server.openai_url).transcribe(wav, return_timestamps=True)
    assert transcript.warnings == (f"{asr_server.openai_url} gave no times",)


def test_open_end_becomes_the_duration(session: Make, wav: bytes) -> None:
    """A last segment whose end Whisper leaves open ends with the audio."""
    with FakeASRServer(last_end_null=True) as server:
        transcript = session(router_url=server.router_url).transcribe(wav, return_timestamps=True)
    assert transcript.segments[-1].end == transcript.duration == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("speaks", "paths"),
    [
        ("toolkit", ["/v1/audio/transcriptions", "/api/v1/audio/transcriptions", "/", "/"]),
        ("openai", ["/v1/audio/transcriptions"] * 3),
    ],
)
def test_dialect_is_found_out_once(session: Make, wav: bytes, speaks: str, paths: list[str]) -> None:
    """With dialect="auto" a server is asked what it speaks once, without audio, and then remembered."""
    with FakeASRServer(speaks=speaks) as server:  # type: ignore[arg-type]  # one of the documented names
        asr = session(base_url=server.url)
        assert asr.transcribe(wav).text == "red boat green"
        assert asr.transcribe(wav).text == "red boat green"
        assert [r.path for r in server.requests] == paths
        assert all(len(r.body) < 100 for r in server.requests[: len(paths) - 2])


def test_probe_that_fails_is_a_failure_like_others(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """Finding out the dialect waits, retries and raises like any other request."""
    asr_server.script(replies.server_error(500), replies.loading(), path="/v1/audio/transcriptions")
    assert session(base_url=asr_server.url, clock=fake_clock).transcribe(wav).text == "red boat green"
    assert fake_clock.sleeps == pytest.approx([0.5, 1.0])
