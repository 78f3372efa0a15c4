"""Whisper and distil-Whisper: windows of 30 s, and long files the way the paper has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .asked import generation_settings, refusals
from .family import Family
from .languages import two_letters
from .limits import max_new_tokens
from .whisper_answer import Reader
from .whisper_model import EncoderMemory, complete_settings, keep_little, take_chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from hfasr.types import Transcript

    from .asked import Asked
    from .batches import Batches
    from .loading import Checkpoint

__all__ = ["WINDOW_S", "Whisper"]

WINDOW_S = 30.0
"""Every clip is padded to this; longer ones are gone through window by window."""

_N_START_TOKENS = 4  # start, language, task, no times


class Whisper(Family):
    """
    A loaded model, greedy unless asked otherwise.

    Source:
        Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022; section 3.8
        for long files.
    """

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        super().__init__(checkpoint, batches)
        complete_settings(self._model, self._tokenizer)
        language, task = take_chosen(self._model)
        keep_little(self._model)
        self._memory = EncoderMemory(self._model)
        settings = self._model.generation_config
        self._languages: dict[str, int] = {
            name.strip("<|>"): number for name, number in (getattr(settings, "lang_to_id", None) or {}).items()
        }
        self._usual_language = (language and self._find_language(language)) or (None if self._languages else "en")
        self._usual_task = task  # `None`: as in the pipeline, the model is not told
        self._reader = Reader(self._tokenizer, first_time=settings.no_timestamps_token_id + 1)

    def transcribe(self, waveforms: Sequence[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        """Transcribe *waveforms*, each of shape ``(n_samples,)``, float32."""
        settings = generation_settings(asked, vars(self._model.generation_config), whisper=True)
        settings |= self._start(asked)
        language = self._language(asked)
        results: dict[int, Transcript] = {}
        for long in (False, True):  # one long clip would make its whole batch long
            numbers = [n for n, clip in enumerate(waveforms) if (len(clip) > self._features.n_samples) is long]
            clips = [waveforms[n] for n in numbers]
            hear = partial(self._hear, clips, settings=settings, language=language, asked=asked, long=long)
            heard = self._batches.run([len(clip) / self._rate for clip in clips], hear, asked.check)
            results.update(zip(numbers, heard, strict=True))
        return [results[n] for n in range(len(waveforms))]

    def _start(self, asked: Asked) -> dict[str, Any]:
        """Return the settings for what stands before the text."""
        start: dict[str, Any] = {}
        task = asked.task or self._usual_task
        if self._languages and task:
            start["task"] = task
        elif asked.task == "translate":
            asked.unused("task='translate'", "is beyond this model, which knows English only")
        if asked.prompt:
            ids = self._tokenizer(f" {asked.prompt}", add_special_tokens=False)["input_ids"]
            previous = self._model.generation_config.prev_sot_token_id
            room = self._model.config.max_target_positions // 2 - 1
            start["prompt_ids"] = torch.tensor([previous, *ids[-room + 1 :]], device=self._device)
        return start

    def _language(self, asked: Asked) -> str | None:
        if asked.language is None:
            return self._usual_language
        found = self._find_language(asked.language)
        if found is None:
            asked.unused(f"language={asked.language!r:.40}", "is none of this model's")
        return found or self._usual_language

    def _find_language(self, wanted: str) -> str | None:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        wanted = wanted.strip("<|>").lower()
        code = two_letters(wanted)
        as_whisper_has_it = {"jv": "jw", "nb": "no", "fil": "tl"}
        names = (wanted, TO_LANGUAGE_CODE.get(wanted), code, as_whisper_has_it.get(code))
        return next((name for name in names if name in (self._languages or {"en": 0})), None)

    def _hear(
        self,
        clips: Sequence[npt.NDArray[np.float32]],
        batch: list[int],
        *,
        settings: dict[str, Any],
        language: str | None,
        asked: Asked,
        long: bool,
    ) -> list[Transcript]:
        sounds = [clips[number] for number in batch]
        durations = [len(sound) / self._rate for sound in sounds]
        with torch.inference_mode():
            try:
                inputs = self._inputs(sounds, long=long)
                languages = [language] * len(batch) if language else self._heard_languages(inputs["input_features"])
                limited = self._limited(settings, min(durations[0], WINDOW_S))
                with refusals(asked):
                    answer = self._generate(inputs, limited, language, asked, long=long)
            finally:
                self._memory.forget()
        read = partial(self._reader.transcript, answer, timestamps=asked.timestamps, limit=limited["max_new_tokens"])
        return [
            read(row, duration=duration, language=language)
            for row, (duration, language) in enumerate(zip(durations, languages, strict=True))
        ]

    def _inputs(self, sounds: list[npt.NDArray[np.float32]], *, long: bool) -> dict[str, Any]:
        how: dict[str, Any] = {"truncation": False, "padding": "longest"} if long else {}
        if self._device.type == "cuda":
            how["device"] = str(self._device)  # a third of the time that the processor takes
        features = self._features(
            sounds, sampling_rate=self._rate, return_tensors="pt", return_attention_mask=True, **how
        )
        return {
            "input_features": features["input_features"].to(self._device, self._dtype),
            "attention_mask": features["attention_mask"].to(self._device),
        }

    def _heard_languages(self, features: torch.Tensor) -> list[str]:
        """Return the languages that ``generate`` will find."""
        names = {number: name for name, number in self._languages.items()}
        return [names[int(number)] for number in self._model.detect_language(features)]

    def _limited(self, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
        prompt = settings.get("prompt_ids")
        room = self._model.config.max_target_positions - _N_START_TOKENS - (0 if prompt is None else len(prompt))
        if settings.get("condition_on_prev_tokens"):
            room = self._model.config.max_target_positions // 2 - _N_START_TOKENS
        wanted = settings.get("max_new_tokens") or settings.get("max_length") or max_new_tokens(seconds)
        return {**settings, "max_new_tokens": min(wanted, room)}

    def _generate(
        self, inputs: dict[str, Any], settings: dict[str, Any], language: str | None, asked: Asked, *, long: bool
    ) -> Any:
        how: dict[str, Any] = {"return_timestamps": bool(asked.timestamps) or long}
        how["return_segments"] = how["return_timestamps"]
        if asked.timestamps == "word":
            how["return_token_timestamps"] = True
        if self._languages and language:
            how["language"] = language
        return self._model.generate(
            **inputs, **{name: v for name, v in settings.items() if name != "max_length"}, **how
        )
