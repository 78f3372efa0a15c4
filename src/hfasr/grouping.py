"""Words into segments: for models and servers that time words only."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from .types import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .types import Word

__all__ = ["group_words", "is_unspaced", "segments_of"]

MAX_PAUSE_S = 0.5
"""
Longest silence inside a segment, seconds: twice the 0.25 s under which a silence belongs to
articulation and is no pause (Goldman-Eisler, *Psycholinguistics*, 1968).
"""

MAX_DURATION_S = 7.0
"""Longest segment, seconds: the longest subtitle of Netflix's *Timed Text Style Guide*, section 1."""

# Thai, Lao, Burmese, Khmer, Japanese, Chinese and their full-width punctuation are written
# without spaces between words; Korean is not.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff9f"
    "\U00020000-\U0003ffff]"
)


def group_words(
    words: Iterable[Word],
    *,
    max_pause_s: float = MAX_PAUSE_S,
    max_duration_s: float = MAX_DURATION_S,
) -> tuple[Segment, ...]:
    """
    Group *words* into segments that read as phrases.

    A segment ends before a pause of more than *max_pause_s*, and before the word that would make
    it longer than *max_duration_s*. A word whose end nobody knows has no pause after it.

    Args:
        words: In order of time.

        max_pause_s: Longest silence inside a segment, seconds, 0 or more.

        max_duration_s: Longest segment, seconds, above 0. A single longer word stays whole.

    Returns:
        Segments with their words; each text is the words joined as their script is written.

    Example:
        >>> from hfasr import Word
        >>> [s.text for s in group_words([Word(0.0, 0.4, "one"), Word(0.5, 0.9, "two"), Word(2.0, 2.4, "three")])]
        ['one two', 'three']

    .. versionadded:: 0.1.0
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and _belongs(word, groups[-1], max_pause_s, max_duration_s):
            groups[-1].append(word)
        else:
            groups.append([word])
    return tuple(_segment(group) for group in groups)


def segments_of(words: Iterable[Word], timestamps: bool | str) -> tuple[Segment, ...]:
    """
    Group *words* into what the option ``return_timestamps`` asks for.

    Args:
        words: In order of time.

        timestamps: ``"word"``: segments with their words; ``True``: without; ``False``: none.

    Example:
        >>> from hfasr import Word
        >>> segments_of([Word(0.0, 0.4, "one")], True)
        (Segment(start=0.0, end=0.4, text='one', words=(), channel=None, error=None),)
    """
    segments = group_words(words) if timestamps else ()
    return segments if timestamps == "word" else tuple(replace(segment, words=()) for segment in segments)


def is_unspaced(text: str) -> bool:
    """
    Whether *text* begins in a script that puts no spaces between words.

    Example:
        >>> is_unspaced("日本"), is_unspaced("한국")
        (True, False)
    """
    return _UNSPACED.match(text) is not None


def _belongs(word: Word, group: Sequence[Word], max_pause_s: float, max_duration_s: float) -> bool:
    pause = 0.0 if group[-1].end is None else word.start - group[-1].end
    end = word.start if word.end is None else word.end
    return pause <= max_pause_s and end - group[0].start <= max_duration_s


def _segment(words: Sequence[Word]) -> Segment:
    text = words[0].word
    for word in words[1:]:
        unspaced = is_unspaced(text[-1:]) and is_unspaced(word.word)
        text += word.word if unspaced else f" {word.word}"
    return Segment(start=words[0].start, end=words[-1].end, text=text.strip(), words=tuple(words))
