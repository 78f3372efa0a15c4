"""How a stream stands: which segments are ready, and what is known of it so far. The same in both colours."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hfasr._core.stitch import Stitcher
from hfasr.types import Transcript

from .merged import Merged

if TYPE_CHECKING:
    from hfasr._core.stitch import Span
    from hfasr.errors import AudioError, HfasrError
    from hfasr.types import Provenance, Segment, Timestamps

    from .cutter import Cutter
    from .pieces import PieceResult

__all__ = ["Told", "Turn"]


class Turn(NamedTuple):
    """What came of a piece, and its place among all, from 0."""

    place: int
    result: PieceResult | Exception | None
    """An error ends the stream; ``None``: it was not begun, after an error."""


class Told:
    """
    Takes pieces in order, and gives segments.

    Args:
        timestamps: What was asked for.

        nobody: What stands in the provenance where no piece was transcribed.

        is_live: Whether it may go on for ever, so that nothing of what was said is kept.
    """

    def __init__(self, timestamps: Timestamps, *, nobody: Provenance, is_live: bool) -> None:
        self._stitcher = Stitcher(timestamps, keep=not is_live)
        self._merged = Merged(nobody, keep=not is_live)
        self._ready: deque[Segment] = deque()
        self._done_at = 0.0
        self._first_error: HfasrError | None = None
        self._n_taken = self._n_answered = 0
        self._sha256: str | None = None
        self._changes: tuple[str, ...] = ()
        self.is_live = is_live
        self.is_complete = False
        """Whether the end was reached."""
        self.duration = 0.0
        """Seconds of audio that have been transcribed, or were found to hold nothing."""
        self.delay: float | None = None
        """Seconds from the end of the last phrase to its text; of live audio alone."""
        self.max_delay: float | None = None
        """The largest delay so far."""

    def take(self, turn: Turn) -> None:
        """
        Take the next piece.

        Raises:
            Exception: It has ended the stream.
        """
        result = turn.result
        if isinstance(result, Exception):
            raise result
        if turn.place != self._n_taken or result is None:
            return  # it comes without its turn, as the run has failed; that is told next
        self._n_taken += 1
        self._merged.add(result.transcript, result.attempts)
        if result.transcript is None:
            assert result.error is not None
            self._first_error = self._first_error or result.error
            self._leave(result.span, result.error)
        else:
            self._n_answered += result.transcript.provenance is not None  # else it was silent
            self._ready += self._stitcher.add(result.transcript, result.span)
        self.duration = max(self.duration, result.span.end)
        self._done_at = max(self._done_at, result.done_at)  # in order: what was done before its turn waits for it
        if result.spoken_at is not None:
            self.delay = self._done_at - result.spoken_at
            self.max_delay = max(self.delay, self.max_delay or 0.0)

    def leave_rest(self, error: AudioError, span: Span) -> None:
        """
        Take it that the audio cannot be read from here on.

        Raises:
            AudioError: There is nothing before it.
        """
        if not self._n_answered:
            raise error
        self._merged.add(None, ())
        self._leave(span, error)

    def finish(self, cutter: Cutter | None, *, sha256: str | None) -> None:
        """Take the end; of live audio there is no *cutter*, and no digest."""
        self._ready += self._stitcher.finish()
        self._sha256 = sha256
        self.is_complete = True
        if cutter is not None:
            self._changes = cutter.changes
            self.duration = self.duration if cutter.duration is None else cutter.duration

    def pop(self) -> Segment | None:
        """
        Return the next segment, ``None`` where none is ready.

        Raises:
            HfasrError: That was all, and nothing but gaps; not of live audio, whose gaps have been seen.
        """
        if self._ready:
            return self._ready.popleft()
        if self.is_complete and self._first_error is not None and not (self._n_answered or self.is_live):
            self.is_complete = False
            self._first_error.attempts = tuple(self._merged.attempts)
            raise self._first_error
        return None

    def _leave(self, span: Span, error: HfasrError) -> None:
        self._ready += self._stitcher.add_gap(span, f"{type(error).__name__}: {error}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be done, and what was repaired, so far."""
        silence = self._merged.silence if self.is_complete and not self.is_live else ()
        return (*silence, *self._stitcher.warnings, *self._merged.warnings)

    def transcript(self) -> Transcript:
        """
        Return all of it.

        Raises:
            ValueError: The end was not reached, or nothing was kept.
        """
        if self.is_live:
            raise ValueError("nothing is kept of live audio, which may go on for ever; keep its segments yourself")
        if not self.is_complete:
            raise ValueError("the stream has not ended; read its segments first")
        return Transcript(
            self._stitcher.text,
            segments=self._stitcher.segments,
            language=self._stitcher.language,
            duration=self.duration,
            provenance=self._merged.provenance(sha256=self._sha256, duration=self.duration, changes=self._changes),
            warnings=self.warnings,
        )
