"""What came of the pieces of one input, joined: one transcript, one provenance, and the error that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hfasr._core.stitch import Stitcher
from hfasr.types import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from hfasr._core.io import IO
    from hfasr._core.stitch import Span
    from hfasr.errors import HfasrError
    from hfasr.types import Segment, Timestamps

    from .merged import Merged
    from .pieces import PieceResult

    T = TypeVar("T")

__all__ = ["Facts", "Joined"]

_INLINE_CHARS = 3_000
"""
Up to here pieces are joined on the event loop: it took up to 3 µs a character, where each word is a segment. Half a
minute of the fastest speech has 2,000.
"""

_INLINE_WHOLE_CHARS = 20_000
"""Up to here the whole is put together there."""


class Facts(NamedTuple):
    """What is known of the whole input."""

    sha256: str | None
    duration: float | None
    """Seconds."""
    changes: Sequence[str]
    """What was done to it before it was cut."""
    warnings: tuple[str, ...]
    raw: object = None


class Joined:
    """
    Takes pieces in order.

    Args:
        timestamps: What was asked for.

        merged: Takes their provenances.

        keep: Whether the whole is wanted; of what goes on for ever it is not.
    """

    def __init__(self, timestamps: Timestamps, merged: Merged, *, keep: bool = True) -> None:
        self._stitcher = Stitcher(timestamps, keep=keep)
        self._merged = merged
        self._first_error: HfasrError | None = None
        self._n_answered = 0
        self._n_chars = self._n_chars_last = 0

    @property
    def has_answer(self) -> bool:
        """Whether anything at all was transcribed."""
        return self._n_answered > 0

    @property
    def n_pieces(self) -> int:
        """How many were taken, and the rest that could not be read."""
        return self._merged.n_pieces

    async def take(self, io: IO, result: PieceResult) -> tuple[Segment, ...]:
        """Take the next piece, and return the segments that no later one can change."""
        self._merged.add(result.transcript, result.attempts)
        transcript, error = result.transcript, result.error
        if transcript is None:
            assert error is not None
            self._first_error = self._first_error or error
            return self._leave(result.span, error)
        self._n_answered += transcript.provenance is not None  # else it was silent
        n_chars = _size(transcript)
        both, self._n_chars_last = n_chars + self._n_chars_last, n_chars  # of two an overlap is aligned
        self._n_chars += n_chars
        return await _here_or_there(
            io, lambda: self._stitcher.add(transcript, result.span), is_small=both <= _INLINE_CHARS
        )

    def leave_rest(self, error: HfasrError, span: Span) -> tuple[Segment, ...]:
        """Take it that the audio is damaged from *span* on: that is a gap, up to its end where that is known."""
        self._merged.add(None, ())
        return self._leave(span, error)

    async def finish(self, io: IO) -> tuple[Segment, ...]:
        """Take the end, and return the segments that are left."""
        return await _here_or_there(io, self._stitcher.finish, is_small=self._n_chars_last <= _INLINE_CHARS)

    def check(self) -> None:
        """
        See that there is more than gaps.

        Raises:
            HfasrError: There is not; why the first one is there.
        """
        if self._first_error is not None and not self._n_answered:
            self._first_error.attempts = tuple(self._merged.attempts)
            raise self._first_error

    def warnings(self, *, silence: bool) -> tuple[str, ...]:
        """Return what is to be said of pieces and seams; *silence*: and of nothing having been heard at all."""
        merged = self._merged
        return (*(merged.silence if silence else ()), *self._stitcher.warnings, *merged.warnings)

    @property
    def seam_warnings(self) -> tuple[str, ...]:
        """What is to be said of gaps, of seams and by the pieces."""
        return self._stitcher.warnings

    def transcript(self, facts: Facts) -> Transcript:
        """Return all of it."""
        stitcher = self._stitcher
        return Transcript(
            stitcher.text,
            segments=stitcher.segments,
            language=stitcher.language,
            duration=facts.duration,
            provenance=self._merged.provenance(sha256=facts.sha256, duration=facts.duration, changes=facts.changes),
            warnings=facts.warnings,
            raw=facts.raw,
        )

    async def whole(self, io: IO, facts: Facts) -> Transcript:
        """Return all of it, put together off the event loop where it is long."""
        is_small = self._n_chars <= _INLINE_WHOLE_CHARS
        return await _here_or_there(io, lambda: self.transcript(facts), is_small=is_small)

    def _leave(self, span: Span, error: HfasrError) -> tuple[Segment, ...]:
        return self._stitcher.add_gap(span, f"{type(error).__name__}: {error}")


def _size(transcript: Transcript) -> int:
    return max(len(transcript.text), sum(len(segment.text) for segment in transcript.segments))


async def _here_or_there(io: IO, work: Callable[[], T], *, is_small: bool) -> T:
    # What is left behind by a call that was cancelled works on what nobody looks at any more.
    return work() if is_small else await io.offload(work, abandon=True)
