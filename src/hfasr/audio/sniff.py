"""
Tell what a file is from its bytes.

By our own table of magic numbers: names lie, and the system's table of types differs from machine
to machine. What is not audio is named and refused, so that a login page is not transcribed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hfasr.errors import EmptyAudioError, UnsupportedAudioError

from . import boxes, mpeg, not_audio
from .containers import (
    AAC,
    AC3,
    AIFF,
    AMR,
    APE,
    ASF,
    AU,
    AVI,
    CAF,
    DSF,
    DTS,
    FLAC,
    FLV,
    MP2,
    MP3,
    MPEG_PS,
    MPEG_TS,
    NIST,
    OGG,
    OGG_FLAC,
    OGG_VIDEO,
    SVX,
    TTA,
    VOC,
    W64,
    WAV,
    WAVPACK,
    Container,
)

__all__ = ["HEAD_BYTES", "ReadAt", "identify", "skip_id3"]

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""``read_at(offset, n_bytes)``: bytes from there, fewer at the end."""

HEAD_BYTES = 65_536  # room for two MPEG frames, an Ogg page or Matroska's tracks, and one read

_MAGIC: tuple[tuple[bytes, Container], ...] = (  # what stands at the very beginning; long enough that no text matches
    (b"fLaC", FLAC),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", W64),
    (b"caff\x00\x01", CAF),
    (b".snd\x00", AU),
    (b"Creative Voice File\x1a", VOC),
    (b"NIST_1A", NIST),
    (b"#!AMR", AMR),
    (b"ADIF", AAC),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", ASF),
    (b"FLV\x01", FLV),
    (b"\x00\x00\x01\xba", MPEG_PS),
    (b"\x0b\x77", AC3),
    (b"\x7f\xfe\x80\x01", DTS),
    (b"wvpk", WAVPACK),
    (b"TTA1\x01\x00", TTA),
    (b"DSD \x1c\x00", DSF),
)
_TWO_PART: tuple[tuple[tuple[bytes, ...], tuple[bytes, ...], Container], ...] = (  # bytes 0-3, bytes 8-11, what it is
    ((b"RIFF", b"RIFX", b"RF64", b"BW64"), (b"WAVE",), WAV),
    ((b"RIFF",), (b"AVI ",), AVI),
    ((b"FORM",), (b"AIFF", b"AIFC"), AIFF),
    ((b"FORM",), (b"8SVX", b"16SV"), SVX),
)
_TS_PACKET_BYTES = 188
_MAX_ID3_TAGS = 4


def identify(read_at: ReadAt, name: str) -> Container:
    """
    Tell what kind of audio file this is.

    Args:
        read_at: Gives bytes of the file.

        name: What to call it in messages.

    Raises:
        EmptyAudioError: There is not one byte.

        UnsupportedAudioError: It is something else (a web page, JSON, a picture, an archive, ...),
            or nothing that is known.

        AudioDecodeError: It is an MP4 file whose index is missing.

    Example:
        >>> identify(lambda offset, n: b"fLaC"[offset : offset + n], "a.flac").name
        'flac'
    """
    head = read_at(0, HEAD_BYTES)
    if not head:
        raise EmptyAudioError(f"{name} is empty: it has no bytes; check where it was written")
    container = _by_magic(head) or boxes.identify_mp4(head, read_at, name) or boxes.identify_matroska(head)
    if container is None:
        container = _tagged(head, read_at) or _by_frames(head)
    if container is not None:
        return container
    other = not_audio.describe(head)
    if other is not None:
        raise UnsupportedAudioError(f"{name} is {other.what}, not audio; {other.remedy}")
    if mpeg.find_frame(head) is not None:  # a piece of a radio stream begins in the middle of a frame
        return MP3
    raise UnsupportedAudioError(
        f"{name} is no kind of audio that is known here; convert it to FLAC or WAV (headerless PCM: pass "
        "hfasr.Audio(waveform, sampling_rate))"
    )


def skip_id3(read_at: ReadAt) -> int:
    """
    Return where the audio begins: after the ID3v2 tags, of which there may be several.

    Source: ID3v2.4 3.1, https://id3.org/id3v2.4.0-structure (size: four times seven bits).
    """
    offset = 0
    for _ in range(_MAX_ID3_TAGS):
        header = read_at(offset, 10)
        if len(header) < 10 or header[:3] != b"ID3" or any(byte & 0x80 for byte in header[6:]):
            break
        size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        offset += 10 + size + (10 if header[5] & 0x10 else 0)
    return offset


def _by_magic(head: bytes) -> Container | None:
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    for first, third, container in _TWO_PART:
        if head[:4] in first and head[8:12] in third:
            return container
    if head.startswith(b"OggS"):
        return _ogg(head)
    if head.startswith(b"dns.") and head[6:8] == b"\x00\x00":  # AU with its bytes swapped
        return AU
    if head.startswith(b"MAC ") and head[5:6] in {b"\x0e", b"\x0f"}:  # versions 3.58 to 4.09
        return APE
    if head[0] == 0x47 and head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1] == b"\x47":
        return MPEG_TS
    return None


def _ogg(head: bytes) -> Container:
    codecs = head[:512]  # the first page holds one codec header per stream
    if b"theora" in codecs:
        return OGG_VIDEO
    return OGG_FLAC if b"\x7fFLAC" in codecs else OGG


def _tagged(head: bytes, read_at: ReadAt) -> Container | None:
    """What follows an ID3 tag: MP3 as a rule, but FLAC and AAC files carry them, too."""
    if not head.startswith(b"ID3"):
        return None
    start = skip_id3(read_at)
    body = read_at(start, HEAD_BYTES)
    if body.startswith(b"fLaC"):
        return FLAC
    return _by_frames(body) or (MP3 if mpeg.find_frame(body, n_frames=2) is not None else None)


def _by_frames(data: bytes) -> Container | None:
    frame = mpeg.follows_on(data, 0)
    if frame is not None:
        return MP3 if frame.layer == 3 else MP2
    length = mpeg.adts_length(data)
    if length is not None and (length == len(data) or mpeg.adts_length(data, length) is not None):
        return AAC
    return None
