"""How the transcript of many pieces came about: one provenance out of many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._core.config import HOSTED
from hfasr._core.routes import HostedRoute
from hfasr._version import __version__
from hfasr.types import Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfasr._core.routes import Route
    from hfasr.types import Attempt, Transcript

__all__ = ["Merged", "unasked"]

_MAX_CHANGES = 16


def unasked(route: Route) -> Provenance:
    """Return the provenance of what nobody transcribed, where *route* would have been asked first."""
    if isinstance(route, HostedRoute):
        return Provenance(HOSTED, route.provider, route.model, None, None, None, None)
    return Provenance(route.name, None, route.model, None, None, None, None)


class Merged:
    """
    Adds up what the provenances of pieces say.

    Args:
        nobody: What stands there where no piece was transcribed, see `unasked`.

        attempts: What was tried before the first piece.

        reason: Why routes before were left behind, where they were.

        keep: Whether attempts are kept; of what goes on for ever they are not.

        what: What the pieces are called.
    """

    def __init__(
        self,
        nobody: Provenance,
        attempts: Sequence[Attempt] = (),
        reason: str | None = None,
        *,
        keep: bool = True,
        what: str = "chunks",
    ) -> None:
        self.attempts = list(attempts)
        self._nobody = nobody
        self._keeps = keep
        self._what = what
        self.n_pieces = 0
        self._n_silent = 0
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
        if transcript is None:
            return
        origin = transcript.provenance
        if origin is None or not origin.attempts:
            self._n_silent += 1
            return
        self._first = self._first or origin
        answered = dict.fromkeys(attempt.route for attempt in attempts if attempt.error is None)
        who = " and ".join(answered) or origin.provider or origin.backend  # of one that was cut again, perhaps two
        self._n_by[who] = self._n_by.get(who, 0) + 1
        self._changes.update(dict.fromkeys(origin.audio_changes))
        if self._reason is None:
            self._reason = origin.fallback_reason
        if origin.uploaded_bytes is not None:
            self._uploaded = (self._uploaded or 0) + origin.uploaded_bytes

    @property
    def warnings(self) -> list[str]:
        """Say who transcribed the pieces, where that was more than one."""
        if len(self._n_by) < 2 and not any(" and " in who for who in self._n_by):
            return []
        shares = ", ".join(f"{n} by {who}" for who, n in self._n_by.items())
        return [f"not all {self._what} were transcribed alike: {shares}"[:300]]

    @property
    def silence(self) -> list[str]:
        """Say why no piece was transcribed, where none was, nor failed. To be asked at the end."""
        if self._n_silent < self.n_pieces:
            return []
        why = "the audio is silent" if self.n_pieces else "no speech was found in the audio"
        return [f"{why}, so none of it was transcribed"]

    def provenance(self, *, sha256: str | None, duration: float | None, changes: Sequence[str]) -> Provenance:
        """Return that of the whole; *changes* are those of the whole audio, before it was cut."""
        first = self._first or self._nobody
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
