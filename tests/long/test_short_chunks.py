"""Chunks that are shorter than any server asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hfasr import Audio, Chunking
from hfasr.testing import FakeASRServer, ToneSpeech

if TYPE_CHECKING:
    from tests.colours import Session

TEXT = " ".join(["red boat green apple"] * 5)  # 6 s


@pytest.mark.parametrize("chunk_length_s", [1.0, 2.5, 4.99])
def test_chunks_are_as_short_as_was_asked_for(
    session: Callable[..., Session], asr_server: FakeASRServer, chunk_length_s: float
) -> None:
    """``chunk_length_s`` from 1 s on is taken at its word."""
    asr = session(router_url=asr_server.router_url, chunking=Chunking(chunk_length_s=chunk_length_s))
    transcript = asr.transcribe(Audio(ToneSpeech().say(TEXT), 16_000), return_timestamps=True)
    assert transcript.text == TEXT
    assert transcript.provenance is not None
    assert transcript.provenance.chunks >= 6.0 / chunk_length_s
