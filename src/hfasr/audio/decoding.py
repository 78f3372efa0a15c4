"""
Decode a source to one mono waveform at the rate that is wanted, in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from hfasr.errors import AudioDecodeError, AudioError, AudioTooLongError, EmptyAudioError, UnsupportedAudioError
from hfasr.types import Audio

from .downmix import Downmix
from .normalize import normalize
from .readers import Reader, open_reader
from .waveforms import MAX_CHANNELS, MAX_SAMPLING_RATE_HZ, MIN_SAMPLING_RATE_HZ

if TYPE_CHECKING:
    import numpy.typing as npt

    from .source import Source

__all__ = ["MAX_DECODED_S", "SAMPLING_RATE_HZ", "Decoded", "decode"]

SAMPLING_RATE_HZ = 16_000
"""What nearly all speech models are trained on."""

MAX_DECODED_S = 4 * 3_600
"""Most seconds that are decoded at once, whatever is allowed: 0.9 GB of samples at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A whole waveform in memory."""

    audio: Audio
    """Mono samples, shape ``(n_samples,)``, float32 in [-1, 1], contiguous, and nobody else's memory."""

    duration: float
    """Seconds, of the original."""

    changes: tuple[str, ...]
    """What was done to it, such as ``"resampled 44100 to 16000 Hz"``."""


def no_check() -> None:
    """Let decoding go on: the default of *check*."""


def decode(
    source: Source,
    *,
    sampling_rate: int = SAMPLING_RATE_HZ,
    channels: Literal["mix"] | int = "mix",
    max_duration_s: float | None = None,
    check: Callable[[], None] = no_check,
) -> Decoded:
    """
    Decode *source*. Blocks; memory grows with the result only.

    Channels that would cancel each other out are not mixed: the loudest is taken, by reading the
    source once more.

    Args:
        source: From `load`.

        sampling_rate: Wanted rate, Hz.

        channels: ``"mix"``: their mean; or the index of one, from 0.

        max_duration_s: Stop as soon as there is more, seconds; ``None``: `MAX_DECODED_S`.

        check: Called between blocks; raises to stop.

    Raises:
        AudioDecodeError: Damaged or cut off.

        UnsupportedAudioError: Nobody here can decode it; more than 8 channels; or an impossible rate.

        EmptyAudioError: There is not one sample.

        AudioTooLongError: Longer than *max_duration_s*.

        AudioError: There is no such channel.

    Example:
        >>> from hfasr.audio.source import WaveformSource
        >>> decoded = decode(WaveformSource(np.zeros((8_000, 2), np.float32), sampling_rate=8_000, name="silence"))
        >>> decoded.audio.waveform.shape, decoded.duration, decoded.changes
        ((16000,), 1.0, ('mixed 2 channels', 'resampled 8000 to 16000 Hz'))

    Source:
        Resampling: libsoxr at its quality "HQ" (20 bits), https://sourceforge.net/p/soxr/wiki/Home/
    """
    limit = min(MAX_DECODED_S, max_duration_s if max_duration_s is not None else MAX_DECODED_S)
    pick = None if channels == "mix" else channels
    waveform, downmix, reader, n_frames = _pass(source, sampling_rate, pick, limit, check)
    changes = list(reader.notes)
    if pick is not None and reader.channels > 1:
        changes.append(f"took channel {pick} of {reader.channels}")
    elif downmix.cancelled:
        loudest = downmix.loudest
        waveform, downmix, reader, n_frames = _pass(source, sampling_rate, loudest, limit, check)
        changes.append(f"took channel {loudest} of {reader.channels}, as their mix cancels out")
    elif reader.channels > 1:
        changes.append(f"mixed {reader.channels} channels")
    if downmix.n_not_finite:
        changes.append(f"set {downmix.n_not_finite} non-finite samples to 0")
    if reader.sampling_rate != sampling_rate:
        changes.append(f"resampled {reader.sampling_rate} to {sampling_rate} Hz")
    waveform, corrections = normalize(waveform)
    audio = Audio(np.ascontiguousarray(waveform), sampling_rate)
    return Decoded(audio, n_frames / reader.sampling_rate, (*changes, *corrections))


def _pass(
    source: Source, sampling_rate: int, pick: int | None, limit: float, check: Callable[[], None]
) -> tuple[npt.NDArray[np.float32], Downmix, Reader, int]:
    """Read *source* once; return the waveform, what the mix was like, the reader, and the frames read."""
    with open_reader(source) as reader:
        _refuse_odd(source, reader, pick)
        if reader.n_frames is not None and reader.n_frames > limit * reader.sampling_rate:
            raise _too_long(source, limit, reader.n_frames / reader.sampling_rate)
        downmix = Downmix(reader.channels, pick=pick)
        resample = _resampler(reader.sampling_rate, sampling_rate)
        parts: list[npt.NDArray[np.float32]] = []
        n_frames = 0
        for block in reader:
            check()
            n_frames += len(block)
            if n_frames > limit * reader.sampling_rate:
                raise _too_long(source, limit, None)
            parts.append(resample(downmix(block), False))
        if not n_frames:
            raise EmptyAudioError(f"{source.name} has not one sample; check that the recording worked")
        if downmix.n_not_finite == downmix.n_samples:
            raise AudioDecodeError(f"not one sample of {source.name} is a finite number; check how it was made")
        parts.append(resample(np.zeros(0, np.float32), True))
    return np.concatenate(parts), downmix, reader, n_frames


def _resampler(given: int, wanted: int) -> Callable[[npt.NDArray[np.float32], bool], npt.NDArray[np.float32]]:
    """Return what takes mono blocks (and whether that was the last) and gives them at the *wanted* rate."""
    if given == wanted:
        return lambda block, _last: block.copy()  # the reader fills its buffer anew
    import soxr

    stream = soxr.ResampleStream(given, wanted, 1, dtype="float32", quality="HQ")
    return lambda block, last: cast("npt.NDArray[np.float32]", stream.resample_chunk(block, last=last))


def _refuse_odd(source: Source, reader: Reader, pick: int | None) -> None:
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
