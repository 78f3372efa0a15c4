"""A call's audio, prepared once for every route that it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from hfasr.audio import decode, make_upload, passes_through
from hfasr.audio.source import PathSource

if TYPE_CHECKING:
    from hfasr._hosted.dialect import UploadStep
    from hfasr.audio import Decoded, Source, Upload, UploadFormat

    from .context import CallContext

__all__ = ["PreparedAudio"]

T = TypeVar("T")

_INLINE_BYTES = 512 * 1024  # hashing this much takes under a millisecond, a thread hop a tenth of one


class PreparedAudio:
    """Decodes and encodes when first needed; keeps what it made."""

    def __init__(self, call: CallContext, source: Source) -> None:
        self._call = call
        self._source = source
        self._uploads: dict[tuple[UploadFormat, frozenset[str]], Upload] = {}
        self._decoded: dict[int, Decoded] = {}
        self._sha256: str | None = None
        self.duration: float | None = None
        self.changes: tuple[str, ...] = ()

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
            upload = await self._run(
                lambda: make_upload(
                    self._source,
                    format=form,
                    accepts=accepts,
                    channels=config.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                ),
                inline=passes_through(self._source, format=form, accepts=accepts, channels=config.channels),
            )
            self._uploads[form, accepts] = upload
            self.duration = upload.duration if upload.duration is not None else self.duration
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
            decoded = await self._call.io.offload(
                lambda: decode(
                    self._source,
                    sampling_rate=sampling_rate,
                    channels=self._call.config.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                )
            )
            self._decoded[sampling_rate] = decoded
            self.duration = decoded.duration
        self.changes = decoded.changes
        return decoded

    async def sha256(self) -> str | None:
        """Return the digest of the input."""
        if self._sha256 is None:
            self._sha256 = await self._run(self._source.sha256, inline=True)
        return self._sha256

    async def _run(self, work: Callable[[], T], *, inline: bool) -> T:
        # Small bytes in memory are dealt with on the spot: a thread hop would cost more than the work.
        if inline and self._source.size <= _INLINE_BYTES and not isinstance(self._source, PathSource):
            return work()
        return await self._call.io.offload(work)
