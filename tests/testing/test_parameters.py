from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfasr.testing import FakeASRServer, FakeBackend

if TYPE_CHECKING:
    import httpx

    from .conftest import Encode


FLAC = {"content-type": "audio/flac"}


MODEL = "/hf-inference/models/openai/whisper-large-v3"


CTC_TIMESTAMPS = (
    "CTC can either predict character level timestamps, or word level timestamps. "
    "Set `return_timestamps='char'` or `return_timestamps='word'` as required."
)


@pytest.mark.parametrize("path", ["", MODEL])
def test_segments_and_words(asr_server: FakeASRServer, http: httpx.Client, encode: Encode, path: str) -> None:
    """The query asks for segments or words; Whisper's texts begin with a space, times are pairs of seconds."""
    url = asr_server.url + path
    segments = http.post(url, content=encode("red boat"), headers=FLAC, params={"return_timestamps": "true"}).json()
    assert [chunk["text"] for chunk in segments["chunks"]] == [" red boat"]
    assert segments["chunks"][0]["timestamp"] == pytest.approx([0.05, 0.55], abs=0.01)
    words = http.post(url, content=encode("red boat"), headers=FLAC, params={"return_timestamps": "word"}).json()
    assert [chunk["text"] for chunk in words["chunks"]] == [" red", " boat"]
    assert words["chunks"][1]["timestamp"] == pytest.approx([0.35, 0.55], abs=0.01)
    plain = http.post(url, content=encode("red boat"), headers=FLAC, params={"return_timestamps": "false"}).json()
    assert plain == {"text": " red boat"}


def test_the_last_end_can_be_null(http: httpx.Client, clip: bytes) -> None:
    """Whisper may leave the end of the last segment open."""
    with FakeASRServer(last_end_null=True) as server:
        reply = http.post(server.url, content=clip, headers=FLAC, params={"return_timestamps": "true"})
    assert reply.json()["chunks"][-1]["timestamp"][1] is None


@pytest.mark.parametrize("value", ["true", "false", "1"])
def test_ctc_models_give_no_segments(http: httpx.Client, clip: bytes, value: str) -> None:
    """Anything but char or word is the error of transformers; word works, without leading spaces."""
    with FakeASRServer(model_kind="ctc") as server:
        reply = http.post(server.url, content=clip, headers=FLAC, params={"return_timestamps": value})
        assert (reply.status_code, reply.json()) == (400, {"error": CTC_TIMESTAMPS})
        words = http.post(server.url, content=clip, headers=FLAC, params={"return_timestamps": "word"}).json()
    assert words["text"] == "red boat"
    assert [chunk["text"] for chunk in words["chunks"]] == ["red", "boat"]


def test_whisper_gives_no_characters(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """char is refused in the words of transformers."""
    reply = http.post(asr_server.url, content=clip, headers=FLAC, params={"return_timestamps": "char"})
    assert reply.json()["error"].startswith("Whisper cannot return `char` timestamps")


def test_an_engine_without_words_gives_no_word_times(http: httpx.Client, clip: bytes) -> None:
    """Words that the engine does not time are the error of a Whisper without alignment heads."""
    with FakeASRServer(FakeBackend("hello")) as server:
        reply = http.post(server.url, content=clip, headers=FLAC, params={"return_timestamps": "word"})
    assert reply.status_code == 400
    assert "no `alignment_heads`" in reply.json()["error"]


@pytest.mark.parametrize("name", ["language", "task"])
@pytest.mark.parametrize("path", ["", MODEL])
def test_language_and_task_at_the_top_are_refused(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, path: str, name: str
) -> None:
    """They are the recorded error, also where the audio is bad: parameters are checked first."""
    for body in (clip, b"junk"):
        reply = http.post(asr_server.url + path, content=body, headers=FLAC, params={name: "fr"})
        assert reply.status_code == 400
        assert reply.json() == {
            "error": "AutomaticSpeechRecognitionPipeline._sanitize_parameters() "
            f"got an unexpected keyword argument '{name}'"
        }
