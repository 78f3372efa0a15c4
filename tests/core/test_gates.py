"""The gate in front of a server: who waits, who is let in, and what threads and event loops share."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hfasr import APITimeoutError, ASRClient, AsyncASRClient, RateLimitError, RetryPolicy
from hfasr._core.bells import TaskBell
from hfasr._core.clock import SystemClock
from hfasr._core.gates import _MAX_GATES, Gate, Gates, gate_of
from hfasr._core.io import AsyncIO, BlockingIO, run_sync
from hfasr._core.limiter import Outcome, Ticket
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, replies
from tests.colours import Session
from tests.core.test_transport import wait_for

Make = Callable[..., Session]
CLOCK = SystemClock()
ONCE = RetryPolicy(max_attempts=1)
HTTP: Any = None  # a gate sends nothing


def narrow(gate: Gate, size: int = 1) -> Gate:
    """Let only *size* requests in at once, until a minute has passed."""
    window = gate.limiter._window
    window.size = window.ceiling = float(size)
    window._hold.begin(gate.clock.now(), 60.0)
    return gate


async def entered(gate: Gate, io: Any, *, left: float | None = None, longest: float = 120.0) -> Ticket:
    """Enter, with *left* seconds."""
    expires = None if left is None else gate.clock.now() + left
    return gate.try_enter() or await gate.enter(io, "server", expires=expires, longest=longest)


def blocking(gate: Gate) -> Ticket:
    """Enter as a thread does."""
    return run_sync(entered(gate, BlockingIO(HTTP, gate.clock)))


@contextmanager
def in_line(gate: Gate, colour: str, arrived: list[str], name: str) -> Iterator[None]:
    """Let one call of *colour* wait, in a thread or event loop of its own; *arrived* gets its *name*."""

    def work() -> None:
        if colour == "sync":
            ticket = blocking(gate)
        else:
            ticket = anyio.run(entered, gate, AsyncIO(HTTP, gate.clock), backend=colour)
        arrived.append(name)
        gate.leave(ticket, Outcome.ACCEPTED)

    n_before = gate.n_waiting
    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: gate.n_waiting > n_before)
    yield
    thread.join(10)
    assert not thread.is_alive()


def test_first_come_first_served() -> None:
    """Threads and event loops of both kinds stand in one line, and each wakes the next."""
    gate = narrow(Gate(CLOCK))
    ticket, arrived = blocking(gate), list[str]()
    with (
        in_line(gate, "asyncio", arrived, "1"),
        in_line(gate, "sync", arrived, "2"),
        in_line(gate, "trio", arrived, "3"),
        in_line(gate, "sync", arrived, "4"),
        in_line(gate, "asyncio", arrived, "5"),
    ):
        assert arrived == []
        gate.leave(ticket, Outcome.ACCEPTED)
    assert arrived == ["1", "2", "3", "4", "5"]
    assert gate.is_idle


def test_clients_and_threads_share_a_limit(session: Make, wav: bytes) -> None:
    """Two clients with eight threads keep to the one limit of their server, and all are answered."""
    with FakeASRServer(delay=0.02) as server:
        made = [session(router_url=server.router_url) for _ in range(2)]
        gate = narrow(gate_of(server.url, CLOCK), 2)
        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda asr=asr: texts.append(asr.transcribe(wav).text))
            for asr in made
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["red boat green"] * 16
        assert server.peak_concurrency == 2
        assert gate.is_idle


def test_retry_after_is_for_other_calls_too(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """What one client was told to wait, another one's call waits; its attempt says so."""
    asr_server.script(replies.rate_limited(retry_after=7))
    with pytest.raises(RateLimitError):
        session(router_url=asr_server.router_url, clock=fake_clock, retry=ONCE).transcribe(wav)
    assert fake_clock.sleeps == []
    result = session(router_url=asr_server.router_url, clock=fake_clock).transcribe(wav)
    assert fake_clock.sleeps == [7.0]
    assert result.provenance is not None
    assert [attempt.waited for attempt in result.provenance.attempts] == [7.0]


