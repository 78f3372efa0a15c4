"""The fake server, driven by Hugging Face's own client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.inference._providers import PROVIDERS

from hfasr.testing import FakeASRServer, replies

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Encode

pytestmark = pytest.mark.usefixtures("hub_client_alone")


@pytest.fixture
def flac(encode: Encode, tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    path.write_bytes(encode("red boat"))
    return path


@pytest.fixture
def wav(encode: Encode, tmp_path: Path) -> Path:
    """A suffix whose type every Python knows."""
    path = tmp_path / "clip.wav"
    path.write_bytes(encode("red boat", "WAV", "PCM_16"))
    return path


def test_an_endpoint_transcribes_a_path(asr_server: FakeASRServer, flac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the type of .flac known, the client's content type is taken."""
    import mimetypes

    monkeypatch.setattr(mimetypes, "_db", None)
    mimetypes.add_type("audio/flac", ".flac")
    client = InferenceClient(model=asr_server.url, token="hf_x")
    assert client.automatic_speech_recognition(flac).text == " red boat"
    request = asr_server.requests[0]
    assert request.headers["content-type"] == "audio/flac"
    assert request.headers["authorization"] == "Bearer hf_x"


def test_an_endpoint_gives_chunks(asr_server: FakeASRServer, wav: Path) -> None:
    """The client's JSON form, base64 beside parameters, gives its typed chunks."""
    client = InferenceClient(model=asr_server.url, token="hf_x")
    got = client.automatic_speech_recognition(wav, extra_body={"return_timestamps": "word"})
    assert asr_server.requests[0].headers["content-type"] == "application/json"
    assert got.chunks is not None
    assert [chunk.text for chunk in got.chunks] == [" red", " boat"]
    assert got.chunks[1].timestamp == pytest.approx([0.35, 0.55], abs=0.01)


def test_bytes_without_a_content_type_are_400(asr_server: FakeASRServer, flac: Path) -> None:
    """The client sends no content type for bytes, and the fake refuses it as the real servers do."""
    client = InferenceClient(model=asr_server.url, token="hf_x")
    with pytest.raises(HfHubHTTPError, match='Content type "None" not supported'):
        client.automatic_speech_recognition(flac.read_bytes())
    assert "content-type" not in asr_server.requests[0].headers


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub client's own call of httpx2
def test_the_async_client(asr_server: FakeASRServer, wav: Path) -> None:
    """The async client is served, too."""

    async def main() -> str:
        async with AsyncInferenceClient(model=asr_server.url, token="hf_x") as client:
            return str((await client.automatic_speech_recognition(wav)).text)

    assert asyncio.run(main()) == " red boat"


def test_the_router(asr_server: FakeASRServer, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Hub and router at the fake's address, provider hf-inference finds the model and transcribes."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", asr_server.url)
    helper = PROVIDERS["hf-inference"]["automatic-speech-recognition"]
    monkeypatch.setattr(helper, "base_url", f"{asr_server.router_url}/hf-inference")
    client = InferenceClient(provider="hf-inference", token="hf_x")
    got = client.automatic_speech_recognition(wav, model="openai/whisper-fake-1")
    assert got.text == " red boat"
    asked = [(request.method, request.path) for request in asr_server.requests]
    assert asked == [
        ("GET", "/api/models/openai/whisper-fake-1"),
        ("POST", "/hf-inference/models/openai/whisper-fake-1"),
    ]
    with pytest.raises(HfHubHTTPError, match=r"File name too long|No such file"):
        client.automatic_speech_recognition(wav, model="openai/whisper-fake-1", extra_body={"return_timestamps": True})


@pytest.mark.parametrize(
    ("reply", "status", "text"),
    [
        (replies.loading(), 503, "is currently loading"),
        (replies.rate_limited(), 429, "Rate limit reached"),
        (replies.unauthorized(), 401, "Invalid username or password."),
        (replies.payment_required(), 402, "You have depleted your monthly included credits."),
        (replies.not_hosted(), 400, "Model not supported by provider hf-inference"),
    ],
)
def test_failures_reach_the_hub_client_in_its_own_terms(
    asr_server: FakeASRServer, wav: Path, reply: replies.Reply, status: int, text: str
) -> None:
    """Its error carries the status and the text of the scripted failure."""
    asr_server.script(reply)
    client = InferenceClient(model=asr_server.url, token="hf_x")
    with pytest.raises(HfHubHTTPError) as caught:
        client.automatic_speech_recognition(wav)
    assert caught.value.response.status_code == status
    assert text in str(caught.value)
