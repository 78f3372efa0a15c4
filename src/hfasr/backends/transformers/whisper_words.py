"""From Whisper's tokens, each with its time, to words."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, NamedTuple

from hfasr.grouping import is_unspaced
from hfasr.types import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["TimedToken", "words_of"]

_OPENING = frozenset("\"'“¡¿([{-")
_CLOSING = frozenset("\"'.。,，!！?？:：”)]}、")  # noqa: RUF001  # full-width ones are meant
_BROKEN = "\ufffd"  # part of a character: its other bytes are in the next token


class TimedToken(NamedTuple):
    """A token of text."""

    id: int
    start: float
    end: float
    probability: float | None


class _Piece(NamedTuple):
    """One token, or a few that make up one character."""

    text: str
    tokens: tuple[TimedToken, ...]


def words_of(tokens: Sequence[TimedToken], decode: Callable[[list[int]], str]) -> list[Word]:
    """
    Group *tokens* into words.

    A word begins with a space; where the script has none, each character is one. Punctuation goes
    with its word. A word's confidence is the mean of its tokens' probabilities, as OpenAI's own
    program has it (``whisper/timing.py``).

    Args:
        tokens: Of text only.

        decode: Makes text of token ids.
    """
    words = []
    for group in _with_punctuation(_split(list(_pieces(tokens, decode)))):
        text = "".join(piece.text for piece in group).strip()
        timed = [token for piece in group for token in piece.tokens]
        if text:
            known = [token.probability for token in timed if token.probability is not None]
            confidence = sum(known) / len(known) if known else None
            words.append(Word(timed[0].start, timed[-1].end, text, confidence))
    return words


def _pieces(tokens: Sequence[TimedToken], decode: Callable[[list[int]], str]) -> Iterator[_Piece]:
    pending: list[TimedToken] = []
    for token in tokens:
        pending.append(token)
        text = decode([one.id for one in pending])
        if _BROKEN not in text or len(pending) == 4:  # no character has more bytes
            yield _Piece(text, tuple(pending))
            pending = []
    if pending:
        yield _Piece(decode([one.id for one in pending]), tuple(pending))


def _split(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    groups: list[list[_Piece]] = []
    for piece in pieces:
        begins = piece.text.startswith(" ") or piece.text.strip() in string.punctuation
        if begins or not groups or (is_unspaced(piece.text) and is_unspaced(groups[-1][-1].text[-1:])):
            groups.append([piece])
        else:
            groups[-1].append(piece)
    return groups


def _with_punctuation(groups: list[list[_Piece]]) -> list[list[_Piece]]:
    joined: list[list[_Piece]] = []
    opening: list[_Piece] = []
    for group in groups:
        text = "".join(piece.text for piece in group)
        if text.startswith(" ") and text.strip() in _OPENING:
            opening += group
        elif text in _CLOSING and joined and not opening:
            joined[-1] += group
        else:
            joined.append(opening + group)
            opening = []
    if opening:
        joined.append(opening)
    return joined
