"""Speech with long silences, in chunks that overlap: no word is lost, whatever times were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hfasr import Audio, Chunking
from hfasr.testing import FakeASRServer, ToneSpeech

if TYPE_CHECKING:
    from hfasr.types import Timestamps
    from tests.colours import Session

WORDS = ["red", "boat", "green", "river", "apple", "leaf"]


@pytest.mark.parametrize("timestamps", [False, True, "word"])
@pytest.mark.parametrize("begins", [0.1, 1.0, 4.7])
def test_a_word_in_five_seconds(
    session: Callable[..., Session], asr_server: FakeASRServer, timestamps: Timestamps, begins: float
) -> None:
    """Of one word in five seconds all are there once, with and without times, and no seam is in doubt."""
    asr = session(router_url=asr_server.router_url, chunking=Chunking(chunk_length_s=6, split="none"))
    places = [(begins + 5.0 * i, word) for i, word in enumerate(WORDS)]
    spoken = ToneSpeech().say_at(places, duration=places[-1][0] + 2.0)
    transcript = asr.transcribe(Audio(spoken, 16_000), return_timestamps=timestamps)
    assert transcript.text.split() == WORDS
    assert transcript.warnings == ()
    if timestamps == "word":
        assert [word.start for word in transcript.words] == pytest.approx([at for at, _ in places], abs=0.01)
