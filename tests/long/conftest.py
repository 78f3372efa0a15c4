"""Fixtures: a server that hears what a test's ear hears."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hfasr.testing import FakeASRServer
from tests.long.stream_kit import Ear


@pytest.fixture
def ear() -> Ear:
    """Hear tone speech."""
    return Ear()


@pytest.fixture
def server(ear: Ear) -> Iterator[FakeASRServer]:
    """Serve what *ear* hears."""
    with FakeASRServer(ear) as server:
        yield server
        for event in ear.holds.values():  # else it could not stop
            event.set()
