"""Batches in trouble: closed, forked, interrupted, misused, and run where the system is short of something."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import trustme

import hfasr
from hfasr import ASRClient, AsyncASRClient, BatchAbortedError, BatchError, JournalError, RetryPolicy
from hfasr._batch import opening
from hfasr._batch.journal import Journal
from hfasr._core import connections
from hfasr._core.cancel import shut_down
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.batch.conftest import text_of, until_it_raises
from tests.colours import Session
from tests.core.test_transport import wait_for

Make = Callable[..., Session]
Files = Callable[[int], list[Path]]


class OddError(BaseException):
    """What nobody expects, and no `Exception`."""


def test_shutting_down_never_drops_tls() -> None:
    """A TLS connection that is cut stays one: a thread that is writing must not go on in clear text."""
    ca = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(theirs)
    ours = ssl.create_default_context()
    ca.configure_trust(ours)
    left, right = socket.socketpair()
    with left, right:
        served: list[ssl.SSLSocket] = []
        serving = threading.Thread(target=lambda: served.append(theirs.wrap_socket(right, server_side=True)))
        serving.start()
        wrapped = ours.wrap_socket(left, server_hostname="localhost")

        class Stream:
            def get_extra_info(self, info: str) -> object:
                return wrapped if info == "socket" else None

        shut_down(Stream())
        assert wrapped.version() is not None
        with pytest.raises((ssl.SSLError, OSError)):
            wrapped.sendall(b"a secret")
        wrapped.close()
        serving.join(10)
        for one in served:
            one.close()


def test_closed_by_another_thread(asr_server: FakeASRServer, clips: Any) -> None:
    """Who waits for an item of a batch that another thread closes is told so, and does not wait for ever."""
    asr_server.script(replies.Hang(60))
    with ASRClient(router_url=asr_server.router_url) as asr:
        batch = asr.transcribe_many([clips(0)])
        threading.Timer(0.3, batch.close).start()
        with pytest.raises(BatchError, match="closed before its last item"):
            next(batch)
        assert list(batch) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_its_parent_alone(asr_server: FakeASRServer, clips: Any) -> None:
    """A child that closes what it inherited cuts off nothing of its parent's, and is refused its batch."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    asr_server.script(*[replies.Normal(delay=1.0)] * 2)
    with (
        ASRClient(router_url=asr_server.router_url, retry=RetryPolicy(max_attempts=1)) as asr,
        asr.transcribe_many([clips(0), clips(1), clips(2)], max_concurrency=2, ordered=False) as batch,
    ):
        results = multiprocessing.get_context("fork").Queue()

        def child() -> None:
            try:
                next(batch)
            except RuntimeError as error:
                results.put(str(error))
            batch.close()
            asr.close()

        items: list[hfasr.BatchItem] = []
        waiting = threading.Thread(target=lambda: items.extend(batch))
        waiting.start()
        wait_for(lambda: len(asr_server.requests) == 2)
        forked = multiprocessing.get_context("fork").Process(target=child)
        forked.start()
        forked.join(20)
        assert forked.exitcode == 0
        assert "process that began it" in results.get(timeout=10)
        waiting.join(20)
        assert [item.error for item in items] == [None] * 3


