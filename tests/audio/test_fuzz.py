"""Whatever is done to a file, what comes out is audio or one of our errors."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfasr.audio import decode, make_upload
from hfasr.audio.sniff import identify
from hfasr.errors import HfasrError
from tests.audio.kit import encode, encode_av, source, tone

ACCEPTS = frozenset({"flac", "wav", "mp3", "ogg", "webm", "m4a"})
KINDS = ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64", "AU", "m4a", "webm", "aac"]
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_AV = {"m4a": ("ipod", "aac"), "webm": ("webm", "libopus"), "aac": ("adts", "aac")}
_FILES: dict[str, bytes] = {}


def file_of(kind: str) -> bytes:
    """Return a small file of *kind*, made once."""
    if kind not in _FILES:
        if kind in _AV:
            container, codec = _AV[kind]
            _FILES[kind] = encode_av(tone(sampling_rate=48_000), 48_000, container=container, codec=codec)
        else:
            _FILES[kind] = encode(tone(), format=kind)
    return _FILES[kind]


def read(data: bytes) -> None:
    """Do everything with *data*; what comes out must be sound."""
    with contextlib.suppress(HfasrError):
        given_source = source(data)
        info = given_source.info()
        assert info.duration is None or info.duration >= 0
        with contextlib.suppress(HfasrError):
            made = make_upload(given_source, format="auto", accepts=ACCEPTS, max_duration_s=60)
            assert made.data
        decoded = decode(given_source, max_duration_s=60)
        assert np.isfinite(decoded.audio.waveform).all()
        assert np.abs(decoded.audio.waveform).max(initial=0) <= 1


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(share=st.floats(0, 1))
def test_files_cut_off_anywhere(kind: str, share: float) -> None:
    """A file that ends early is decoded as far as it goes, or refused."""
    data = file_of(kind)
    read(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8))
def test_files_with_flipped_bits(kind: str, places: list[tuple[float, int]]) -> None:
    """A damaged file is decoded with its damage, or refused."""
    data = bytearray(file_of(kind))
    for share, bit in places:
        data[int(share * len(data))] ^= 1 << bit
    read(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(places=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=8))
def test_files_with_forged_headers(kind: str, places: list[tuple[int, int]]) -> None:
    """A header may claim anything."""
    data = bytearray(file_of(kind))
    for at, byte in places:
        data[at] = byte
    read(bytes(data))


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
    read(data)


def test_a_sound_file_passes_the_same_reading() -> None:
    """What the fuzz tests hold damaged files to is true of whole ones."""
    for kind in KINDS:
        assert decode(source(file_of(kind))).duration == pytest.approx(0.5, abs=0.1)
        read(file_of(kind))
