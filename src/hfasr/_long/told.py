"""How a stream stands: which segments are ready, and what is known of it so far. The same in both colours."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hfasr.errors import HfasrError

from .joined import Facts, Joined
from .merged import Merged

if TYPE_CHECKING:
    from hfasr._core.io import IO
    from hfasr._core.stitch import Span
    from hfasr.errors import AudioError
    from hfasr.types import Provenance, Segment, Timestamps, Transcript

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
        self._joined = Joined(timestamps, Merged(nobody, keep=not is_live), keep=not is_live)
        self._ready: deque[Segment] = deque()
        self._done_at = 0.0
        self._n_taken = 0
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

    async def take(self, io: IO, turn: Turn) -> None:
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
        self._ready += await self._joined.take(io, result)
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
        if not self._joined.has_answer:
            raise error
        self._ready += self._joined.leave_rest(error, span)

    async def finish(self, io: IO, cutter: Cutter | None, *, sha256: str | None) -> None:
        """Take the end; of live audio there is no *cutter*, and no digest."""
        self._ready += await self._joined.finish(io)
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
        if self.is_complete and not self.is_live:
            try:
                self._joined.check()
            except HfasrError:
                self.is_complete = False
                raise
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be done, and what was repaired, so far."""
        return self._joined.warnings(silence=self.is_complete and not self.is_live)

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
        return self._joined.transcript(Facts(self._sha256, self.duration, self._changes, self.warnings))
