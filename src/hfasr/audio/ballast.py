"""
Take out of a file what is not sound: pictures, tags, and room that was left for them.

An encoder for FLAC leaves 8 KiB free by default, which is a tenth of a short clip; the picture in a podcast's mp3 may
be more than its sound.

Source: RFC 9639 8 (FLAC metadata blocks), 9.1 (frame header). ID3v2: see `sniff`.
"""

from __future__ import annotations

from .mpeg import parse_frame
from .sniff import skip_id3

__all__ = ["without_ballast"]

_LEAST_BYTES = 1_024  # less is not worth a copy: one packet holds more
_LEAST_PART = 0.01
_STREAMINFO_BYTES = 34
_STREAMINFO_HEADS = {bytes([last, 0, 0, _STREAMINFO_BYTES]) for last in (0, 0x80)}
_MAX_BLOCKS = 1_000  # a FLAC file has a handful


def without_ballast(data: bytes, kind: str) -> bytes:
    r"""
    Return *data*, a file of the container *kind*, without what is not sound; itself, where that is little.

    Only FLAC and mp3 are looked at. The sound is the same, bit for bit.

    Example:
        >>> sound = b"\xff\xfb\x90\x64" + bytes(413)
        >>> tag = b"ID3\x04\x00\x00" + bytes([0, 0, 16, 0]) + bytes(2_048)
        >>> without_ballast(tag + sound, "mp3") == sound
        True
    """
    if kind not in {"flac", "mp3"}:
        return data
    begin = skip_id3(lambda offset, n: data[offset : offset + n])
    head = b""
    if kind == "flac":
        found = _frames(data, begin)
        if found is None:  # damaged, perhaps; whoever decodes it will say
            return data
        head, begin = found
    elif parse_frame(data, begin) is None:
        return data
    ballast = begin - len(head)
    if ballast < max(_LEAST_BYTES, _LEAST_PART * len(data)):
        return data
    return b"".join([head, memoryview(data)[begin:]])


def _frames(data: bytes, start: int) -> tuple[bytes, int] | None:
    """Return the shortest head for the FLAC stream at *start*, and where its frames begin."""
    info = start + 4
    head = data[start : info + 4]
    if head[:4] != b"fLaC" or head[4:] not in _STREAMINFO_HEADS:
        return None
    block = info
    for _ in range(_MAX_BLOCKS):
        header = data[block : block + 4]
        if len(header) < 4:
            return None
        block += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:  # the last
            break
    sync = data[block : block + 2]
    if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFC != 0xF8:
        return None
    return b"fLaC\x80" + data[info + 1 : info + 4 + _STREAMINFO_BYTES], block
