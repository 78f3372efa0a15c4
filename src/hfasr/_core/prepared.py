"""A call's audio, prepared once for every route that it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from hfasr.audio import decode, make_upload, passes_through
from hfasr.audio.source import PathSource
from hfasr.errors import AudioTooLongError, PayloadTooLargeError

if TYPE_CHECKING:
    from hfasr._hosted.dialect import UploadStep
    from hfasr.audio import Decoded, Source, Upload, UploadFormat
    from hfasr.errors import HfasrError

    from .context import CallContext

__all__ = ["PIECE_S", "UNCUT_S", "PreparedAudio"]

T = TypeVar("T")

SAMPLING_RATE_HZ = 16_000  # of what is uploaded

UNCUT_S = 600.0
"""Longest audio that goes to a route whole which takes any: it is held in memory, and proxies refuse large bodies."""

PIECE_S = 120.0
"""Longest piece that longer audio is cut into for such a route: some 2 MB of FLAC."""

_SAFE_S = 30.0  # what every server was made for: Whisper's window
_SHORTEST_S = 5.0  # 17 kB of Opus, which no server is known to refuse
_LEAST_S = 0.01  # an engine that says it takes less is wrong: cutting would never end
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
        self.is_silent: bool | None = None
        self.sampling_rate = SAMPLING_RATE_HZ
        """Hz, of what the route that was asked last takes."""
        self._longest_s: float | None = None  # what the route takes that was asked last

    async def upload(self, step: UploadStep, accepts: frozenset[str], max_duration_s: float | None) -> Upload:
        """
        Return the audio as a server takes it.

        Raises:
            AudioError: It cannot be read, or is longer than *max_duration_s*.
        """
        config = self._call.config
        self.sampling_rate = SAMPLING_RATE_HZ
        form: UploadFormat = config.upload if step == "first" else step
        max_duration_s = self._limit(max_duration_s, UNCUT_S if form != "original" else None)
        upload = self._uploads.get((form, accepts))
        if upload is None:

            def make() -> Upload:
                return make_upload(
                    self._source,
                    format=form,
                    accepts=accepts,
                    channels=self.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                )

            if self._is_quick() and passes_through(
                self._source, format=form, accepts=accepts, channels=self.channels, max_duration_s=max_duration_s
            ):
                upload = self._hashed(make)
            else:
                upload = await self._call.io.offload(lambda: self._hashed(make))
            self._uploads[form, accepts] = upload
        self._check_duration(upload.duration, max_duration_s)
        self.duration = self.duration if upload.duration is None else upload.duration
        self.changes = upload.changes
        self.is_silent = upload.is_silent
        return upload

    async def waveform(self, sampling_rate: int, max_duration_s: float | None) -> Decoded:
        """
        Return the audio as an engine takes it.

        Raises:
            AudioError: It cannot be read, or is longer than *max_duration_s*.
        """
        self.sampling_rate = sampling_rate
        max_duration_s = self._limit(max_duration_s, UNCUT_S)
        decoded = self._decoded.get(sampling_rate)
        if decoded is None:

            def make() -> Decoded:
                return decode(
                    self._source,
                    sampling_rate=sampling_rate,
                    channels=self.channels,
                    max_duration_s=max_duration_s,
                    check=self._call.check,
                )

            decoded = self._decoded[sampling_rate] = await self._call.io.offload(lambda: self._hashed(make))
        self._check_duration(decoded.duration, max_duration_s)
        self.duration = decoded.duration
        self.changes = decoded.changes
        self.is_silent = decoded.is_silent
        return decoded

    def shorter(self, error: HfasrError) -> float | None:
        """
        Return the longest piece, in seconds, in which a route may take what it has just refused with *error*.

        ``None``: that is not for its length, or it cannot be cut any further.
        """
        if not isinstance(error, AudioTooLongError | PayloadTooLargeError):
            return None
        if self._longest_s is not None and self._longest_s < _LEAST_S:
            return None
        longest_s, duration = self._longest_s or PIECE_S, self.duration
        known = self._longest_s is not None and duration is not None and duration > self._longest_s
        if (self._uploads or self._decoded) and not known:  # by all that was known it was short enough
            halves = _SAFE_S if isinstance(error, AudioTooLongError) else 2 * _SAFE_S
            refused_s = _SAFE_S if duration is None or duration > halves else duration / 2
            if refused_s < _SHORTEST_S:
                return None
            longest_s = min(longest_s, refused_s)
        return longest_s

    def forget(self) -> None:
        """Let go of what was made: it is to be cut, which may take long."""
        self._uploads.clear()
        self._decoded.clear()

    @property
    def source(self) -> Source:
        """What it is made from."""
        return self._source

    @property
    def channels(self) -> Literal["mix"] | int:
        """``"mix"``, or the index of one."""
        channels = self._call.config.channels
        assert channels != "split"  # each of them is a call of its own
        return channels

    def _limit(self, max_duration_s: float | None, otherwise: float | None) -> float | None:
        """Return the longest audio, in seconds, that goes out whole to a route that takes *max_duration_s*."""
        limits = [s for s in (max_duration_s, self._call.config.chunking.chunk_length_s) if s is not None]
        self._longest_s = min(limits, default=None)
        return otherwise if self._longest_s is None else self._longest_s

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
