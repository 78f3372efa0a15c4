"""Noise that is shaped a little like speech: the same for the same seed, on every machine."""

from __future__ import annotations

import io

import numpy as np
import soundfile


def clip(seconds: float, sampling_rate: int, channels: int, form: str, *, seed: int = 0) -> bytes:
    """Return *seconds* of it as a file: a voice that swells twice a second, the same on all channels, and hiss."""
    rng = np.random.default_rng(seed)
    loudness = 0.1 * (1 + np.sin(np.linspace(0, 4 * np.pi * seconds, int(seconds * sampling_rate))))
    voice = np.convolve(rng.standard_normal(len(loudness)), np.hanning(24) / 4, mode="same")
    noise = rng.standard_normal((len(loudness), channels)) * 0.02
    samples = np.clip((voice[:, None] * 0.3 + noise) * loudness[:, None], -1, 1)
    file = io.BytesIO()
    soundfile.write(file, samples, sampling_rate, format=form)
    return file.getvalue()
