"""Loading an engine's model: when, how often, within which time, and what the result tells of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import hfasr
import hfasr.backends
from hfasr import ASRClient
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.colours import Session
from tests.core.engines import Loading, LoadsAnyhow

Make = Callable[..., Session]


def test_loading_is_told_apart(session: Make, wav: bytes) -> None:
    """The first call's attempt says how much of it went into loading; the next has nothing to load."""
    engine = Loading(seconds=0.2)
    asr = session("org/asked", backend=engine)
    first, second = asr.transcribe(wav).provenance, asr.transcribe(wav).provenance
    assert first is not None
    assert second is not None
    (attempt,) = first.attempts
    assert attempt.duration >= attempt.loading >= 0.2
    assert second.attempts[0].loading < 0.1
    assert (first.backend, first.model, first.revision) == ("loading", "org/loaded", "0123abc")
    assert engine.n_loaded == 1


def test_engine_that_says_nothing_of_its_model(session: Make, wav: bytes) -> None:
    """Without a name of the engine's own the provenance has the one that was asked for, and no revision."""
    engines: list[Any] = [FakeBackend("x"), Loading(model=None)]
    engines[0].model = object()  # an engine may keep anything there
    for engine in engines:
        provenance = session("org/asked", backend=engine).transcribe(wav).provenance
        assert provenance is not None
        assert provenance.model == "org/asked"
    assert [getattr(engine, "revision", None) for engine in engines] == [None, "0123abc"]


@pytest.mark.parametrize(
    ("settings", "options", "download"),
    [({}, {}, True), ({}, {"deadline": 60}, False), ({"deadline": 60}, {}, False), ({"local_only": True}, {}, False)],
)
def test_who_may_download(
    session: Make, wav: bytes, settings: dict[str, Any], options: dict[str, Any], download: bool
) -> None:
    """A call with a deadline never starts a download, nor does a client that stays on this machine."""
    engine = Loading()
    session(backend=engine, **settings).transcribe(wav, **options)
    assert engine.downloads == [download]


def test_loading_ahead_downloads(session: Make) -> None:
    """preload and wait_until_ready fetch what is missing, whatever the client's deadline; not with local_only."""
    for settings, download in (({"deadline": 0.5}, True), ({"local_only": True}, False)):
        engine = Loading()
        asr = session(backend=engine, **settings)
        asr.call("preload")
        asr.call("wait_until_ready", timeout=5)
        assert engine.downloads == [download, download]


def test_what_is_not_here_fails_and_comes_after_a_preload(session: Make, wav: bytes) -> None:
    """Under a deadline a missing model fails at once, is told as loading, and works after preload."""
    asr = session(backend=Loading(on_disk=False), fallback=FakeBackend("here"))
    transcript = asr.transcribe(wav, deadline=60)
    assert transcript.text == "here"
    assert transcript.provenance is not None
    failed = transcript.provenance.attempts[0]
    assert failed.error == "BackendLoadError"
    assert failed.loading == pytest.approx(failed.duration, abs=0.01)
    assert "call preload() ahead" in str(transcript.provenance.fallback_reason)
    asr.call("preload")
    assert asr.transcribe(wav, deadline=60).text == "loaded"


def test_preload_without_the_parameter(session: Make, wav: bytes) -> None:
    """A preload that cannot be told not to download is called without: it is a third party's."""
    engine = LoadsAnyhow()
    assert session(backend=engine).transcribe(wav, deadline=60).text == "loaded"


def test_preload_that_fails_is_typed(session: Make, wav: bytes) -> None:
    """What a preload raises becomes a BackendError that says that loading failed."""
    engine: Any = FakeBackend("x")

    def preload(**_: Any) -> None:
        raise MemoryError("no room")

    engine.preload = preload
    with pytest.raises(hfasr.BackendError, match="fake could not be loaded: MemoryError: no room"):
        session(backend=engine).transcribe(wav)


