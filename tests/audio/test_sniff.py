"""Files are recognised by their bytes, and what is not audio is named."""

from __future__ import annotations

import io
import json
import wave
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hfasr.audio.sniff import identify, skip_id3
from hfasr.errors import AudioDecodeError, EmptyAudioError, UnsupportedAudioError
from tests.audio.kit import encode, encode_av, tone

if TYPE_CHECKING:
    from hfasr.audio import Container


def kind(data: bytes) -> Container:
    return identify(lambda offset, n_bytes: data[offset : offset + n_bytes], "the file")


def id3(size: int = 100, *, footer: bool = False) -> bytes:
    """Return an ID3v2.4 tag of *size* bytes."""
    length = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00" + (b"\x10" if footer else b"\x00") + length + bytes(size + (10 if footer else 0))


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("WAV", "wav"),
        ("RF64", "wav"),
        ("W64", "w64"),
        ("AIFF", "aiff"),
        ("AU", "au"),
        ("CAF", "caf"),
        ("FLAC", "flac"),
        ("MP3", "mp3"),
        ("SVX", "8svx"),
        ("VOC", "voc"),
        ("NIST", "sph"),
        ("OGG", "ogg"),
    ],
)
def test_what_libsndfile_writes_is_recognised(container: str, name: str) -> None:
    """Each kind of file has its name."""
    assert kind(encode(tone(), format=container)).name == name


@pytest.mark.parametrize(
    ("container", "codec", "rate", "name"),
    [
        ("ipod", "aac", 44_100, "m4a"),
        ("mp4", "aac", 44_100, "m4a"),
        ("mov", "aac", 44_100, "m4a"),
        ("3gp", "aac", 44_100, "3gp"),
        ("webm", "libopus", 48_000, "webm"),
        ("matroska", "libopus", 48_000, "mkv"),
        ("adts", "aac", 44_100, "aac"),
        ("ac3", "ac3", 48_000, "ac3"),
        ("flv", "aac", 44_100, "flv"),
        ("avi", "mp3", 44_100, "avi"),
        ("mpegts", "aac", 44_100, "ts"),
        ("mp2", "mp2", 44_100, "mp2"),
        ("mp3", "libmp3lame", 44_100, "mp3"),
        ("wv", "wavpack", 44_100, "wv"),
        ("tta", "tta", 44_100, "tta"),
        ("caf", "alac", 44_100, "caf"),
        ("asf", "mp2", 44_100, "wma"),
    ],
)
def test_what_ffmpeg_writes_is_recognised(container: str, codec: str, rate: int, name: str) -> None:
    """Sound alone in an MP4 file is M4A, whatever its brand says."""
    assert kind(encode_av(tone(sampling_rate=rate), rate, container=container, codec=codec)).name == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#!AMR\n\x3c", "amr"),
        (b"#!AMR-WB\n\x3c", "amr"),
        (b"RIFX\x00\x00\x00\x24WAVEfmt ", "wav"),
        (b"ADIF\x00\x00", "aac"),
        (b"MAC \x96\x0f\x00\x00", "ape"),
        (b"DSD \x1c\x00\x00\x00", "dsf"),
        (b"dns.\x18\x00\x00\x00", "au"),
        (b"\x00\x00\x01\xba\x44\x00", "mpg"),
        (b"\x7f\xfe\x80\x01\xfc", "dts"),
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(20), "ogv"),
    ],
)
def test_rarer_kinds_are_recognised(head: bytes, name: str) -> None:
    """What nothing here writes is told by its first bytes."""
    assert kind(head).name == name


def test_flac_in_ogg_is_lossless() -> None:
    """Ogg with FLAC inside is worth decoding, Ogg with Opus is not."""
    assert not kind(b"OggS" + bytes(24) + b"\x7fFLAC\x01").lossy
    assert kind(b"OggS" + bytes(24) + b"OpusHead").lossy


def test_pictures_are_noticed() -> None:
    """A video is marked as such, so that its pictures are not sent."""
    av = pytest.importorskip("av", reason="needs the extra av")
    for container, codec, name in (("mp4", "mpeg4", "mp4"), ("mov", "mpeg4", "mov"), ("webm", "libvpx", "webm")):
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=24, width=32, height=32)
            stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        found = kind(file.getvalue())
        assert (found.name, found.video) == (name, True)


@pytest.mark.parametrize("footer", [False, True])
def test_tags_are_skipped(footer: bool) -> None:
    """After one or several ID3 tags stands what counts: MP3, but also FLAC or AAC."""
    tags = id3(70_000, footer=footer) + id3(50)
    assert kind(tags + encode(tone(), format="MP3")).name == "mp3"
    assert kind(tags + encode(tone(), format="FLAC")).name == "flac"
    assert kind(tags + bytes(500) + encode(tone(), format="MP3")).name == "mp3"
    data = tags + b"fLaC"
    assert skip_id3(lambda offset, n: data[offset : offset + n]) == len(tags)


