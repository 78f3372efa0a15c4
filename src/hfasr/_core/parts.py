"""Segments of chunks in the whole audio's times, and what becomes of them at a seam."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, groupby, islice
from typing import TYPE_CHECKING, TypeAlias

from hfasr.types import Segment, Word

from .seams import TIMED_S
from .tokens import before, fit, from_, join, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .tokens import Token

__all__ = [
    "Chunk",
    "Part",
    "Place",
    "Span",
    "first_places",
    "from_after",
    "joined",
    "last_places",
    "meet",
    "one_a_chunk",
    "placed",
    "squeeze",
]


MAX_TOKENS_PER_S = 10.6
"""Fastest speech, words a second: 637 a minute (*Guinness World Records*, 1990)."""

UNEVEN = 2.0
"""How much faster than its average the speech of a segment may be in the overlap: up to half of it is silence."""

SPARE_TOKENS = 3  # for words that are cut by the edges, and for what rounds
TOLERANCE_S = 0.3  # by how much two hearings place a word differently


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk lies in the whole audio, seconds."""

    start: float
    """From the start of the audio."""

    end: float
    """From the start of the audio, not before `start`."""

    overlap_before: float = 0.0
    """Shared with the previous chunk, 0 or more."""

    overlap_after: float = 0.0
    """Shared with the next chunk, 0 or more."""


@dataclass(slots=True)
class Chunk:
    """What of a chunk is kept: up to the seams with its neighbours."""

    span: Span
    start: float = field(init=False)
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.start, self.end = self.span.start, self.span.end


class Part:
    """
    A segment of a chunk, with its times in the whole audio, all known.

    Args:
        segment: The segment.

        chunk: Where it comes from.

        is_timed: Whether its times are those of what was said; else they are the chunk's, or interpolated.
    """

    def __init__(self, segment: Segment, chunk: Chunk, *, is_timed: bool = True) -> None:
        self.segment = segment
        self.chunk = chunk
        self.is_timed = is_timed

    @cached_property
    def tokens(self) -> list[Token]:
        return tokens_of(self.segment, is_timed=self.is_timed)

    @property
    def end(self) -> float:
        """Seconds."""
        return self.segment.start if self.segment.end is None else self.segment.end

    @cached_property
    def rate(self) -> float:
        """Tokens a second."""
        return len(self.tokens) / max(self.end - self.segment.start, 0.1)

    def retime(self, segment: Segment) -> None:
        """Take the times of *segment*."""
        self.segment = segment
        self.__dict__.pop("tokens", None)
        self.__dict__.pop("rate", None)

    def until(self, k: int) -> Part:
        """Return what is before the token at *k*, which is 1 or more."""
        return Part(before(self.segment, self.tokens, k), self.chunk, is_timed=self.is_timed)

    def since(self, k: int) -> Part:
        """Return what is from the token at *k* on, which is below their number."""
        return Part(from_(self.segment, self.tokens, k), self.chunk, is_timed=self.is_timed)


Place: TypeAlias = tuple[Part, int]
"""A part and the index of one of its tokens."""


def one_a_chunk(parts: Sequence[Part]) -> Iterator[Segment]:
    for _, same in groupby(parts, lambda part: id(part.chunk)):
        some = list(same)
        chunk = some[0].chunk
        yield Segment(chunk.start, chunk.end, join(part.segment.text for part in some), error=some[0].segment.error)


def placed(segments: Sequence[Segment], span: Span) -> Iterator[Segment]:
    """
    Give *segments* the whole audio's times, in order, within *span*, and their words within them.

    An end that nobody knows is where the next begins.
    """
    starts = _starts([segment.start for segment in segments], span.start, span.start, span.end)
    for segment, start, following in zip(segments, starts, (*starts[1:], span.end), strict=True):
        end = following if segment.end is None else min(max(start, span.start + segment.end), following)
        begun = _starts([word.start for word in segment.words], span.start, start, end)
        words = [
            Word(at, then if word.end is None else max(at, min(span.start + word.end, end)), word.word, word.confidence)
            for word, at, then in zip(segment.words, begun, (*begun[1:], end), strict=False)
        ]
        yield replace(segment, start=start, end=end, text=segment.text.strip(), words=tuple(words))


