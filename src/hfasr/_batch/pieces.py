"""The chunks of one long item, kept in the batch's journal and cache until the item is whole."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hfasr.batches import BatchItem

from .by_content import CacheByContent
from .keys import content_key

if TYPE_CHECKING:
    from hfasr._core.context import CallContext
    from hfasr.audio import Source
    from hfasr.cache import Cache
    from hfasr.errors import JournalError
    from hfasr.types import AudioInput, Transcript

    from .journal import Journal
    from .keys import ItemKey

__all__ = ["KeptPieces", "has_gap"]


def has_gap(transcript: Transcript) -> bool:
    """Whether a part of *transcript* could not be transcribed."""
    return any(segment.error is not None for segment in transcript.segments)


class KeptPieces:
    """
    Finds and keeps chunks by their samples; to send one again is all that a failure here costs.

    Args:
        audio: The item's input, for people who read the journal.

        fingerprint: Digest of everything else that may change a transcript.

        revision: Commit of the model, where an engine here is asked first.

        journal: Where to keep them, if anywhere.

        cache: The same.
    """

    def __init__(
        self, audio: AudioInput, *, fingerprint: str, revision: str | None, journal: Journal | None, cache: Cache | None
    ) -> None:
        self._audio = audio
        self._fingerprint = f"{fingerprint}:chunk"  # a chunk is asked for otherwise than a whole input with its samples
        self._journal = journal
        self._cache = CacheByContent(cache, fingerprint=self._fingerprint, revision=revision)

    async def recall(self, call: CallContext, source: Source) -> Transcript | None:
        """Return what the chunk *source* was transcribed as, ``None`` where that is not known."""
        return await call.offload(lambda: self._find(source))

    async def keep(self, call: CallContext, source: Source, transcript: Transcript) -> None:
        """Remember *transcript*."""
        await call.offload(lambda: self._put(source, transcript, call.chunk or 0))

    def _find(self, source: Source) -> Transcript | None:
        entry = None if self._journal is None else self._journal.find(self._key(source))
        if entry is not None and entry.transcript is not None:
            return entry.transcript
        return self._cache.get(source)

    def _put(self, source: Source, transcript: Transcript, chunk: int) -> None:
        if self._journal is not None:
            item = BatchItem(chunk, self._audio, dataclasses.replace(transcript, raw=None))
            self._journal.append(self._key(source), item, _told, chunk=chunk)
        self._cache.put(source, transcript)

    def _key(self, source: Source) -> ItemKey:
        sha256 = source.sha256()
        assert sha256 is not None  # samples always have one
        return content_key(sha256, self._fingerprint)


def _told(error: JournalError | None) -> None:
    """Leave it to the item, which cannot be written either and ends the batch: nothing is lost by that."""
