"""MMS: one model for a thousand languages, each with an adapter and a vocabulary of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfasr.errors import BackendLoadError

from .languages import three_letters

if TYPE_CHECKING:
    from .asked import Asked
    from .loading import Checkpoint

__all__ = ["Adapters"]

DEFAULT = "eng"


class Adapters:
    """
    Puts the asked language's adapter into the model.

    Does nothing for a model that has one vocabulary.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        self._tokenizer = checkpoint.tokenizer
        self._snapshot = checkpoint.snapshot
        vocabularies = getattr(checkpoint.tokenizer, "vocab", None)
        nested = isinstance(vocabularies, dict) and any(isinstance(value, dict) for value in vocabularies.values())
        self._languages: dict[str, Any] = vocabularies if nested and vocabularies else {}
        self._loaded: str | None = None

    def fetch(self, language: str | None, *, download: bool) -> None:
        """
        Get the adapter's file ahead.

        Raises:
            BackendLoadError: It cannot be had.
        """
        if self._languages:
            self._file((language and self._find(language)) or self._default(), download=download)

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
        wanted = self._find(asked.language) if asked.language else self._default()
        if wanted is None:
            asked.unused(f"language={asked.language!r:.40}", "is none of this model's")
            wanted = self._default()
        if wanted != self._loaded:
            self._load(wanted)
        return wanted

    def _default(self) -> str:
        chosen = getattr(self._tokenizer, "target_lang", None)
        return self._loaded or chosen or (DEFAULT if DEFAULT in self._languages else next(iter(self._languages)))

    def _find(self, language: str) -> str | None:
        for code in (language, language.lower(), three_letters(language)):
            if code in self._languages:
                return code
        # Some stand there with their script, such as "cmn-script_simplified".
        code = three_letters(language)
        return next((name for name in self._languages if code and name.startswith(f"{code}-")), None)

    def _load(self, language: str) -> None:
        self._file(language, download=True)
        try:
            self._tokenizer.set_target_lang(language)
            self._model.load_adapter(language, local_files_only=True, force_load=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            self._loaded = None
            raise _unusable(language, error) from error
        self._loaded = language

    def _file(self, language: str, *, download: bool) -> None:
        try:
            self._snapshot.fetch(f"adapter.{language}.safetensors", download=download)
        except FileNotFoundError as error:
            raise _unusable(language, error) from error


def _unusable(language: str, error: Exception) -> BackendLoadError:
    return BackendLoadError(
        f"the adapter for language {language!r} could not be loaded: {type(error).__name__}: {error}; choose another "
        "language or model"
    )
