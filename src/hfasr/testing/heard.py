"""
From the bytes of a request to what an engine heard in them.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TypeAlias

from hfasr.errors import AudioDecodeError
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

__all__ = ["Engine", "Listener", "decode"]

Engine: TypeAlias = Callable[[Audio, TranscribeOptions], Transcript] | Backend
"""What can stand behind a `FakeASRServer`: a function, such as ``ToneSpeech().hear``, or a `Backend`."""


def decode(body: bytes) -> Audio:
    """
    Decode an audio file of any container, down-mixed to mono as ffmpeg does, at its own rate.

    libsndfile first; PyAV, where it is installed, for the rest (m4a, webm, amr).

    Raises:
        AudioDecodeError: Not audio, damaged, or without one sample.

    Example:
        >>> decode(b"<html>")
        Traceback (most recent call last):
        ...
        hfasr.errors.AudioDecodeError: not an audio file that libsndfile or PyAV opens
    """
    import soundfile

    try:
        samples, sampling_rate = soundfile.read(io.BytesIO(body), dtype="float32", always_2d=True)
        audio = Audio(samples.mean(axis=1, dtype=samples.dtype), int(sampling_rate))
    except soundfile.LibsndfileError:
        audio = _decode_with_av(body)
    if not len(audio.waveform):
        raise AudioDecodeError("the audio file holds no samples")
    return audio


def _decode_with_av(body: bytes) -> Audio:
    refusal = "not an audio file that libsndfile or PyAV opens"
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise AudioDecodeError(f"{refusal}; PyAV is not installed") from error
    import numpy as np

    try:
        with av.open(io.BytesIO(body), "r") as container:
            rate = container.streams.audio[0].rate
            mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
            frames = [part for frame in container.decode(audio=0) for part in mono.resample(frame)]
            frames += mono.resample(None)
    except (FFmpegError, IndexError) as error:
        raise AudioDecodeError(refusal) from error
    blocks = [frame.to_ndarray()[0] for frame in frames]
    return Audio(np.concatenate([np.zeros(0, np.float32), *blocks]), int(rate))


class Listener:
    """
    Decodes what a server was sent and asks an engine what it hears.

    Args:
        engine: A function (called by several threads at once) or a `Backend` (given one clip at a
            time, at the rate that it wants). ``None``: a `ToneSpeech`.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        if engine is None:
            from .tones import ToneSpeech

            engine = ToneSpeech().hear
        self._engine = engine
        self._lock = threading.Lock()

    def hear(self, audio: Audio, options: TranscribeOptions) -> Transcript:
        """Return what the engine hears. What the engine raises goes through."""
        if not isinstance(self._engine, Backend):
            return self._engine(audio, options)
        with self._lock:
            return self._engine.transcribe([_resampled(audio, self._engine.sampling_rate)], options)[0]


def _resampled(audio: Audio, sampling_rate: int) -> Audio:
    import soxr

    if audio.sampling_rate == sampling_rate:
        return audio
    return Audio(soxr.resample(audio.waveform, audio.sampling_rate, sampling_rate), sampling_rate)
