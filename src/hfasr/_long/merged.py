"""How the transcript of many pieces came about: one provenance out of many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._version import __version__
from hfasr.types import Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr.types import Attempt, Transcript

__all__ = ["Merged"]

_MAX_CHANGES = 16


class Merged:
    """
    Adds up what the provenances of pieces say.

    Args:
        backend: Who was asked first.

        attempts: What was tried before the first piece.

        reason: Why routes before were left behind, where they were.

        keep: Whether attempts are kept; of what goes on for ever they are not.
    """

    def __init__(
        self, backend: str, attempts: Sequence[Attempt] = (), reason: str | None = None, *, keep: bool = True
    ) -> None:
        self.attempts = list(attempts)
        self._backend = backend
        self._keeps = keep
        self.n_pieces = 0
        self._first: Provenance | None = None
        self._reason = reason
        self._uploaded: int | None = None
        self._n_by: dict[str, int] = {}  # pieces by who transcribed them
        self._changes: dict[str, None] = {}  # in the order in which they came

    def add(self, transcript: Transcript | None, attempts: Sequence[Attempt]) -> None:
        """Take in one piece; ``None``: it failed."""
        self.n_pieces += 1
        if self._keeps:
            self.attempts += attempts
        origin = None if transcript is None else transcript.provenance
        if origin is None:
            return
        self._first = self._first or origin
        who = origin.provider or origin.backend
        self._n_by[who] = self._n_by.get(who, 0) + 1
        self._changes.update(dict.fromkeys(origin.audio_changes))
        if self._reason is None:
            self._reason = origin.fallback_reason
        if origin.uploaded_bytes is not None:
            self._uploaded = (self._uploaded or 0) + origin.uploaded_bytes

    @property
    def warnings(self) -> list[str]:
        """Say who transcribed the pieces, where that was more than one."""
        if len(self._n_by) < 2:
            return []
        shares = ", ".join(f"{n} by {who}" for who, n in self._n_by.items())
        return [f"not all chunks were transcribed alike: {shares}"[:300]]

    def provenance(self, *, sha256: str | None, duration: float | None, changes: Sequence[str]) -> Provenance:
        """Return that of the whole; *changes* are those of the whole audio, before it was cut."""
        first = self._first or Provenance(self._backend, None, None, None, None, None, None)
        every = dict.fromkeys([*changes, *self._changes])
        return replace(
            first,
            audio_sha256=sha256,
            audio_duration=duration,
            uploaded_bytes=self._uploaded,
            attempts=tuple(self.attempts),
            fallback_reason=self._reason,
            audio_changes=tuple(every)[:_MAX_CHANGES],
            hfasr_version=__version__,
            chunks=self.n_pieces,
        )
