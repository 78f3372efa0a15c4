"""Transducers: Parakeet-TDT and Parakeet-RNNT."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from hfasr.grouping import segments_of
from hfasr.types import Transcript

from .family import Family
from .limits import cut_warning
from .whisper_words import TimedToken, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from .asked import Asked
    from .batches import Batches
    from .loading import Checkpoint

__all__ = ["Transducer"]

MAX_DURATION_S = 300.0
"""The encoder's attention grows with the square of the length: 4 GB for an hour's quarter, on any device."""


MAX_TOKENS_PER_FRAME = 10
"""As transformers has it, against a model that never leaves a frame."""


class Transducer(Family):
    """
    A loaded model, greedy.

    Source:
        Xu et al., Efficient Sequence Transduction by Jointly Predicting Tokens and Durations, ICML 2023.
    """

    max_duration_s = MAX_DURATION_S

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        super().__init__(checkpoint, batches)
        factor = checkpoint.model.config.encoder_config.subsampling_factor
        self._seconds_per_frame: float = checkpoint.feature_extractor.hop_length * factor / checkpoint.sampling_rate
        # Lengths of steps stand behind the tokens in the same output, where generate would take one for a token.
        n_tokens, n_steps = checkpoint.model.config.vocab_size, len(getattr(checkpoint.model.config, "durations", ()))
        self._steps = list(range(n_tokens, n_tokens + n_steps))
        self._spans = getattr(checkpoint.processor, "_decoder_type", "tdt") == "tdt"
        self._special = frozenset(self._tokenizer.all_special_ids) | {
            self._tokenizer.pad_token_id, getattr(checkpoint.model.config, "blank_token_id", -1)
        }  # fmt: skip

    def transcribe(self, waveforms: Sequence[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        """Transcribe *waveforms*, each of shape ``(n_samples,)``, float32."""
        for name, value in (("prompt", asked.prompt), ("task='translate'", asked.task == "translate")):
            if value:
                asked.unused(name, "is beyond a transducer")
        if asked.language:
            asked.unused(f"language={asked.language!r:.40}", "is beyond this model, which finds out")
        for name in asked.generation:
            asked.unused(f"generation_parameters[{name[:40]!r}]", "is beyond a transducer, which is greedy here")
        return self._batches.run(
            [len(waveform) / self._rate for waveform in waveforms],
            lambda batch: self._hear([waveforms[number] for number in batch], asked),
            asked.check,
        )

    def _hear(self, clips: list[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        features = self._features(
            clips, sampling_rate=self._rate, return_tensors="pt", padding=True, return_attention_mask=True
        )
        inputs = self._placed(features)
        with torch.inference_mode():
            n_frames = self._model._get_output_attention_mask(inputs["attention_mask"]).sum(-1).tolist()  # noqa: SLF001  # no public name
            answer = self._model.generate(
                **inputs,
                max_new_tokens=self._limit(max(n_frames)),
                suppress_tokens=self._steps or None,
                return_dict_in_generate=True,
            )
        rows = zip(clips, n_frames, answer.sequences.tolist(), answer.durations.tolist(), strict=True)
        return [self._transcript(len(clip) / self._rate, *row, asked=asked) for clip, *row in rows]

    def _limit(self, n_frames: int) -> int:
        per_frame: int = getattr(self._model.config, "max_symbols_per_step", MAX_TOKENS_PER_FRAME)
        return n_frames * per_frame - 1  # the token to begin with counts

    def _transcript(
        self, duration: float, n_frames: int, tokens: list[int], steps: list[int], *, asked: Asked
    ) -> Transcript:
        timed = []
        frame = 0
        limit = self._limit(n_frames)
        # A clip in a batch is told to go on until the longest one ends.
        for token, step in itertools.islice(zip(tokens, steps, strict=True), limit + 1):
            if frame >= n_frames:
                break
            if token not in self._special:
                # The transducer without durations says only when a token came.
                end = frame + (step if self._spans else 1)
                timed.append(TimedToken(token, frame * self._seconds_per_frame, end * self._seconds_per_frame, None))
            frame += step
        text = self._decode([token.id for token in timed]).strip()
        words = words_of(timed, self._decode_word) if asked.timestamps else []
        segments = segments_of(words, asked.timestamps)
        return Transcript(text, segments, duration=duration, warnings=cut_warning(limit) if frame < n_frames else ())

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, group_tokens=False, skip_special_tokens=True)
        return text

    def _decode_word(self, tokens: list[int]) -> str:
        # SentencePiece leaves out the space before the first word of a text.
        first = str(self._tokenizer.convert_ids_to_tokens(tokens[0]))
        return (" " if first.startswith("▁") else "") + self._decode(tokens).strip(" ")
