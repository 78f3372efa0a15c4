"""One item of a batch: what is known of it already, the call, and what came of it."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import TYPE_CHECKING

from hfasr._core.prepared import UNCUT_S
from hfasr._long.call import transcribe
from hfasr._run.order import Settled
from hfasr.batches import BatchItem
from hfasr.errors import (
    AllRoutesFailedError,
    AuthenticationError,
    BackendNotFoundError,
    BackendNotInstalledError,
    BatchAbortedError,
    EndpointGoneError,
    HfasrError,
    InvalidOptionError,
    JournalError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
)
from hfasr.types import Attempt

from .by_content import CacheByContent
from .keys import content_key, path_key, url_key
from .pieces import KeptPieces, has_gap
from .tally import CACHE_ROUTE

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr._core.context import CallContext
    from hfasr._core.io import IO
    from hfasr._core.room import Room
    from hfasr._core.shared import Shared
    from hfasr.audio import Source
    from hfasr.cache import Cache
    from hfasr.types import AudioInput, TranscribeOptions, Transcript

    from .journal import Entry, Journal
    from .settings import Verify

__all__ = ["Job"]

logger = logging.getLogger("hfasr")

_FATAL = (
    AuthenticationError,
    PaymentRequiredError,
    PermissionDeniedError,
    BackendNotFoundError,
    BackendNotInstalledError,
    InvalidOptionError,
)
"""Of the last route: they say nothing of the item, so every further one would end alike."""

_FATAL_AT_FIRST = (EndpointGoneError, NotFoundError)
"""As long as no item has been answered: a wrong model or address. Later they may be a proxy's hiccup."""


_BYTES_PER_S = 4_000  # of a file that does not tell its duration: 32 kbit/s, which is little, so rather too long


