"""
Turn arrays and tensors into float32 samples of a plain shape; what is ambiguous is refused, not guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from hfasr.errors import AudioDecodeError, UnsupportedAudioError

from .source import WaveformSource

if TYPE_CHECKING:
    import numpy.typing as npt

    from hfasr.types import Audio

__all__ = ["MAX_CHANNELS", "MAX_SAMPLING_RATE_HZ", "MIN_SAMPLING_RATE_HZ", "from_audio", "from_decoder", "scaled"]

MAX_CHANNELS = 8
"""7.1; what has more is a microphone array, of which nobody wants the mean."""

MIN_SAMPLING_RATE_HZ = 1_000
"""Below it there is no speech to recognise, and a second of input would become a flood of output."""

MAX_SAMPLING_RATE_HZ = 768_000
"""The fastest converters made (16 x 48 kHz)."""

_MIN_PLAIN_FRAMES = 64  # an axis longer than this is time, if the other one is short enough to be channels


def from_audio(audio: Audio, *, name: str = "the waveform") -> WaveformSource:
    """
    Check *audio* and scale it to float32; the caller's memory is kept where it is float32 already.

    Raises:
        TypeError: Not an array or tensor of numbers, or the rate is not a whole number.

        UnsupportedAudioError: A type of samples (bool, complex, int64), a shape or a rate that has no
            plain meaning as audio.

    Example:
        >>> from hfasr.types import Audio
        >>> from_audio(Audio(np.zeros((2, 16_000), np.int16), sampling_rate=16_000)).frames.shape
        (16000, 2)
    """
    rate = _rate(audio.sampling_rate)
    samples = scaled(_as_array(audio.waveform))
    return WaveformSource(_frames(samples), sampling_rate=rate, name=name)


def from_decoder(decoder: Any) -> WaveformSource:
    """
    Decode with torchcodec's ``AudioDecoder``, whose samples have shape ``(n_channels, n_frames)``.

    Raises:
        AudioDecodeError: torchcodec cannot decode it.
    """
    try:
        samples = decoder.get_all_samples()
    except RuntimeError as error:  # what torchcodec raises for every failure of FFmpeg
        raise AudioDecodeError("torchcodec cannot decode this audio; check that it plays elsewhere") from error
    frames = scaled(_as_array(samples.data))
    if frames.ndim == 2:
        frames = frames.T
    return WaveformSource(
        _frames(frames, plain=True), sampling_rate=_rate(samples.sample_rate), name="the AudioDecoder"
    )


def scaled(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """
    Return *samples* as float32 in [-1, 1]: floats as they are, integers divided by their full scale.

    Raises:
        UnsupportedAudioError: Samples of another type.

    Example:
        >>> scaled(np.array([0, 128, 255], np.uint8))
        array([-1.       ,  0.       ,  0.9921875], dtype=float32)
    """
    kind, width = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f" and width <= 8:
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is then set to 0
            return samples.astype(np.float32, copy=False)
    if kind == "u" and width == 1:  # 8-bit WAV is the one unsigned kind
        return (samples.astype(np.float32) - 128.0) / 128.0
    if kind == "i" and width <= 4:
        return samples.astype(np.float32) / np.float32(2 ** (8 * width - 1))
    raise UnsupportedAudioError(
        f"samples of type {samples.dtype} have no plain full scale; pass float32 in [-1, 1] or int16"
    )


def _rate(value: Any) -> int:
    whole = isinstance(value, SupportsIndex) and not isinstance(value, bool | np.bool_)
    if not whole and not (isinstance(value, float | np.floating) and float(value).is_integer()):
        raise TypeError(f"sampling_rate must be a whole number of Hz, not {type(value).__name__}")
    rate = int(value)  # of a float, too: that is how librosa hands rates out
    if not MIN_SAMPLING_RATE_HZ <= rate <= MAX_SAMPLING_RATE_HZ:
        raise UnsupportedAudioError(
            f"a sampling rate of {rate} Hz is none of speech; give the true one, "
            f"from {MIN_SAMPLING_RATE_HZ} to {MAX_SAMPLING_RATE_HZ} Hz"
        )
    return rate


def _as_array(waveform: Any) -> npt.NDArray[Any]:
    if callable(getattr(waveform, "detach", None)):  # a torch tensor, perhaps on a GPU, perhaps with gradients
        waveform = waveform.detach().cpu()
        if str(waveform.dtype) == "torch.bfloat16":  # numpy has no such type
            waveform = waveform.float()
        waveform = waveform.numpy()
    if isinstance(waveform, str | bytes | bytearray | memoryview | None):
        raise TypeError(f"a waveform is an array or tensor of samples, not {type(waveform).__name__}")
    try:
        array = np.asarray(waveform)
    except ValueError:
        raise UnsupportedAudioError("the waveform's rows differ in length; pass channels of equal length") from None
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"a waveform is an array or tensor of numbers, not of {array.dtype}")
    return array


def _frames(samples: npt.NDArray[np.float32], *, plain: bool = False) -> npt.NDArray[np.float32]:
    """Bring *samples* into the shape ``(n_frames, n_channels)``; *plain*: a second axis is the channels' for sure."""
    shape = samples.shape
    if samples.ndim == 1:
        return samples[:, None]
    if samples.ndim != 2:
        raise UnsupportedAudioError(f"a waveform of shape {shape} is not audio; pass (n_samples,) or two axes at most")
    if samples.size == 0:
        return samples.reshape(0, 1)
    if plain or shape[1] == 1:
        return samples
    if shape[0] == 1:
        return samples.T
    if 0 < shape[1] <= MAX_CHANNELS and shape[0] > _MIN_PLAIN_FRAMES:
        return samples
    if 0 < shape[0] <= MAX_CHANNELS and shape[1] > _MIN_PLAIN_FRAMES:
        return samples.T
    raise UnsupportedAudioError(
        f"a waveform of shape {shape} does not tell channels from time (at most {MAX_CHANNELS} channels, more than "
        f"{_MIN_PLAIN_FRAMES} samples); pass a mono one of shape (n_samples,)"
    )
