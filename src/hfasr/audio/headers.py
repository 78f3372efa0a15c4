"""
Read a file's duration, rate and channels off its header, without decoding it.

FLAC, WAV, MP3 and Ogg are parsed here: loading libsndfile for them would cost more than everything else
that is done for a small file. The rest is asked of libsndfile or, where it is installed, PyAV.

Source: RFC 9639 8.2 (FLAC STREAMINFO); Microsoft's "Multimedia Programming Interface and Data
Specifications 1.0" and EBU Tech 3306 (WAV, RF64). MPEG and Ogg: see `mpeg`, `ogg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from hfasr.errors import AudioError

from . import mpeg
from .ogg import read_ogg
from .sniff import HEAD_BYTES, ReadAt, skip_id3
from .source import AudioInfo

if TYPE_CHECKING:
    from .source import Source

__all__ = ["WavHeader", "flac_info", "look", "mp3_info", "ogg_info", "wav_header"]

_MAX_CHUNKS = 1_000
_MAX_COUNTED_FRAMES = 65_536
"""
MPEG frames that are walked: 28 minutes of 44.1 kHz MP3, or 2 to 20 MB as a rule. Beyond them the average so
far is taken for the rest: exact for constant bit rates, which are what comes without a Xing header.
"""

_PCM_TAGS = {1: "PCM", 3: "IEEE float"}
_EXTENSIBLE = 0xFFFE
STREAMING_BYTES = 0x7FFF_F000
"""A data length of 0, or from here on, is what a program writes that cannot go back to fill it in."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """The chunks of a WAV file that matter."""

    format_tag: int
    """1 is PCM, 3 IEEE float; others are compressed."""

    channels: int
    sampling_rate: int
    """Hz."""

    byte_rate: int
    """Bytes per second, on average."""

    block_align: int
    """Bytes per frame, of PCM."""

    bits: int
    big_endian: bool
    data_start: int
    """Offset of the first byte of the samples."""

    declared: int
    """Bytes of samples that the header announces."""

    available: int
    """Bytes from `data_start` to the end of the file."""

    n_frames: int | None
    """Frames that the ``fact`` or ``ds64`` chunk announces; ``None`` without one."""

    @property
    def streaming(self) -> bool:
        """Whether the length was never filled in, as in ffmpeg's and sox's output to a pipe."""
        return self.available > 0 and (self.declared == 0 or self.available < self.declared >= STREAMING_BYTES)

    @property
    def data_bytes(self) -> int:
        """Bytes of samples that are really there."""
        return self.available if self.streaming else min(self.declared, self.available)

    @property
    def length_notes(self) -> list[str]:
        """What is wrong with the length, in the words of `Decoded.changes`."""
        if self.streaming:
            return ["took the WAV file's length from its size, as its header does not say"]
        missing = self.declared - self.available
        return [f"the WAV file ends {missing} bytes before its header says"] if missing > self.block_align else []


def look(source: Source) -> AudioInfo:
    """
    Return what the header of *source* says; what it does not say, or says in a damaged way, is ``None``.

    Example:
        >>> from hfasr.audio.source import BytesSource
        >>> look(BytesSource(b"fLaC", name="cut.flac"))
        AudioInfo(duration=None, sampling_rate=None, channels=None, bits=None)
    """
    container = source.container
    if container is None:
        return source.info()
    try:
        if container.name in _PARSERS:
            with source.open() as file:
                return _PARSERS[container.name](file)
        if container.libsndfile:
            from . import libsndfile

            return libsndfile.info(source)
        from . import pyav

        return pyav.info(source)
    except (AudioError, ImportError, OSError):
        return AudioInfo()


def flac_info(file: BinaryIO) -> AudioInfo:
    """Read STREAMINFO, which is always the first block."""
    file.seek(skip_id3(_reader(file)))
    head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        return AudioInfo()
    packed = int.from_bytes(head[18:26], "big")  # 20 bits rate, 3 channels - 1, 5 width - 1, 36 frames
    sampling_rate, n_frames = packed >> 44, packed & (1 << 36) - 1
    if sampling_rate == 0:
        return AudioInfo()
    duration = n_frames / sampling_rate if n_frames else None  # 0: the encoder did not know
    return AudioInfo(duration, sampling_rate, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1)


def wav_header(file: BinaryIO) -> WavHeader | None:
    """Walk the chunks of a WAV file up to its samples; ``None`` where it is damaged."""
    size = file.seek(0, 2)
    file.seek(0)
    riff = file.read(12)
    big_endian = riff[:4] == b"RIFX"
    chunks: dict[bytes, bytes] = {}
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        n_bytes = _int(header[4:], big_endian)
        start = file.tell()
        if header[:4] == b"data":
            return _wav_header(chunks, big_endian, start=start, declared=n_bytes, available=size - start)
        if header[:4] in {b"fmt ", b"ds64", b"fact"}:
            chunks.setdefault(header[:4], file.read(min(n_bytes, 64)))
        file.seek(start + n_bytes + n_bytes % 2)
    return None


def mp3_info(file: BinaryIO) -> AudioInfo:
    """Read the first frame and, for the duration, its Xing header; without one, walk the frame headers."""
    start = skip_id3(_reader(file))
    file.seek(start)
    head = file.read(HEAD_BYTES)
    at = mpeg.find_frame(head, n_frames=2)
    frame = mpeg.parse_frame(head, at) if at is not None else None
    if at is None or frame is None:
        return AudioInfo()
    n_samples = mpeg.announced_samples(head, at, frame)
    if not n_samples:
        n_samples = round(_count_frames(file, start + at, frame.kind) * frame.n_samples)
    return AudioInfo(n_samples / frame.sampling_rate, frame.sampling_rate, frame.channels)


def ogg_info(file: BinaryIO) -> AudioInfo:
    """Read the first and the last page of Ogg Opus or Vorbis."""
    pages = read_ogg(file)
    return AudioInfo(pages.duration, pages.sampling_rate, pages.channels) if pages is not None else AudioInfo()


def _wav_info(file: BinaryIO) -> AudioInfo:
    header = wav_header(file)
    if header is None:
        return AudioInfo()
    if header.format_tag in _PCM_TAGS:
        duration = header.data_bytes / header.block_align / header.sampling_rate
    elif header.n_frames:
        duration = header.n_frames / header.sampling_rate
    elif header.byte_rate:
        duration = header.data_bytes / header.byte_rate
    else:
        return AudioInfo(None, header.sampling_rate, header.channels)
    return AudioInfo(duration, header.sampling_rate, header.channels, header.bits or None)


def _wav_header(
    chunks: dict[bytes, bytes], big_endian: bool, *, start: int, declared: int, available: int
) -> WavHeader | None:
    fmt, ds64, fact = (chunks.get(name, b"") for name in (b"fmt ", b"ds64", b"fact"))
    if len(fmt) < 16:
        return None
    tag = _int(fmt[:2], big_endian)
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        tag = _int(fmt[24:26], big_endian)
    n_frames = _int(fact[:4], big_endian) if len(fact) >= 4 else None
    if len(ds64) >= 24:  # RF64: the 32-bit fields hold -1
        declared = _int(ds64[8:16], big_endian) if declared == 0xFFFF_FFFF else declared
        n_frames = _int(ds64[16:24], big_endian) or n_frames
    header = WavHeader(
        format_tag=tag,
        channels=_int(fmt[2:4], big_endian),
        sampling_rate=_int(fmt[4:8], big_endian),
        byte_rate=_int(fmt[8:12], big_endian),
        block_align=_int(fmt[12:14], big_endian),
        bits=_int(fmt[14:16], big_endian),
        big_endian=big_endian,
        data_start=start,
        declared=declared,
        available=available,
        n_frames=n_frames,
    )
    return header if header.channels and header.sampling_rate and header.block_align else None


def _count_frames(file: BinaryIO, start: int, kind: int) -> float:
    """Return how many frames stand one after the other from *start*; an estimate where they are very many."""
    offset = start
    for n_frames in range(_MAX_COUNTED_FRAMES):
        file.seek(offset)
        frame = mpeg.parse_frame(file.read(mpeg.FRAME_HEADER_BYTES))
        if frame is None or frame.kind != kind:
            return n_frames
        offset += frame.length
    return _MAX_COUNTED_FRAMES * max(file.seek(0, 2) - start, offset - start) / (offset - start)


def _reader(file: BinaryIO) -> ReadAt:
    def read_at(offset: int, n_bytes: int) -> bytes:
        file.seek(offset)
        return file.read(n_bytes)

    return read_at


def _int(data: bytes, big_endian: bool) -> int:
    return int.from_bytes(data, "big" if big_endian else "little")


_PARSERS = {"flac": flac_info, "wav": _wav_info, "mp3": mp3_info, "mp2": mp3_info, "ogg": ogg_info}