@pytest.mark.parametrize(
    ("asked", "settings"), [(30, {"deadline": 10}), (300, {}), (30, {"retry": RetryPolicy(max_retry_after=29)})]
)
def test_a_stop_that_is_too_long_leads_on_at_once(
    session: Make,
    asr_server: FakeASRServer,
    fake_clock: FakeClock,
    wav: bytes,
    asked: int,
    settings: dict[str, Any],
) -> None:
    """A call that has not the time, or may not wait that long, takes the next route and sends nothing."""
    asr_server.script(replies.rate_limited(retry_after=asked))
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend("here"), **settings)
    with pytest.raises(RateLimitError):
        session(router_url=asr_server.router_url, clock=fake_clock, retry=ONCE).transcribe(wav)
    result = asr.transcribe(wav)
    assert result.text == "here"
    assert result.provenance is not None
    assert "asked to wait" in str(result.provenance.fallback_reason)
    assert fake_clock.sleeps == []
    assert len(asr_server.requests) == 1


def test_error_of_a_shut_gate(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """Without another route the call fails as if the server had refused it, and says how long to wait."""
    asr_server.script(replies.rate_limited(retry_after=300))
    asr = session(router_url=asr_server.router_url, clock=fake_clock)
    for _ in range(2):
        with pytest.raises(RateLimitError) as caught:
            asr.transcribe(wav)
    assert len(asr_server.requests) == 1
    assert caught.value.status_code == 429
    assert caught.value.retry_after == pytest.approx(300)
    fake_clock.pause(120)  # the longest pause of the policy: then it is asked again
    assert asr.transcribe(wav).text == "red boat green"


def test_a_stop_in_the_queue_is_noticed_at_once() -> None:
    """Who waits for a place leaves as soon as a stop is longer than its time."""
    gate = narrow(Gate(CLOCK))
    ticket = blocking(gate)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run_sync(entered(gate, BlockingIO(HTTP, CLOCK), left=30.0))
        except RateLimitError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: gate.n_waiting == 1)
    gate.leave(ticket, Outcome.LIMITED, response=replies_429("60"))
    thread.join(10)
    assert len(failed) == 1
    assert gate.is_idle


def replies_429(retry_after: str) -> Any:
    from hfasr.wire import Response

    return Response(429, {"retry-after": retry_after})