def test_no_thread_can_be_started(asr_server: FakeASRServer, clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no more threads, those that there are do the work; without any, the batch says so."""
    plain = threading.Thread.start
    left = [1]

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("hfasr-batch-") and thread.name != "hfasr-batch-feed":
            if left[0] == 0:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with ASRClient(router_url=asr_server.router_url) as asr:
        assert [item.ok for item in asr.transcribe_many([clips(n) for n in range(6)])] == [True] * 6
        with pytest.raises(RuntimeError, match="can't start new thread"):
            next(asr.transcribe_many([clips(0)]))


def test_interrupted_while_closing(
    asr_server: FakeASRServer, clips: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C while a batch is being closed does not leave its journal locked: it can be closed again."""
    with ASRClient(router_url=asr_server.router_url) as asr:
        batch = asr.transcribe_many([clips(n % 16) for n in range(200)], journal=tmp_path / "j", max_concurrency=1)
        next(batch)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                batch.close()
        batch.close()
        assert next(asr.transcribe_many([clips(0)], journal=tmp_path / "j")).ok


def told(colour: str, make_batch: Callable[[Any], Any], **settings: Any) -> tuple[int, BaseException | None]:
    """Return how many items come, and what is raised after them; in a loop of its own, which that may end."""
    n_items = 0

    async def main() -> BaseException | None:
        nonlocal n_items
        async with AsyncASRClient(**settings) as asr:
            try:
                async for _ in make_batch(asr):
                    n_items += 1
            except (Exception, OddError) as error:  # noqa: BLE001  # returned
                return error
        return None

    if colour != "sync":
        error: BaseException | None = anyio.run(main, backend=colour)
        return n_items, error
    with ASRClient(**settings) as asr:
        try:
            for _ in make_batch(asr):
                n_items += 1
        except (Exception, OddError) as error:  # noqa: BLE001  # returned
            return n_items, error
    return n_items, None


def test_interrupted_while_opening(colour: str, clips: Any, tmp_path: Path) -> None:
    """What goes wrong while the engine is loaded for the cache's sake leaves no journal locked."""

    class Interrupted(FakeBackend):
        def preload(self) -> None:
            raise OddError

    _, error = told(
        colour,
        lambda asr: asr.transcribe_many([clips(0)], journal=tmp_path / "j", cache=tmp_path / "c"),
        backend=Interrupted(),
    )
    assert error is not None
    with Journal(tmp_path / "j"):
        pass


def test_odd_errors_of_the_inputs(colour: str, asr_server: FakeASRServer, clips: Any) -> None:
    """Whatever inputs raise reaches the caller as it is, after the items before it, on every loop."""

    def inputs() -> Iterator[bytes]:
        yield clips(0)
        raise OddError

    n_items, error = told(colour, lambda asr: asr.transcribe_many(inputs()), router_url=asr_server.router_url)
    assert (n_items, type(error)) == (1, OddError)


def test_closed_by_its_own_inputs(session: Make, colour: str, asr_server: FakeASRServer, clips: Any) -> None:
    """Inputs that close their own batch end it, and do not wait for themselves."""
    batch: Any = None

    def inputs() -> Iterator[bytes]:
        yield clips(0)
        batch.batch.close()
        yield clips(1)

    async def async_inputs() -> AsyncIterator[bytes]:
        yield clips(0)
        await batch.batch.aclose()
        yield clips(1)

    asr = session(router_url=asr_server.router_url)
    batch = asr.transcribe_many(inputs() if colour == "sync" else async_inputs())
    items, error = until_it_raises(batch)
    assert len(items) <= 1
    assert error is None or isinstance(error, BatchError)


def test_two_event_loops(asr_server: FakeASRServer, clips: Any, tmp_path: Path) -> None:
    """A batch that outlives its event loop says so in another, and closing it there frees its journal."""
    client = AsyncASRClient(router_url=asr_server.router_url)
    batch = client.transcribe_many([clips(n % 16) for n in range(200)], journal=tmp_path / "j", max_concurrency=1)
    loop = asyncio.new_event_loop()

    async def first() -> bool:
        return (await anext(batch)).ok

    assert loop.run_until_complete(first())

    async def second() -> None:
        with pytest.raises(RuntimeError, match="event loop in which it began"):
            await anext(batch)
        await batch.aclose()

    asyncio.run(second())

    async def ended() -> None:
        await batch.aclose()
        await client.aclose()

    loop.run_until_complete(ended())
    loop.close()
    with Journal(tmp_path / "j"):
        pass


def test_two_at_once(session: Make, colour: str, asr_server: FakeASRServer, clips: Any) -> None:
    """A second one who asks for an item at the same time is refused, and the first is not disturbed."""
    asr_server.script(*[replies.Normal(delay=0.5)] * 2)
    batch = session(router_url=asr_server.router_url).transcribe_many([clips(0), clips(1)])
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(next(batch)))
    waiting.start()
    wait_for(lambda: len(asr_server.requests) >= 1)
    with pytest.raises(RuntimeError, match="already being iterated"):
        next(batch)
    waiting.join(20)
    assert [item.ok for item in [*got, *batch]] == [True, True]


def test_errors_with_fields_of_any_kind(session: Make, clips: Any) -> None:
    """An engine's error that has an ``errors`` of its own is an item's error like any other."""

    class FullError(Exception):
        def errors(self) -> list[str]:
            return ["of another kind"]

    (item,) = session(backend=FakeBackend(error=FullError("bad"))).transcribe_many([clips(0)])
    assert isinstance(item.error, hfasr.BackendError)


