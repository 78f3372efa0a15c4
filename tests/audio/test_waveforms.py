from __future__ import annotations

import fractions
import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hfasr.audio import decode
from hfasr.audio.waveforms import from_audio, from_decoder, scaled
from hfasr.errors import AudioDecodeError, EmptyAudioError, UnsupportedAudioError
from hfasr.types import Audio
from tests.audio.kit import tone


class Tensor:
    """What hfasr asks of a torch tensor."""

    def __init__(self, array: Any, dtype: str = "torch.float32") -> None:
        self.array = array
        self.dtype = dtype

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.array)

    def numpy(self) -> Any:
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.float16, [-1, 0.5, 1], [-1, 0.5, 1]),
        (np.float32, [-1, 0.5, 1], [-1, 0.5, 1]),
        (np.float64, [-1, 0.5, 1], [-1, 0.5, 1]),
        (">f4", [-1, 0.5, 1], [-1, 0.5, 1]),
        (np.int8, [-128, 0, 64], [-1, 0, 0.5]),
        (np.uint8, [0, 128, 192], [-1, 0, 0.5]),
        (np.int16, [-32_768, 0, 16_384], [-1, 0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
    ],
)
def test_numbers_are_scaled_by_their_width(dtype: Any, values: list[float], expected: list[float]) -> None:
    """Integers become fractions of their full scale; floats stay as they are; the input is not changed."""
    given = np.array(values, dtype)
    kept = given.copy()
    result = scaled(given)
    assert result.dtype == np.float32
    assert result.tolist() == expected
    np.testing.assert_array_equal(given, kept)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.uint32, np.complex64, np.bool_])
def test_numbers_without_a_full_scale_are_refused(dtype: Any) -> None:
    """Nobody knows how loud an int64 is."""
    with pytest.raises(UnsupportedAudioError, match="pass float32"):
        from_audio(Audio(np.zeros(100, dtype), 16_000))


@pytest.mark.parametrize("value", [None, "abc", b"abc", np.array(["a"]), np.array([object()])])
def test_what_is_no_array_is_a_type_error(value: Any) -> None:
    """A path in place of samples is a mistake of the caller."""
    with pytest.raises(TypeError, match="a waveform is an array or tensor"):
        from_audio(Audio(value, 16_000))


@pytest.mark.parametrize(
    ("shape", "frames"),
    [
        ((100,), (100, 1)),
        ((100, 1), (100, 1)),
        ((1, 100), (100, 1)),
        ((1, 5), (5, 1)),
        ((100, 2), (100, 2)),
        ((2, 100), (100, 2)),
        ((8, 65), (65, 8)),
        ((65, 8), (65, 8)),
        ((0,), (0, 1)),
        ((2, 0), (0, 1)),
    ],
)
def test_plain_shapes(shape: tuple[int, ...], frames: tuple[int, int]) -> None:
    """Where it is plain which axis is time, either order is taken."""
    assert from_audio(Audio(np.zeros(shape, np.float32), 16_000)).frames.shape == frames


@pytest.mark.parametrize("shape", [(), (2, 2), (8, 64), (9, 100), (100, 9), (100, 100), (1, 2, 100)])
def test_ambiguous_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """What could be read in two ways, or in none, is not guessed."""
    with pytest.raises(UnsupportedAudioError, match="shape"):
        from_audio(Audio(np.zeros(shape, np.float32), 16_000))


def test_rows_of_different_length_are_refused() -> None:
    """Lists that make no array are named."""
    with pytest.raises(UnsupportedAudioError, match="rows differ"):
        from_audio(Audio([[0.0], [0.0, 1.0]], 16_000))  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("rate", [16_000, np.int32(16_000), 16_000.0, np.float64(16_000)])
def test_whole_rates_of_any_type(rate: Any) -> None:
    """Numpy's and librosa's rates are taken."""
    source = from_audio(Audio(np.zeros(16, np.float32), rate))
    assert source.sampling_rate == 16_000
    assert type(source.sampling_rate) is int


