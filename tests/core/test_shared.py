"""What the calls of one client share: engines that are loaded once and closed with it, and what it keeps over a fork."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr import BackendError
from hfasr._core.gather import Gatherer
from hfasr._core.routes import LocalRoute
from hfasr._core.shared import Shared
from hfasr.testing import FakeBackend

CLOSED = "this client was closed while a call was under way; make a new one"


class Loads:
    """In the place of `hfasr.backends.load`: notes what it is asked for, and gives a new engine each time."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.made: list[FakeBackend] = []
        self.meanwhile: Any = lambda: None

    def __call__(self, name: str, model: str | None = None, **options: Any) -> FakeBackend:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.asked.append((name, model, options))
        self.made.append(FakeBackend("x", name=name))
        return self.made[-1]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    made = Loads(Shared())
    monkeypatch.setattr("hfasr.backends.load", made)
    return made


def test_engine_is_loaded_once(loads: Loads) -> None:
    """Each name, model, revision and token has one engine, which all calls get."""
    routes = [
        LocalRoute("transformers", None, None),
        LocalRoute("pocketsphinx", None, None),
        LocalRoute("transformers", "org/a", None),
        LocalRoute("transformers", "org/a", None, "v1"),
        LocalRoute("transformers", "org/a", None, "v1", "hf_one"),
        LocalRoute("transformers", "org/a", None, "v1", "hf_two"),
    ]
    engines: list[Any] = [loads.shared.engine(route) for route in routes]
    assert engines == loads.made
    assert [loads.shared.engine(route) for route in routes] == engines
    assert len(loads.made) == 6
    assert not any(engine.closed for engine in loads.made)


@pytest.mark.parametrize(
    ("route", "asked"),
    [
        (LocalRoute("transformers", "org/a", None), ("transformers", "org/a", {})),
        (LocalRoute("transformers", None, None, "v1"), ("transformers", None, {"revision": "v1"})),
        (LocalRoute("transformers", None, None, None, "hf_a"), ("transformers", None, {"token": "hf_a"})),
        (
            LocalRoute("transformers", "org/a", None, "v1", "hf_a"),
            ("transformers", "org/a", {"revision": "v1", "token": "hf_a"}),
        ),
        (LocalRoute("pocketsphinx", None, None, "v1", "hf_a"), ("pocketsphinx", None, {"revision": "v1"})),
        (LocalRoute("somebody's", None, None, None, "hf_a"), ("somebody's", None, {})),
    ],
)
def test_what_an_engine_is_told(loads: Loads, route: LocalRoute, asked: tuple[Any, ...]) -> None:
    """What was not asked for is left out, and a token is shown to an engine of hfasr's own that takes one."""
    loads.shared.engine(route)
    assert loads.asked == [asked]


def test_engine_of_the_callers_own(loads: Loads) -> None:
    """It is given as it is, and never closed."""
    own = FakeBackend("x")
    assert loads.shared.engine(LocalRoute("fake", "org/a", own)) is own
    loads.shared.close()
    assert loads.shared.engine(LocalRoute("fake", "org/a", own)) is own
    assert (loads.asked, own.closed) == ([], False)


def test_close(loads: Loads) -> None:
    """Closing closes each engine once, and loads none from then on."""
    routes = [LocalRoute("transformers", None, None), LocalRoute("pocketsphinx", None, None)]
    for route in routes:
        loads.shared.engine(route)
    loads.shared.close()
    assert [engine.closed for engine in loads.made] == [True, True]
    for route in routes:
        with pytest.raises(BackendError) as caught:
            loads.shared.engine(route)
        assert str(caught.value) == CLOSED
    assert len(loads.made) == 2
    loads.shared.close()


def test_closed_while_loading(loads: Loads) -> None:
    """What a client gets that was closed meanwhile it gives back at once."""
    loads.meanwhile = loads.shared.close
    with pytest.raises(BackendError) as caught:
        loads.shared.engine(LocalRoute("transformers", None, None))
    assert str(caught.value) == CLOSED
    assert [engine.closed for engine in loads.made] == [True]


def test_loaded_twice_at_once(loads: Loads) -> None:
    """Of two calls that load at once both get the engine that came first, and the other one is given back."""
    route = LocalRoute("transformers", None, None)
    first: list[Any] = []
    loads.meanwhile = lambda: first.append(loads.shared.engine(route))
    assert loads.shared.engine(route) is first[0] is loads.made[0]
    assert [engine.closed for engine in loads.made] == [False, True]


def test_what_a_new_one_knows() -> None:
    """Nothing is known at first: no dialect, no token, and no hook that failed."""
    shared = Shared()
    assert (shared.dialects, shared.known_token, shared.hook_failed) == ({}, None, False)


def test_lines_before_engines() -> None:
    """They are made when they are first asked for, and are the same from then on."""
    shared = Shared()
    assert isinstance(shared.gatherer, Gatherer)
    assert shared.gatherer is shared.gatherer


def test_forked_child() -> None:
    """A child has a lock of its own; what the parent knew it knows, and nobody of the parent's stands in line there."""
    shared = Shared()
    shared.renew()
    lines: Any = shared.gatherer
    lines._lines[1] = ["one of the parent's"]
    shared.known_token = "hf_a"
    lock, lines_lock, breaker_lock = shared._lock, lines._lock, shared.breaker._lock
    shared.renew()
    assert shared._lock is not lock
    assert lines._lock is not lines_lock
    assert shared.breaker._lock is not breaker_lock
    assert shared.gatherer is lines
    assert (lines._lines, shared.known_token) == ({}, "hf_a")
