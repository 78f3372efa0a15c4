from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfasr.testing import (
    FakeASRServer,
)

if TYPE_CHECKING:
    import httpx

FLAC = {"content-type": "audio/flac"}


@pytest.mark.parametrize(
    ("speaks", "served"),
    [
        ("hf-inference", {"/hf-inference/models/a/b"}),
        ("toolkit", {"/", "/predict"}),
        ("openai", {"/v1/audio/transcriptions", "/v1/audio/translations"}),
        (("toolkit", "openai"), {"/", "/predict", "/v1/audio/transcriptions", "/v1/audio/translations"}),
    ],
)
def test_it_speaks_only_what_it_was_told_to(http: httpx.Client, speaks: Any, served: set[str]) -> None:
    """The other dialects' paths are 404 with a plain text, which is how a client tells servers apart."""
    paths = ("/hf-inference/models/a/b", "/", "/predict", "/v1/audio/transcriptions", "/v1/audio/translations")
    with FakeASRServer(speaks=speaks) as server:
        for path in paths:
            reply = http.post(f"{server.url}{path}", content=b"junk")
            assert (reply.status_code != 404) == (path in served)
            if path not in served:
                assert (reply.text, reply.headers["content-type"]) == ("Not Found", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/health", 404),
        ("GET", "/predict", 405),
        ("GET", "/hf-inference/models/a/b", 405),
        ("GET", "/v1/audio/transcriptions", 405),
        ("OPTIONS", "/v1/audio/transcriptions", 405),
    ],
)
def test_other_methods_and_paths(
    asr_server: FakeASRServer, http: httpx.Client, method: str, path: str, status: int
) -> None:
    """What no endpoint takes is 404 or 405; health and model lists are there."""
    assert http.request(method, f"{asr_server.url}{path}").status_code == status
