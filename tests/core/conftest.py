"""Clients of the caller's own, of each library and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

if TYPE_CHECKING:
    from tests.colours import Session

LIBRARIES: dict[str, Any] = {"own": None, "httpx": httpx, "httpx2": httpx2}


@pytest.fixture
def caller(colour: str, session: Callable[..., Session]) -> Iterator[Callable[..., Session]]:
    """
    Make clients that send through an HTTP client of the caller's, which is closed after the test.

    ``caller("httpx2", {"headers": …}, base_url=…)``: the library (``"own"``: hfasr's own connections), the settings of
    its client, and those of hfasr's.
    """
    made: list[tuple[Session, Any]] = []

    def make(library: str, /, client: dict[str, Any] | None = None, **settings: Any) -> Session:
        module = LIBRARIES[library]
        if module is None:
            return session(**settings)
        kind = module.Client if colour == "sync" else module.AsyncClient
        http_client = kind(**(client or {}))
        made.append((session(http_client=http_client, **settings), http_client))
        return made[-1][0]

    yield make
    for one, http_client in made:
        if not http_client.is_closed:
            one.close_http(http_client)