def _starts(times: Iterable[float], offset: float, start: float, end: float) -> list[float]:
    return list(accumulate((min(max(start, offset + time), end) for time in times), max))


def first_places(parts: Sequence[Part], start: float, end: float) -> list[Place]:
    """Return the tokens at the start of *parts* that can lie in the overlap."""

    def forwards() -> Iterator[Place]:
        for part in parts:
            yield from ((part, k) for k in range(len(part.tokens)))

    return list(islice(forwards(), reach(forwards(), start, end, back=False)))


def last_places(parts: Sequence[Part], start: float, end: float) -> list[Place]:
    """Return the tokens, in order, of the chunks whose last *parts* these are that can lie in the overlap."""

    def backwards() -> Iterator[Place]:
        for part in reversed(parts):
            if part.segment.error is None and part.chunk.span.end > start:
                yield from ((part, k) for k in reversed(range(len(part.tokens))))

    return list(islice(backwards(), reach(backwards(), start, end, back=True)))[::-1]


def reach(places: Iterable[Place], start: float, end: float, *, back: bool) -> int:
    """
    Return how many of the tokens at *places* can lie in the overlap.

    Args:
        places: From the chunk's edge inwards.

        start: Of the overlap, seconds.

        end: Of the overlap, seconds.

        back: Whether they come from a chunk's end, else from its start.
    """
    count = 0
    for part, k in places:
        token = part.tokens[k]
        if part.is_timed and (start - part.end if back else part.segment.start - end) >= TOLERANCE_S:
            break
        if token.slack <= 2 * TIMED_S:
            beyond = start - token.end if back else token.start - end
            reached = beyond < token.slack + TOLERANCE_S
        else:
            rate = min(MAX_TOKENS_PER_S, UNEVEN * part.rate) if part.is_timed else MAX_TOKENS_PER_S
            reached = count < rate * (end - start) + SPARE_TOKENS
        if not reached:
            break
        count += 1
    return count


def from_after(parts: Sequence[Part], part: Part, k: int) -> list[Part]:
    later = list(parts[parts.index(part) + 1 :])
    if k + 1 == len(part.tokens):
        return later
    return [part.since(k + 1), *later]


def joined(last: Part, first: Part) -> Part:
    """Return both as one, of the later chunk."""
    text = join((last.segment.text, first.segment.text))
    is_timed = last.is_timed and first.is_timed
    return Part(replace(last.segment, end=first.end, text=text, words=()), first.chunk, is_timed=is_timed)


def squeeze(earlier: Iterable[Part], later: Iterable[Part], start: float, end: float) -> None:
    """Where both sides of an overlap are kept whole, give each a half of its time."""
    middle = (start + end) / 2
    for part in earlier:
        _stretch(part, lambda time: time if time <= start else start + (min(time, end) - start) / 2)
    for part in later:
        _stretch(part, lambda time: time if time >= end else middle + (max(time, start) - start) / 2)


def _stretch(part: Part, moved: Callable[[float], float]) -> None:
    words = [
        replace(word, start=moved(word.start), end=None if word.end is None else moved(word.end))
        for word in part.segment.words
    ]
    part.retime(replace(part.segment, start=moved(part.segment.start), end=moved(part.end), words=tuple(words)))


def meet(last: Part, first: Part, start: float, end: float) -> None:
    """Let *last* end where *first* begins at the latest, and their chunks meet there."""
    at = (last.end + first.segment.start) / 2
    if last.end > first.segment.start:
        at = min(max(at, last.segment.start), first.end)
        last.retime(fit(last.segment, last.segment.start, max(at, last.segment.start)))
        first.retime(fit(first.segment, at, first.end))
    if last.chunk.end > first.chunk.start:
        last.chunk.end = first.chunk.start = min(max(at, start), end)
