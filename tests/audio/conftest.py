from __future__ import annotations

import pytest

from tests.audio.kit import Colour, Pages


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
