"""Finding out what a server speaks, with requests that hold no audio."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hfasr import APIStatusError
from hfasr._hosted.probe import openai_probe, read_probe
from hfasr.testing import FakeASRServer, Reply, replies
from hfasr.wire import Response
from tests.colours import Session
from tests.hosted.reply_kit import reply

Make = Callable[..., Session]
V1, API_V1 = "/v1/audio/transcriptions", "/api/v1/audio/transcriptions"


@pytest.mark.parametrize(
    "base_url", ["http://h/v1", "http://h/api/v1", "http://h/v2", "http://h/x/audio/transcriptions"]
)
def test_address_that_tells(base_url: str) -> None:
    """An address that ends as OpenAI's do is not asked."""
    assert list(openai_probe(base_url)) == [(None, None)]


@pytest.mark.parametrize("base_url", ["http://h", "http://h/v1beta", "http://h/predict"])
def test_questions(base_url: str) -> None:
    """Any other is asked under both prefixes, with an empty form."""
    asked = list(openai_probe(base_url))
    assert [prefix for _, prefix in asked] == ["/v1", "/api/v1"]
    for request, prefix in asked:
        assert request is not None
        assert (request.method, request.url) == ("POST", f"{base_url}{prefix}/audio/transcriptions")
        boundary = request.headers["content-type"].removeprefix("multipart/form-data; boundary=")
        assert request.content == f"--{boundary}--\r\n".encode()


@pytest.mark.parametrize(
    ("status", "body", "speaks"),
    [
        (404, "Not Found", False),
        (404, {"error": {"message": "no such model"}}, False),
        (405, "", False),
        (400, {"error": {"message": "you must provide a file"}}, True),
        (422, {"detail": [{"loc": ["body", "file"], "msg": "Field required"}]}, True),
        (422, {"detail": "no file"}, True),
        (415, {"error": {"message": "no"}}, True),
        (400, {"error": "Malformed soundfile"}, False),
        (400, {"error": ["Error in `inputs`: Malformed soundfile"]}, False),
        (400, "bad request", False),
        (400, ["x"], False),
        (422, "", False),
        (200, {"text": ""}, True),
        (401, {"error": {"message": "no key"}}, None),
        (403, "", None),
        (429, "", None),
        (500, {"error": {"message": "broken"}}, None),
        (503, "", None),
    ],
)
def test_answers(status: int, body: Any, speaks: bool | None) -> None:
    """The complaint about the missing file tells; a failure that is about something else tells nothing."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert read_probe(Response(status, {}, content)) is speaks


def test_openai_under_v1(session: Make, wav: bytes) -> None:
    """A server that speaks OpenAI's dialect under /v1 is asked once, and then used there."""
    with FakeASRServer(speaks="openai") as server:
        asr = session(base_url=server.url)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["red boat green"] * 2
        assert [(r.path, b"RIFF" in r.body or b"fLaC" in r.body) for r in server.requests] == [
            (V1, False),
            (V1, True),
            (V1, True),
        ]


def test_openai_under_api_v1(session: Make, wav: bytes) -> None:
    """A server that answers under /api/v1 alone, as vLLM's images on Inference Endpoints do, is found there."""
    with FakeASRServer(speaks="openai") as server:
        server.script(*[replies.not_found()] * 9, path=V1)
        asr = session(base_url=server.url)
        assert [asr.transcribe(wav).text for _ in range(2)] == ["red boat green"] * 2
        assert [(r.path, b"fLaC" in r.body) for r in server.requests] == [
            (V1, False),
            (API_V1, False),
            (API_V1, True),
            (API_V1, True),
        ]


def test_fastapi_server(session: Make, wav: bytes) -> None:
    """A server that complains with FastAPI's words speaks OpenAI's dialect, too."""
    with FakeASRServer(speaks="openai") as server:
        server.script(Reply(422, json={"detail": [{"loc": ["body", "file"], "msg": "Field required"}]}), path=V1)
        assert session(base_url=server.url).transcribe(wav).text == "red boat green"
        assert [r.path for r in server.requests] == [V1, V1]


def test_failure_teaches_nothing(session: Make, wav: bytes) -> None:
    """A probe that is refused is an error, and the next call asks again."""
    with FakeASRServer(speaks="openai") as server:
        server.script(replies.forbidden(), path=V1)
        asr = session(base_url=server.url)
        with pytest.raises(APIStatusError) as caught:
            asr.transcribe(wav)
        assert caught.value.status_code == 403
        assert asr.transcribe(wav).text == "red boat green"
        assert len(server.requests) == 3


def test_questions_and_answers() -> None:
    """An empty form is posted as a form, for JSON; the status or the complaint answers."""
    for request, prefix in openai_probe("http://h"):
        assert request is not None
        assert request.headers == {"content-type": "multipart/form-data; boundary=hfasr", "accept": "application/json"}
        assert request.content == b"--hfasr--\r\n"
        assert request.url == f"http://h{prefix}/audio/transcriptions"
    answers = {
        status: read_probe(reply({"detail": "no"}, status)) for status in (199, 200, 299, 300, 400, 404, 405, 406)
    }
    assert answers == {199: None, 200: True, 299: True, 300: None, 400: True, 404: False, 405: False, 406: None}
