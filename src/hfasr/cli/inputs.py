"""What the shell calls an input, as what the library takes."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from hfasr.errors import AudioNotFoundError

from . import manifest, names, walking
from .console import reason
from .walking import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["STDIN", "Found", "are_several", "find", "kind_of", "opened"]

STDIN = ("-", "/dev/stdin")

Kind: TypeAlias = Literal["one", "folder", "pattern", "manifest"]


@dataclass(frozen=True, slots=True)
class Found:
    """One input."""

    name: str
    """What to call it."""

    audio: str | Path
    """What to open: a path object where it was found; a path, a URL or ``"-"`` where it was named."""

    place: str
    """Where its output goes: a path below the output folder, without the format's suffix."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of its manifest's line."""

    is_own_place: bool = True
    """Whether no other input could have that place if the inputs were others."""


def kind_of(name: str) -> Kind:
    """Return what the input called *name* stands for."""
    if name in STDIN or names.is_url(name):
        return "one"
    if os.path.isdir(name):  # noqa: PTH112  # takes a NUL
        return "folder"
    if manifest.is_manifest(name):
        return "manifest"
    return "pattern" if walking.is_pattern(name) else "one"


def are_several(inputs: Sequence[str]) -> bool:
    """Whether *inputs* may hold more than one file."""
    return len(inputs) != 1 or kind_of(inputs[0]) != "one"


def find(inputs: Sequence[str]) -> Iterator[Found | Failed]:
    """
    Give every file and URL in *inputs*, in order and lazily.

    What was named by itself is called by its stem, with a number where another one came before. What was found
    in a folder, by a pattern or in a manifest keeps its place there and its suffix; where there are several
    inputs, below the name of its own one.
    """
    kinds: list[Kind] = [kind_of(name) for name in inputs]
    stems = [names.stem(name) for name, kind in zip(inputs, kinds, strict=True) if kind == "one"]
    counts = Counter(map(names.folded, stems))
    singles = iter(zip(names.unique(stems), stems, strict=True))
    groups: list[tuple[str, Kind]] = [(name, kind) for name, kind in zip(inputs, kinds, strict=True) if kind != "one"]
    tops = iter(_tops(groups, n_inputs=len(inputs)))
    for name, kind in zip(inputs, kinds, strict=True):
        if kind == "one":
            place, own = next(singles)
            yield Found(name, name, place, is_own_place=counts[names.folded(own)] == 1)
        elif kind == "manifest":
            yield from _listed(name, next(tops))
        else:
            yield from _below(name, kind, next(tops))


def _tops(groups: Sequence[tuple[str, Kind]], *, n_inputs: int) -> list[str]:
    """Return the folder, with its slash, for each folder, pattern and manifest; none where it is the only input."""
    if n_inputs == 1:
        return [""]
    roots = (walking.split_pattern(name)[0] if kind == "pattern" else name for name, kind in groups)
    own = (
        Path(name).stem if kind == "manifest" else Path(root).resolve().name
        for root, (name, kind) in zip(roots, groups, strict=True)
    )
    return [f"{top}/" for top in names.unique(names.mirrored([name]) for name in own)]


def _below(name: str, kind: Kind, top: str) -> Iterator[Found | Failed]:
    if kind == "folder":
        root, found = name, walking.in_folder(name)
        nothing = "no name in it ends like audio's (.wav, .mp3, .flac, …); name the files themselves"
    else:
        root, pattern = walking.split_pattern(name)
        found = walking.matching(root, pattern)
        nothing = "no file matches; check the pattern, and that its files end like audio's"
    is_empty = True
    for one in found:
        is_empty = False
        if isinstance(one, Failed):
            yield one
        else:
            path = os.path.join(root, *one)  # noqa: PTH118  # a string for people, with its "./"
            yield Found(path, Path(path), top + names.mirrored(one))
    if is_empty:
        yield Failed(name, AudioNotFoundError(nothing))


def _listed(name: str, top: str) -> Iterator[Found | Failed]:
    is_empty = True
    for one in manifest.entries(name):
        is_empty = False
        if isinstance(one, Failed):
            yield one
        else:
            audio = one.audio if names.is_url(one.audio) else Path(one.audio)
            yield Found(one.audio, audio, top + one.place, one.extra)
    if is_empty:
        yield Failed(name, AudioNotFoundError("the manifest is empty; write one JSON object a line"))


@contextmanager
def opened(name: str) -> Iterator[str | IO[bytes]]:
    """
    Give what to pass for *name*: an open file for standard input and named pipes, else the name itself.

    The library opens no pipes, since they may block for ever; from a shell they are meant, and
    Ctrl-C is at hand.

    Raises:
        AudioNotFoundError: Standard input is closed, or the pipe cannot be opened.
    """
    if name in STDIN:
        if sys.stdin is None:
            raise AudioNotFoundError("standard input is closed; name a file, or pipe audio into the command")
        yield sys.stdin.buffer
    elif _is_pipe(name):
        with _open(name) as pipe:
            yield pipe
    else:
        yield name


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):  # URLs, and what the library will say more about
        return False


def _open(name: str) -> IO[bytes]:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise AudioNotFoundError(f"the pipe cannot be opened: {reason(error)}; name a file") from error
