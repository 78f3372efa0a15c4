from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from hfasr.testing import FakeASRServer

from .conftest import in_json

if TYPE_CHECKING:
    import httpx

    from .conftest import Encode

# Facts of an exchange that was recorded with Hugging Face's router on 2025-03-21 (a cassette of
# huggingface_hub), and of running the toolkit's own code; retyped by hand.
RECORDED_SUCCESS_HEADERS = {
    "access-control-allow-credentials": "true",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "x-compute-type, x-compute-time",
    "content-type": "application/json",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "strict-origin-when-cross-origin",
    "server": "uvicorn",
    "transfer-encoding": "chunked",
    "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    "x-compute-type": "cpu",
    "x-powered-by": "huggingface-moon",
    "x-robots-tag": "none",
}


RECORDED_SHAPES = {  # of headers whose value differs each time; beside them an example that was recorded
    "date": r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT",  # Fri, 21 Mar 2025 11:29:31 GMT
    "x-compute-audio-length": r"\d+\.\d+",  # 4.65
    "x-compute-time": r"\d+\.\d{3}",  # 0.712
    "x-inference-id": r"[\w-]{21}",  # EUm9ZEn7NXWqjizXKR6bM
    "x-request-id": r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};d3d22a44-b253-43a2-8f4f-6a20b5aee642",
    "x-sha": r"[0-9a-f]{40}",  # 569a6236e92bd5f7652a0420bfe9bb94c5664080
}


RECORDED_HUB_HEADERS = {  # of a model's page, on the same day
    "access-control-allow-origin": "https://huggingface.co",
    "content-type": "application/json; charset=utf-8",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "strict-origin-when-cross-origin",
    "vary": "Origin",
    "x-powered-by": "huggingface-moon",
}


FLAC = {"content-type": "audio/flac"}


MODEL = "/hf-inference/models/openai/whisper-large-v3"


def test_a_success_has_the_recorded_headers_and_shape(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes
) -> None:
    """Every header of the recorded answer is there, with its value or in its form; the body is text alone."""
    trace = "d3d22a44-b253-43a2-8f4f-6a20b5aee642"
    reply = http.post(asr_server.router_url + MODEL, content=clip, headers={**FLAC, "X-Amzn-Trace-Id": trace})
    assert reply.status_code == 200
    assert {name: reply.headers.get(name) for name in RECORDED_SUCCESS_HEADERS} == RECORDED_SUCCESS_HEADERS
    for name, shape in RECORDED_SHAPES.items():
        assert re.fullmatch(shape, reply.headers[name]), name
    assert float(reply.headers["x-compute-audio-length"]) == 0.6
    assert reply.json() == {"text": " red boat"}


def test_the_router_knows_models_with_and_without_an_organisation(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes
) -> None:
    """Both forms of a model id are served; a deeper path is not."""
    for path, status in (("openai/whisper-tiny", 200), ("whisper", 200), ("a/b/c", 404), ("", 404)):
        url = f"{asr_server.router_url}/hf-inference/models/{path}"
        assert http.post(url, content=clip, headers=FLAC).status_code == status


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        (None, "No content type provided and no default one configured."),
        ("audio/flac", None),
        ("audio/FLAC; x=y", None),
        ("audio/webm; codecs=opus", None),
        ("application/octet-stream", None),
        ("audio/x-audio", None),
        ("audio/mp4", 'Content type "audio/mp4" not supported.'),
        ("audio/mp3", 'Content type "audio/mp3" not supported.'),
        ("video/webm", 'Content type "video/webm" not supported.'),
    ],
)
def test_content_types_of_the_router(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, content_type: str | None, error: str | None
) -> None:
    """It cuts parameters off, ignores case and takes octet-stream; other types and none at all are 400."""
    headers = {} if content_type is None else {"content-type": content_type}
    reply = http.post(asr_server.router_url + MODEL, content=clip, headers=headers)
    assert reply.status_code == (200 if error is None else 400)
    if error is not None:
        assert error in reply.json()["error"]


