from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from hfasr.testing import FakeASRServer, FakeBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Encode


@pytest.fixture
def client(asr_server: FakeASRServer) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with (
        openai.DefaultHttpxClient(trust_env=False) as http,
        openai.OpenAI(base_url=asr_server.openai_url, api_key="sk-x", max_retries=0, http_client=http) as client,
    ):
        yield client


@pytest.fixture
def file(encode: Encode) -> tuple[str, bytes]:
    return "clip.flac", encode("red boat")


def test_json(client: openai.OpenAI, file: tuple[str, bytes]) -> None:
    """The default answer is the text."""
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text == "red boat"


def test_verbose_json_with_segments_and_words(client: openai.OpenAI, file: tuple[str, bytes]) -> None:
    """OpenAI's client finds text, language, duration, and both kinds of times."""
    got = client.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["segment", "word"]
    )
    assert (got.text, got.language) == ("red boat", "english")
    assert float(got.duration) == 0.6
    assert got.segments is not None
    assert got.words is not None
    assert [(s.id, s.text) for s in got.segments] == [(0, " red boat")]
    assert [w.word for w in got.words] == ["red", "boat"]
    assert [w.start for w in got.words] == pytest.approx([0.05, 0.35], abs=0.01)


def test_granularities_choose_what_is_given(client: openai.OpenAI, file: tuple[str, bytes]) -> None:
    """Segments alone by default; words alone where only they are asked for."""
    default = client.audio.transcriptions.create(model="m", file=file, response_format="verbose_json")
    assert default.segments
    assert default.words is None
    words = client.audio.transcriptions.create(
        model="m", file=file, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert words.words
    assert words.segments is None


def test_text_and_subtitles(client: openai.OpenAI, file: tuple[str, bytes]) -> None:
    """text, srt and vtt are plain text."""
    assert client.audio.transcriptions.create(model="m", file=file, response_format="text") == "red boat\n"
    srt = client.audio.transcriptions.create(model="m", file=file, response_format="srt")
    assert srt.startswith("1\n00:00:00,05")
    assert client.audio.transcriptions.create(model="m", file=file, response_format="vtt").startswith("WEBVTT")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's client calls this endpoint deprecated
def test_translations(client: openai.OpenAI, file: tuple[str, bytes]) -> None:
    """The other endpoint translates."""
    assert client.audio.translations.create(model="m", file=file).text == "red boat"
    verbose = client.audio.translations.create(model="m", file=file, response_format="verbose_json")
    assert verbose.segments


@pytest.mark.parametrize("colour", ["asyncio", "trio"])
def test_the_async_client(asr_server: FakeASRServer, file: tuple[str, bytes], colour: Any) -> None:
    """OpenAI's async client works, too."""
    import anyio

    async def main() -> str:
        async with (
            openai.DefaultAsyncHttpxClient(trust_env=False) as http,
            openai.AsyncOpenAI(base_url=asr_server.openai_url, api_key="x", http_client=http) as client,
        ):
            return (await client.audio.transcriptions.create(model="m", file=file)).text

    assert anyio.run(main, backend=colour) == "red boat"


def test_options_reach_the_engine(file: tuple[str, bytes]) -> None:
    """Model, language, prompt, task and times are what the client said."""
    backend = FakeBackend("hola")
    with (
        FakeASRServer(backend) as server,
        openai.DefaultHttpxClient(trust_env=False) as http,
        openai.OpenAI(base_url=server.openai_url, api_key="x", http_client=http) as client,
    ):
        got = client.audio.transcriptions.create(
            model="m", file=file, language="es", prompt="Señor", response_format="verbose_json"
        )
    options = backend.calls[0].options
    assert options.get("model") == "m"
    assert (options.get("language"), options.get("prompt"), options.get("task")) == ("es", "Señor", "transcribe")
    assert (got.text, got.language) == ("hola", "spanish")


@pytest.mark.parametrize(
    ("change", "param", "text"),
    [
        ({"file": ("clip.txt", b"x")}, None, "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3',"),
        ({"file": ("clip", b"x")}, None, "Invalid file format."),
        ({"file": ("clip.wav", b"x")}, "file", "Audio file might be corrupted or unsupported"),
        ({"model": ""}, "model", "you must provide a model parameter"),
        ({"response_format": "xml"}, "response_format", "response_format must be one of"),
        (
            {"timestamp_granularities": ["word"]},
            "timestamp_granularities[]",
            "`response_format` must be `verbose_json` if `timestamp_granularities[]` is provided",
        ),
        (
            {"response_format": "verbose_json", "timestamp_granularities": ["letter"]},
            "timestamp_granularities[]",
            "must be segment or word",
        ),
    ],
)
def test_refusals_have_openais_shape(
    client: openai.OpenAI, file: tuple[str, bytes], change: dict[str, Any], param: str | None, text: str
) -> None:
    """OpenAI's client finds message, type and parameter of each 400."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**{"model": "m", "file": file, **change})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert text in str(caught.value)


def test_what_is_not_multipart_is_refused(asr_server: FakeASRServer) -> None:
    """JSON and a form without a file are 400."""
    url = f"{asr_server.openai_url}/audio/transcriptions"
    assert "multipart/form-data" in httpx.post(url, json={"a": 1}, trust_env=False).json()["error"]["message"]
    no_file = httpx.post(url, files={"model": (None, "m")}, trust_env=False)
    assert no_file.json()["error"]["param"] == "file"


def test_a_bad_key_is_401(file: tuple[str, bytes]) -> None:
    """OpenAI's client raises its AuthenticationError."""
    with (
        FakeASRServer(token="sk-right") as server,
        openai.DefaultHttpxClient(trust_env=False) as http,
        openai.OpenAI(base_url=server.openai_url, api_key="sk-wrong", http_client=http) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.audio.transcriptions.create(model="m", file=file)
    assert caught.value.code == "invalid_api_key"


def test_models_are_listed(client: openai.OpenAI) -> None:
    """GET /models gives one."""
    assert [model.id for model in client.models.list()] == ["openai/whisper-large-v3"]


def test_the_path_of_catalog_images_works(asr_server: FakeASRServer, file: tuple[str, bytes]) -> None:
    """/api/v1 is the same as /v1."""
    url = f"{asr_server.url}/api/v1/audio/transcriptions"
    reply = httpx.post(url, files={"file": file}, data={"model": "m"}, trust_env=False)
    assert reply.json() == {"text": "red boat"}
