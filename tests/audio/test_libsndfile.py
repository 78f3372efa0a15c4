"""Cut and streamed files: what is there is used and noted, unless the format promises more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hfasr.audio import decode
from hfasr.audio.files import open_path
from hfasr.audio.source import PathSource
from hfasr.errors import AudioDecodeError, AudioNotFoundError
from tests.audio.kit import encode, encode_av, hide_av, source, tone

STREAMED = "took the WAV file's length from its size, as its header does not say"


def with_length(wav: bytes, length: int) -> bytes:
    """Return *wav* with another length of its samples."""
    at = wav.index(b"data") + 4
    return wav[:at] + length.to_bytes(4, "little") + wav[at + 4 :]


@pytest.mark.parametrize("length", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("on_disk", [False, True])
def test_wav_from_a_pipe_has_the_length_of_its_bytes(tmp_path: Path, length: int, on_disk: bool) -> None:
    """A program that writes to a pipe cannot fill in the length; all samples are there."""
    data = with_length(encode(tone()), length)
    path = tmp_path / "pipe.wav"
    path.write_bytes(data)
    decoded = decode(PathSource(path, check=lambda: None) if on_disk else source(data))
    np.testing.assert_allclose(decoded.audio.waveform, tone(), atol=1e-4)
    assert decoded.changes == (STREAMED,)


def test_ffmpeg_s_own_pipe_is_understood() -> None:
    """WAV as FFmpeg writes it where it cannot seek is decoded whole."""
    data = encode_av(tone(), 16_000, container="wav", codec="pcm_s16le")
    decoded = decode(source(with_length(data, 0xFFFF_FFFF)))
    assert decoded.duration == 0.5
    assert decoded.changes == (STREAMED,)


def test_big_endian_wav_from_a_pipe() -> None:
    """The length is filled in in the file's own byte order."""
    import io

    import soundfile

    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="WAV", subtype="PCM_16", endian="BIG")
    assert file.getvalue()[:4] == b"RIFX"
    assert decode(source(with_length(file.getvalue(), 0))).duration == 0.5


def test_a_broken_header_of_unknown_length_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling in the length does not help a file whose format is nonsense."""
    hide_av(monkeypatch)
    data = bytearray(with_length(encode(tone()), 0))
    data[20:22] = b"\x77\x77"  # the format's tag
    with pytest.raises(AudioDecodeError, match="is damaged, or of a kind"):
        decode(source(bytes(data)))


def test_a_wav_file_that_was_cut_is_used_as_far_as_it_goes() -> None:
    """Samples that are there are intact; the changes say what is missing."""
    decoded = decode(source(encode(tone(duration=1))[:-16_000]))
    np.testing.assert_allclose(decoded.audio.waveform, tone(), atol=1e-4)
    assert decoded.changes == ("the WAV file ends 16000 bytes before its header says",)


def test_chunks_after_the_samples_are_no_samples() -> None:
    """A header that is right is believed."""
    decoded = decode(source(encode(tone()) + b"LIST\x04\x00\x00\x00abcd"))
    assert decoded.duration == 0.5
    assert decoded.changes == ()


@pytest.mark.parametrize("share", [0.95, 0.5, 0.1])
def test_a_flac_file_that_was_cut_is_damaged(share: float) -> None:
    """FLAC says how long it is, and a stream that ends in the middle of a frame has lost something."""
    data = encode(tone(duration=3), format="FLAC")
    with pytest.raises(AudioDecodeError, match="damaged or cut off"):
        decode(source(data[: int(share * len(data))]))


def test_a_flac_file_that_ends_between_two_frames_is_damaged() -> None:
    """Whole frames alone do not make a whole file."""
    data = bytearray(encode(tone(), format="FLAC"))
    data[22:26] = (16_000).to_bytes(4, "big")
    with pytest.raises(AudioDecodeError):
        decode(source(bytes(data)))


@pytest.mark.parametrize("installed", [True, False])
def test_an_mp3_file_that_was_cut_is_used_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """MP3 is a row of frames, each whole by itself; the changes say what is missing."""
    data = encode(tone(duration=4), format="MP3")
    if not installed:
        hide_av(monkeypatch)
    decoded = decode(source(data[: len(data) // 2]))
    assert 1.5 < decoded.duration < 2.5
    assert any("before its header says" in change for change in decoded.changes)


def test_pyav_is_asked_where_libsndfile_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CAF file that was cut is used as far as it goes with the extra, and is damaged without."""
    data = encode(tone(), format="CAF")
    data = data[: len(data) // 2]
    decoded = decode(source(data))
    assert 0.1 < decoded.duration < 0.3
    assert decoded.changes == ("decoded by PyAV, as libsndfile could not open it",)
    hide_av(monkeypatch)
    with pytest.raises(AudioDecodeError, match="libsndfile does not read"):
        decode(source(data))


@pytest.mark.parametrize("installed", [True, False])
def test_an_ogg_file_without_a_whole_page_is_damaged(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """Where not one page of sound is whole, there is nothing to hear."""
    if not installed:
        hide_av(monkeypatch)
    with pytest.raises(AudioDecodeError, match=r"record or download it again|check that it plays"):
        decode(source(encode(tone(), format="OGG")[:-100]))


def test_an_ogg_file_without_its_last_page_is_used_as_far_as_it_goes() -> None:
    """The last page says that it is the last; where none does, the changes say so."""
    data = encode(tone(duration=20), format="OGG")
    assert decode(source(data)).changes == ()
    decoded = decode(source(data[: len(data) * 9 // 10]))
    assert 15 < decoded.duration < 19
    assert decoded.changes == ("the Ogg file ends without its last page",)


def test_a_file_that_is_gone_is_not_damaged(tmp_path: Path) -> None:
    """A file that was deleted after it had been found is missing."""
    path = tmp_path / "gone.flac"
    path.write_bytes(encode(tone(), format="FLAC"))
    gone = PathSource(path, check=lambda: None)
    path.unlink()
    with pytest.raises(AudioNotFoundError):
        decode(gone)


@pytest.mark.parametrize("name", ["é😀.flac".encode(), b"\xff\xfe.flac"])
def test_names_need_not_be_unicode(tmp_path: Path, name: bytes) -> None:
    """A file name is bytes on Linux, and any of them will do."""
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  # pathlib takes no bytes
    try:
        Path(os.fsdecode(path)).write_bytes(encode(tone(), format="FLAC"))
    except (OSError, ValueError):
        pytest.skip("this system's file names are Unicode")
    assert decode(open_path(path, lambda: None)).duration == 0.5
