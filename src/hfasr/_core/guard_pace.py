"""More text than can be said in the time: how fast speech can be, and what is faster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfasr.types import Segment

__all__ = ["COARSE_S", "counted", "least_seconds", "too_fast"]

MAX_LETTERS_PER_S = 60.0
"""
Letters, spaces and punctuation, per second. The record is 260 words of *Hamlet* in 23.8 s (Sean Shannon, 1995,
Guinness World Records): 10.9 words a second, in English of 4.8 letters each (Mayzner and Tresselt, *Tables of
single-letter and digram frequency counts*, 1965) and a space; rounded down.
"""

MAX_SYLLABLES_PER_S = 15.0
"""
Characters that are a syllable or a mora each, per second: that record, at 1.4 syllables a word. It is twice the mean
of the fastest languages, 7.8 for Japanese and Spanish (Pellegrino, Coupé and Marsico, *Language* 87, 2011).
"""

COARSE_S = 1.0
"""
How far a time may be off and be only coarse, seconds: Whisper often gives whole ones, as in transformers' pull request
20620.
"""

# Hiragana and katakana; Chinese characters; Korean syllables. Thai and its neighbours write letters.
_SYLLABLE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]")


def least_seconds(text: str) -> float:
    """
    Return the least time in which *text* can be said, seconds.

    Example:
        >>> least_seconds("thank you" * 20), least_seconds("ありがとう" * 6)
        (3.0, 2.0)
    """
    syllables = 0 if text.isascii() else len(_SYLLABLE.findall(text))
    return syllables / MAX_SYLLABLES_PER_S + (len(text) - syllables) / MAX_LETTERS_PER_S


def too_fast(text: str, segments: Iterable[Segment], duration: float | None) -> str | None:
    """
    Return what is too much, where *text*, or a segment's, is more than can be said in its time.

    Both have `COARSE_S` more than their times say.

    Args:
        text: Of the whole audio.

        segments: With times that are in order.

        duration: Of the audio, seconds; ``None``: unknown.
    """
    if duration is not None and not _fits(text, duration):
        return f"{len(text)} characters in {duration:.2f} s of audio"
    n_fast = sum(not _fits(s.text, s.end - s.start) for s in segments if s.end is not None)
    if not n_fast:
        return None
    bound = f"{MAX_LETTERS_PER_S:.0f} letters or {MAX_SYLLABLES_PER_S:.0f} syllables a second"
    return f"{counted(n_fast, 'segment')} beyond {bound}"


def counted(number: int, noun: str) -> str:
    """Return *number* and *noun*, which takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _fits(text: str, seconds: float) -> bool:
    seconds += COARSE_S
    return len(text) <= seconds * MAX_SYLLABLES_PER_S or least_seconds(text) <= seconds