@pytest.mark.parametrize("rate", [None, "16000", True, np.True_, 16_000.5, fractions.Fraction(1, 3), float("nan")])
def test_rates_that_are_no_whole_numbers(rate: Any) -> None:
    """A rate of another type is a mistake of the caller."""
    with pytest.raises(TypeError, match="whole number of Hz"):
        from_audio(Audio(np.zeros(16, np.float32), rate))


@pytest.mark.parametrize("rate", [0, -16_000, 16, 999, 768_001, 10**12])
def test_impossible_rates(rate: int) -> None:
    """A rate in kHz, or none, is refused."""
    with pytest.raises(UnsupportedAudioError, match=f"{rate} Hz"):
        from_audio(Audio(np.zeros(16, np.float32), rate))


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors(dtype: str) -> None:
    """Tensors are taken to the CPU and out of the graph; bfloat16, which numpy lacks, by way of float32."""
    source = from_audio(Audio(Tensor(tone(), dtype), 16_000))  # type: ignore[arg-type]  # a stand-in
    np.testing.assert_array_equal(source.frames[:, 0], tone())


def test_float32_is_not_copied() -> None:
    """The caller's memory is used as long as nothing is written."""
    samples = tone()
    assert np.shares_memory(from_audio(Audio(samples, 16_000)).frames, samples)


def test_a_float64_beyond_float32_is_infinite_and_then_silent() -> None:
    """Absurd values do not raise a warning, and end as zeros."""
    samples = tone().astype(np.float64)
    samples[3] = 1e300
    decoded = decode(from_audio(Audio(samples, 16_000)))  # type: ignore[arg-type]  # float64 is documented
    assert "set 1 non-finite samples to 0" in decoded.changes


def test_no_samples_are_empty() -> None:
    """An empty array is an empty recording."""
    with pytest.raises(EmptyAudioError):
        decode(from_audio(Audio(np.zeros(0, np.float32), 16_000)))


def test_torchcodec_gives_channels_first() -> None:
    """However short, the first axis is the channels'."""
    samples = SimpleNamespace(data=Tensor(np.zeros((2, 3), np.float32)), sample_rate=44_100)
    source = from_decoder(SimpleNamespace(get_all_samples=lambda: samples))
    assert source.frames.shape == (3, 2)
    assert source.sampling_rate == 44_100


def test_torchcodec_failures_are_damage() -> None:
    """What FFmpeg raises through torchcodec is an error of ours."""

    def fail() -> None:
        raise RuntimeError("Invalid data found when processing input")

    with pytest.raises(AudioDecodeError, match="torchcodec"):
        from_decoder(SimpleNamespace(get_all_samples=fail))


def test_the_hash_is_that_of_samples_and_rate() -> None:
    """Equal samples have equal hashes whatever their type; another rate or shape gives another hash."""
    ints = np.array([0, 16_384, -32_768, 8] * 40, np.int16)
    floats = ints.astype(np.float64) / 32_768

    def sha256(waveform: Any, rate: int = 16_000) -> str | None:
        return from_audio(Audio(waveform, rate)).sha256()

    assert sha256(ints) == sha256(floats)
    assert sha256(ints) != sha256(ints, 8_000)
    assert sha256(ints) != sha256(ints.reshape(-1, 2))
    assert sha256(ints.reshape(2, -1)) == sha256(np.ascontiguousarray(ints.reshape(2, -1).T))


def test_long_samples_are_hashed_in_pieces() -> None:
    """However long, and however they lie in memory, the hash is that of the samples one after the other."""
    frames = np.arange(200_001 * 2, dtype=np.float32).reshape(2, -1) / np.float32(400_002)
    whole = hashlib.sha256(frames.T.astype("<f4").tobytes() + b" float32le 16000 Hz 2 channels").hexdigest()
    assert from_audio(Audio(frames, 16_000)).sha256() == whole