class _KnownError(Exception):
    """The journal knows that this content failed."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclasses.dataclass(slots=True, kw_only=True)
class Job:
    """What all items of a batch have in common."""

    config: Config
    shared: Shared
    options: TranscribeOptions
    fingerprint: str
    """Digest of everything that may change a transcript, but the audio."""
    revision: str | None
    """Commit of the model that an engine here has loaded, where that is the first route; for the cache."""
    journal: Journal | None
    cache: Cache | None
    verify: Verify
    retry_failed: bool | None
    room: Room | None = None
    """For decoded audio, where an engine here is the first route."""
    seats: Room | None = None
    """For chunks that are sent, of all items together; ``None``: each item has its own limit."""
    answered: bool = False
    """Whether any item was transcribed."""

    async def settle(self, io: IO, index: int, audio: AudioInput) -> Settled[BatchItem]:
        """
        Return what came of *audio*: its own failure is part of that.

        Raises:
            BatchAbortedError: It failed for a reason that every further item would fail for.
            JournalError: The journal cannot be read.
        """
        memory = _ItemMemory(self, audio)
        error: Exception
        try:
            if self.journal is not None:
                entry = await io.offload(lambda: memory.look_up(audio))
                if entry is not None:
                    return Settled(BatchItem(index, audio, entry.transcript, entry.error, resumed=True), None)
            transcript = await transcribe(io, self.config, self.shared, audio, self.options, memory=memory)
            self.answered = True
            item = BatchItem(index, audio, transcript, resumed=memory.resumed)
            return Settled(item, None if memory.resumed else memory.key)
        except JournalError:
            raise  # it is nothing of this item's
        except _KnownError as known:
            return Settled(BatchItem(index, audio, error=known.error, resumed=True), None)
        except HfasrError as failed:
            if self._is_fatal(failed):
                raise BatchAbortedError(
                    f"the batch was stopped, since every further item would fail alike: {failed}",
                    attempts=failed.attempts,
                ) from failed
            error = failed
        except Exception as failed:  # a caller's own file or iterable may raise anything
            logger.debug("item %d of the batch failed", index, exc_info=failed)
            error = failed
        finally:
            memory.leave_room()
        return Settled(BatchItem(index, audio, error=_without_frames(error)), memory.key)

    def _is_fatal(self, error: HfasrError) -> bool:
        last = error.errors[-1] if isinstance(error, AllRoutesFailedError) and error.errors else error
        if isinstance(last, RateLimitError) and last.retry_after is not None:
            return last.retry_after > self.config.retry.max_retry_after  # until then none would even be sent
        return isinstance(last, _FATAL) or (isinstance(last, _FATAL_AT_FIRST) and not self.answered)

    def take_over(self, entry: Entry) -> bool:
        """Whether *entry* of the journal stands, and is not to be tried again."""
        if entry.transcript is not None and (self.retry_failed is False or not has_gap(entry.transcript)):
            return True
        return entry.permanent if self.retry_failed is None else not self.retry_failed


class _ItemMemory:
    """The journal and the cache, for one item."""

    def __init__(self, job: Job, audio: AudioInput) -> None:
        self._job = job
        self._audio = audio
        self._cache = CacheByContent(job.cache, fingerprint=job.fingerprint, revision=job.revision)
        self.key: str | None = None
        self.resumed = False
        self._room_s = 0.0

    @property
    def pieces(self) -> KeptPieces | None:
        """See `Memory`."""
        job = self._job
        if job.journal is None and job.cache is None:
            return None
        return KeptPieces(
            self._audio,
            fingerprint=job.fingerprint,
            revision=job.revision,
            journal=job.journal,
            cache=job.cache,
        )

    @property
    def seats(self) -> Room | None:
        """See `Memory`."""
        return self._job.seats

    def look_up(self, audio: AudioInput) -> Entry | None:
        """Return what the journal has of *audio* by its name, where it goes by that. Blocks."""
        job = self._job
        if isinstance(audio, str) and "://" in audio:
            self.key = url_key(audio, job.fingerprint)
        elif isinstance(audio, str | os.PathLike) and job.verify == "stat":
            self.key = path_key(audio, job.fingerprint)
        return self._entry()

    def _entry(self) -> Entry | None:
        job = self._job
        if job.journal is None or self.key is None:
            return None
        entry = job.journal.find(self.key)
        return entry if entry is not None and job.take_over(entry) else None

    async def recall(self, call: CallContext, source: Source) -> Transcript | None:
        """See `Memory`: the content's own entry of the journal, else of the cache."""
        job = self._job
        if job.journal is not None and self.key is None:
            entry = await call.offload(lambda: self._by_content(source))
            if entry is not None and entry.error is not None:
                raise _KnownError(entry.error)
            if entry is not None:
                self.resumed = True
                return entry.transcript
        known = None if job.cache is None else await call.offload(lambda: self._cache.get(source))
        if known is None:
            await self._enter_room(call, source)
            return None
        return _from_cache(known)

    async def _enter_room(self, call: CallContext, source: Source) -> None:
        """Wait until the audio may be decoded for an engine here."""
        if self._job.room is not None:
            seconds = await call.offload(lambda: source.info().duration)
            seconds = source.size / _BYTES_PER_S if seconds is None else seconds
            seconds = min(seconds, UNCUT_S)  # what is longer is cut on its way in
            await self._job.room.enter(call.io, seconds)
            self._room_s = seconds

    def leave_room(self) -> None:
        """Give back what was taken, where anything was."""
        if self._job.room is not None and self._room_s:
            self._job.room.leave(self._room_s)
            self._room_s = 0.0

    def _by_content(self, source: Source) -> Entry | None:
        sha256 = source.sha256()
        self.key = None if sha256 is None else content_key(sha256, self._job.fingerprint)
        return self._entry()

    async def keep(self, call: CallContext, source: Source, transcript: Transcript) -> None:
        """See `Memory`: the journal is written later, when the item is whole."""
        if self._job.cache is not None and not has_gap(transcript):
            await call.offload(lambda: self._cache.put(source, transcript))


def _from_cache(transcript: Transcript) -> Transcript:
    origin = transcript.provenance
    if origin is None:
        return transcript
    attempt = Attempt(CACHE_ROUTE, None, None, None, 0.0, 0.0, 0.0)
    return dataclasses.replace(transcript, provenance=dataclasses.replace(origin, attempts=(attempt,)))


def _without_frames(error: Exception) -> Exception:
    """Drop the tracebacks: their frames hold the audio, and a batch may keep many errors."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            left += [one.__cause__, one.__context__]
            if isinstance(one, AllRoutesFailedError):
                left += one.errors
    return error
