"""From what Whisper's ``generate`` returns to a transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hfasr.types import Segment, Transcript

from .limits import cut_warning
from .whisper_words import TimedToken, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hfasr.types import Timestamps

__all__ = ["Reader"]


class Reader:
    """
    Reads answers by one model's tokenizer.

    Args:
        tokenizer: The model's.

        first_time: The first of the tokens that stand for times.
    """

    def __init__(self, tokenizer: Any, *, first_time: int) -> None:
        self._tokenizer = tokenizer
        self._first_time = first_time
        self._special = frozenset(tokenizer.all_special_ids)

    def transcript(
        self, answer: Any, row: int, *, duration: float, language: str, timestamps: Timestamps, limit: int
    ) -> Transcript:
        """
        Return the transcript of one clip.

        Args:
            answer: Tokens of shape ``(n_clips, n_tokens)``, or a dictionary with segments.

            row: Which clip.

            duration: Of the clip, seconds.

            language: What it is in.

            timestamps: What was asked for.

            limit: How many tokens a window could have.
        """
        segments: tuple[Segment, ...] = ()
        if isinstance(answer, torch.Tensor):
            tokens = answer[row].tolist()
            text, cut = self._decode(tokens), self._is_cut(tokens, limit)
        else:
            parts = answer["segments"][row]
            text = "".join(self._decode(part["tokens"].tolist()) for part in parts)
            cut = any(self._is_cut(_rest_of_window(part), limit) for part in parts)
            if timestamps:
                segments = tuple(self._segments(parts, words=timestamps == "word"))
        warnings = cut_warning(limit) if cut else ()
        return Transcript(text.strip(), segments, language=language, duration=duration, warnings=warnings)

    def _segments(self, parts: Sequence[Any], *, words: bool) -> Iterator[Segment]:
        last = 0.0  # a token's time is that of its end
        for part in parts:
            timed: list[TimedToken] = []
            if words:
                timed, last = self._timed(part, last)
            text = self._decode(part["tokens"].tolist()).strip()
            if text:
                yield Segment(
                    float(part["start"]), float(part["end"]), text, tuple(words_of(timed, self._tokenizer.decode))
                )

    def _timed(self, part: Any, last: float) -> tuple[list[TimedToken], float]:
        tokens, times = part["tokens"].tolist(), part["token_timestamps"].tolist()
        probabilities = _probabilities(part) or [None] * len(tokens)
        timed = []
        for token, time, probability in zip(tokens, times, probabilities, strict=True):
            end = max(time, last)
            if self._is_text(token):
                timed.append(TimedToken(token, last, end, probability))
            last = end
        return timed, last

    def _is_cut(self, tokens: list[int], limit: int) -> bool:
        return len(tokens) >= limit and tokens[-1] < self._tokenizer.eos_token_id

    def _is_text(self, token: int) -> bool:
        return token < self._first_time and token not in self._special

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode([token for token in tokens if self._is_text(token)])
        return text


def _rest_of_window(part: Any) -> list[int]:
    """Return the tokens from *part* to the end of its window."""
    result = part["result"]
    sequence = result["sequences"] if isinstance(result, dict) else result
    tokens: list[int] = sequence[part["idxs"][0] :].tolist()
    return tokens


def _probabilities(part: Any) -> list[float | None] | None:
    """Return the probability of each of *part*'s tokens, where they were kept."""
    known: list[float | None] | None = part["result"].get("probabilities")
    if known is None:
        return None
    first, end = part["idxs"]
    n_before = len(part["result"]["sequences"]) - len(known)
    return known[first - n_before : end - n_before]
