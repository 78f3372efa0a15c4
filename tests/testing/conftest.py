from __future__ import annotations

import base64
import io
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest

from hfasr.testing import FakeASRServer, ToneSpeech

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Encode(Protocol):
    def __call__(
        self,
        text: str,
        container: str = "FLAC",
        subtype: str | None = None,
        sampling_rate: int = 16_000,
        channels: int = 1,
    ) -> bytes: ...


@pytest.fixture
def encode() -> Encode:
    """Words as tones in an audio file."""
    import numpy as np
    import soundfile

    def encode(
        text: str,
        container: str = "FLAC",
        subtype: str | None = None,
        sampling_rate: int = 16_000,
        channels: int = 1,
    ) -> bytes:
        file = io.BytesIO()
        waveform = ToneSpeech().say(text, sampling_rate=sampling_rate)
        soundfile.write(file, np.stack([waveform] * channels, axis=1), sampling_rate, format=container, subtype=subtype)
        return file.getvalue()

    return encode


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where a cassette is kept."""
    return tmp_path / "cassettes" / "one.json"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that no proxy of the machine comes between."""
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        yield client


@pytest.fixture
def clip(encode: Encode) -> bytes:
    """Two words as FLAC."""
    return encode("red boat")


def threads_of_servers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("FakeASRServer")]


def wait_for(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within 5 seconds."""
    until = time.monotonic() + 5.0
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def connect(server: FakeASRServer) -> socket.socket:
    url = httpx.URL(server.url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=5.0)


def in_json(audio: bytes, **extra: Any) -> dict[str, Any]:
    return {"inputs": base64.b64encode(audio).decode(), **extra}
