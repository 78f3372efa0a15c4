from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfasr.testing import FakeASRServer, FakeBackend

from .conftest import in_json

if TYPE_CHECKING:
    import httpx

FLAC = {"content-type": "audio/flac"}


@pytest.mark.parametrize(
    ("content_type", "served"),
    [
        ("audio/flac", True),
        ("audio/mpeg", True),  # the label picks the reader, not the decoder
        ("audio/webm;codecs=opus", True),
        ("audio/AMR", True),
        ("audio/x-audio", True),
        (None, False),
        ("audio/FLAC", False),
        ("audio/webm; codecs=opus", False),
        ("application/octet-stream", False),
        ("application/json; charset=utf-8", False),
        ("audio/mp4", False),
        ("audio/aac", False),
        ("audio/vnd.wave", False),
    ],
)
def test_content_types_of_the_toolkit(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, content_type: str | None, served: bool
) -> None:
    """Its table is matched letter by letter."""
    headers = {} if content_type is None else {"content-type": content_type}
    reply = http.post(asr_server.url, content=clip, headers=headers)
    assert reply.status_code == (200 if served else 400)
    if not served:
        words = " ".join(reply.json()["error"].split())
        assert words.startswith(
            f'Content type "{content_type}" not supported. Supported content types are: application/json,'
        )
        assert words.endswith("audio/AMR-WB+, audio/m4a, audio/x-m4a")


def test_the_toolkit_decodes_base64_only_beside_parameters(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes
) -> None:
    """An empty object of parameters is enough; without the key the base64 is opened as a file."""
    assert http.post(asr_server.url, json=in_json(clip, parameters={})).json() == {"text": " red boat"}
    reply = http.post(asr_server.url, json=in_json(clip))
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("[Errno 36] File name too long: 'ZkxhQ")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "Expecting property name"),
        (b'{"audio": 1}', 'Body needs to provide a inputs key, received: {"audio": 1}'),
        (b"[1]", "Body needs to provide a inputs key, received: [1]"),
        (b'{"inputs": "AA*A", "parameters": {}}', "could not be decoded as base64"),
        (b'{"inputs": 5, "parameters": {}}', "We expect a numpy ndarray or torch tensor as input"),
        (b'{"inputs": "AAAA", "parameters": {}}', "Soundfile is either not in the correct format"),
    ],
)
def test_bad_json_is_400(asr_server: FakeASRServer, http: httpx.Client, body: bytes, error: str) -> None:
    """Each way to get the JSON wrong has its own error."""
    reply = http.post(asr_server.url, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert error in reply.json()["error"]


@pytest.mark.parametrize(
    ("accept", "status"), [("*/*", 200), ("application/json", 200), ("application/json, */*", 400), ("text/plain", 400)]
)
def test_the_toolkit_is_strict_about_accept(
    asr_server: FakeASRServer, http: httpx.Client, clip: bytes, accept: str, status: int
) -> None:
    """It gives JSON for exactly two values, and fails after the work for others."""
    reply = http.post(asr_server.url, content=clip, headers={**FLAC, "accept": accept})
    assert reply.status_code == status
    assert asr_server.requests[0].heard == "red boat"


def test_parameters_in_json_go_before_the_query(asr_server: FakeASRServer, http: httpx.Client, clip: bytes) -> None:
    """Where the body has parameters, the query's are not read."""
    query = {"return_timestamps": "true"}
    reply = http.post(asr_server.url, json=in_json(clip, parameters={"return_timestamps": "word"}), params=query)
    assert len(reply.json()["chunks"]) == 2


def test_language_and_task_reach_the_engine_as_generation_parameters(http: httpx.Client, clip: bytes) -> None:
    """Under generation_parameters they are taken, and the engine is told."""
    backend = FakeBackend("bonjour")
    parameters = {"generation_parameters": {"language": "fr", "task": "translate", "num_beams": 2}}
    with FakeASRServer(backend) as server:
        assert http.post(server.url, json=in_json(clip, parameters=parameters)).json() == {"text": " bonjour"}
    options = backend.calls[0].options
    assert (options["language"], options["task"]) == ("fr", "translate")
    assert options["generation_parameters"] == parameters["generation_parameters"]
