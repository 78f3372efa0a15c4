"""
Encode a mono waveform as FLAC, WAV or Opus.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import soundfile

if TYPE_CHECKING:
    from hfasr.types import Audio

__all__ = ["Encoding", "encode"]

Encoding: TypeAlias = Literal["flac", "wav", "opus"]

_OPUS_BITS_PER_SECOND = 28_000  # wideband speech is transparent to recognisers from 24 kbit/s: RFC 6716 2.1.1
# libsndfile turns 0 to 1 into 256 to 6 kbit/s for each channel (its ogg_opus.c)
_OPUS_COMPRESSION = 1 - (_OPUS_BITS_PER_SECOND - 6_000) / 250_000
_BLOCK_SAMPLES = 65_536  # whose copies are small; and libsndfile's Ogg writers keep a whole call's on the stack


def encode(audio: Audio, encoding: Encoding) -> bytes:
    """
    Encode *audio*.

    Args:
        audio: Mono samples, shape ``(n_samples,)``, float32 in [-1, 1].

        encoding: ``"flac"`` and ``"wav"`` are lossless, with 16-bit samples; ``"opus"`` is Ogg Opus at
            28 kbit/s, and takes 8, 12, 16, 24 or 48 kHz.

    Example:
        >>> from hfasr.types import Audio
        >>> encode(Audio(np.zeros(160, np.float32), 16_000), "wav")[:4]
        b'RIFF'
    """
    body = io.BytesIO()
    kind, subtype = ("OGG", "OPUS") if encoding == "opus" else (encoding.upper(), "PCM_16")
    compression = _OPUS_COMPRESSION if encoding == "opus" else None
    with soundfile.SoundFile(
        body, "w", audio.sampling_rate, 1, subtype, format=kind, compression_level=compression
    ) as file:
        for start in range(0, len(audio.waveform), _BLOCK_SAMPLES):
            block = audio.waveform[start : start + _BLOCK_SAMPLES]
            file.write(block if encoding == "opus" else np.rint(block * np.float32(32_767)).astype(np.int16))
    return body.getvalue()
