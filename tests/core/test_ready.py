"""Waiting until the first route is ready, and loading engines ahead: who is asked what, how long, and what is said."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import soundfile

from hfasr import (
    ASRClient,
    Attempt,
    BackendError,
    BadRequestError,
    DeadlineExceededError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from hfasr._core.config import Config
from hfasr._core.failover import circuit
from hfasr._core.io import run_sync
from hfasr._core.ready import preload, wait_until_ready
from hfasr._core.routes import LocalRoute
from hfasr._core.shared import Shared
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, replies
from tests.core.call_kit import NotedIO, call_of
from tests.core.engines import Loading
from tests.core.spans_kit import Provider

ONCE = RetryPolicy(breaker_threshold=1)
NO_LONGER = "raise deadline=, or shorten the audio"


class Named(Loading):
    """An engine of any name that fails to load with any error."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        super().__init__()
        self.name = name
        self.error = error

    def preload(self, *, download: bool = True) -> None:
        super().preload(download=download)
        if self.error is not None:
            raise self.error


def failed(shared: Shared, engine: Any) -> Callable[[], bool]:
    """Let a call over *engine* fail; return what tells whether it would be skipped now."""
    call = call_of(NotedIO(), shared=shared)
    key = circuit(call, LocalRoute(engine.name, None, engine))
    permit: Any = shared.breaker.enter(key, ONCE, 0.0, forced=True)
    permit.failed(RuntimeError("boom"), 0.0)
    return lambda: shared.breaker.shuts_out(key, ONCE, 0.0)


# Engines


@pytest.mark.parametrize("local_only", [True, False])
def test_preload(local_only: bool) -> None:
    """Each engine is loaded, in order, and is no longer thought ill; servers are asked nothing."""
    shared, noted = Shared(), NotedIO()
    first, second, third = Named("a"), Named("b", BackendError("broken")), Named("c")
    config = Config(backend=first, fallback=["http://localhost:1", second, third], local_only=local_only)
    shut_out = [failed(shared, engine) for engine in (first, second, third)]
    with pytest.raises(BackendError, match=r"^broken$"):
        run_sync(preload(noted, config, shared))
    assert [engine.downloads for engine in (first, second, third)] == [[not local_only], [not local_only], []]
    assert [is_out() for is_out in shut_out] == [False, True, True]
    second.error = None
    run_sync(preload(noted, config, shared))
    assert [is_out() for is_out in shut_out] == [False, False, False]
    assert noted.offloaded == [(True, True)] * 5


def test_wait_for_an_engine() -> None:
    """The first route alone is waited for, within the time; then it is no longer thought ill."""
    shared, noted = Shared(), NotedIO()
    first, second = Named("a"), Named("b")
    config = Config(backend=first, fallback=second)
    shut_out = [failed(shared, engine) for engine in (first, second)]
    run_sync(wait_until_ready(noted, config, shared, 5.0))
    assert noted.windows == [5.0]
    assert (first.downloads, second.downloads) == ([True], [])
    assert [is_out() for is_out in shut_out] == [False, True]


def test_engine_that_is_not_ready_in_time() -> None:
    """Where loading is cut off it is said what was waited for; an error of hfasr's own goes through as it is."""
    shared, noted = Shared(), NotedIO()
    engine = Named("a")
    is_out = failed(shared, engine)
    noted.too_late = {0}
    with pytest.raises(DeadlineExceededError) as caught:
        run_sync(wait_until_ready(noted, Config(backend=engine), shared, 5.0))
    assert str(caught.value) == f"the deadline of 5 s passed while waiting for a to be ready; {NO_LONGER}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert is_out()
    engine.error = DeadlineExceededError("mine")
    with pytest.raises(DeadlineExceededError) as caught:
        run_sync(wait_until_ready(noted, Config(backend=engine), shared, 5.0))
    assert caught.value is engine.error


def test_time_that_is_none() -> None:
    """A timeout that is no time is refused by its name."""
    for timeout, kind in ((0, ValueError), ("1", TypeError)):
        with pytest.raises(kind, match=r"^timeout must be "):
            run_sync(wait_until_ready(NotedIO(), Config(), Shared(), timeout))  # type: ignore[arg-type]  # that is tested


# Servers


class Waiting:
    """A client that waits for a server, on a clock that only moves when something waits."""

    def __init__(self, server: FakeASRServer, clock: FakeClock, *, router: bool = False, **settings: Any) -> None:
        self.told: list[Attempt] = []
        where = {"router_url": server.router_url} if router else {"base_url": server.url, "dialect": "hf"}
        self.asr = clock.attach(ASRClient(on_attempt=self.told.append, **{**where, **settings}))

    def wait(self, timeout: float = 60.0) -> None:
        self.asr.wait_until_ready(timeout=timeout)


Wait = Callable[..., Waiting]


