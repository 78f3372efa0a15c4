"""What is done to a loaded Whisper so that ``generate`` neither works twice nor keeps what nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EncoderMemory", "complete_settings", "keep_little", "take_chosen"]


class EncoderMemory:
    """
    Lets the encoder remember its last input and output.

    ``generate`` encodes the first window twice, once to detect the language and once to transcribe;
    on a CPU that is most of its work. Word times make it compute attention the slow way, which the
    encoder's are not needed for.
    """

    def __init__(self, model: Any) -> None:
        self._config = model.config
        self._encode = model.get_encoder().forward
        self._attention = model.config._attn_implementation  # noqa: SLF001  # no public name
        self._input: torch.Tensor | None = None
        self._output: torch.Tensor | None = None
        model.get_encoder().forward = self._encode_once

    def forget(self) -> None:
        """Free what was kept, and undo what ``generate`` has set for word times."""
        self._input = self._output = None
        self._config._attn_implementation = self._attention  # noqa: SLF001  # no public name

    def _encode_once(self, input_features: torch.Tensor, *_: Any, **__: Any) -> Any:
        known = self._input
        same = known is not None and known.shape == input_features.shape and torch.equal(known, input_features)
        if not same:
            asked = self._config._attn_implementation  # noqa: SLF001  # no public name
            self._config._attn_implementation = self._attention  # noqa: SLF001  # no public name
            try:
                self._output = self._encode(input_features).last_hidden_state
            finally:
                self._config._attn_implementation = asked  # noqa: SLF001  # no public name
            self._input = input_features
        return BaseModelOutput(last_hidden_state=self._output)


def complete_settings(model: Any, tokenizer: Any) -> None:
    """
    Fill in what the generation settings of older and of fine-tuned checkpoints lack.

    Without the numbers of its languages and tasks ``generate`` refuses to be told any; without
    alignment heads it gives no word times. OpenAI's own program then takes all heads of the upper
    half of the decoder (``whisper/model.py``).
    """
    settings, config = model.generation_config, model.config

    def number(name: str) -> int | None:
        known = tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        return None if known is None or known == tokenizer.unk_token_id else int(known)

    for name, token in (("no_timestamps_token_id", "notimestamps"), ("prev_sot_token_id", "startofprev")):
        if getattr(settings, name, None) is None and (found := number(token)) is not None:
            setattr(settings, name, found)
    tasks = {name: number(name) for name in ("transcribe", "translate")}
    if getattr(settings, "is_multilingual", None) is None:
        settings.is_multilingual = tasks["translate"] is not None and number("fr") is not None
    if settings.is_multilingual and not getattr(settings, "lang_to_id", None):
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        numbers = {f"<|{code}|>": number(code) for code in LANGUAGES}
        settings.lang_to_id = {name: known for name, known in numbers.items() if known is not None}
    if settings.is_multilingual and not getattr(settings, "task_to_id", None):
        settings.task_to_id = tasks
    if not getattr(settings, "alignment_heads", None):
        layers, heads = config.decoder_layers, config.decoder_attention_heads
        settings.alignment_heads = [[layer, head] for layer in range(layers // 2, layers) for head in range(heads)]


def take_chosen(model: Any) -> tuple[str | None, str | None]:
    """
    Return the language and the task that a checkpoint is set to, and take that out of its settings.

    ``generate`` drops both as soon as it is told one of them. Without either it leaves the task out,
    which OpenAI's own program never does.
    """
    settings = model.generation_config
    forced: set[int] = set()
    for place in (model.config, settings):
        forced = {number for _, number in getattr(place, "forced_decoder_ids", None) or ()} or forced
        place.forced_decoder_ids = None

    def chosen(name: str, table: str) -> str | None:
        known = getattr(settings, table, None) or {}
        named = getattr(settings, name, None)
        setattr(settings, name, None)
        return named or next((one.strip("<|>") for one, number in known.items() if number in forced), None)

    return chosen("language", "lang_to_id"), chosen("task", "task_to_id")


def keep_little(model: Any) -> None:
    """
    Let ``generate`` keep the probability of each token instead of every attention and score.

    With word times it keeps for each window of 30 s the attentions of all heads (384 MB with the
    shape of large-v3 and 100 tokens) until the whole file is done.
    """
    original: Callable[..., Any] | None = getattr(model, "_postprocess_outputs", None)
    if original is None:
        return

    def postprocess(*args: Any, **settings: Any) -> Any:
        tokens, outputs = original(*args, **settings)
        if isinstance(outputs, list):
            config = settings.get("generation_config")
            for output in outputs:
                _lighten(output, keep_scores=getattr(config, "logprob_threshold", None) is not None)
        return tokens, outputs

    model._postprocess_outputs = postprocess  # noqa: SLF001  # no public way


def _lighten(output: dict[str, Any], *, keep_scores: bool) -> None:
    # From transformers 5.24 on the keys and values of the decoder are called its cache.
    for name in ("cross_attentions", "decoder_attentions", "encoder_attentions", "past_key_values", "cache"):
        output.pop(name, None)
    scores, beams = output.get("scores"), output.get("beam_indices")
    if scores is not None and beams is None:  # with beams they are sums over a whole text
        spoken = output["sequences"][-len(scores) :].tolist()
        output["probabilities"] = [
            float(score.float().softmax(-1)[token]) for score, token in zip(scores, spoken, strict=True)
        ]
    if not keep_scores:
        output.pop("scores", None)
