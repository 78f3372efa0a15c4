"""How a stream stands: which segments are ready, and what is known of it so far. The same in both colours."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hfasr._core.stitch import Stitcher
from hfasr.types import Transcript

from .merged import Merged

if TYPE_CHECKING:
    from hfasr.types import Segment, Timestamps

    from .cutter import Cutter
    from .pieces import PieceResult

__all__ = ["Told"]


class Told:
    """
    Takes pieces in order, and gives segments.

    Args:
        timestamps: What was asked for.

        backend: Who is asked first.

        is_live: Whether it may go on for ever, so that nothing of what was said is kept.
    """

    def __init__(self, timestamps: Timestamps, *, backend: str, is_live: bool) -> None:
        self._stitcher = Stitcher(timestamps, keep=not is_live)
        self._merged = Merged(backend, keep=not is_live)
        self._ready: deque[Segment] = deque()
        self._done_at = 0.0
        self.is_complete = False
        """Whether the end was reached."""
        self.duration = 0.0
        """Seconds of audio that have been transcribed, or were found to hold nothing."""
        self.delay: float | None = None
        """Seconds from the end of the last phrase to its text; of live audio alone."""
        self.max_delay: float | None = None
        """The largest delay so far."""

    def take(self, result: PieceResult) -> None:
        """Take the next piece."""
        self._merged.add(result.transcript, result.attempts)
        if result.transcript is None:
            self._ready += self._stitcher.add_gap(result.span, f"{type(result.error).__name__}: {result.error}")
        else:
            self._ready += self._stitcher.add(result.transcript, result.span)
        self.duration = max(self.duration, result.span.end)
        self._done_at = max(self._done_at, result.done_at)  # in order: what was done before its turn waits for it
        if result.spoken_at is not None:
            self.delay = self._done_at - result.spoken_at
            self.max_delay = max(self.delay, self.max_delay or 0.0)

    def finish(self, cutter: Cutter | None) -> None:
        """Take the end."""
        if not self.is_complete:
            self._ready += self._stitcher.finish()
            self.is_complete = True
            if cutter is not None and cutter.duration is not None:
                self.duration = cutter.duration

    def pop(self) -> Segment | None:
        """Return the next segment, ``None`` where none is ready."""
        return self._ready.popleft() if self._ready else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be done, and what was repaired, so far."""
        return (*self._stitcher.warnings, *self._merged.warnings)

    def transcript(self, cutter: Cutter, sha256: str | None) -> Transcript:
        """Return all of it."""
        return Transcript(
            self._stitcher.text,
            segments=self._stitcher.segments,
            language=self._stitcher.language,
            duration=self.duration,
            provenance=self._merged.provenance(sha256=sha256, duration=self.duration, changes=cutter.changes),
            warnings=self.warnings,
        )
