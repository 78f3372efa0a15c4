"""What keeps the pieces of long audio, so that a call that is repeated sends only those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hfasr._core.context import CallContext
    from hfasr.audio import Source
    from hfasr.types import Transcript

__all__ = ["PieceMemory"]


class PieceMemory(Protocol):
    """Pieces by their content. What fails here costs no piece."""

    async def recall(self, call: CallContext, source: Source) -> Transcript | None:
        """Return what the piece *source* was transcribed as, ``None`` where that is not known."""
        ...

    async def keep(self, call: CallContext, source: Source, transcript: Transcript) -> None:
        """Remember *transcript*."""
        ...
