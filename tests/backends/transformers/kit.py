"""Sounds, engines, and the library's own pipeline to compare with."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from hfasr import Audio, Transcript
from hfasr.backends.transformers import Transformers
from tests.tones import random_sentence, tone_audio

if TYPE_CHECKING:
    from hfasr.types import TranscribeOptions

RATE = 16_000
FRAME_S = 0.02

Samples = npt.NDArray[np.float32]


@functools.cache
def sound(seconds: float, *, seed: int = 0) -> Samples:
    """Return tones of exactly this length, with pauses, the same for the same *seed*; not to be written to."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * RATE:
        parts += [tone_audio(random_sentence(rng), seed=int(rng.integers(1 << 30))), np.zeros(RATE // 4, np.float32)]
    samples: Samples = np.concatenate(parts)[: round(seconds * RATE)]
    samples.flags.writeable = False
    return samples


def engine(folder: Path, **options: Any) -> Transformers:
    """Make an engine on the CPU; in float32, so that it hears the same on every processor and in every batch."""
    return Transformers(str(folder), **{"device": "cpu", "dtype": "float32", **options})


def hear(model: Transformers, *waveforms: Samples, rate: int = RATE, **options: Any) -> list[Transcript]:
    """Let *model* transcribe all *waveforms* in one call; a number of tokens may be given as ``tokens``."""
    tokens = options.pop("tokens", None)
    if tokens is not None:
        options["generation_parameters"] = {"max_new_tokens": tokens, **options.get("generation_parameters", {})}
    return model.transcribe([Audio(waveform, rate) for waveform in waveforms], cast("TranscribeOptions", options))


class Pipeline:
    """``transformers.pipeline``, greedy, without its advice."""

    def __init__(self, folder: Path, *, tokens: int | None = None) -> None:
        from transformers import pipeline

        self._generate = {} if tokens is None else {"num_beams": 1, "max_new_tokens": tokens}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._pipeline = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
        self.model, self.tokenizer = self._pipeline.model, self._pipeline.tokenizer

    def __call__(self, waveform: Samples, *, generate: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        """Return what it says to one clip."""
        chosen = {**self._generate, **(generate or {})}
        if chosen:
            settings["generate_kwargs"] = chosen
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer: dict[str, Any] = self._pipeline({"array": waveform.copy(), "sampling_rate": RATE}, **settings)
        return answer

    def features(self, waveform: Samples, **settings: Any) -> Any:
        """Return what its model takes."""
        return self._pipeline.feature_extractor(waveform, sampling_rate=RATE, return_tensors="pt", **settings)

    def text(self, waveform: Samples, **settings: Any) -> str:
        """Return the text, without the special tokens that the pipeline leaves in, as single spaces have it."""
        text: str = self(waveform, **settings)["text"]
        for token in self.tokenizer.all_special_tokens:
            if token != getattr(self.tokenizer, "word_delimiter_token", None):
                text = text.replace(token, "")
        return text.strip()

    def words(self, waveform: Samples, **settings: Any) -> list[tuple[str, float, float]]:
        """Return the words with their times, seconds."""
        chunks = self(waveform, return_timestamps="word", **settings)["chunks"]
        return [(chunk["text"].strip(), *chunk["timestamp"]) for chunk in chunks]


def words(transcript: Transcript) -> list[tuple[str, float, float | None]]:
    """Return the words of *transcript* with their times, seconds."""
    return [(word.word, word.start, word.end) for word in transcript.words]


def texts(transcripts: Sequence[Transcript]) -> list[str]:
    """Return the texts of *transcripts*."""
    return [transcript.text for transcript in transcripts]
