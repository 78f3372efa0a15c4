"""Plain 16-bit WAV is read as libsndfile would read it; everything else is left to libsndfile."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfasr.audio import decode
from hfasr.audio.libsndfile import SoundFileReader
from hfasr.audio.pcm import PCMReader, pcm_reader
from hfasr.audio.readers import BLOCK_FRAMES, Reader, open_reader
from hfasr.audio.source import PathSource
from tests.audio.kit import Floats, encode, source, tone


def samples_of(reader: Reader) -> Floats:
    """Return all samples of *reader*."""
    with reader:
        return np.concatenate([block.copy() for block in reader])


def noise(n_frames: int, n_channels: int) -> Floats:
    """Return full-scale noise."""
    return np.random.default_rng(0).uniform(-1, 1, (n_frames, n_channels)).astype(np.float32)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize("n_frames", [1, 500, 2 * BLOCK_FRAMES + 5])
@pytest.mark.parametrize("on_disk", [False, True])
def test_the_samples_are_those_of_libsndfile(
    tmp_path: Path, container: str, n_channels: int, n_frames: int, on_disk: bool
) -> None:
    """Bit for bit, in memory and on disk, in one block or several."""
    data = encode(noise(n_frames, n_channels), 44_100, format=container, subtype="PCM_16")
    path = tmp_path / "noise.wav"
    path.write_bytes(data)
    given = PathSource(path, check=lambda: None) if on_disk else source(data)
    reader = open_reader(given)
    assert isinstance(reader, PCMReader)
    assert (reader.sampling_rate, reader.channels, reader.n_frames) == (44_100, n_channels, n_frames)
    np.testing.assert_array_equal(samples_of(reader), samples_of(SoundFileReader(given)))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_other_samples_are_left_to_libsndfile(subtype: str) -> None:
    """Only 16 bits are plain."""
    given = source(encode(tone(), subtype=subtype))
    assert pcm_reader(given) is None
    assert decode(given).duration == pytest.approx(0.5, abs=0.05)


def test_big_endian_samples_are_left_to_libsndfile() -> None:
    """RIFX has its bytes swapped."""
    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="WAV", subtype="PCM_16", endian="BIG")
    assert pcm_reader(source(file.getvalue())) is None


def test_an_odd_header_is_left_to_libsndfile() -> None:
    """A frame that is not as wide as its channels, and a file without samples, are not plain."""
    data = bytearray(encode(tone(), subtype="PCM_16"))
    assert pcm_reader(source(bytes(data[:44]))) is None
    data[32] = 4  # bytes per frame
    assert pcm_reader(source(bytes(data))) is None


def test_a_file_that_becomes_shorter_ends_there(tmp_path: Path) -> None:
    """What is gone meanwhile is not waited for; the odd byte is left."""
    path = tmp_path / "shrinking.wav"
    path.write_bytes(encode(tone(), subtype="PCM_16"))
    reader = pcm_reader(PathSource(path, check=lambda: None))
    assert reader is not None
    path.write_bytes(path.read_bytes()[: 44 + 2_001])
    np.testing.assert_allclose(samples_of(reader)[:, 0], tone()[:1_000], atol=1e-4)
