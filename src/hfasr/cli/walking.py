"""Folders and patterns, read lazily and in order."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hfasr.errors import AudioNotFoundError

from .console import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AUDIO_SUFFIXES", "Failed", "in_folder", "is_pattern", "matching", "split_pattern"]

Parts: TypeAlias = tuple[str, ...]

AUDIO_SUFFIXES = frozenset(
    {
        *(".3g2", ".3ga", ".3gp", ".8svx", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au"),
        *(".avi", ".bwf", ".caf", ".dsf", ".dts", ".flac", ".flv", ".iff", ".m2ts", ".m4a", ".m4b", ".m4v", ".mka"),
        *(".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mpga", ".mts", ".nist", ".oga", ".ogg", ".ogv"),
        *(".opus", ".rf64", ".snd", ".sph", ".spx", ".svx", ".tta", ".voc", ".vob", ".w64", ".wav", ".wave"),
        *(".weba", ".webm", ".wma", ".wmv", ".wv"),
    }
)
"""
What names of audio end in, in lower case: the kinds that the library knows.

Without ``.ts``, which is a program in TypeScript as often as a transport stream.
"""

_MAGIC = "*?["


class Failed(NamedTuple):
    """What could not be looked at, and why."""

    name: str
    error: Exception


def in_folder(root: str) -> Iterator[Parts | Failed]:
    """
    Give the audio below the folder *root*, by its suffix, as path parts below *root*.

    Hidden files and folders are left out. Links are followed, but not into a folder that they lie in.
    One folder's names are in memory at a time, since they are sorted.
    """
    return _walk(
        root,
        enter=lambda parts: not parts[-1].startswith("."),
        wanted=lambda parts: not parts[-1].startswith(".") and _is_audio(parts[-1]),
    )


def is_pattern(name: str) -> bool:
    """Whether *name* is a pattern that no shell has expanded, and not a file that is called so."""
    return any(sign in name for sign in _MAGIC) and not os.path.lexists(name)


def split_pattern(pattern: str) -> tuple[str, Parts]:
    """
    Split *pattern* into the folder that it begins with and the parts to match below.

    Example:
        >>> split_pattern("talks/**/*.wav")
        ('talks', ('**', '*.wav'))
    """
    parts = Path(pattern).parts
    n_fixed = next(i for i, part in enumerate(parts) if any(sign in part for sign in _MAGIC))
    return (str(Path(*parts[:n_fixed])) if n_fixed else ""), parts[n_fixed:]


def matching(root: str, pattern: Parts) -> Iterator[Parts | Failed]:
    """
    Give the files below *root* that match *pattern*, as path parts below *root*.

    ``**`` stands for any number of folders. Where the last part names no suffix, only audio is taken. A
    part matches what is hidden only where it begins with a dot itself.
    """
    suffix = os.path.splitext(pattern[-1])[1]  # noqa: PTH122  # of a pattern, not of a path
    any_kind = bool(suffix) and not any(sign in suffix for sign in _MAGIC)
    return _walk(
        root,
        enter=lambda parts: _matches(parts, pattern, inside=True),
        wanted=lambda parts: (any_kind or _is_audio(parts[-1])) and _matches(parts, pattern),
    )


def _walk(root: str, *, enter: Callable[[Parts], bool], wanted: Callable[[Parts], bool]) -> Iterator[Parts | Failed]:
    """Walk depth first with a stack of its own: folders may be nested deeper than Python's calls."""
    stack: list[tuple[Parts, Iterator[tuple[str, bool]], tuple[int, int]]] = []
    parts: Parts = ()
    is_folder = True
    while True:
        if not is_folder:
            yield parts
        else:
            path = os.path.join(root, *parts) or os.curdir  # noqa: PTH118  # Path would cost more than the listing
            try:
                found = os.stat(path)  # noqa: PTH116  # the same
                identity = (found.st_dev, found.st_ino)
                if all(identity != above for _, _, above in stack):  # else a link into a folder that it lies in
                    stack.append((parts, iter(_listing(path, parts, enter, wanted)), identity))
            except (OSError, ValueError) as error:
                why = f"the folder cannot be read: {reason(error)}; check its rights, or name files"
                yield Failed(path, AudioNotFoundError(why))
        while stack:
            above, entries, _ = stack[-1]
            following = next(entries, None)
            if following is not None:
                parts, is_folder = (*above, following[0]), following[1]
                break
            stack.pop()
        else:
            return


def _listing(
    path: str, above: Parts, enter: Callable[[Parts], bool], wanted: Callable[[Parts], bool]
) -> list[tuple[str, bool]]:
    """Return names and whether they are folders, sorted, of what is of use."""
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            parts = (*above, entry.name)
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to where nobody may look
                is_folder = False
            if (enter if is_folder else wanted)(parts):
                found.append((entry.name, is_folder))
    found.sort()
    return found


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122  # once for each of a million names


def _matches(parts: Parts, pattern: Parts, *, inside: bool = False) -> bool:
    """Whether *parts* match *pattern*; with *inside*, whether what lies in the folder *parts* may."""
    if not parts:
        return bool(pattern) if inside else all(one == "**" for one in pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        deeper = not parts[0].startswith(".") and _matches(parts[1:], pattern, inside=inside)
        return deeper or _matches(parts, pattern[1:], inside=inside)
    hidden = parts[0].startswith(".") and not pattern[0].startswith(".")
    return not hidden and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:], inside=inside)