@pytest.mark.parametrize("colour", ["sync", "asyncio", "trio"])
def test_time_that_ends_in_the_queue(colour: str) -> None:
    """Who has no time left leaves the queue with a typed error."""
    gate = narrow(Gate(CLOCK))
    ticket = blocking(gate)

    def wait() -> None:
        if colour == "sync":
            run_sync(entered(gate, BlockingIO(HTTP, CLOCK), left=0.1))
        else:
            io = AsyncIO(HTTP, CLOCK)
            anyio.run(lambda: entered(gate, io, left=0.1), backend=colour)

    with pytest.raises(APITimeoutError, match="had their turn"):
        wait()
    assert gate.n_waiting == 0
    gate.leave(ticket, Outcome.UNKNOWN)
    assert gate.is_idle


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_in_the_queue(backend: str) -> None:
    """Who is cancelled, even just as it was woken, leaves nothing behind: the next one goes in."""
    gate = narrow(Gate(CLOCK))
    ticket, arrived = blocking(gate), list[str]()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(entered, gate, AsyncIO(HTTP, CLOCK))
            await anyio.wait_all_tasks_blocked()
            with in_line(gate, "sync", arrived, "next"):
                gate.leave(ticket, Outcome.ACCEPTED)
                group.cancel_scope.cancel()  # before it can run
                with anyio.CancelScope(shield=True):
                    while gate.n_waiting == 2:  # a thread has no part in this loop
                        await anyio.lowlevel.checkpoint()

    anyio.run(main, backend=backend)
    assert arrived == ["next"]
    assert gate.is_idle


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_request_leaves(backend: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """A request that is cancelled under way gives its place back."""
    asr_server.script(replies.Hang(5))
    gate = gate_of(asr_server.url, CLOCK)

    async def main() -> None:
        async with AsyncASRClient(router_url=asr_server.router_url) as asr:
            with anyio.move_on_after(0.3):
                await asr.transcribe(wav)
            assert gate.is_idle
            assert gate_of(asr_server.url, CLOCK) is gate
            assert len(asr_server.requests) == 1

    anyio.run(main, backend=backend)


def test_bell_of_a_loop_that_is_gone() -> None:
    """Ringing where the event loop was closed does nothing, and does not fail."""

    async def make() -> TaskBell:
        return TaskBell()

    for backend in ("asyncio", "trio"):
        anyio.run(make, backend=backend).ring()


def test_waiter_of_a_loop_that_died() -> None:
    """A task that was dropped with its loop does not keep the others from going in."""
    gate = narrow(Gate(CLOCK))
    ticket, arrived = blocking(gate), list[str]()
    loop = asyncio.new_event_loop()
    waiting = entered(gate, AsyncIO(HTTP, CLOCK))

    async def begin() -> None:
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0.05)
        task.cancel()  # as asyncio.run does; the loop ends before it has run

    loop.run_until_complete(begin())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with in_line(gate, "sync", arrived, "next"):
        gate.leave(ticket, Outcome.ACCEPTED)
    assert arrived == ["next"]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (replies.Normal(), Outcome.ACCEPTED),
        (replies.rate_limited(), Outcome.LIMITED),
        (replies.overloaded(), Outcome.OVERLOADED),
        (replies.server_error(504), Outcome.OVERLOADED),
        (replies.server_error(500), Outcome.UNKNOWN),
        (replies.loading(), Outcome.UNKNOWN),
        (replies.Reset(), Outcome.UNKNOWN),
        (replies.forbidden(), Outcome.ACCEPTED),
    ],
)
def test_outcomes(
    session: Make,
    asr_server: FakeASRServer,
    wav: bytes,
    monkeypatch: pytest.MonkeyPatch,
    reply: replies.Action,
    outcome: Outcome,
) -> None:
    """Each kind of answer is told to the limiter as what it says of the load; a loading model says nothing."""
    told: list[Outcome] = []
    leave = Gate.leave

    def spy(gate: Gate, ticket: Ticket, outcome: Outcome, **how: Any) -> None:
        told.append(outcome)
        leave(gate, ticket, outcome, **how)

    monkeypatch.setattr(Gate, "leave", spy)
    asr_server.script(reply)
    retry = RetryPolicy(max_attempts=1, loading_timeout=0)
    asr = session(router_url=asr_server.router_url, retry=retry, fallback=FakeBackend("here"))
    asr.transcribe(wav)
    assert told == [outcome]