@pytest.fixture
def client(asr_server: FakeASRServer, fake_clock: FakeClock) -> Iterator[Wait]:
    """Make clients of the server, which are closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(*, clock: FakeClock = fake_clock, **settings: Any) -> Waiting:
            waiting = Waiting(asr_server, clock, **settings)
            stack.enter_context(waiting.asr)
            return waiting

        yield make


@pytest.mark.parametrize("status", [200, 399, 404, 405])
def test_server_that_is_up(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock, status: int) -> None:
    """A server that answers is up, also where it knows no such address; it is asked once."""
    asr_server.script(Reply(status), path="/health")
    waiting = client()
    waiting.wait()
    assert [(request.method, request.path, request.body) for request in asr_server.requests] == [
        ("GET", "/health", b"")
    ]
    assert [attempt.status for attempt in waiting.told] == [status]
    assert fake_clock.sleeps == []


def test_server_that_complains(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """What waiting does not mend is raised at once, with the attempts."""
    asr_server.script(Reply(400, json={"error": "no"}), path="/health")
    waiting = client()
    with pytest.raises(BadRequestError) as caught:
        waiting.wait()
    assert [attempt.status for attempt in caught.value.attempts] == [400]
    assert list(caught.value.attempts) == waiting.told
    assert fake_clock.sleeps == []


def test_pauses(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """Pauses grow; where a server asks for a longer one it gets that."""
    later, sooner = replies.rate_limited(retry_after=7), replies.rate_limited(retry_after=1)
    asr_server.script(replies.Reset("before_reply"), later, sooner, replies.server_error(502), path="/health")
    waiting = client()
    waiting.wait()
    assert fake_clock.sleeps == [1.0, 7.0, 2.25, 3.375]
    assert [attempt.waited for attempt in waiting.told] == [0.0, 1.0, 7.0, 2.25, 3.375]


def test_pauses_by_chance(client: Wait, asr_server: FakeASRServer) -> None:
    """Chance takes away up to a quarter of a pause, also where nobody asked for one."""
    asr_server.script(*[replies.server_error(500)] * 2, path="/health")
    clock = FakeClock(jitter=1.0)
    client(clock=clock).wait()
    assert clock.sleeps == [0.75, 1.125]


def test_span(client: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches sees the waiting as one span, with the model that is waited for."""
    provider = Provider().install(monkeypatch)
    client(model="org/a").wait()
    _, span = provider.ended()
    assert span.name == "wait_until_ready"
    assert dict(span.attributes or {}) == {"gen_ai.operation.name": "transcribe", "gen_ai.request.model": "org/a"}


@pytest.mark.parametrize(("timeout", "n_pauses"), [(1.0, 0), (1.01, 1), (2.5, 1), (2.51, 2)])
def test_time_is_up(
    client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock, timeout: float, n_pauses: int
) -> None:
    """A pause that would pass the deadline is not begun; the last answer is the cause, and the attempts are there."""
    asr_server.script(*[replies.server_error(500)] * 9, path="/health")
    with pytest.raises(DeadlineExceededError) as caught:
        client().wait(timeout)
    name = asr_server.url
    assert (
        str(caught.value) == f"the deadline of {timeout:g} s passed while waiting for {name} to be ready; {NO_LONGER}"
    )
    assert isinstance(caught.value.__cause__, ServerError)
    assert len(caught.value.attempts) == n_pauses + 1
    assert fake_clock.sleeps == [1.0, 1.5][:n_pauses]


def test_asked_pause_beyond_the_time(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """A server that asks for more time than there is ends it."""
    asr_server.script(replies.rate_limited(retry_after=100), path="/health")
    with pytest.raises(DeadlineExceededError) as caught:
        client().wait()
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert fake_clock.sleeps == []


def test_what_the_router_is_asked(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """Half a second of silence in one channel, with nothing asked for."""
    waiting = client(router=True, channels=1)
    waiting.wait()
    samples, rate = soundfile.read(io.BytesIO(asr_server.requests[-1].body))
    assert (samples.shape, rate, abs(samples).max()) == ((8_000,), 16_000, 0.0)
    assert [attempt.error for attempt in waiting.told] == [None]


def test_router_whose_model_loads(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """A loading model is waited for as long as the timeout says, whatever the client's policy; failures are, too."""
    asr_server.script(replies.loading(), replies.loading(), replies.server_error(500), replies.loading())
    waiting = client(router=True, retry=RetryPolicy(max_attempts=9, loading_timeout=0))
    waiting.wait()
    assert fake_clock.sleeps == [1.0, 1.5, 1.0, 1.0]
    asr_server.script(*[replies.loading()] * 9)
    with pytest.raises(DeadlineExceededError):
        waiting.wait(5.0)


def test_router_whose_model_loads_for_long(client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """Where the timeout is longer than other calls wait for a model, the pauses go on growing and stay long."""
    asr_server.script(*[replies.loading()] * 30)
    client(router=True).wait(1_000.0)
    assert fake_clock.slept > 300.0
    assert fake_clock.sleeps[7:] == [15.0] * 23


def test_ready_server_is_not_skipped(
    client: Wait, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """A route that was thought ill is taken again once it was found ready."""
    asr_server.script(replies.server_error(500))
    waiting = client(
        fallback=FakeBackend("here"),
        retry=RetryPolicy(max_attempts=1, breaker_threshold=1),
    )
    assert waiting.asr.transcribe(wav).text == "here"
    assert waiting.asr.transcribe(wav).text == "here"
    waiting.wait()
    assert waiting.asr.transcribe(wav).text == "red boat green"
