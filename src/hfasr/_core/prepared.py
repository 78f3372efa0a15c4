"""A call's audio, prepared once for every route that it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from hfasr.audio import decode, make_upload, passes_through
from hfasr.audio.source import PathSource
from hfasr.errors import AudioTooLongError

if TYPE_CHECKING:
    from hfasr._hosted.dialect import UploadStep
    from hfasr.audio import Decoded, Source, Upload, UploadFormat

    from .context import CallContext

__all__ = ["PreparedAudio"]

T = TypeVar("T")

_INLINE_BYTES = 512 * 1024  # hashing this much takes under a millisecond, a thread hop a tenth of one
_QUICK_HEADERS = {"flac", "mp3", "ogg"}  # read by code of our own; others may import PyAV for it


class PreparedAudio:
    """Decodes, encodes and hashes when first needed, and keeps what it made."""

    def __init__(self, call: CallContext, source: Source) -> None:
        self._call = call
        self._source = source
        self._uploads: dict[tuple[UploadFormat, frozenset[str]], Upload] = {}
        self._decoded: dict[int, Decoded] = {}
        self.duration: float | None = None
        self.changes: tuple[str, ...] = ()
        self.sha256: str | None = None

    async def upload(self, step: UploadStep, accepts: frozenset[str], max_duration_s: float | None) -> Upload:
        """
        Return the audio as a server takes it.

        Raises:
            AudioError: It cannot be read, or is longer than *max_duration_s*.
        """
        config = self._call.config
        form: UploadFormat = config.upload if step == "first" else step
        upload = self._uploads.get((form, accepts))
        if upload is None:

            def make() -> Upload:
                return make_upload(
                    self._source,
                    format=form,
                    accepts=accepts,
                    channels=config.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                )

            if self._is_quick() and passes_through(
                self._source, format=form, accepts=accepts, channels=config.channels
            ):
                upload = self._hashed(make)
            else:
                upload = await self._call.io.offload(lambda: self._hashed(make))
            self._uploads[form, accepts] = upload
        self._check_duration(upload.duration, max_duration_s)
        self.duration = self.duration if upload.duration is None else upload.duration
        self.changes = upload.changes
        return upload

    async def waveform(self, sampling_rate: int, max_duration_s: float | None) -> Decoded:
        """
        Return the audio as an engine takes it.

        Raises:
            AudioError: It cannot be read, or is longer than *max_duration_s*.
        """
        decoded = self._decoded.get(sampling_rate)
        if decoded is None:

            def make() -> Decoded:
                return decode(
                    self._source,
                    sampling_rate=sampling_rate,
                    channels=self._call.config.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                )

            decoded = self._decoded[sampling_rate] = await self._call.io.offload(lambda: self._hashed(make))
        self._check_duration(decoded.duration, max_duration_s)
        self.duration = decoded.duration
        self.changes = decoded.changes
        return decoded

    def _hashed(self, work: Callable[[], T]) -> T:
        # Before anything is sent: afterwards the file may be gone, and a paid transcript with it.
        done = work()
        if self.sha256 is None:
            self.sha256 = self._source.sha256()
        return done

    def _check_duration(self, duration: float | None, max_duration_s: float | None) -> None:
        if duration is not None and max_duration_s is not None and duration > max_duration_s:
            raise AudioTooLongError(
                f"{self._source.name} is {duration:.1f} s long, and at most {max_duration_s:g} s are taken; cut it"
            )

    def _is_quick(self) -> bool:
        """Whether the original bytes are dealt with on the spot: a thread hop would cost more than the work."""
        source = self._source
        quick = source.container is not None and source.container.name in _QUICK_HEADERS
        in_memory = source.is_read if isinstance(source, PathSource) else source.size <= _INLINE_BYTES
        return quick and in_memory
