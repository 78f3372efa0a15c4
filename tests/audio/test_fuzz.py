"""Whatever is done to a file, and however it is read, what comes out is audio or one of our errors."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr.audio.sniff import identify
from hfasr.errors import HfasrError
from tests.audio.damage import KINDS, file_of, read_everywhere

pytest.importorskip("av", reason="needs the extra av")

NOT_AS_A_STREAM = {"caf", "8svx", "m4a", "mov", "3gp", "wavpack"}  # FFmpeg must seek in what these programs write
FUZZ = settings(max_examples=1_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 8, deadline=None)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(share=st.floats(0, 1))
def test_files_cut_off_anywhere(kind: str, share: float) -> None:
    """A file that ends early is decoded as far as it goes, or refused."""
    data = file_of(kind)
    read_everywhere(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8))
def test_files_with_flipped_bits(kind: str, places: list[tuple[float, int]]) -> None:
    """A damaged file is decoded with its damage, or refused."""
    data = bytearray(file_of(kind))
    for share, bit in places:
        data[int(share * len(data))] ^= 1 << bit
    read_everywhere(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(places=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=8))
def test_files_with_forged_headers(kind: str, places: list[tuple[int, int]]) -> None:
    """A header may claim anything."""
    data = bytearray(file_of(kind))
    for at, byte in places:
        data[at] = byte
    read_everywhere(bytes(data))


@FUZZ
@given(
    start=st.sampled_from(
        [b"", b"ID3\x04\x00\x00", b"RIFF", b"OggS", b"\xff\xfb", b"\x1aE\xdf\xa3", b"\0\0\0\x20ftyp"]
    ),
    rest=st.binary(max_size=300),
)
def test_random_bytes(start: bytes, rest: bytes) -> None:
    """Any bytes are recognised or refused."""
    data = start + rest
    with contextlib.suppress(HfasrError):
        assert identify(lambda offset, n_bytes: data[offset : offset + n_bytes], "x").name
    read_everywhere(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_file_passes_the_same_reading(kind: str) -> None:
    """What these tests hold damaged files to is true of whole ones, which are heard in every way that there is."""
    whole, pieces, live, call = read_everywhere(file_of(kind))
    assert (whole, pieces, call) == ("heard", "heard", "heard")
    assert (live == "heard") is (kind not in NOT_AS_A_STREAM)
