"""Real recordings through a Whisper of random weights: no words to expect, but everything else holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from hfasr import ASRClient, Segment, Word
from tests import tiny

TinyModel = Callable[..., Path]

FILES = {"jfk.flac": 11.0, "sample1.mp3": None, "sample1.webm": None, "spk1_snt1.wav": None}


@pytest.mark.shared
@pytest.mark.parametrize("timestamps", [False, True, "word"])
@pytest.mark.parametrize("name", FILES)
def test_shape(name: str, timestamps: bool | Literal["word"], tiny_model: TinyModel, shared: Path) -> None:
    """The duration is the file's, and every time lies in it, the first before the last."""
    with ASRClient(str(tiny_model(tiny.tiny_whisper)), backend="transformers", local_only=True) as asr:
        transcript = asr.transcribe(
            shared / "audio" / name, return_timestamps=timestamps, generation_parameters={"max_new_tokens": 24}
        )
    duration = transcript.duration
    assert duration is not None
    assert duration == pytest.approx(FILES[name] or duration, abs=0.01)
    assert transcript.text
    assert "<|" not in transcript.text
    assert transcript.language in {"en", "fr", "de"}
    assert bool(transcript.segments) is bool(timestamps)
    assert bool(transcript.words) is (timestamps == "word")
    spans: tuple[Segment | Word, ...] = (*transcript.segments, *transcript.words)
    for span in spans:
        assert 0 <= span.start <= (span.end or 0) <= duration
    assert all(0 <= (word.confidence or 0) <= 1 for word in transcript.words)
    provenance = transcript.provenance
    assert provenance is not None
    assert (provenance.backend, provenance.uploaded_bytes, len(provenance.attempts)) == ("transformers", None, 1)
    assert 0 < provenance.attempts[0].loading <= provenance.attempts[0].duration
