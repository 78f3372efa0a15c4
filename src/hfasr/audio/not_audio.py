"""
Recognise what is often sent in place of audio, so that the error can name it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

__all__ = ["Other", "describe"]


@dataclass(frozen=True, slots=True)
class Other:
    """Something that is not audio."""

    what: str
    """With its article, such as ``"an HTML page"``."""

    remedy: str
    """What to do about it."""


_UNPACK = "unpack it and pass the audio inside"
_USE_AUDIO = "pass an audio file"
_CHECK_LINK = "check the link or the download"

_HTML = Other("an HTML page", _CHECK_LINK)
_XML = Other("an XML document", _CHECK_LINK)
_JSON = Other("a JSON document", _CHECK_LINK)
_PLAYLIST = Other("a playlist", "pass the audio that it lists")
_LFS = Other("a Git LFS pointer", "fetch the real file with `git lfs pull`")
_TEXT = Other("plain text", "pass the audio itself, or its path as a str")

_MAGIC: tuple[tuple[bytes, Other], ...] = (
    (b"\x89PNG\r\n\x1a\n", Other("a PNG picture", _USE_AUDIO)),
    (b"\xff\xd8\xff", Other("a JPEG picture", _USE_AUDIO)),
    (b"GIF8", Other("a GIF picture", _USE_AUDIO)),
    (b"II*\x00", Other("a TIFF picture", _USE_AUDIO)),
    (b"MM\x00*", Other("a TIFF picture", _USE_AUDIO)),
    (b"%PDF-", Other("a PDF document", _USE_AUDIO)),
    (b"PK\x03\x04", Other("a ZIP archive", _UNPACK)),
    (b"PK\x05\x06", Other("an empty ZIP archive", _USE_AUDIO)),
    (b"\x1f\x8b", Other("a gzip archive", _UNPACK)),
    (b"BZh", Other("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\x00", Other("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", Other("a Zstandard archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Other("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", Other("a RAR archive", _UNPACK)),
    (b"MThd", Other("a MIDI file, notes without sound", "render it to audio first")),
    (b"\x93NUMPY", Other("a NumPy file", "pass hfasr.Audio(numpy.load(path), sampling_rate)")),
    (b"PAR1", Other("a Parquet table", "read it with `datasets` and pass its audio column's values")),
    (b"SQLite format 3\x00", Other("an SQLite database", _USE_AUDIO)),
    (b"\x7fELF", Other("a program", _USE_AUDIO)),
    (b"MZ", Other("a program", _USE_AUDIO)),
)
_TEXT_CHARS = 1_024
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def describe(head: bytes) -> Other | None:
    """
    Say what *head*, the beginning of a file, is, or ``None`` where nobody knows.

    Example:
        >>> describe(b"<!DOCTYPE html><title>Sign in</title>").what
        'an HTML page'
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Other("a WebP picture", _USE_AUDIO)
    if head[257:262] == b"ustar":
        return Other("a tar archive", _UNPACK)
    text = _as_text(head[:_TEXT_CHARS])
    if text is None:
        return next((other for magic, other in _MAGIC if head.startswith(magic)), None)
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith("%pdf-"):
        return Other("a PDF document", _USE_AUDIO)
    if start.startswith("version https://git-lfs"):
        return _LFS
    if start.startswith(("#extm3u", "[playlist]")):
        return _PLAYLIST
    if start.startswith("<"):
        return _HTML if any(mark in start for mark in ("<!doctype html", "<html", "<head", "<body")) else _XML
    if start.startswith(("{", "[")):
        return _JSON
    return _TEXT


def _as_text(data: bytes) -> str | None:
    """Decode *data* if it is text in UTF-8, UTF-16 with a mark, or nearly all ASCII."""
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)  # a character cut at the end is no error
    except UnicodeDecodeError:
        printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)
        if printable < 0.9 * len(data):
            return None
        text = data.decode("latin-1")
    return text if all(char.isprintable() or char in "\t\r\n\f\ufeff" for char in text) else None
