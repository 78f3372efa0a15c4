"""Rows of audio that all say something else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hfasr.testing import ToneSpeech
from tests.conftest import clip

WORDS = ToneSpeech().vocabulary


def text_of(number: int) -> str:
    """Return what the clip of that number says: another text for each."""
    return f"{WORDS[number % 64]} {WORDS[number // 64 % 64]}"


@cache
def flac_of(number: int) -> bytes:
    """Return the clip of that number."""
    return clip(text_of(number), format="FLAC")


def write_clips(folder: Path, n_files: int) -> list[str]:
    """Write so many clips, and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.flac" for number in range(n_files)]
    for number, path in enumerate(paths):
        path.write_bytes(flac_of(number))
    return [str(path) for path in paths]
