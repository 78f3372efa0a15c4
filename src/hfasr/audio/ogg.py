"""
The first and the last page of an Ogg file: what is in it, how long it is, and whether it is whole.

Source: RFC 3533 6 (pages), RFC 7845 4 and 5.1 (Opus), Vorbis I 4.2.2 (identification header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Ogg", "read_ogg"]

_HEADER_BYTES = 27
_PAGE_BYTES = 65_307  # the largest page
_OPUS_RATE_HZ = 48_000  # in which Opus counts, whatever rate went in
_LAST_PAGE = 4


@dataclass(frozen=True, slots=True)
class Ogg:
    """What the pages say."""

    duration: float | None
    """Seconds; ``None`` where several streams follow each other, or nothing is whole."""

    sampling_rate: int
    """Hz; of Opus, that of what was encoded."""

    channels: int
    ends: bool
    """Whether the last page is whole and marked as the last."""


def read_ogg(file: BinaryIO) -> Ogg | None:
    """Read Ogg Opus and Ogg Vorbis; ``None`` for other codecs and for what is damaged."""
    size = file.seek(0, 2)
    file.seek(0)
    first = file.read(_HEADER_BYTES + 255 + 64)
    packet = first[_HEADER_BYTES + first[26] :] if len(first) > _HEADER_BYTES else b""
    if packet.startswith(b"OpusHead") and len(packet) >= 16:
        channels, given_rate = packet[9], _int(packet[12:16])
        skipped, counted_rate = _int(packet[10:12]), _OPUS_RATE_HZ
        sampling_rate = given_rate or _OPUS_RATE_HZ
    elif packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        channels, sampling_rate = packet[11], _int(packet[12:16])
        skipped, counted_rate = 0, sampling_rate
    else:
        return None
    if not channels or not sampling_rate:
        return None
    file.seek(max(size - _PAGE_BYTES, 0))
    granule, flags = _last_page(file.read(_PAGE_BYTES), serial=first[14:18])
    duration = (granule - skipped) / counted_rate if granule is not None and granule > skipped else None
    return Ogg(duration, sampling_rate, channels, ends=bool(flags & _LAST_PAGE))


def _last_page(tail: bytes, *, serial: bytes) -> tuple[int | None, int]:
    """Return position and flags of the last whole page; flags count only where nothing is cut off behind it."""
    at = tail.rfind(b"OggS")
    cut = False
    while at >= 0:
        segments = tail[at + _HEADER_BYTES : at + _HEADER_BYTES + tail[at + 26]] if len(tail) > at + 26 else b""
        if segments and at + _HEADER_BYTES + len(segments) + sum(segments) <= len(tail):
            if tail[at + 14 : at + 18] != serial:
                return None, 0
            return _int(tail[at + 6 : at + 14]), 0 if cut else tail[at + 5]
        cut = True
        at = tail.rfind(b"OggS", 0, at)
    return None, 0


def _int(data: bytes) -> int:
    return int.from_bytes(data, "little")