def test_loading_model_shuts_nobody_out(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """A model that says for how long it will be loading speaks for itself, and not for its server."""
    loading = replies.Reply(503, json={"error": "Model x is currently loading"}, headers={"retry-after": "60"})
    asr_server.script(loading)
    with pytest.raises(Exception, match="loading"):
        session(router_url=asr_server.router_url, clock=fake_clock, retry=RetryPolicy(loading_timeout=0)).transcribe(
            wav
        )
    assert session(router_url=asr_server.router_url, clock=fake_clock).transcribe(wav).text == "red boat green"
    assert fake_clock.sleeps == []


def test_quota_of_an_answer_is_kept(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """An answer that says that nothing is left is the last one until then."""
    asr_server.script(replies.Reply(json={"text": "last"}, headers={"ratelimit": '"api";r=0;t=20'}))
    asr = session(router_url=asr_server.router_url, clock=fake_clock)
    assert asr.transcribe(wav).text == "last"
    assert asr.transcribe(wav).text == "red boat green"
    assert fake_clock.sleeps == [20.0]


def test_audio_urls_are_not_held_up(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Fetching an audio URL is no request to the API, though it be the same host."""
    narrow(gate_of(asr_server.url, CLOCK))
    ticket = blocking(gate_of(asr_server.url, CLOCK))
    asr_server.script(replies.Reply(body=wav, headers={"content-type": "audio/wav"}), path="/clip.wav")
    asr = session(backend=FakeBackend("fetched"), allow_private_urls=True)
    assert asr.transcribe(f"{asr_server.url}/clip.wav").text == "fetched"
    gate_of(asr_server.url, CLOCK).leave(ticket, Outcome.UNKNOWN)


def test_one_gate_for_each_origin() -> None:
    """Scheme, host and port tell servers apart, and nothing else does; a fake clock's times are its own."""
    gates = Gates()
    gate = gates.of("https://host/a", CLOCK)
    assert gates.of("https://HOST:443/b?c", SystemClock()) is gate
    clock = FakeClock()
    others = [gates.of(url, CLOCK) for url in ("http://host/a", "https://host:8443/a", "https://other/a")]
    others += [gates.of("https://host/a", clock), gates.of("https://host/a", FakeClock())]
    assert len({gate, *others}) == 6
    assert gates.of("https://host/a", clock) is others[3]


def test_gates_are_bounded() -> None:
    """Servers that nobody uses are forgotten, the longest unused first; one in use stays."""
    gates = Gates()
    busy = gates.of("https://busy", CLOCK)
    ticket = blocking(busy)
    idle = gates.of("https://idle", CLOCK)
    used = gates.of("https://used", CLOCK)
    for n in range(_MAX_GATES + 50):
        gates.of("https://used", CLOCK)
        gates.of(f"https://stranger-{n}", CLOCK)
    assert len(gates) == _MAX_GATES
    assert gates.of("https://busy", CLOCK) is busy
    assert gates.of("https://used", CLOCK) is used
    assert gates.of("https://idle", CLOCK) is not idle
    busy.leave(ticket, Outcome.UNKNOWN)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_fork() -> None:
    """A child process has gates of its own, also where the parent held a lock while forking."""
    program = textwrap.dedent(
        """
        import os, sys
        from hfasr._core import gates
        from hfasr._core.clock import SystemClock
        clock = SystemClock()
        parents = gates.gate_of("https://host", clock)
        with gates._gates._lock, parents._lock:
            child = os.fork()
        if not child:
            os._exit(0 if gates.gate_of("https://host", clock) is not parents else 1)
        assert gates.gate_of("https://host", clock) is parents
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_sync_calls_need_no_event_loop_library() -> None:
    """A thread that waits at a gate loads neither asyncio nor anyio."""
    program = textwrap.dedent(
        """
        import sys, threading
        from hfasr._core.clock import SystemClock
        from hfasr._core.gates import Gate
        from hfasr._core.io import BlockingIO, run_sync
        from hfasr._core.limiter import Outcome
        gate = Gate(SystemClock())
        gate.limiter._window.size = 1.0
        def enter():
            return run_sync(gate.enter(BlockingIO(None, gate.clock), "server", expires=None, longest=120.0))
        ticket = enter()
        threading.Timer(0.1, gate.leave, (ticket, Outcome.UNKNOWN)).start()
        gate.leave(enter(), Outcome.UNKNOWN)
        sys.exit(" ".join(sorted({"anyio", "asyncio", "httpx"} & set(sys.modules))) or 0)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True, text=True)
    assert done.stderr == ""


def test_paced_calls_wait_their_turn() -> None:
    """At a pace each call waits for its own time on the clock."""
    clock = FakeClock()
    gate = Gate(clock)
    gate.limiter._pace.rate = gate.limiter._pace._capacity = 4.0
    gate.limiter._pace._hold.begin(0.0, 60.0)
    gate.limiter._pace._bound = 0.0
    for _ in range(5):
        gate.leave(blocking(gate), Outcome.ACCEPTED)
    assert clock.slept == pytest.approx(1.0, abs=0.07)
    assert not any(math.isinf(pause) for pause in clock.sleeps)


def test_sync_client_in_a_running_loop_shares_the_gate(asr_server: FakeASRServer, wav: bytes) -> None:
    """A sync call in a loop's thread that goes in and out wakes a task of another loop."""
    gate = narrow(gate_of(asr_server.url, CLOCK))
    ticket, arrived = blocking(gate), list[str]()

    async def main() -> None:
        gate.leave(ticket, Outcome.UNKNOWN)
        with ASRClient(router_url=asr_server.router_url) as asr:
            assert asr.transcribe(wav).text == "red boat green"

    with in_line(gate, "trio", arrived, "task"):
        asyncio.run(main())
    assert arrived == ["task"]
