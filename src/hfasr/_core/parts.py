"""Segments of chunks in the whole audio's times, and what becomes of them at a seam."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, groupby, islice
from typing import TYPE_CHECKING, TypeAlias

from hfasr.types import Segment, Word

from .seams import reach
from .tokens import fit, from_, join, tokens_of

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
    "meet",
    "one_a_chunk",
    "placed",
    "squeeze",
]


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
    """A segment of a chunk, with its times in the whole audio, all known."""

    def __init__(self, segment: Segment, chunk: Chunk) -> None:
        self.segment = segment
        self.chunk = chunk

    @cached_property
    def tokens(self) -> list[Token]:
        return tokens_of(self.segment)

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

    n = reach(((part.tokens[k], part.rate) for part, k in forwards()), start, end, back=False)
    return list(islice(forwards(), n))


def from_after(parts: Sequence[Part], part: Part, k: int) -> list[Part]:
    later = list(parts[parts.index(part) + 1 :])
    if k + 1 == len(part.tokens):
        return later
    return [Part(from_(part.segment, part.tokens, k + 1), part.chunk), *later]


def joined(last: Part, first: Part) -> Part:
    """Return both as one, of the later chunk."""
    text = join((last.segment.text, first.segment.text))
    return Part(replace(last.segment, end=first.end, text=text, words=()), first.chunk)


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
