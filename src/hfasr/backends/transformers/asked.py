"""What one call asks of a model, and what of it the model cannot give."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hfasr.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hfasr.types import Task, Timestamps, TranscribeOptions

__all__ = ["Asked", "generation_settings", "refusals"]

_OURS = frozenset(
    [
        "attention_mask",
        "encoder_outputs",
        "input_features",
        "input_values",
        "inputs",
        "language",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "output_scores",
        "prompt_ids",
        "return_dict_in_generate",
        "return_segments",
        "return_timestamps",
        "return_token_timestamps",
        "streamer",
        "task",
        "num_return_sequences",
    ]
)
"""What `transcribe` has options of its own for, or reads the answer by."""

_WHISPERS = frozenset(
    [
        "compression_ratio_threshold",
        "condition_on_prev_tokens",
        "logprob_threshold",
        "no_speech_threshold",
        "prompt_condition_type",
    ]
)

_COUNTS = frozenset(
    ["max_new_tokens", "max_length", "num_beams", "top_k", "no_repeat_ngram_size", "min_new_tokens", "min_length"]
)
_FROM_1 = frozenset(["max_new_tokens", "max_length", "num_beams"])
_NUMBERS = frozenset(["top_p", "repetition_penalty", "length_penalty"]) | (
    _WHISPERS - {"condition_on_prev_tokens", "prompt_condition_type"}
)


@dataclass(slots=True)
class Asked:
    """The options of one call, and the warnings that its transcripts will carry."""

    language: str | None = None
    task: Task | None = None
    prompt: str | None = None
    timestamps: Timestamps = False
    generation: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    check: Callable[[], object] = lambda: None
    """Called between batches; raises where nobody waits for the result any more."""
    download: bool = True
    """Whether a file of the asked language may be fetched."""

    @classmethod
    def of(cls, options: TranscribeOptions) -> Asked:
        """Read *options*."""
        asked = cls(
            language=options.get("language"),
            task=options.get("task"),
            prompt=_plain(options.get("prompt")),
            timestamps=options.get("return_timestamps", False),
            generation=dict(options.get("generation_parameters") or {}),
        )
        if options.get("extra_parameters"):
            asked.unused("extra_parameters", "is for servers; use generation_parameters")
        return asked

    def unused(self, name: str, why: str) -> None:
        """Note that the option *name* was not used."""
        self.warnings.append(f"transformers: {name} {why}; it was not used")


def _plain(prompt: str | None) -> str | None:
    # A tokenizer reads <|translate|> as a command, wherever it stands.
    text = re.sub(r"<\|[^|<>]*\|>", " ", prompt or "").strip()
    return text or None


def generation_settings(asked: Asked, known: Mapping[str, Any], *, whisper: bool = False) -> dict[str, Any]:
    """
    Return the settings for ``generate``: greedy, unless *asked* has others.

    Args:
        asked: Gets a warning for each name that is not one.

        known: The names that transformers knows.

        whisper: Whether those that only Whisper has may stand there.

    Raises:
        InvalidOptionError: A value that cannot be.
    """
    settings: dict[str, Any] = {"num_beams": 1}
    for name, value in asked.generation.items():
        if name in _OURS or not (name in known or (whisper and name in _WHISPERS)):
            asked.unused(f"generation_parameters[{name[:40]!r}]", "is not known here")
        else:
            settings[name] = _checked(name, value)
    return settings


def _checked(name: str, value: Any) -> Any:
    if name in _COUNTS:
        least = 1 if name in _FROM_1 else 0
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidOptionError(
                f"generation_parameters: {name} must be a whole number of {least} or more, not {value!r:.60}"
            )
    elif name == "temperature":
        # Whisper tries the temperatures of a list, one after the other.
        several = isinstance(value, list | tuple)
        temperatures = value if several else [value]
        if not temperatures or not all(_is_number(one) and one >= 0 for one in temperatures):
            raise InvalidOptionError(
                f"generation_parameters: temperature must be a number of 0 or more, or several, not {value!r:.60}"
            )
        return tuple(value) if several else value
    elif name in _NUMBERS and not _is_number(value):
        raise InvalidOptionError(f"generation_parameters: {name} must be a number, not {value!r:.60}")
    return value


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and -1e9 < value < 1e9


@contextmanager
def refusals(asked: Asked) -> Iterator[None]:
    """Tell an error of ``generate`` about the caller's own settings as what it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not asked.generation:
            raise
        raise InvalidOptionError(f"generation_parameters were refused: {error}") from error
