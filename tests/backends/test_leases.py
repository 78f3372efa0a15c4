"""One engine, many users."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import hfasr
from hfasr import backends
from hfasr.backends._leases import Lease, identity, lease
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript


class Engine:
    """An engine that says what was done to it."""

    name = "engine"
    sampling_rate = 8_000
    max_duration_s = 30.0

    def __init__(self) -> None:
        self.closed = 0

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        return [Transcript("heard") for _ in batch]

    def close(self) -> None:
        self.closed += 1


class Loaded(Engine):
    """An engine with the optional members."""

    model = "org/model"
    revision = "0123abc"

    def __init__(self) -> None:
        super().__init__()
        self.downloads: list[bool] = []

    def preload(self, *, download: bool = True) -> None:
        self.downloads.append(download)


class Factory:
    """Makes engines, and keeps them."""

    def __init__(self, make: Callable[[], Engine] = Engine) -> None:
        self.made: list[Engine] = []
        self._make = make

    def __call__(self) -> Engine:
        self.made.append(self._make())
        return self.made[-1]


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.nodeid)


def test_shared_and_closed_with_the_last(key: str) -> None:
    """Two leases share one engine; closing one leaves the other at work, closing both closes the engine once."""
    factory = Factory()
    first, second = lease(key, "engine", factory), lease(key, "engine", factory)
    first.close()
    first.close()
    assert second.transcribe([], {}) == []
    assert [engine.closed for engine in factory.made] == [0]
    second.close()
    assert [engine.closed for engine in factory.made] == [1]


def test_a_new_engine_after_the_last_close(key: str) -> None:
    """After its last lease was closed an engine is made anew, and an old lease does not meet the new engine."""
    factory = Factory()
    old = lease(key, "engine", factory)
    old.close()
    new = lease(key, "engine", factory)
    assert len(factory.made) == 2
    with pytest.raises(hfasr.BackendError):
        old.transcribe([], {})
    old.close()
    assert new.transcribe([], {}) == []
    assert [engine.closed for engine in factory.made] == [1, 0]


@pytest.mark.parametrize(
    "use",
    [
        lambda one: one.transcribe([], {}),
        lambda one: one.sampling_rate,
        lambda one: one.max_duration_s,
        lambda one: one.preload(),
        lambda one: one.model,
    ],
)
def test_use_after_close(use: Callable[[Any], object], key: str) -> None:
    """A closed lease says what happened and how to go on, whatever is asked of it."""
    with lease(key, "parrot", Loaded) as one:
        assert one.model == "org/model"
    with pytest.raises(
        hfasr.BackendError, match=r"^this parrot engine was closed; load it again with hfasr\.backends\.load$"
    ):
        use(one)
    assert repr(one) == "<closed lease of parrot>"


def test_is_a_backend(key: str) -> None:
    """A lease has the shape of the public protocol, and passes every member on."""
    with lease(key, "engine", Loaded) as one:
        assert isinstance(one, Backend)
        assert (one.name, one.sampling_rate, one.max_duration_s) == ("engine", 8_000, 30.0)
        assert (one.model, one.revision) == ("org/model", "0123abc")
        one.preload(download=False)
        assert one.downloads == [False]


def test_optional_members_stay_optional(key: str) -> None:
    """What the engine has not the lease has not either."""
    with lease(key, "engine", Engine) as one:
        assert not hasattr(one, "preload")
        assert not hasattr(one, "model")


def test_failure_leaves_nothing_behind(key: str) -> None:
    """An engine that could not be made is made at the next try, even while the first error is held."""

    def fail() -> Engine:
        raise hfasr.BackendLoadError("no room")

    with pytest.raises(hfasr.BackendLoadError, match="no room") as caught:
        lease(key, "engine", fail)
    factory = Factory()
    with lease(key, "engine", factory):
        pass
    assert caught.value is not None
    assert [engine.closed for engine in factory.made] == [1]


def test_close_that_fails(key: str) -> None:
    """An engine whose close fails is not handed out again."""

    class Stuck(Engine):
        def close(self) -> None:
            raise OSError("busy")

    one = lease(key, "engine", Stuck)
    with pytest.raises(OSError, match="busy"):
        one.close()
    one.close()
    factory = Factory()
    with lease(key, "engine", factory):
        assert len(factory.made) == 1


def test_forgotten_leases(key: str) -> None:
    """An engine whose leases were closed or forgotten is freed, and the next to ask gets a new one."""
    closed, forgotten = lease(key, "engine", Engine), lease(key, "engine", Engine)
    engine = weakref.ref(closed._backend())
    closed.close()
    assert engine() is not None
    del forgotten
    gc.collect()
    assert engine() is None
    factory = Factory()
    with lease(key, "engine", factory):
        assert len(factory.made) == 1


def test_threads_make_one_engine(key: str) -> None:
    """Of many threads that ask at once one makes the engine, and the others wait for it."""
    n_threads = 8
    start = threading.Barrier(n_threads)

    def slow() -> Engine:
        threading.Event().wait(0.05)
        return Engine()

    factory = Factory(slow)

    def ask(_: int) -> Lease:
        start.wait()
        return lease(key, "engine", factory)

    with ThreadPoolExecutor(n_threads) as threads:
        leases = list(threads.map(ask, range(n_threads)))
    assert len(factory.made) == 1
    for one in leases:
        one.close()
    assert [engine.closed for engine in factory.made] == [1]


def test_loading_waits_for_the_close(key: str) -> None:
    """While the last lease frees an engine, who loads it waits: two do not fit into memory at once."""
    order: list[str] = []
    closing, go_on = threading.Event(), threading.Event()

    class Slow(Engine):
        def close(self) -> None:
            closing.set()
            assert go_on.wait(10)
            order.append("closed")

    old = lease(key, "engine", Slow)

    def make() -> Engine:
        order.append("made")
        return Engine()

    with ThreadPoolExecutor(2) as threads:
        close = threads.submit(old.close)
        assert closing.wait(10)
        new = threads.submit(lease, key, "engine", make)
        threading.Event().wait(0.05)
        assert order == []
        go_on.set()
        close.result(10)
        new.result(10).close()
    assert order == ["closed", "made"]


def test_threads_that_load_and_close(key: str) -> None:
    """However loads and closes fall together, every lease works while it is held and every engine is closed once."""
    factory = Factory()

    def work(_: int) -> None:
        for _ in range(200):
            with lease(key, "engine", factory) as one:
                assert one.transcribe([], {}) == []

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert {engine.closed for engine in factory.made} == {1}


def test_another_engine_loads_meanwhile(key: str) -> None:
    """An engine that takes long to make does not hold up another one."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Engine:
        begun.set()
        assert go_on.wait(10)
        return Engine()

    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(lease, key + "slow", "engine", slow)
        assert begun.wait(10)
        lease(key, "engine", Engine).close()
        go_on.set()
        pending.result(10).close()


class Unhashable:
    __hash__ = None  # type: ignore[assignment]  # what the test is about


THING = Unhashable()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": [1, {"b": {2}}]}, {"a": [1, {"b": {2}}]}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": (1,)}, {"a": [1]}, False),
        ({"a": [0]}, {"a": [False]}, False),
        ({"a": None}, {}, False),
        ({"a": "cpu"}, {"a": "cuda"}, False),
        ({"a": THING}, {"a": THING}, True),
        ({"a": Unhashable()}, {"a": Unhashable()}, False),
    ],
)
def test_identity(one: object, other: object, same: bool) -> None:
    """Arguments are told apart by value and type, in any order, hashable or not."""
    assert (identity(one) == identity(other)) is same
    assert not same or hash(identity(one)) == hash(identity(other))


def test_one_engine_per_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`load` shares an engine between equal arguments, and makes another for any difference."""
    pytest.importorskip("pocketsphinx")
    load = backends.load
    with load("pocketsphinx") as one, load("pocketsphinx") as same, load("pocketsphinx", "en-us") as other:
        assert one._backend() is same._backend()
        assert one._backend() is not other._backend()
