"""A batch's cache, asked by the content of audio. What it fails at is logged, and costs no item."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfasr.cache import cache_key

if TYPE_CHECKING:
    from hfasr.audio import Source
    from hfasr.cache import Cache
    from hfasr.types import Transcript

__all__ = ["CacheByContent"]

logger = logging.getLogger("hfasr")


class CacheByContent:
    """
    Finds and keeps transcripts. Its methods block.

    Args:
        cache: The caller's; ``None``: nothing is found or kept.

        fingerprint: Digest of everything else that may change a transcript.

        revision: Commit of the model, where an engine here is asked first.
    """

    def __init__(self, cache: Cache | None, *, fingerprint: str, revision: str | None) -> None:
        self._cache = cache
        self._fingerprint = fingerprint
        self._revision = revision

    def get(self, source: Source) -> Transcript | None:
        """Return what *source* was transcribed as, ``None`` where that is not known."""
        key = self._key(source, self._revision)
        try:
            return None if key is None or self._cache is None else self._cache.get(key)
        except Exception:
            logger.exception("the cache failed; going on without what it has")  # one of the caller's own
            return None

    def put(self, source: Source, transcript: Transcript) -> None:
        """Keep *transcript* of *source*."""
        origin = transcript.provenance
        key = self._key(source, None if origin is None else origin.revision)  # another route may have answered
        try:
            if key is not None and self._cache is not None:
                self._cache.put(key, transcript)
        except Exception:
            logger.exception("the cache failed; this transcript is not kept in it")

    def _key(self, source: Source, revision: str | None) -> str | None:
        sha256 = None if self._cache is None else source.sha256()
        return None if sha256 is None else cache_key(sha256, self._fingerprint, revision)
