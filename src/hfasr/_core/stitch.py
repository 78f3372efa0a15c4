"""
The transcripts of chunks, joined into one.

Chunks without an overlap are put side by side. Of those with one, both have heard the same stretch: `seams` says where
to go over from the one to the other, so that each word is there once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr.types import Segment

from .parts import Chunk, Part, Span, first_places, from_after, joined, last_places, meet, one_a_chunk, placed, squeeze
from .remarks import Remarks
from .seams import cut
from .tokens import fit, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hfasr.types import Timestamps, Transcript

    from .parts import Place

__all__ = ["Span", "Stitcher"]

MIN_OVERLAP_S = 1e-3  # what is less comes of rounding
MAX_JOINED_S = 30.0  # Whisper's window: no segment is longer by itself


class Stitcher:
    """
    Joins the transcripts of chunks, which come in order, into one.

    Args:
        timestamps: What the caller asked for: ``False``, ``True`` or ``"word"``.

        keep: Whether `text` and `segments` are wanted; of what goes on for ever they are not.

    Example:
        >>> from hfasr import Transcript
        >>> stitcher = Stitcher(False)
        >>> stitcher.add(Transcript("and the end of the"), Span(0.0, 2.0, overlap_after=1.0))
        ()
        >>> [s.text for s in stitcher.add(Transcript("end of the story begins"), Span(1.0, 3.0, overlap_before=1.0))]
        ['and the end', 'of the story begins']
        >>> stitcher.text
        'and the end of the story begins'
    """

    def __init__(self, timestamps: Timestamps, *, keep: bool = True) -> None:
        self._timestamps = timestamps
        self._keeps = keep
        self._remarks = Remarks()
        self._pending: list[Part] = []
        self._done: list[Segment] = []
        self._heard_until = 0.0  # by a chunk that did not fail
        self._covered_until = 0.0  # by any
        self._gap = False
        self._languages: dict[str, float] = {}

    def add(self, transcript: Transcript, span: Span) -> tuple[Segment, ...]:
        """
        Add the next chunk.

        Args:
            transcript: Of the chunk, with times from the chunk's start.

            span: Where the chunk lies.

        Returns:
            The segments that no later chunk can change, in order; one for each chunk where no timestamps were
            asked for.
        """
        chunk = Chunk(span)
        segments, is_timed, warnings = self._read(transcript, span)
        self._remarks.chunk((*transcript.warnings, *warnings))
        if segments and transcript.language is not None:
            heard = self._languages.get(transcript.language, 0.0)
            self._languages[transcript.language] = heard + span.end - span.start
        self._end_gap(span.start)
        parts = [Part(segment, chunk, is_timed=is_timed) for segment in segments]
        overlap = min(span.overlap_before, self._heard_until - span.start)
        if overlap > MIN_OVERLAP_S:
            parts = self._merge(parts, span.start, min(span.start + overlap, span.end))
        self._pending += parts
        self._heard_until = max(self._heard_until, span.end)
        self._covered_until = max(self._covered_until, span.end)
        return self._flush(span.end - span.overlap_after if span.overlap_after > 0 else None)

    def add_gap(self, span: Span, error: str) -> tuple[Segment, ...]:
        """
        Add the next chunk, which failed: a segment that has an error and no text, where no neighbour has heard it.

        Args:
            span: Where the chunk lies.

            error: Why it failed.

        Returns:
            The segments that no later chunk can change, in order.
        """
        self._gap = True
        chunk = Chunk(span)
        if span.overlap_before > 0:
            chunk.start = min(max(span.start, self._covered_until), span.end)
        self._pending.append(Part(Segment(chunk.start, chunk.end, "", error=error), chunk))
        self._covered_until = max(self._covered_until, span.end)
        return self._flush(span.end - span.overlap_after if span.overlap_after > 0 else None)

    def finish(self) -> tuple[Segment, ...]:
        """Return the segments that are left."""
        return self._flush(None)

    @property
    def text(self) -> str:
        """The whole text of what was added."""
        return join(segment.text for segment in (*self._done, *(part.segment for part in self._pending)))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the transcript's segments are: none where no timestamps were asked for, unless there is a gap."""
        return tuple(self._done) if self._timestamps or self._gap else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of gaps, of seams and by the chunks; each thing once."""
        return self._remarks.lines()

    @property
    def language(self) -> str | None:
        """The language of the most audio, of the chunks in which something was said."""
        return max(self._languages, key=self._languages.__getitem__, default=None)

    def _read(self, transcript: Transcript, span: Span) -> tuple[list[Segment], bool, list[str]]:
        """Return what was said in the whole audio's times, whether it was said at these, and what is odd about it."""
        whole = Segment(span.start, span.end, transcript.text.strip())
        given = [segment for segment in transcript.segments if segment.text.strip()]
        if not given:
            return ([whole] if whole.text else []), False, []
        differs = _letters([transcript.text]) != _letters(segment.text for segment in given)
        if differs and not self._timestamps:
            return ([whole] if whole.text else []), False, []
        warnings = ["the text differs from that of the segments, which was taken"] if differs else []
        return list(placed(given, span)), True, warnings

    def _end_gap(self, start: float) -> None:
        """The chunk that begins at *start* knows what comes then, so a gap before it ends there."""
        if self._pending and (last := self._pending[-1]).segment.error is not None:
            last.chunk.end = max(last.chunk.start, min(last.chunk.end, start))
            last.retime(replace(last.segment, end=last.chunk.end))

    def _merge(self, parts: list[Part], start: float, end: float) -> list[Part]:
        """Go over from what is pending to *parts*, where both have heard the same; return what is left of *parts*."""
        tail, head = last_places(self._pending, start, end), first_places(parts, start, end)
        if end < self._heard_until - MIN_OVERLAP_S and tail:  # the chunk ends inside another
            return []
        where = cut(
            [part.tokens[k] for part, k in tail],
            [part.tokens[k] for part, k in head],
            start,
            end,
            is_border=lambda kept, dropped: not self._timestamps or (_begins(tail, kept) and _begins(head, dropped)),
        )
        if where.doubt:
            self._remarks.seam((start + end) / 2, where.doubt)
        if where.tail < len(tail):
            self._keep_before(*tail[where.tail])
        if where.head:
            parts = from_after(parts, *head[where.head - 1])
        spoken = [part for part in self._pending if part.segment.error is None]
        if tail and head and where.doubt == "repeated":
            squeeze(spoken, parts, start, end)
        if spoken and parts:
            inside = not (_begins(tail, where.tail) and _begins(head, where.head))
            if inside and not where.doubt and self._timestamps is True and self._can_join(spoken[-1], parts[0]):
                self._pending.pop()
                return [joined(spoken[-1], parts[0]), *parts[1:]]
            meet(spoken[-1], parts[0], start, end)
        return parts

    def _can_join(self, last: Part, first: Part) -> bool:
        """Whether both are halves of one segment that the seam has cut; nobody has said where in it the seam is."""
        timed = last.segment.words and first.segment.words
        return self._pending[-1] is last and not timed and first.end - last.segment.start <= MAX_JOINED_S

    def _keep_before(self, part: Part, k: int) -> None:
        at = self._pending.index(part)
        gaps = [later for later in self._pending[at + 1 :] if later.segment.error is not None]
        kept = [part.until(k)] if k else []
        self._pending[at:] = kept + gaps

    def _flush(self, next_start: float | None) -> tuple[Segment, ...]:
        """Hand out what is final, where the next chunk begins at *next_start*; ``None``: it shares nothing."""
        final = len(self._pending)
        if next_start is not None:
            if self._pending and self._pending[-1].segment.error is not None:
                final -= 1
            opened = last_places(self._pending, next_start, self._heard_until) if self._heard_until > next_start else []
            if opened:
                final = min(final, self._pending.index(opened[0][0]))
            if not self._timestamps and final < len(self._pending):
                while final and self._pending[final - 1].chunk is self._pending[final].chunk:
                    final -= 1
        ready, self._pending = self._pending[:final], self._pending[final:]
        return tuple(self._emit(ready))

    def _emit(self, parts: Sequence[Part]) -> Iterator[Segment]:
        segments = [part.segment for part in parts] if self._timestamps else list(one_a_chunk(parts))
        for segment in segments:
            earliest = self._done[-1].end or 0.0 if self._done else 0.0
            start = max(segment.start, earliest)
            end = max(start, segment.end or 0.0)
            fitted = segment if (start, end) == (segment.start, segment.end) else fit(segment, start, end)
            if fitted.words and self._timestamps != "word":
                fitted = replace(fitted, words=())
            if fitted.error is not None:
                self._remarks.gap(fitted.start, fitted.end or 0.0, fitted.error)
            self._done.append(fitted)
            if not self._keeps:
                del self._done[:-1]
            yield fitted


def _begins(places: Sequence[Place], index: int) -> bool:
    """Whether a segment begins with the token at *index*, or none is left."""
    return index == len(places) or places[index][1] == 0


def _letters(texts: Iterable[str]) -> str:
    return "".join("".join(text.split()) for text in texts)
