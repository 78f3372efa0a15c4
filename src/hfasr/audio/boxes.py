"""
Recognise the two containers made of nested boxes, MP4 and Matroska, and whether they hold pictures.

Source: ISO/IEC 14496-12 4.2 (box), 8.4.3 (``hdlr``); RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

from collections.abc import Callable

from hfasr.errors import AudioDecodeError

from .containers import M4A, MKV, MOV, MP4, THREE_GP, WEBM, WEBM_VIDEO, Container

__all__ = ["identify_matroska", "identify_mp4"]

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"pnot"}
_MAX_BOXES = 4_096  # top-level boxes looked at: a fragmented recording has two per fragment
_MAX_FILE_BYTES = 2**43  # 8 TiB: seeking further fails on most file systems
_MAX_INDEX_BYTES = 8 * 2**20  # of ``moov``: the second track's handler stands behind the first one's tables
_MAX_HANDLERS = 64  # each track and each set of tags has one; a film with twenty languages has fewer
_VIDEO_CODECS = (b"V_VP", b"V_AV1", b"V_MPEG", b"V_THEORA", b"V_MS/", b"V_UNCOMPRESSED")


def identify_mp4(head: bytes, read_at: Callable[[int, int], bytes], name: str) -> Container | None:
    """
    Tell M4A, MP4, 3GP and MOV apart; ``None`` for anything else.

    Raises:
        AudioDecodeError: The index (``moov``) is missing, without which nobody can read the rest.
    """
    if head[4:8] not in _FIRST_BOXES:
        return None
    brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
    handlers = _handlers(_index(read_at, name))
    if b"vide" in handlers:
        return MOV if brand == b"qt  " else MP4
    return THREE_GP if brand.startswith((b"3gp", b"3g2")) else M4A


def identify_matroska(head: bytes) -> Container | None:
    """Tell WebM with and without pictures and Matroska apart; ``None`` for anything else."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    if b"webm" not in head[:64]:
        return MKV
    return WEBM_VIDEO if any(codec in head for codec in _VIDEO_CODECS) else WEBM


def _index(read_at: Callable[[int, int], bytes], name: str) -> bytes:
    offset = 0
    for _ in range(_MAX_BOXES):
        header = read_at(offset, 16)
        size = int.from_bytes(header[:4], "big")
        if header[4:8] == b"moov":
            return read_at(offset, min(size, _MAX_INDEX_BYTES) if size > 1 else _MAX_INDEX_BYTES)
        if size == 1 and len(header) == 16:
            size = int.from_bytes(header[8:16], "big")
        offset += size
        if len(header) < 8 or size < 8 or offset > _MAX_FILE_BYTES:
            break
    raise AudioDecodeError(f"{name} is an MP4 file without its index: it was cut off; record or download it again")


def _handlers(index: bytes) -> set[bytes]:
    found = set()
    at = -4
    for _ in range(_MAX_HANDLERS):
        at = index.find(b"hdlr", at + 4)
        if at < 0:
            break
        found.add(index[at + 12 : at + 16])
    return found
