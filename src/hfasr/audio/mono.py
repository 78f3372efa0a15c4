"""
Read a source once, as mono blocks at the rate that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from hfasr.errors import AudioDecodeError, AudioError, AudioTooLongError, EmptyAudioError, UnsupportedAudioError

from .downmix import Downmix
from .readers import Reader, open_reader
from .waveforms import MAX_CHANNELS, MAX_SAMPLING_RATE_HZ, MIN_SAMPLING_RATE_HZ

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .source import Source

__all__ = ["MonoStream", "Resample", "no_check", "refuse_odd", "resampler"]

Resample: TypeAlias = "Callable[[npt.NDArray[np.float32], bool], npt.NDArray[np.float32]]"
"""Takes mono blocks (and whether that was the last), and gives them at another rate."""


def no_check() -> None:
    """Let decoding go on: the default of *check*."""


class MonoStream:
    """
    Mono blocks of a source: mixed, free of NaN and infinities, resampled; their level is what it was.

    The blocks are nobody else's memory. What can be read before damage is given before the error is raised.

    Args:
        source: From `load`.

        sampling_rate: Wanted rate, Hz.

        channels: ``"mix"``: their mean; or the index of one, from 0.

        limit: Most seconds that are read; ``None``: any.

        check: Called between blocks; raises to stop.

    Raises:
        AudioError: As `decode` raises: what the header shows at once, the rest while it is read.
    """

    def __init__(
        self,
        source: Source,
        *,
        sampling_rate: int,
        channels: Literal["mix"] | int,
        limit: float | None = None,
        check: Callable[[], None] = no_check,
    ) -> None:
        self._source = source
        self._limit = limit
        self._check = check
        self._wanted = sampling_rate
        pick = None if channels == "mix" else channels
        with ExitStack() as opening:
            self._reader = opening.enter_context(open_reader(source, check=check))
            refuse_odd(source, self._reader, pick)
            rate, n_frames = self._reader.sampling_rate, self._reader.n_frames
            if limit is not None and n_frames is not None and n_frames > limit * rate:
                raise _too_long(source, limit, n_frames / rate)
            self._open = opening.pop_all()
        self._downmix = Downmix(self._reader.channels, sampling_rate=rate, pick=pick)
        self._resample = resampler(rate, sampling_rate)
        self._n_frames = 0

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        failure: AudioError | None = None
        blocks = iter(self._reader)
        while True:
            try:
                block = next(blocks, None)
            except AudioError as error:
                failure = error
                break
            if block is None:
                break
            self._check()
            self._n_frames += len(block)
            if self._limit is not None and self._n_frames > self._limit * self._reader.sampling_rate:
                raise _too_long(self._source, self._limit, None)
            yield self._resample(self._downmix(block), False)
        if self._n_frames:
            yield self._resample(np.zeros(0, np.float32), True)
        try:
            self._complain(failure)
        finally:
            del failure  # or it holds this frame, and that the open file, until a garbage collection

    def _complain(self, failure: AudioError | None) -> None:
        if failure is not None:
            try:
                raise failure
            finally:
                del failure
        if not self._n_frames:
            raise EmptyAudioError(f"{self._source.name} has not one sample; check that the recording worked")
        if self._downmix.n_not_finite == self._downmix.n_samples:
            raise AudioDecodeError(f"not one sample of {self._source.name} is a finite number; check how it was made")

    @property
    def duration(self) -> float:
        """Seconds of the original that were read."""
        return self._n_frames / self._reader.sampling_rate

    def changes(self) -> list[str]:
        """Say what was done so far, as in `Decoded.changes`."""
        changes = [*self._reader.notes, *self._downmix.changes()]
        if self._downmix.n_not_finite:
            changes.append(f"set {self._downmix.n_not_finite} non-finite samples to 0")
        if self._reader.sampling_rate != self._wanted:
            changes.append(f"resampled {self._reader.sampling_rate} to {self._wanted} Hz")
        return changes

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def resampler(given: int, wanted: int) -> Resample:
    """
    Return what takes blocks at the rate *given* and gives them at the rate *wanted*, Hz, in memory of their own.

    Source:
        libsoxr at its quality "HQ" (20 bits), https://sourceforge.net/p/soxr/wiki/Home/
    """
    if given == wanted:
        return lambda block, _last: block.copy()  # the reader fills its buffer anew
    import soxr

    stream = soxr.ResampleStream(given, wanted, 1, dtype="float32", quality="HQ")
    return lambda block, last: cast("npt.NDArray[np.float32]", stream.resample_chunk(block, last=last))


def refuse_odd(source: Source, reader: Reader, pick: int | None) -> None:
    """
    See that what the header says is of speech.

    Raises:
        AudioError: It is not, or there is no channel *pick*.
    """
    if reader.channels > MAX_CHANNELS:
        raise UnsupportedAudioError(
            f"{source.name} has {reader.channels} channels, and at most {MAX_CHANNELS} are taken; pass fewer"
        )
    if not MIN_SAMPLING_RATE_HZ <= reader.sampling_rate <= MAX_SAMPLING_RATE_HZ:
        raise UnsupportedAudioError(
            f"{source.name} has a sampling rate of {reader.sampling_rate} Hz, which is none of speech; check its header"
        )
    if pick is not None and not 0 <= pick < reader.channels:
        raise AudioError(f"{source.name} has {reader.channels} channels, numbered from 0; there is no channel {pick}")


def _too_long(source: Source, limit: float, claimed: float | None) -> AudioTooLongError:
    length = f"longer than {limit:g} s" if claimed is None else f"{claimed:.1f} s long"
    return AudioTooLongError(f"{source.name} is {length}, and at most {limit:g} s are taken at once; split it")
