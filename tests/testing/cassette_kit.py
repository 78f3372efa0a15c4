"""What tests of cassettes share."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hfasr import (
    ASRClient,
    Audio,
    HfasrError,
    Transcript,
)
from hfasr.testing import (
    ToneSpeech,
)
from tests.colours import Session

Make = Callable[..., Session]


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Let every socket fail, in any thread, however it would be opened."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, refuse)
        for name in ("getaddrinfo", "create_connection"):
            patch.setattr(socket, name, refuse)
        yield


def clip(words: str = "red boat") -> Audio:
    return Audio(ToneSpeech().say(words), 16_000)


def comparable(transcript: Transcript) -> dict[str, Any]:
    """Return what does not depend on the day."""
    told = transcript.to_dict()
    for attempt in told["provenance"]["attempts"]:
        for name in ("started", "duration", "waited", "request_id"):
            del attempt[name]
    return told


def entries(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["recordings"]  # type: ignore[no-any-return]  # JSON


def long_clip(n_words: int = 6) -> Audio:
    words = ["red", "boat", "green", "river", "apple", "leaf"][:n_words]
    speech = ToneSpeech().say_at([(i * 5.0 + 1.0, word) for i, word in enumerate(words)], duration=n_words * 5.0)
    return Audio(speech, 16_000)


def failure(asr: ASRClient, match: str | None = None) -> HfasrError:
    """Return what a call of *asr* raises."""
    with pytest.raises(HfasrError, match=match) as caught:
        asr.transcribe(clip())
    return caught.value
