"""The words of a transcript as the seams between chunks compare them, and text cut and joined at them."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from hfasr.grouping import is_unspaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hfasr.types import Segment, Word

__all__ = ["Token", "before", "fit", "from_", "join", "normalise", "tokens_of"]

WORD_S = 0.3  # a word takes it: 150 to 200 of them are said a minute
_RUNS = re.compile(r"\S+")
_AT_WILL = {0x0640: None, 0x0670: None} | dict.fromkeys(range(0x064B, 0x0653))
"""Arabic's tatweel and vowel signs, which one may write or leave out (*The Unicode Standard*, section 9.2)."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word, or one character of a script without spaces, with the punctuation at it."""

    normal: str
    """What is compared: `normalise` of it."""

    start: float
    """Seconds from the start of the audio; estimated by characters where only its segment has times."""

    end: float
    """Seconds from the start of the audio, estimated in the same way."""

    slack: float
    """How far the two may be from the truth, seconds; infinite where not even its segment has times."""

    begin: int
    """Where it begins in its segment's text."""

    stop: int
    """Where it stops there."""

    first: int = -1
    """The first of its segment's words that it has a part of; -1 where that has none."""

    last: int = -1
    """The last of them."""

    @property
    def middle(self) -> float:
        """Half-way through it, seconds."""
        return (self.start + self.end) / 2


def normalise(text: str) -> str:
    """
    Return *text* without what two hearings of a word may differ in: case, punctuation, width, optional signs.

    Example:
        >>> normalise("Don't!"), normalise("STRASSE") == normalise("Straße"), normalise("...")
        ('dont', True, '')
    """
    if text.isalnum() and text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_AT_WILL)
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def join(texts: Iterable[str]) -> str:
    """
    Join *texts* by one space each, or by none within scripts that write none.

    Example:
        >>> join(["the end ", "", "of it"]), join(["日本", "語で", "OK"])
        ('the end of it', '日本語で OK')
    """
    parts: list[str] = []
    for text in texts:
        stripped = text.strip()
        if not stripped:
            continue
        if parts and not (is_unspaced(parts[-1][-1]) and is_unspaced(stripped)):
            parts.append(" ")
        parts.append(stripped)
    return "".join(parts)


def tokens_of(segment: Segment, *, is_timed: bool = True) -> list[Token]:
    """
    Return the tokens of *segment*, whose end must be known, as must its words' ends.

    Times come from the words, else they are interpolated by characters.

    Args:
        segment: What was said.

        is_timed: Whether its times are those of what was said; else it was said at any time within them.

    Example:
        >>> from hfasr import Segment
        >>> [(t.normal, t.start) for t in tokens_of(Segment(10.0, 12.0, "So, what?"))]
        [('so', 10.0), ('what', 10.88888888888889)]
    """
    units = _units(segment.text)
    end = segment.start if segment.end is None else segment.end
    if segment.words and units:
        timed = _by_words(units, segment.words)
        if timed:
            return timed
    lasts = end - segment.start
    per_character = lasts / max(len(segment.text), 1)
    tokens = []
    for begin, stop, normal in units:
        start, finish = segment.start + begin * per_character, segment.start + stop * per_character
        slack = (lasts - min(finish - start, WORD_S)) / 2 if is_timed else math.inf
        tokens.append(Token(normal, start, finish, max(0.0, slack), begin, stop))
    return tokens


def _units(text: str) -> list[tuple[int, int, str]]:
    """Cut *text* up; what is only punctuation belongs to the unit before it, at the start to the one after."""
    units: list[tuple[int, int, str]] = []
    opening: int | None = None
    for begin, stop in _pieces(text):
        normal = normalise(text[begin:stop])
        if normal:
            units.append((begin if opening is None else opening, stop, normal))
            opening = None
        elif units:
            units[-1] = (units[-1][0], stop, units[-1][2])
        elif opening is None:
            opening = begin
    return units


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    for run in _RUNS.finditer(text):
        begin, stop = run.span()
        if run.group().isascii() or not any(map(is_unspaced, run.group())):
            yield begin, stop
            continue
        for at in range(begin + 1, stop):
            mark = unicodedata.category(text[at])[0] == "M"
            if not mark and (is_unspaced(text[at]) or is_unspaced(text[at - 1])):
                yield begin, at
                begin = at
        yield begin, stop