def test_the_router_never_decodes_base64(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """JSON fails with an error that quotes the whole audio, with parameters or without."""
    extras: list[dict[str, Any]] = [{}, {"parameters": {}}, {"parameters": {"return_timestamps": True}}]
    for extra in extras:
        body = in_json(clip, **extra)
        reply = http.post(asr_server.router_url + MODEL, json=body)
        assert reply.status_code == 400
        assert reply.json() == {"error": f"[Errno 36] File name too long: '{body['inputs']}'"}
    reply = http.post(asr_server.router_url + MODEL, json={"inputs": "AAAA"})
    assert reply.json() == {"error": "[Errno 2] No such file or directory: 'AAAA'"}


@pytest.mark.parametrize("audio", [b"", b"<html>", b"fLaC" + bytes(100), b"RIFF\x00\x00\x00\x00WAVE"])
@pytest.mark.parametrize("path", ["", MODEL])
def test_malformed_audio_is_the_recorded_400(
    asr_server: FakeASRServer, http: httpx.Client, path: str, audio: bytes
) -> None:
    """What cannot be decoded fails in the words of transformers."""
    reply = http.post(asr_server.url + path, content=audio, headers=FLAC)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(
        "Soundfile is either not in the correct format or is malformed. Ensure that the soundfile has a valid audio "
        "file extension (e.g. wav, flac or mp3) and is not corrupted."
    )


def test_whisper_behind_the_router_fails_over_30_seconds(http: httpx.Client, encode: Encode) -> None:
    """More than 3000 features are the recorded 400, with timestamps or without; it can be switched off."""
    long_clip = encode("red " * 101)  # 30.3 s
    query = {"return_timestamps": "true"}
    for limit, status in ((30.0, 400), (None, 200)):
        with FakeASRServer(max_duration_s=limit) as server:
            for params in ({}, query):
                reply = http.post(server.router_url + MODEL, content=long_clip, headers=FLAC, params=params)
                assert reply.status_code == status
                assert ("more than 3000 mel input features (> 30 seconds)" in reply.text) == (status == 400)
    with FakeASRServer(model_kind="ctc") as server:
        assert http.post(server.router_url + MODEL, content=long_clip, headers=FLAC).status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({}, {"inputs": "AAAA"}, "Invalid username or password."),
        ({"authorization": "Bearer hf_wrong"}, {"inputs": "AAAA"}, "Invalid credentials in Authorization header"),
    ],
)
def test_a_bad_token_is_the_recorded_401(
    http: httpx.Client, headers: dict[str, str], body: dict[str, str], error: str
) -> None:
    """A JSON request without a token, or with a bad one, gets its recorded body."""
    with FakeASRServer(token="hf_right") as server:
        reply = http.post(server.router_url + MODEL, json=body, headers=headers)
    assert (reply.status_code, reply.json()) == (401, {"error": error})


def test_a_binary_request_with_a_bad_token_gets_html(http: httpx.Client, clip: bytes) -> None:
    """Raw audio gets a page instead of JSON, with the recorded headers; the right token is served."""
    with FakeASRServer(token="hf_right") as server:
        for headers in ({}, {"authorization": "Bearer hf_wrong"}):
            reply = http.post(server.router_url + MODEL, content=clip, headers={**FLAC, **headers})
            assert reply.status_code == 401
            assert reply.text.startswith("<!doctype html>")
            assert reply.headers["x-error-message"] == "Invalid username or password."
            assert reply.headers["www-authenticate"] == 'Bearer realm="Authentication required", charset="UTF-8"'
        right = {**FLAC, "authorization": "Bearer hf_right"}
        assert http.post(server.router_url + MODEL, content=clip, headers=right).status_code == 200


def test_the_hub_says_who_serves_a_model(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """A model's page has its task, or on demand the mapping and no more, each in the recorded form."""
    url = f"{asr_server.url}/api/models/openai/whisper-large-v3"
    page = http.get(url)
    assert {name: page.headers.get(name) for name in RECORDED_HUB_HEADERS} == RECORDED_HUB_HEADERS
    assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24}", page.headers["x-request-id"])
    model = page.json()
    assert (model["pipeline_tag"], model["library_name"]) == ("automatic-speech-recognition", "transformers")
    assert (model["modelId"], model["author"]) == ("openai/whisper-large-v3", "openai")
    assert re.fullmatch("[0-9a-f]{40}", model["sha"])
    assert "inferenceProviderMapping" not in model
    assert "author" not in http.get(f"{asr_server.url}/api/models/whisper").json()
    info = http.get(f"{url}?expand=inferenceProviderMapping").json()
    assert list(info) == ["_id", "id", "inferenceProviderMapping"]
    assert re.fullmatch("[0-9a-f]{24}", info["_id"])
    assert info["inferenceProviderMapping"]["hf-inference"] == {
        "status": "live",
        "providerId": "openai/whisper-large-v3",
        "task": "automatic-speech-recognition",
    }


def test_json_bodies_have_the_recorded_spacing(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """No space after commas and colons, and letters beyond ASCII as they are."""
    reply = http.post(asr_server.url, content=clip, headers=FLAC)
    assert reply.text == json.dumps({"text": " red boat"}, separators=(",", ":"))
