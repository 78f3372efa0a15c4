"""Names of output files that every system takes, and that are never two inputs' at once."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_STEM_BYTES", "folded", "is_url", "marked", "mirrored", "stem", "unique"]

MAX_STEM_BYTES = 200
"""Room for a number and a suffix within the 255 bytes that file systems give a name."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # surrogates: undecodable bytes
# Windows: https://learn.microsoft.com/windows/win32/fileio/naming-a-file (names with a suffix are reserved, too)
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_MARK = re.compile(r"~[0-9a-f]{8}(\.|$)")
_MAX_SUFFIX_CHARS = 10


def is_url(source: str) -> bool:
    """Whether *source* is a URL, of whatever kind."""
    return _URL.match(source) is not None


def stem(source: str) -> str:
    """
    Return what to call the output of an input that was named by itself, its folders and suffix left out.

    Example:
        >>> stem("a/talk.mp3"), stem("https://x.org/CON.flac?v=1"), stem("-")
        ('talk', 'CON_', 'stdin')
    """
    if source == "-":
        return "stdin"
    if is_url(source):
        last = PurePosixPath(unquote(urlsplit(source).path)).name
        name = PurePosixPath(last).stem
    else:
        name = Path(source).stem
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).strip(". ")
    name = _cut(name, MAX_STEM_BYTES).rstrip(". ")
    if _RESERVED.fullmatch(name):
        head, dot, rest = name.partition(".")
        name = f"{head}_{dot}{rest}"
    return name or "audio"


def unique(names: Iterable[str]) -> list[str]:
    """
    Return *names*, those that came before in any case or composition with a number.

    Example:
        >>> unique(["talk", "Talk", "x"])
        ['talk', 'Talk-2', 'x']
    """
    found: list[str] = []
    taken: set[str] = set()
    last: dict[str, int] = {}  # of ten thousand equal names, each would try all numbers before it
    for name in names:
        number, candidate = last.get(folded(name), 1), name
        while folded(candidate) in taken:
            number += 1
            candidate = f"{name}-{number}"
        last[folded(name)] = number
        taken.add(folded(candidate))
        found.append(candidate)
    return found


def mirrored(parts: Iterable[str]) -> str:
    """
    Return the path *parts* as one below the output folder, ``/`` between them.

    Each part stays what it is where every system takes it. One that had to be changed is marked by a digest
    of what it was, so that the name of one input depends on no other's, and two never meet.

    Example:
        >>> mirrored(["day 1", "talk.wav"]), mirrored(["..", "what?.wav"])
        ('day 1/talk.wav', '_~5ec1f7e7/what_~cb2e48fc.wav')
    """
    return "/".join(map(_component, parts))


def marked(name: str, origin: str) -> str:
    """
    Return *name* with a digest of *origin* before its suffix.

    Example:
        >>> marked("talk.wav", "https://x.org/talk.wav")
        'talk~f47e6c13.wav'
    """
    head, dot, suffix = name.rpartition(".")
    if not head or len(suffix) > _MAX_SUFFIX_CHARS:
        head, dot, suffix = name, "", ""
    digest = hashlib.sha256(origin.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_cut(head, MAX_STEM_BYTES - len(suffix.encode()))}~{digest}{dot}{suffix}"


def folded(name: str) -> str:
    """Return what is equal for names that macOS and Windows take for the same: case and composition."""
    return unicodedata.normalize("NFC", name.casefold())


def _component(name: str) -> str:
    safe = _FORBIDDEN.sub("_", name).rstrip(". ") or "_"
    if (
        safe == name
        and len(name.encode()) <= MAX_STEM_BYTES
        and not _RESERVED.fullmatch(name)
        and not _MARK.search(name)
    ):
        return name
    return marked(safe, name)


def _cut(name: str, n_bytes: int) -> str:
    return name.encode("utf-8", errors="replace")[:n_bytes].decode("utf-8", errors="ignore")