def test_slow_loading_keeps_to_its_share(session: Make, colour: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """Loading counts against the share: the next route answers in time, and the loaded model serves later calls."""
    engine = Loading(seconds=0.6)
    asr = session(backend=engine, fallback=asr_server.openai_url)
    began = time.monotonic()
    transcript = asr.transcribe(wav, deadline=0.8 if colour != "sync" else 1.2)
    assert time.monotonic() - began < 1.2
    assert transcript.text == "red boat green" if colour != "sync" else "loaded"
    if colour != "sync":
        assert transcript.provenance is not None
        assert "loading was still loading at the end of its share" in str(transcript.provenance.fallback_reason)
        late = transcript.provenance.attempts[0]
        assert late.error == "BackendError"
        assert late.loading == pytest.approx(late.duration, abs=0.01)
        time.sleep(0.4)
    assert asr.transcribe(wav, deadline=2).text == "loaded"
    assert engine.n_loaded == 1


def test_deadline_is_shared_with_an_engine(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A server that hangs uses its share and no more; the engine, loading included, gets the rest."""
    asr_server.script(replies.Hang(5))
    engine = Loading(seconds=0.2)
    asr = session(router_url=asr_server.router_url, fallback=engine)
    began = time.monotonic()
    transcript = asr.transcribe(wav, deadline=1.5)
    assert time.monotonic() - began < 1.5
    assert transcript.provenance is not None
    assert [attempt.error for attempt in transcript.provenance.attempts] == ["APITimeoutError", None]
    assert transcript.provenance.attempts[0].duration == pytest.approx(0.75, abs=0.2)
    assert transcript.provenance.attempts[1].loading >= 0.2


def test_wait_until_ready_ends_in_time(session: Make, colour: str) -> None:
    """The async call does not wait longer for an engine than it was told to; the sync call cannot leave it."""
    asr = session(backend=Loading(seconds=0.5))
    if colour == "sync":
        asr.call("wait_until_ready", timeout=0.1)
    else:
        with pytest.raises(hfasr.DeadlineExceededError, match="waiting for loading to be ready"):
            asr.call("wait_until_ready", timeout=0.1)
        asr.call("wait_until_ready", timeout=5)


class Registry:
    """In the place of `hfasr.backends.load`: one engine, whose leases are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = Loading(seconds=0.2)
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.closed: list[object] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(hfasr.backends, "load", self.load)
        monkeypatch.setattr(hfasr.backends, "check_name", lambda name: None)

    def load(self, name: str, model: str | None = None, **options: Any) -> Any:
        self.asked.append((name, model, options))
        self.entered.set()
        assert self.gate.wait(10)
        registry = self

        class Lease:
            def __getattr__(self, attribute: str) -> Any:
                return getattr(registry.engine, attribute)

            def close(self) -> None:
                registry.closed.append(self)

        return Lease()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


@pytest.mark.parametrize(
    ("settings", "options", "asked"),
    [
        ({"backend": "toy"}, {}, [("toy", None, {})]),
        ({"backend": "toy", "revision": "v1"}, {}, [("toy", None, {"revision": "v1"})]),
        ({"backend": "toy", "model": "org/a", "revision": "v1"}, {}, [("toy", "org/a", {"revision": "v1"})]),
        (
            {"backend": "toy", "model": "org/a", "revision": "v1"},
            {"model": "org/b"},
            [("toy", "org/b", {"revision": "v1"})],
        ),
        ({"backend": "toy:org/own", "revision": "v1"}, {}, [("toy", "org/own", {"revision": "v1"})]),
        (
            {"backend": FakeBackend(error=OSError("no")), "fallback": "toy:org/own", "revision": "v1"},
            {},
            [("toy", "org/own", {})],
        ),
        (
            {"backend": FakeBackend(error=OSError("no")), "fallback": "toy", "model": "org/a", "revision": "v1"},
            {},
            [("toy", "org/a", {"revision": "v1"})],
        ),
    ],
)
def test_revision_goes_along_with_the_model(
    session: Make,
    wav: bytes,
    registry: Registry,
    settings: dict[str, Any],
    options: dict[str, Any],
    asked: list[tuple[str, str | None, dict[str, Any]]],
) -> None:
    """The revision is that of the client's or the call's model, and not of one that a fallback names itself."""
    session(**settings).transcribe(wav, **options)
    assert registry.asked == asked


def test_who_cannot_take_a_revision_says_so(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A server, and an engine that the caller made, run a revision of their own: the result says so."""
    hosted = session(router_url=asr_server.router_url, revision="v1").transcribe(wav)
    assert hosted.warnings == ("hf-inference runs a revision of its own; revision='v1' was not used",)
    assert hosted.provenance is not None
    assert hosted.provenance.revision is None
    local = session(backend=FakeBackend("x"), revision="v1").transcribe(wav)
    assert local.warnings == ("fake was loaded by the caller; revision='v1' was not used",)


def test_threads_load_once(wav: bytes, registry: Registry) -> None:
    """Threads that make the first calls of a client at once load one engine, and keep one lease."""
    start = threading.Barrier(4)
    with ASRClient(backend="toy") as asr:
        texts: list[str] = []

        def call() -> None:
            start.wait(10)
            texts.append(asr.transcribe(wav).text)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["loaded"] * 4
        assert registry.engine.n_loaded == 1
        assert len(registry.closed) == len(registry.asked) - 1
    assert len(set(map(id, registry.closed))) == len(registry.asked)


def test_other_engines_do_not_wait(wav: bytes, registry: Registry) -> None:
    """While one engine loads, a call of the same client that needs another one goes on."""
    registry.gate.clear()
    with ASRClient(backend="slow") as asr:
        waiting = threading.Thread(target=lambda: asr.transcribe(wav))
        waiting.start()
        assert registry.entered.wait(10)
        assert asr.with_options(backend=FakeBackend("other")).transcribe(wav).text == "other"
        assert asr._shared._lock.acquire(timeout=5)
        asr._shared._lock.release()
        registry.gate.set()
        waiting.join()


def test_client_that_is_closed_while_an_engine_loads(wav: bytes, registry: Registry) -> None:
    """What is loaded for a client that has been closed is given back, and the call says why it failed."""
    registry.gate.clear()
    asr = ASRClient(backend="toy")
    errors: list[BaseException] = []

    def call() -> None:
        try:
            asr.transcribe(wav)
        except hfasr.BackendError as error:
            errors.append(error)

    calling = threading.Thread(target=call)
    calling.start()
    assert registry.entered.wait(10)
    asr.close()
    registry.gate.set()
    calling.join()
    assert "this client was closed" in str(errors[0])
    assert len(registry.closed) == 1


def test_engines_are_shared_between_clients_and_freed_by_the_last(wav: bytes) -> None:
    """Two clients of one process share an engine that they name; it is closed with the second one."""
    one, two = ASRClient(backend="pocketsphinx"), ASRClient(backend="pocketsphinx")
    one.preload()
    two.preload()
    (first,) = one._shared._engines.values()
    (second,) = two._shared._engines.values()
    assert first is not second
    engine: Any = second
    decoder = engine._backend()._decoder
    assert decoder is not None
    one.close()
    assert engine._backend()._decoder is decoder
    backend = engine._backend()
    two.close()
    assert backend._decoder is None
