"""MMS: one model for a thousand languages, each with an adapter and a vocabulary of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hfasr.errors import BackendLoadError

from .failures import first_line
from .languages import three_letters

if TYPE_CHECKING:
    from pathlib import Path

    from .asked import Asked
    from .loading import Checkpoint

__all__ = ["Adapters"]

DEFAULT = "eng"


class Adapters:
    """
    Puts the asked language's adapter into the model.

    Does nothing for a model that has one vocabulary.

    Source:
        Pratap et al., Scaling Speech Technology to 1,000+ Languages, 2023: layers after each block's
        feed-forward one, and a head, for each language.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        self._tokenizer = checkpoint.tokenizer
        self._snapshot = checkpoint.snapshot
        vocabularies = getattr(checkpoint.tokenizer, "vocab", None)
        nested = isinstance(vocabularies, dict) and any(isinstance(value, dict) for value in vocabularies.values())
        self._languages: dict[str, Any] = vocabularies if nested and vocabularies else {}
        self._own = ""
        self._own_weights: dict[str, torch.Tensor] = {}
        if self._languages:
            chosen: str | None = getattr(self._tokenizer, "target_lang", None)
            self._own = chosen or (DEFAULT if DEFAULT in self._languages else next(iter(self._languages)))
            if chosen is None:
                self._tokenizer.set_target_lang(self._own)
            # A fine-tuned model may have its language's weights in the model, and in no other file.
            self._own_weights = {name: weight.detach().clone() for name, weight in self._held().items()}
        self._loaded: str | None = self._own

    def fetch(self, language: str | None, *, download: bool) -> None:
        """
        Get the adapter's file ahead.

        Raises:
            BackendLoadError: It cannot be had.
        """
        wanted = language and self._find(language)
        if wanted and wanted != self._own:
            self._file(wanted, download=download)

    def use(self, asked: Asked) -> str | None:
        """
        Load what *asked* needs, and return the language, as the model calls it.

        Raises:
            BackendLoadError: The adapter cannot be had.
        """
        if not self._languages:
            if asked.language:
                asked.unused(
                    f"language={asked.language!r:.40}", "is beyond this model, which knows what it was trained on"
                )
            return None
        wanted = self._find(asked.language) if asked.language else self._own
        if wanted is None:
            asked.unused(f"language={asked.language!r:.40}", "is none of this model's")
            wanted = self._own
        if wanted != self._loaded:
            self._load(wanted, download=asked.download)
        return wanted

    def _find(self, language: str) -> str | None:
        for code in (language, language.lower(), three_letters(language)):
            if code in self._languages:
                return code
        # Some stand there with their script, such as "cmn-script_simplified".
        code = three_letters(language)
        return next((name for name in self._languages if code and name.startswith(f"{code}-")), None)

    def _load(self, language: str, *, download: bool) -> None:
        if language == self._own:
            weights = self._own_weights
        else:
            weights = self._read(self._file(language, download=download), language)
        self._loaded = None  # where it breaks off, nobody knows what is in the model
        try:
            self._put(weights)
        except (ValueError, RuntimeError) as error:
            raise _unusable(language, first_line(error)) from error
        self._tokenizer.set_target_lang(language)
        self._loaded = language

    def _file(self, language: str, *, download: bool) -> Path:
        try:
            return self._snapshot.fetch(f"adapter.{language}.safetensors", download=download)
        except FileNotFoundError as error:
            raise _unusable(language, str(error)) from error

    def _read(self, file: Path, language: str) -> dict[str, torch.Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            weights: dict[str, torch.Tensor] = load_file(file)
        except (OSError, SafetensorError) as error:
            raise _unusable(language, f"{file.name} is damaged ({first_line(error)})") from error
        return weights

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        if weights.keys() != self._own_weights.keys():
            raise ValueError("its weights are those of another model")
        n_tokens, size = weights["lm_head.weight"].shape
        head = self._model.lm_head
        if n_tokens != head.out_features:  # each language has as many letters as it has
            self._model.lm_head = torch.nn.Linear(size, n_tokens, device=head.weight.device, dtype=head.weight.dtype)
            self._model.config.vocab_size = n_tokens
        with torch.no_grad():
            for name, weight in self._held().items():
                weight.copy_(weights[name])

    def _held(self) -> dict[str, torch.Tensor]:
        """Return the weights in the model that each language has its own of."""
        held: dict[str, torch.Tensor] = self._model._get_adapters()  # noqa: SLF001  # no public name
        return held


def _unusable(language: str, why: str) -> BackendLoadError:
    return BackendLoadError(
        f"the adapter for language {language!r} could not be loaded: {why:.300}; choose another language or model"
    )