def _by_words(units: Sequence[tuple[int, int, str]], words: Sequence[Word]) -> list[Token]:
    """Time *units* by *words*, letter by letter: words of servers often lack punctuation, or group characters."""
    letters = [normalise(word.word) for word in words]
    stops = list(accumulate(map(len, letters)))
    same = "".join(letters) == "".join(normal for _, _, normal in units)
    if not stops[-1]:
        return []
    scale = 1.0 if same else stops[-1] / sum(len(normal) for _, _, normal in units)
    tokens: list[Token] = []
    at = 0
    for begin, stop, normal in units:
        left, right = at * scale, min((at + len(normal)) * scale, float(stops[-1]))
        at += len(normal)
        first = min(bisect_right(stops, left + 1e-9), len(words) - 1)
        last = max(first, min(bisect_left(stops, right - 1e-9), len(words) - 1))
        tokens.append(
            Token(
                normal,
                _time_in(words[first], left - stops[first] + len(letters[first]), len(letters[first])),
                _time_in(words[last], right - stops[last] + len(letters[last]), len(letters[last])),
                0.0 if same else WORD_S,
                begin,
                stop,
                first,
                last,
            )
        )
    return tokens


def _time_in(word: Word, letters: float, of: int) -> float:
    end = word.start if word.end is None else word.end
    share = letters / of if of else 0.0
    return end if share >= 1 - 1e-9 else word.start + max(share, 0.0) * (end - word.start)


def before(segment: Segment, tokens: Sequence[Token], index: int) -> Segment:
    """
    Return *segment* up to the token at *index*, which is 1 or more.

    Example:
        >>> from hfasr import Segment
        >>> whole = Segment(0.0, 3.0, "one two")
        >>> before(whole, tokens_of(whole), 1).text
        'one'
    """
    last = tokens[index - 1]
    words = segment.words[: last.last + 1] if last.last >= 0 else ()
    if words and index < len(tokens) and tokens[index].first == last.last:  # a group of characters is cut in two
        opening = next(token for token in tokens if token.last == last.last)
        part = segment.text[opening.begin : last.stop].strip()
        words = (*words[:-1], replace(words[-1], end=last.end, word=part))
    return replace(segment, end=last.end, text=segment.text[: last.stop].strip(), words=words)


def from_(segment: Segment, tokens: Sequence[Token], index: int) -> Segment:
    """
    Return *segment* from the token at *index* on, which is below their number.

    Example:
        >>> from hfasr import Segment
        >>> whole = Segment(0.0, 3.0, "one two")
        >>> from_(whole, tokens_of(whole), 1).text
        'two'
    """
    if index == 0:
        return segment
    head = tokens[index]
    words = segment.words[head.first :] if head.first >= 0 else ()
    if words and tokens[index - 1].last == head.first:
        closing = next(token for token in reversed(tokens) if token.first == head.first)
        part = segment.text[head.begin : closing.stop].strip()
        words = (replace(words[0], start=head.start, word=part), *words[1:])
    return replace(segment, start=head.start, text=segment.text[head.begin :].strip(), words=words)


def fit(segment: Segment, start: float, end: float) -> Segment:
    """Return *segment* with these times, its words within them and in order."""
    words: list[Word] = []
    at = start
    for word in segment.words:
        at = min(max(at, word.start), end)
        stop = at if word.end is None else min(max(at, word.end), end)
        words.append(word if (word.start, word.end) == (at, stop) else replace(word, start=at, end=stop))
    return replace(segment, start=start, end=end, words=tuple(words))
