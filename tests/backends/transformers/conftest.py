"""A Hub of our own, an empty cache, and proof that nothing is asked for."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.backends.transformers.hub import Hub, serve

if TYPE_CHECKING:
    from hfasr.backends.transformers import loading

if not (find_spec("transformers") and find_spec("torch")):
    pytest.skip("the extra transformers is not installed", allow_module_level=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the Hub's client an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS_WARNING", True)  # on Windows
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a Hub on loopback, to which huggingface_hub goes in this test."""
    from huggingface_hub import constants

    with serve() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub


@pytest.fixture
def unplug(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function after which every attempt to reach another machine, or this one, fails the test."""

    def refuse(*args: object, **settings: object) -> NoReturn:
        pytest.fail(f"a socket was used: {args!r:.200}")

    def unplug() -> None:
        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        for name in ("create_connection", "getaddrinfo", "gethostbyname"):
            monkeypatch.setattr(socket, name, refuse)

    return unplug


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """The models that are loaded during the test, without keeping them alive."""
    from hfasr.backends.transformers import loading

    models: list[weakref.ref[Any]] = []
    load = loading.load_checkpoint

    def note(*args: Any, **settings: Any) -> loading.Checkpoint:
        checkpoint = load(*args, **settings)
        models.append(weakref.ref(checkpoint.model))
        return checkpoint

    monkeypatch.setattr(loading, "load_checkpoint", note)
    return models
