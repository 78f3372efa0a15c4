from __future__ import annotations

from pathlib import Path

import pytest

from hfasr.audio import source
from tests.audio.kit import Colour, Pages


@pytest.fixture(autouse=True)
def files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every file as one that is too large to be read at once, as most are that these tests are about."""
    monkeypatch.setattr(source, "_READ_AT_ONCE_BYTES", -1)


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of the test's own, in which temporary files are made."""
    folder = tmp_path_factory.mktemp("disk")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def pages() -> Pages:
    """Return an empty fake web."""
    return Pages()


@pytest.fixture
def reader(colour: str, pages: Pages) -> Colour:
    """Read audio in each of the colours."""
    return Colour(colour, pages)


@pytest.fixture
def sync(pages: Pages) -> Colour:
    """Read audio in the sync colour only."""
    return Colour("sync", pages)
