"""The fake server, compared with Hugging Face's own request parsing (``api-inference-community``)."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from hfasr.testing import FakeASRServer, ToneSpeech
from tests.servers import aic_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Encode

MODEL = "/hf-inference/models/facebook/wav2vec2-base-960h"


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with aic_server(ToneSpeech().hear) as url:
        yield url


@pytest.fixture
def fake() -> Iterator[str]:
    with FakeASRServer(model_kind="ctc") as server:
        yield server.router_url + MODEL


def post(url: str, body: bytes, content_type: str = "audio/flac") -> httpx.Response:
    return httpx.post(url, content=body, headers={"content-type": content_type}, trust_env=False, timeout=20.0)


@pytest.mark.parametrize(
    "form",
    [("FLAC", "PCM_16", 44_100, 2), ("WAV", "PCM_U8", 8_000, 1), ("MP3", "MPEG_LAYER_III", 48_000, 1)],
)
def test_both_hear_the_same(real: str, fake: str, encode: Encode, form: tuple[str, str, int, int]) -> None:
    """Status, body and the x-compute headers of a raw upload agree, whoever decodes it."""
    body = encode("red boat sun", *form)
    theirs, ours = post(real, body), post(fake, body)
    assert theirs.status_code == ours.status_code == 200
    assert theirs.json() == ours.json() == {"text": "red boat sun"}
    for name in ("content-type", "server", "x-compute-type", "access-control-expose-headers"):
        assert theirs.headers[name] == ours.headers[name]
    assert {name for name in theirs.headers if name.startswith("x-compute")} == {
        name for name in ours.headers if name.startswith("x-compute")
    }
    lengths = [float(reply.headers["x-compute-audio-length"]) for reply in (theirs, ours)]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.1)
    assert float(theirs.headers["x-compute-time"]) > 0


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"fLaC" + bytes(50)])
def test_both_refuse_what_is_not_audio(real: str, fake: str, body: bytes) -> None:
    """Malformed audio is a 400 whose JSON has one string, the error; its text names the sound file."""
    for reply in (post(real, body), post(fake, body)):
        assert reply.status_code == 400
        assert set(reply.json()) == {"error"}
        assert "malformed" in reply.json()["error"].lower()
        assert "soundfile" in reply.json()["error"].lower()


def test_both_refuse_json(real: str, fake: str) -> None:
    """Neither takes base64."""
    for url in (real, fake):
        assert post(url, b'{"inputs": "AAAA"}', "application/json").status_code == 400


def test_the_real_server_leaves_no_trace(encode: Encode) -> None:
    """Its thread, its environment and its log handlers are gone when it stops."""
    before = dict(os.environ), threading.active_count(), list(logging.getLogger().handlers)
    with aic_server(ToneSpeech().hear) as url:
        assert post(url, encode("moon")).json() == {"text": "moon"}
        assert httpx.get(f"{url}/health", trust_env=False).json() == {"ok": "ok"}
    assert (dict(os.environ), threading.active_count(), list(logging.getLogger().handlers)) == before
    with pytest.raises(httpx.ConnectError):
        post(url, b"")