def test_a_stop_longer_than_anybody_waits(
    session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path
) -> None:
    """Where the server takes nothing for an hour, the batch stops, instead of failing item after item unsent."""
    asr_server.script(replies.Normal(), replies.rate_limited(retry_after=3600))
    paths = files(50)
    batch = session(router_url=asr_server.router_url).transcribe_many(paths, max_concurrency=1, journal=tmp_path / "j")
    items, error = until_it_raises(batch)
    assert [item.ok for item in items] == [True]
    assert isinstance(error, BatchAbortedError)
    assert isinstance(error.__cause__, hfasr.RateLimitError)
    assert error.__cause__.retry_after == 3600
    assert len(asr_server.requests) == 2


def test_long_audio_is_decoded_a_little_at_a_time(session: Make, clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much audio is held decoded for an engine as was said, and what is longer goes alone."""
    monkeypatch.setattr(opening, "MAX_DECODED_S", 1.3)  # two clips of 0.6 s
    engine = FakeBackend(None, delay=0.02)
    items = list(session(backend=engine).transcribe_many([clips(n) for n in range(12)]))
    assert [item.transcript and item.transcript.text for item in items] == [text_of(n) for n in range(12)]
    assert max(len(call.batch) for call in engine.calls) <= 2
    monkeypatch.setattr(opening, "MAX_DECODED_S", 0.1)
    engine.calls.clear()
    assert all(item.ok for item in session(backend=engine).transcribe_many([clips(n) for n in range(5)]))
    assert [len(call.batch) for call in engine.calls] == [1] * 5


def test_one_at_a_time(session: Make, clips: Any) -> None:
    """With ``max_concurrency=1`` an engine, too, has one item in work."""
    engine = FakeBackend(None, delay=0.02)
    assert all(item.ok for item in session(backend=engine).transcribe_many([clips(0)] * 6, max_concurrency=1))
    assert [len(call.batch) for call in engine.calls] == [1] * 6


def test_journal_that_cannot_be_read(
    session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that fails ends the batch: it is no failure of an item."""
    paths = files(2)
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many(paths, journal=tmp_path / "j"))

    def find(journal: Journal, key: str) -> None:
        raise JournalError("the journal cannot be read: I/O error; check the disk")

    monkeypatch.setattr(Journal, "find", find)
    with pytest.raises(JournalError, match="cannot be read"):
        next(asr.transcribe_many(paths, journal=tmp_path / "j"))


def test_progress_that_fails(session: Make, asr_server: FakeASRServer, clips: Any, caplog: Any) -> None:
    """A function for the progress that raises costs no item; it is logged."""

    def broken(progress: hfasr.Progress) -> None:
        raise ValueError("no screen")

    items = list(session(router_url=asr_server.router_url).transcribe_many([clips(0), clips(1)], progress=broken))
    assert [item.ok for item in items] == [True, True]
    assert "no screen" in caplog.text


def test_one_waveform_is_not_many(session: Make) -> None:
    """A bare array is refused as a whole, instead of sample by sample."""
    with pytest.raises(TypeError, match="not one array"):
        session().transcribe_many(np.zeros(100, np.float32))


def test_inputs_that_do_not_know_how_many(session: Make, asr_server: FakeASRServer, clips: Any) -> None:
    """An iterable whose length cannot be told, though it seems to have one, is taken."""

    class Loader:
        def __len__(self) -> int:
            raise TypeError("an iterable dataset has no len()")

        def __iter__(self) -> Iterator[bytes]:
            return iter([clips(0)])

    seen: list[Any] = []
    assert [
        item.ok for item in session(router_url=asr_server.router_url).transcribe_many(Loader(), progress=seen.append)
    ] == [True]
    assert seen[-1].n_total is None


def test_connections_to_many_servers(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections to servers of long ago make room for those in use."""
    monkeypatch.setattr(connections, "MAX_IDLE", 3)
    asr = session()
    servers = [FakeASRServer().start() for _ in range(6)]
    try:
        for server in [*servers, servers[-1], servers[-2]]:
            one = asr.client.with_options(base_url=server.url, dialect="hf")
            assert asr.run(lambda one=one: one.transcribe(wav)).text == "red boat green"
        assert [server.connections.accepted for server in servers] == [1] * 6
        wait_for(lambda: [server.connections.open for server in servers] == [0, 0, 0, 1, 1, 1])
    finally:
        for server in servers:
            server.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a time that is short and sure")
def test_closing_during_a_handshake(clips: Any) -> None:
    """A server that accepts and then says nothing in the TLS handshake does not hold up the end of a batch."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with ASRClient(base_url=url, timeout=40) as asr:
            batch = asr.transcribe_many([clips(0)])
            threading.Timer(1.0, batch.close).start()
            began = time.monotonic()
            with pytest.raises(BatchError):
                next(batch)
            assert time.monotonic() - began < 30
