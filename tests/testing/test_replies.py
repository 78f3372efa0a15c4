from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hfasr.testing import FakeASRServer, Reply, replies

if TYPE_CHECKING:
    import httpx

# Facts of exchanges that were recorded with Hugging Face's servers from 2024-04-09 to 2025-03-21
# (cassettes of huggingface_hub) and of public issues; retyped by hand.
MODEL = "/hf-inference/models/openai/whisper-large-v3"


def test_the_convenient_replies_are_those_of_the_real_servers() -> None:
    """Each has the status of its name, and a body that is JSON with a text, unless the real one is not."""
    made = {
        replies.loading: 503,
        replies.scaling_up: 503,
        replies.overloaded: 503,
        replies.rate_limited: 429,
        replies.unauthorized: 401,
        replies.payment_required: 402,
        replies.forbidden: 403,
        replies.not_hosted: 400,
        replies.does_not_exist: 404,
        replies.not_found: 404,
        replies.gone: 410,
        replies.too_large: 413,
        replies.malformed_audio: 400,
        replies.server_error: 500,
    }
    for make, status in made.items():
        reply = make()
        assert reply.status == status
        assert reply.json is None or isinstance(reply.json["error"], str)
    assert replies.server_error(502).status == 502
    assert replies.loading(None).json == {"error": "Model openai/whisper-large-v3 is currently loading"}
    limited = replies.rate_limited(retry_after=2, retry_after_ms=1_500, reset=55)
    assert limited.headers["retry-after"] == "2"
    assert limited.headers["retry-after-ms"] == "1500"
    assert re.fullmatch(r'"api";r=0;t=55', limited.headers["ratelimit"])


@pytest.mark.parametrize(
    ("reply", "status", "recorded"),
    [
        (
            replies.loading(model="distilbert/distilbert-base-uncased-finetuned-sst-2-english"),
            503,
            (
                '{"error":"Model distilbert/distilbert-base-uncased-finetuned-sst-2-english is currently loading",'
                '"estimated_time":20.0}'
            ),
        ),
        (replies.rate_limited(), 429, '{"error":"Rate limit reached. Please log in or use a HF access token"}'),
        (replies.unauthorized(), 401, '{"error":"Invalid username or password."}'),
        (replies.overloaded(), 503, '{"error":"overloaded"}'),
        (replies.not_hosted(provider="together"), 400, '{"error":"Model not supported by provider together"}'),
        (replies.does_not_exist(model="x-123"), 404, '{"error":"Model x-123 does not exist"}'),
        (
            replies.gone(),
            410,
            (
                '{"error":"https://api-inference.huggingface.co/ is no longer supported. '
                'Please use https://router.huggingface.co/ instead"}'
            ),
        ),
        (
            replies.forbidden(user="X"),
            403,
            (
                '{"error":"This authentication method does not have sufficient permissions to call Inference Providers '
                'on behalf of user X"}'
            ),
        ),
        (replies.not_found(), 404, "Not Found"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else "",
)
def test_scripted_failures_are_the_recorded_ones(
    asr_server: FakeASRServer, http: httpx.Client, reply: Reply, status: int, recorded: str
) -> None:
    """Letter by letter, the bodies are those that Hugging Face's servers gave."""
    asr_server.script(reply)
    got = http.post(asr_server.router_url + MODEL)
    assert (got.status_code, got.text) == (status, recorded)
    assert got.headers["content-length"] == str(len(recorded))


def test_failures_of_the_router_carry_a_request_id(asr_server: FakeASRServer, http: httpx.Client) -> None:
    """Scripted or not, what fails can be told to support; an id of the script's own is kept."""
    got = [http.post(asr_server.router_url + MODEL, headers={"X-Amzn-Trace-Id": "abc"}).headers["x-request-id"]]
    asr_server.script(replies.loading(), Reply(500, headers={"X-Request-Id": "mine"}))
    got += [http.post(asr_server.router_url + MODEL).headers["x-request-id"] for _ in range(2)]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};abc", got[0])
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", got[1])
    assert got[2] == "mine"


OF_INFERENCE = {
    "access-control-allow-credentials": "true",
    "content-type": "application/json",
    "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
}


@pytest.mark.parametrize(
    ("reply", "recorded"),
    [
        (replies.loading(), OF_INFERENCE),
        (replies.rate_limited(), OF_INFERENCE),
        (
            replies.unauthorized(),
            {
                "access-control-allow-origin": "*",
                "content-type": "application/json; charset=utf-8",
                "cross-origin-opener-policy": "same-origin",
                "referrer-policy": "strict-origin-when-cross-origin",
                "vary": "Origin",
                "www-authenticate": 'Bearer realm="Authentication required", charset="UTF-8"',
                "x-error-message": "Invalid username or password.",
                "x-powered-by": "huggingface-moon",
                "x-robots-tag": "none",
            },
        ),
    ],
    ids=["503", "429", "401"],
)
def test_scripted_failures_have_the_recorded_headers(
    asr_server: FakeASRServer, http: httpx.Client, reply: Reply, recorded: dict[str, str]
) -> None:
    """Every header of the recorded failures is there but those of the network between; none tells how long to wait."""
    asr_server.script(reply)
    got = http.post(asr_server.router_url + MODEL)
    assert {name: got.headers.get(name) for name in recorded} == recorded
    assert got.headers["connection"] == "keep-alive"
    assert not [name for name in got.headers if name.startswith(("retry-after", "ratelimit"))]
