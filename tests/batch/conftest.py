"""Files that are to be transcribed, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import clip

WORDS = ("red", "boat", "green", "apple")


def text_of(number: int) -> str:
    """Return what the file of that number says."""
    return f"{WORDS[number % 4]} {WORDS[number // 4 % 4]}"


@pytest.fixture(scope="session")
def clips() -> Callable[[int], bytes]:
    """Give the bytes of the clip of a number."""
    made: dict[str, bytes] = {}

    def make(number: int) -> bytes:
        text = text_of(number)
        if text not in made:
            made[text] = clip(text, format="FLAC")
        return made[text]

    return make


@pytest.fixture
def files(tmp_path: Path, clips: Callable[[int], bytes]) -> Callable[[int], list[Path]]:
    """Write so many files, and give their paths."""

    def write(n_files: int) -> list[Path]:
        folder = tmp_path / "audio"
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{number}.flac" for number in range(n_files)]
        for number, path in enumerate(paths):
            path.write_bytes(clips(number))
        return paths

    return write
