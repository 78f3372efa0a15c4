"""
Decode a source to one mono waveform at the rate that is wanted, in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hfasr.types import Audio

from .levelled import LevelledSource
from .mono import MonoStream, no_check
from .normalize import SILENT_PEAK, loudest, normalize

if TYPE_CHECKING:
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

    is_silent: bool = False
    """Digital silence: before anything was raised, it never left one step of 24-bit audio."""


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

    Where channels would cancel each other out they are not mixed: the loudest is taken. The level of a piece
    from `Pieces` is settled, and stays as it is.

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
    """
    limit = min(MAX_DECODED_S, max_duration_s if max_duration_s is not None else MAX_DECODED_S)
    with MonoStream(source, sampling_rate=sampling_rate, channels=channels, limit=limit, check=check) as stream:
        waveform = np.concatenate(list(stream))
        duration, changes = stream.duration, stream.changes()
    if isinstance(source, LevelledSource):
        peak = loudest(waveform)
        if peak > 1.0:  # by the resampler
            waveform = np.clip(waveform, -1.0, 1.0)
    else:
        waveform, corrections, peak = normalize(waveform)
        changes += corrections
    audio = Audio(np.ascontiguousarray(waveform), sampling_rate)
    return Decoded(audio, duration, tuple(changes), is_silent=peak <= SILENT_PEAK)
