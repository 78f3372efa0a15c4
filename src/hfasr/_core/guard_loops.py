"""
Finds where a text says the same thing over and over, and tells a model's loop from what people say.

People say "no no no no", count, chant and sing; so the repetition alone takes nothing out. A loop is beyond doubt where
it would have to be said faster than anybody repeats anything.
"""

from __future__ import annotations

import re
import string
import zlib
from itertools import pairwise
from operator import eq
from typing import TYPE_CHECKING, NamedTuple

from hfasr.grouping import is_unspaced

from .guard_pace import least_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Loop", "Token", "find_loops", "is_notable", "loop_seconds", "may_repeat", "tokens_of"]

MAX_COMPRESSION_RATIO = 2.4
"""
Bytes of a text over those of its zlib form; above it Whisper takes it for repetition: Radford et al., *Robust speech
recognition via large-scale weak supervision*, 2022, arXiv:2212.04356, section 4.5.
"""

MIN_REPEATS = 5
"""How often a loop says its unit, at least."""

MAX_WORDS, MAX_CHARACTERS = 30, 60
"""Longest unit: words, or characters of a script without spaces. Whole sentences loop, too."""

LOOP_PACE = 2 / 3
"""
Of the fastest speech, what nobody keeps up while repeating: 10 syllables or 40 letters a second. The fastest that
adults repeat one syllable is 6 to 7 times a second (Kent, Kent and Rosenbek, *Maximum performance tests of speech
production*, Journal of Speech and Hearing Disorders 52, 1987).
"""

NOTABLE_REPEATS = 10
NOTABLE_UNIT_S = 1 / 3
"""What is worth a warning: so many repeats, or a unit that takes so long at the fastest pace (20 letters, 5 kana)."""

_MAYBE_UNSPACED = re.compile("[\u0e00-\U0010ffff]")  # no character before these is of a script without spaces
_MARKS = string.punctuation + "…«»“”‘’„–—¡¿♪"  # noqa: RUF001  # the marks themselves are meant
_WORD = re.compile(r"\S+")


class Token(NamedTuple):
    """One word, or one character of a script without spaces."""

    key: str
    """What makes it the same as another: case and punctuation do not."""

    start: int
    """Where it is in the text, characters."""

    end: int
    """Behind it."""


class Loop(NamedTuple):
    """Something that is said again and again, with nothing between."""

    first: int
    """Its first token."""

    unit: int
    """How many tokens are repeated."""

    repeats: int
    """How often they are said, 2 or more."""

    @property
    def again(self) -> int:
        """The first token that is a repetition."""
        return self.first + self.unit

    @property
    def behind(self) -> int:
        """The first token behind the last whole repetition."""
        return self.first + self.unit * self.repeats


def may_repeat(text: str) -> bool:
    """Tell cheaply whether *text* may hold a loop that matters."""
    if text.isascii() or not _MAYBE_UNSPACED.search(text):
        words = text.split()
        return len(words) - len(set(pairwise(words))) > MIN_REPEATS
    return len(text) - len({text[i : i + 4] for i in range(len(text))}) > 2 * MIN_REPEATS


def tokens_of(text: str) -> list[Token]:
    """
    Return the tokens of *text*.

    Example:
        >>> [token.key for token in tokens_of("No, no: 日本.")]
        ['no', 'no', '日', '本', '.']
    """
    return [
        Token(text[start:end].casefold().strip(_MARKS) or text[start:end], start, end)
        for word in _WORD.finditer(text)
        for start, end in _parts(word[0], word.start())
    ]


def _parts(word: str, at: int) -> Iterator[tuple[int, int]]:
    if word.isascii() or not _MAYBE_UNSPACED.search(word):
        yield at, at + len(word)
        return
    first = 0
    for i, character in enumerate(word):
        if is_unspaced(character):
            if first < i:
                yield at + first, at + i
            yield at + i, at + i + 1
            first = i + 1
    if first < len(word):
        yield at + first, at + len(word)


def find_loops(text: str, tokens: Sequence[Token]) -> list[Loop]:
    """
    Return the loops in *text* that compress as repetition does, in order; none shares a token with another.

    Args:
        text: Where the tokens are from.

        tokens: Of the text, see `tokens_of`.
    """
    numbers: dict[str, int] = {}
    keys = [numbers.setdefault(token.key, len(numbers)) for token in tokens]
    longest = MAX_CHARACTERS if _MAYBE_UNSPACED.search(text) else MAX_WORDS
    found: list[Loop] = []
    taken = bytearray(len(keys))
    for unit in range(1, longest + 1):
        needed = unit * (MIN_REPEATS - 1)
        if needed >= len(keys):
            break
        same = bytes(map(eq, keys, keys[unit:]))
        at = same.find(b"\x01" * needed)
        while at >= 0:
            end = same.find(b"\x00", at)
            end = len(same) if end < 0 else end
            loop = Loop(at, unit, (end - at) // unit + 1)
            if not any(taken[loop.first : loop.behind]) and _compresses(_stretch(text, tokens, loop)):
                taken[loop.first : loop.behind] = b"\x01" * (loop.behind - loop.first)
                found.append(loop)
            at = same.find(b"\x01" * needed, end)
    return sorted(found)


def loop_seconds(text: str, tokens: Sequence[Token], loop: Loop) -> float:
    """Return the least time in which somebody could say *loop*, seconds."""
    return least_seconds(_stretch(text, tokens, loop)) / LOOP_PACE


def is_notable(text: str, tokens: Sequence[Token], loop: Loop) -> bool:
    """Tell whether *loop* is worth a warning where it may have been said."""
    unit = text[tokens[loop.first].start : tokens[loop.again - 1].end]
    return loop.repeats >= NOTABLE_REPEATS or least_seconds(unit) >= NOTABLE_UNIT_S


def _stretch(text: str, tokens: Sequence[Token], loop: Loop) -> str:
    return text[tokens[loop.first].start : tokens[loop.behind - 1].end]


def _compresses(text: str) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data)) > MAX_COMPRESSION_RATIO
