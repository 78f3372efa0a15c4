"""
Frame headers of MPEG audio (MP1, MP2, MP3) and of ADTS (raw AAC).

Source: ISO/IEC 11172-3 2.4.1.3 and 13818-3 2.4.2.3 (MPEG audio), 13818-7 6.2 (ADTS), as tabulated
at http://www.mp3-tech.org/programmer/frame_header.html. The Xing and VBRI headers have no standard;
their layout is that of LAME (``VbrTag.c``) and of Fraunhofer's encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FRAME_HEADER_BYTES", "Frame", "adts_length", "announced_samples", "find_frame", "follows_on", "parse_frame"]

FRAME_HEADER_BYTES = 4

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, by version
_MPEG1 = 3
_LAYER_I = 3
_LAYER_II = 2
_KBITS = {  # bit rates by (is MPEG-1, layer field); index 0 is "free", which nobody uses
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What one MPEG audio frame header says."""

    kind: int
    """Version, layer and rate in one number: equal in all frames of a stream."""

    layer: int
    """1, 2 or 3."""

    sampling_rate: int
    """Hz."""

    channels: int
    """1 or 2."""

    n_samples: int
    """Samples per channel in the frame."""

    length: int
    """Bytes, header included."""

    side_info: int
    """Bytes between the header and the place of a Xing header."""


def parse_frame(data: bytes, offset: int = 0) -> Frame | None:
    """
    Read the frame header at *offset*; ``None`` where there is no valid one.

    Example:
        >>> parse_frame(bytes.fromhex("fffb9064")).sampling_rate
        44100
    """
    if len(data) < offset + FRAME_HEADER_BYTES or data[offset] != 0xFF or data[offset + 1] & 0xE0 != 0xE0:
        return None
    second, third, fourth = data[offset + 1 : offset + 4]
    version, layer = second >> 3 & 3, second >> 1 & 3
    bitrate, rate = third >> 4, third >> 2 & 3
    if version == 1 or layer == 0 or bitrate in {0, 15} or rate == 3 or fourth & 3 == 2:
        return None
    mpeg1 = version == _MPEG1
    sampling_rate = _RATES[version][rate]
    bits_per_second = 1_000 * _KBITS[mpeg1, layer][bitrate - 1]
    padding = third >> 1 & 1
    mono = fourth >> 6 == 3
    if layer == _LAYER_I:
        n_samples, length = 384, (12 * bits_per_second // sampling_rate + padding) * 4
    else:
        n_samples = 1_152 if mpeg1 or layer == _LAYER_II else 576
        length = n_samples // 8 * bits_per_second // sampling_rate + padding
    return Frame(
        kind=second & 0xFE | rate << 8,
        layer=4 - layer,
        sampling_rate=sampling_rate,
        channels=1 if mono else 2,
        n_samples=n_samples,
        length=length,
        side_info=(17 if mono else 32) if mpeg1 else (9 if mono else 17),
    )


def follows_on(data: bytes, offset: int, *, n_frames: int = 2) -> Frame | None:
    """
    Return the frame at *offset* if *n_frames* of one kind stand one after the other there.

    Fewer are enough where *data* ends within them; but a single frame must fit.
    """
    first = frame = parse_frame(data, offset)
    seen = 0
    while frame is not None and first is not None and frame.kind == first.kind:
        seen += 1
        offset += frame.length
        if seen == n_frames or (offset >= len(data) - FRAME_HEADER_BYTES and offset <= len(data)):
            return first
        frame = parse_frame(data, offset)
    return None


def find_frame(data: bytes, start: int = 0, *, n_frames: int = 3) -> int | None:
    """Return the first offset from *start* at which *n_frames* frames stand in a row, or ``None``."""
    offset = data.find(b"\xff", start)
    while offset >= 0:
        if follows_on(data, offset, n_frames=n_frames) is not None:
            return offset
        offset = data.find(b"\xff", offset + 1)
    return None


def announced_samples(data: bytes, offset: int, frame: Frame) -> int | None:
    """
    Return how many samples per channel the Xing, Info or VBRI header in the first frame announces.

    What LAME's extension calls the encoder's delay and padding is taken off. ``None`` without a header.
    """
    xing = offset + FRAME_HEADER_BYTES + frame.side_info
    if data[xing : xing + 4] in {b"Xing", b"Info"} and len(data) >= xing + 12 and data[xing + 7] & 1:
        n_samples = int.from_bytes(data[xing + 8 : xing + 12], "big") * frame.n_samples
        flags = data[xing + 7]  # frames, bytes, table of contents, quality
        lame = xing + 12 + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        extra = data[lame + 21 : lame + 24] if data[lame : lame + 2] in {b"LA", b"La"} else b""
        packed = int.from_bytes(extra, "big")
        return max(n_samples - (packed >> 12) - (packed & 0xFFF), 0)
    vbri = offset + FRAME_HEADER_BYTES + 32
    if data[vbri : vbri + 4] == b"VBRI" and len(data) >= vbri + 18:
        return int.from_bytes(data[vbri + 14 : vbri + 18], "big") * frame.n_samples
    return None


def adts_length(data: bytes, offset: int = 0) -> int | None:
    """Return the length in bytes of the ADTS frame at *offset*; ``None`` where there is no valid one."""
    header = data[offset : offset + 7]
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else None
