"""From the best token of every frame to text and timed words, for models trained with CTC."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hfasr.grouping import is_unspaced
from hfasr.types import Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

__all__ = ["Frames", "spell", "words_of"]


@dataclass(frozen=True, slots=True)
class Frames:
    """What the model heard, frame by frame."""

    ids: npt.NDArray[np.int64]
    """Best token of each frame, shape ``(n_frames,)``."""

    probabilities: npt.NDArray[np.float32]
    """Its probability, the same shape, 0 to 1."""


class _Token(NamedTuple):
    """A run of frames with one token."""

    id: int
    first: int
    end: int
    probability: float


def spell(frames: Frames, tokenizer: Any, *, blank: int | None) -> tuple[str, list[_Token]]:
    """
    Return the text, and its tokens with their frames: repeats become one, blanks and special tokens go.

    Source:
        Graves et al., Connectionist Temporal Classification, ICML 2006: best path decoding.
    """
    starts = np.flatnonzero(np.diff(frames.ids, prepend=-1))
    ends = np.append(starts, len(frames.ids))[1:]
    unwanted = {*tokenizer.all_special_ids, blank} - {_delimiter_id(tokenizer)}
    tokens = [
        _Token(token, int(first), int(end), float(frames.probabilities[first:end].max()))
        for token, first, end in zip(frames.ids[starts].tolist(), starts, ends, strict=True)
        if token not in unwanted
    ]
    return _decode(tokenizer, tokens), tokens


def words_of(tokens: Sequence[_Token], tokenizer: Any, seconds_per_frame: float) -> list[Word]:
    """
    Group *tokens* into words.

    A word's confidence is the mean of its tokens' probabilities, each that of its surest frame.
    """
    words = []
    for group in _split(tokens, tokenizer):
        text = _decode(tokenizer, group)
        if text:
            start, end = group[0].first * seconds_per_frame, group[-1].end * seconds_per_frame
            confidence = sum(token.probability for token in group) / len(group)
            words.append(Word(start, end, text, min(confidence, 1.0)))
    return words


def _decode(tokenizer: Any, tokens: Sequence[_Token]) -> str:
    if not tokens:
        return ""
    # Not skip_special_tokens: in some vocabularies the word delimiter is among them.
    text: str = tokenizer.decode([token.id for token in tokens], group_tokens=False, skip_special_tokens=False)
    return text.strip()


def _delimiter_id(tokenizer: Any) -> int | None:
    delimiter: str | None = getattr(tokenizer, "_word_delimiter_token", None) or getattr(
        tokenizer, "word_delimiter_token", None
    )
    return None if delimiter is None else int(tokenizer.convert_tokens_to_ids(str(delimiter)))


def _split(tokens: Sequence[_Token], tokenizer: Any) -> Iterator[list[_Token]]:
    """Cut before each token that begins a word: after a delimiter, at SentencePiece's ``▁``, in unspaced scripts."""
    delimiter = _delimiter_id(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens([token.id for token in tokens])
    group: list[_Token] = []
    for token, piece, last in zip(tokens, pieces, itertools.chain([""], pieces), strict=False):
        is_delimiter = token.id == delimiter
        if group and (is_delimiter or piece.startswith("▁") or (is_unspaced(piece) and is_unspaced(last))):
            yield group
            group = []
        if not is_delimiter:
            group.append(token)
    if group:
        yield group
