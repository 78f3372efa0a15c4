"""Files that are to be transcribed, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import clip

if TYPE_CHECKING:
    from hfasr import BatchItem
    from tests.colours import Items

WORDS = ("red", "boat", "green", "apple")


def text_of(number: int) -> str:
    """Return what the file of that number says."""
    return f"{WORDS[number % 4]} {WORDS[number // 4 % 4]}"


def until_it_raises(batch: Items) -> tuple[list[BatchItem], Exception | None]:
    """Return the items that are handed out, and what is raised after them."""
    items: list[BatchItem] = []
    try:
        for item in batch:
            items.append(item)  # noqa: PERF402  # those before the error are wanted
    except Exception as error:  # noqa: BLE001  # returned
        return items, error
    return items, None


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
