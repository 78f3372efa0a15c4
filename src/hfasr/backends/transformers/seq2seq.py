"""Encoder and decoder without times: Speech2Text, Moonshine and others that ``generate`` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hfasr.types import Transcript

from .asked import generation_settings, refusals
from .family import Family
from .languages import two_letters
from .limits import cut_warning, max_new_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .asked import Asked
    from .batches import Batches
    from .loading import Checkpoint

__all__ = ["Seq2Seq"]

MAX_DURATION_S = 30.0
"""What such models were trained on at most; beyond it they leave out and repeat."""

_TOGETHER = frozenset({"moonshine", "speech_to_text"})
"""Types whose decoder takes the encoder's output of several clips with a mask; others go one by one."""


class Seq2Seq(Family):
    """A loaded model, greedy unless asked otherwise."""

    max_duration_s = MAX_DURATION_S

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        super().__init__(checkpoint, batches)
        self._together = self._model.config.model_type in _TOGETHER
        self._codes: dict[str, int] = getattr(self._tokenizer, "lang_code_to_id", None) or {}

    def transcribe(self, waveforms: Sequence[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        """Transcribe *waveforms*, each of shape ``(n_samples,)``, float32."""
        settings = generation_settings(asked, vars(self._model.generation_config))
        settings |= self._start(asked)
        return self._batches.run(
            [len(waveform) / self._rate for waveform in waveforms],
            lambda batch: self._hear([waveforms[number] for number in batch], settings, asked),
            asked.check,
        )

    def _start(self, asked: Asked) -> dict[str, Any]:
        for name, value in (("prompt", asked.prompt), ("task='translate'", asked.task == "translate")):
            if value:
                asked.unused(name, "is beyond this model")
        if asked.timestamps:
            asked.unused(f"return_timestamps={asked.timestamps!r}", "is beyond this model, which gives no times")
        if asked.language is None:
            return {}
        code = two_letters(asked.language)
        if code not in self._codes:
            asked.unused(f"language={asked.language!r:.40}", "is beyond this model, which knows what it was trained on")
            return {}
        return {"forced_bos_token_id": self._codes[code]}

    def _hear(self, clips: list[npt.NDArray[np.float32]], settings: dict[str, Any], asked: Asked) -> list[Transcript]:
        if not self._together and len(clips) > 1:
            return [transcript for clip in clips for transcript in self._hear([clip], settings, asked)]
        durations = [len(clip) / self._rate for clip in clips]
        wanted = settings.get("max_new_tokens") or settings.get("max_length") or self._limit(durations[0])
        limited = {**settings, "max_new_tokens": wanted}
        limited.pop("max_length", None)
        with torch.inference_mode():
            inputs = self._inputs(clips)
            with refusals(asked):
                sequences = self._model.generate(**inputs, **limited)
        return [
            Transcript(self._text(tokens), duration=duration, warnings=self._warnings(tokens, wanted))
            for tokens, duration in zip(sequences.tolist(), durations, strict=True)
        ]

    def _limit(self, seconds: float) -> int:
        config = self._model.config
        positions: int = getattr(config, "max_target_positions", getattr(config, "max_position_embeddings", 512))
        return min(max_new_tokens(seconds), positions - 2)  # the first token, and one that may be forced

    def _inputs(self, clips: list[npt.NDArray[np.float32]]) -> dict[str, Any]:
        alone = [self._input(clip) for clip in clips]
        if len(alone) == 1:
            return alone[0]
        # The encoder hears each clip alone: Moonshine's norm over time would count the padding as sound.
        encoder = self._model.get_encoder()
        heard = [encoder(**inputs) for inputs in alone]
        states = _padded([output.last_hidden_state[0] for output in heard])
        masks = _padded(
            [torch.ones(inputs[self._model.main_input_name].shape[1], dtype=torch.long) for inputs in alone]
        )
        output = type(heard[0])(last_hidden_state=states)
        if getattr(heard[0], "attention_mask", None) is not None:
            output.attention_mask = _padded([one.attention_mask[0] for one in heard])
        return {"encoder_outputs": output, "attention_mask": masks.to(self._device)}

    def _input(self, clip: npt.NDArray[np.float32]) -> dict[str, Any]:
        features = self._features(np.ascontiguousarray(clip), sampling_rate=self._rate, return_tensors="pt")
        return self._placed(features)

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    def _warnings(self, tokens: list[int], limit: int) -> tuple[str, ...]:
        ended = {self._model.generation_config.pad_token_id, self._tokenizer.eos_token_id}
        return cut_warning(limit) if len(tokens) > limit and tokens[-1] not in ended else ()


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