def test_a_tag_alone_is_not_audio() -> None:
    """An ID3 tag with nothing behind it is refused."""
    with pytest.raises(UnsupportedAudioError):
        kind(id3())


def test_a_piece_of_a_radio_stream_is_mp3() -> None:
    """MP3 that begins in the middle of a frame is found."""
    assert kind(encode(tone(duration=2), format="MP3")[77:]).name == "mp3"


def test_an_mp4_without_its_index_is_cut_off() -> None:
    """A recording whose index was never written cannot be read by anyone."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container="ipod", codec="aac")
    with pytest.raises(AudioDecodeError, match="MP4 file without its index: it was cut off"):
        kind(data[: data.index(b"moov") - 4])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        (b"  \r\n<HTML lang=de>", "an HTML page"),
        ("<html>ü".encode(), "an HTML page"),
        ("\ufeff<html>".encode("utf-16-le"), "an HTML page"),
        ("\ufeff<html>".encode(), "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (json.dumps({"error": "Not Found"}).encode(), "a JSON document"),
        (b"[1, 2]", "a JSON document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a Git LFS pointer"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", "a playlist"),
        (b"hello, this is text", "plain text"),
        ("Ein Gruß an alle Hörer".encode("latin-1"), "plain text"),
        (b"MAC addresses and other text", "plain text"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\x00", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "a JPEG picture"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "a WebP picture"),
        (b"\x1f\x8b\x08\x00\x00\x00", "a gzip archive"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive"),
        (b"\x93NUMPY\x01\x00v\x00", "a NumPy file"),
        (b"MThd\x00\x00\x00\x06", "a MIDI file"),
        (b"\x7fELF\x02\x01\x01\x00", "a program"),
    ],
)
def test_what_is_not_audio_is_named(data: bytes, what: str) -> None:
    """A page, a document, a picture or an archive is refused by its name."""
    with pytest.raises(UnsupportedAudioError, match=f"^the file is {what}.*not audio; "):
        kind(data)


def test_a_zip_of_audio_is_still_a_zip() -> None:
    """An archive is not searched for audio."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tone.wav", encode(tone()))
    with pytest.raises(UnsupportedAudioError, match="a ZIP archive, not audio; unpack it"):
        kind(file.getvalue())


@pytest.mark.parametrize("data", [bytes(1_024), b"\xff" * 1_024, b"\xff\xfb" * 500, bytes(range(256)) * 8, b"\x00"])
def test_unknown_bytes_are_refused(data: bytes) -> None:
    """Zeros, ones and counting bytes are nothing."""
    with pytest.raises(UnsupportedAudioError, match="no kind of audio that is known here"):
        kind(data)


def test_noise_is_not_taken_for_mp3() -> None:
    """A megabyte of random bytes holds no three frames in a row."""
    noise = np.random.default_rng(0).integers(1, 256, 2**20, np.uint8).tobytes()
    with pytest.raises(UnsupportedAudioError):
        kind(noise)


def test_no_bytes_are_empty() -> None:
    """An empty file is not unknown, but empty."""
    with pytest.raises(EmptyAudioError, match="the file is empty"):
        kind(b"")


@pytest.mark.shared
def test_real_files_are_recognised(shared: Path) -> None:
    """Recordings from the field have the kinds that their names say."""
    for path in sorted((shared / "audio").glob("s*.*")):
        assert kind(path.read_bytes()).name == path.suffix.removeprefix(".")


@pytest.mark.shared
def test_a_broken_upload_is_refused(shared: Path) -> None:
    """1024 zeros named .flac, from the tests of Hugging Face's servers, are nothing."""
    with pytest.raises(UnsupportedAudioError):
        kind((shared / "audio" / "malformed.flac").read_bytes())


def test_python_s_own_wav_is_recognised() -> None:
    """The standard library's WAV is WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8_000, 0, "NONE", ""))
        writer.writeframes(bytes(100))
    assert kind(file.getvalue()).name == "wav"


def test_handlers_are_counted_up_to_a_bound() -> None:
    """Megabytes of handlers do not hold up the event loop: what stands behind the 64th is not looked at."""
    handler = b"hdlr" + bytes(8) + b"soun"
    for n_handlers, name in ((63, "mp4"), (64, "m4a")):
        index = b"moov" + n_handlers * handler + b"hdlr" + bytes(8) + b"vide"
        data = b"\0\0\0\x0cftypM4A " + (len(index) + 4).to_bytes(4, "big") + index
        assert kind(data).name == name
