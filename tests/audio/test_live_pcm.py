"""Blocks of PCM become frames, wherever they are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.audio.live_pcm import PCM, SampleType
from hfasr.errors import UnsupportedAudioError

FULL_SCALE = {"int16": 2**15, "int32": 2**31, "float32": 1}


@given(
    dtype=st.sampled_from(["int16", "int32", "float32"]),
    channels=st.integers(1, 8),
    n_frames=st.integers(0, 50),
    cuts=st.lists(st.integers(0, 1_600)),
    slice_frames=st.integers(1, 60),
)
def test_bytes_may_be_cut_anywhere(
    dtype: SampleType, channels: int, n_frames: int, cuts: list[int], slice_frames: int
) -> None:
    """Cut in the middle of a sample or not, the frames are those that were written."""
    values = np.random.default_rng(n_frames).uniform(-1, 1, (n_frames, channels)) * (FULL_SCALE[dtype] - 1)
    written = values.astype(np.dtype(dtype).newbyteorder("<"))
    data = written.tobytes()
    pcm = PCM(channels=channels, dtype=dtype, slice_frames=slice_frames)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    read = [
        frames
        for start, stop in itertools.pairwise(edges)
        for kind in [(bytes, bytearray, memoryview)[start % 3]]
        for frames in pcm(kind(data[start:stop]))
    ]
    assert all(len(frames) <= slice_frames for frames in read)
    got = np.concatenate([np.zeros((0, channels), np.float32), *read])
    np.testing.assert_allclose(got, written.astype(np.float64) / FULL_SCALE[dtype], atol=1e-7)


def test_half_a_frame_at_the_end_is_left() -> None:
    """What never became whole is no frame."""
    assert [frames.shape for frames in PCM(channels=2, dtype="int16")(bytes(11))] == [(2, 2)]


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_arrays_say_what_they_hold(dtype: SampleType) -> None:
    """The type of an array counts, and not that of bytes; one channel may have one axis."""
    array = np.array([0, FULL_SCALE[dtype] // 2 or 0.5], dtype)
    pcm = PCM(channels=1, dtype="int16")
    for block in (array, array[:, None]):
        np.testing.assert_allclose(np.concatenate(list(pcm(block))), [[0.0], [0.5]], atol=1e-6)


def test_a_view_that_is_not_contiguous() -> None:
    """Every second byte of the caller's memory is bytes, too."""
    samples = np.array([1, 2, 3, 4], "<i2")
    spread = bytes(byte for pair in zip(samples.tobytes(), bytes(8), strict=True) for byte in pair)
    (frames,) = PCM(channels=1, dtype="int16")(memoryview(spread)[::2])
    np.testing.assert_allclose(frames[:, 0] * 2**15, samples)


@pytest.mark.parametrize(
    ("block", "error", "words"),
    [
        ("text", TypeError, "str"),
        ([0.0], TypeError, "list"),
        (None, TypeError, "NoneType"),
        (np.zeros(4, np.float64), UnsupportedAudioError, "float64"),
        (np.zeros(4, bool), UnsupportedAudioError, "bool"),
        (np.zeros(4, np.int16), UnsupportedAudioError, "2 channels"),
        (np.zeros((2, 100), np.int16), UnsupportedAudioError, "2 channels"),
        (np.zeros((2, 2, 2), np.int16), UnsupportedAudioError, "2 channels"),
    ],
)
def test_what_is_no_block(block: object, error: type[Exception], words: str) -> None:
    """A block that has no plain meaning is refused, in one line that says what it was."""
    with pytest.raises(error, match=words):
        list(PCM(channels=2, dtype="int16")(block))


def test_an_array_within_a_frame() -> None:
    """Bytes that end within a frame cannot go on with an array."""
    pcm = PCM(channels=1, dtype="int16")
    assert list(pcm(b"\x00")) == []
    with pytest.raises(UnsupportedAudioError, match="whole frames"):
        list(pcm(np.zeros(4, np.int16)))
