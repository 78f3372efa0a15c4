from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from hfasr.audio import AudioInfo, Source, headers, mpeg
from hfasr.audio.headers import mp3_info, wav_header
from hfasr.audio.source import PathSource, WaveformSource
from tests.audio.kit import encode, encode_av, hide_av, source, tone


@pytest.mark.parametrize(
    ("container", "subtype", "bits"),
    [
        ("FLAC", "PCM_16", 16),
        ("FLAC", "PCM_24", 24),
        ("WAV", "PCM_U8", 8),
        ("WAV", "PCM_24", 24),
        ("WAVEX", "PCM_16", 16),
        ("RF64", "FLOAT", 32),
        ("WAV", "ALAW", 8),
        ("AIFF", "PCM_16", None),
        ("W64", "PCM_16", None),
        ("OGG", "VORBIS", None),
    ],
)
def test_headers_say_duration_rate_channels_and_width(container: str, subtype: str, bits: int | None) -> None:
    """What was written is what the header says."""
    samples = np.stack([tone(duration=0.25, sampling_rate=44_100)] * 2, axis=1)
    info = source(encode(samples, 44_100, format=container, subtype=subtype)).info()
    assert info == AudioInfo(0.25, 44_100, 2, bits)


@pytest.mark.parametrize("duration", [0.25, 2.0])
def test_mp3_with_a_xing_header_is_exact(duration: float) -> None:
    """The encoder's delay and padding do not count."""
    info = source(encode(tone(duration=duration, sampling_rate=44_100), 44_100, format="MP3")).info()
    assert info == AudioInfo(duration, 44_100, 1)


def test_mp3_without_a_xing_header_is_counted() -> None:
    """Frame by frame, where no header announces their number."""
    data = encode_av(tone(duration=2, sampling_rate=48_000), 48_000, container="mp2", codec="mp2")
    info = source(data).info()
    assert (info.sampling_rate, info.channels) == (48_000, 1)
    assert info.duration == pytest.approx(2, abs=0.05)


def test_adpcm_is_measured_by_its_fact_chunk() -> None:
    """The duration of compressed WAV comes from the number of frames that it announces."""
    info = source(encode(tone(duration=1), subtype="MS_ADPCM")).info()
    assert info.duration == pytest.approx(1, abs=0.04)  # blocks of 500 samples


@pytest.mark.parametrize("container", ["ipod", "adts"])
def test_others_are_asked_of_pyav(container: str) -> None:
    """Where PyAV is installed, it knows the rest."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container=container, codec="aac")
    info = source(data).info()
    assert (info.sampling_rate, info.channels) == (44_100, 1)
    assert info.duration == pytest.approx(0.5, abs=0.1)


def test_without_pyav_the_rest_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra nothing fails; nobody knows."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container="ipod", codec="aac")
    hide_av(monkeypatch)
    assert source(data).info() == AudioInfo()


def test_streams_of_unknown_length(tmp_path: Path) -> None:
    """FLAC from a pipe has no duration; WAV from a pipe has that of the bytes that are there."""
    flac = bytearray(encode(tone(), format="FLAC"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert source(bytes(flac)).info() == AudioInfo(None, 16_000, 1, 16)
    wav = bytearray(encode(tone()))
    at = wav.index(b"data") + 4
    for length in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\xf0\xff\x7f"):
        wav[at : at + 4] = length
        assert source(bytes(wav)).info().duration == 0.5
    path = tmp_path / "cut.wav"
    path.write_bytes(encode(tone())[:8_044])
    assert PathSource(path, check=lambda: None).info().duration == 0.25


@pytest.mark.parametrize(
    "data",
    [b"fLaC", b"fLaC" + bytes(60), b"RIFF\x00\x00\x00\x00WAVE", b"RIFFxxxxWAVEfmt " + bytes(30), b"caff\x00\x01"],
)
def test_damaged_headers_say_nothing(data: bytes) -> None:
    """A header that cannot be read is unknown, not an error."""
    assert source(data).info() == AudioInfo()


def test_samples_say_their_own() -> None:
    """An array knows its duration."""
    array = WaveformSource(np.zeros((8_000, 2), np.float32), sampling_rate=16_000, name="array")
    assert array.info() == AudioInfo(0.5, 16_000, 2)


def test_extra_chunks_are_walked_over() -> None:
    """Chunks of odd length before the samples are padded to even ones."""
    wav = encode(tone())
    listed = wav[:36] + b"LIST\x03\x00\x00\x00abc\x00" + wav[36:]
    header = wav_header(io.BytesIO(listed))
    assert header is not None
    assert (header.data_start, header.declared, header.available) == (56, 16_000, 16_000)
    assert not header.streaming


def test_a_wav_file_that_never_reaches_its_samples_says_nothing() -> None:
    """A header of chunks without samples, or of samples without a format, is unknown."""
    wav = encode(tone())
    assert source(wav[:40]).info() == AudioInfo()
    assert source(wav[:12] + wav[36:]).info() == AudioInfo()


def test_compressed_wav_without_a_fact_chunk_is_measured_by_its_byte_rate() -> None:
    """A-law has 8000 bytes a second; a format without a byte rate has no known duration."""
    wav = bytearray(encode(tone(sampling_rate=8_000), 8_000, subtype="ALAW"))
    at = wav.index(b"fact")
    wav[at : at + 4] = b"junk"
    assert source(bytes(wav)).info().duration == 0.5
    wav[28:32] = bytes(4)
    assert source(bytes(wav)).info() == AudioInfo(None, 8_000, 1)


@pytest.mark.parametrize("name", ["FLAC", "WAV", "MP3"])
def test_a_header_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Whoever asks again gets the same answer."""
    looked = 0
    look = headers.look

    def counted(given: Source) -> AudioInfo:
        nonlocal looked
        looked += 1
        return look(given)

    monkeypatch.setattr(headers, "look", counted)
    path = tmp_path / "tone"
    path.write_bytes(encode(tone(), format=name))
    for given in (source(path.read_bytes()), PathSource(path, check=lambda: None)):
        looked = 0
        assert given.info() is given.info()
        assert looked == 1


def test_a_long_mp3_is_not_walked_to_its_end() -> None:
    """After 65 536 frames the rest is reckoned from its size, which is exact for one bit rate."""
    header = bytes.fromhex("ffe318c4")  # MPEG-2.5 layer III, 8 kHz mono, 8 kbit/s: the smallest frames
    frame = mpeg.parse_frame(header)
    assert frame is not None
    n_reads = 0

    class Counted(io.BytesIO):
        def read(self, n_bytes: int | None = -1, /) -> bytes:
            nonlocal n_reads
            n_reads += 1
            return super().read(n_bytes)

    info = mp3_info(Counted((header + bytes(frame.length - 4)) * 200_000))
    assert info == AudioInfo(200_000 * frame.n_samples / 8_000, 8_000, 1)
    assert n_reads < 65_600
