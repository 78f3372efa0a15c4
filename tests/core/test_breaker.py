"""The circuit breaker: closed, open, half open, and whose failures count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

import hfasr
from hfasr import ASRClient, AsyncASRClient, Audio, RetryPolicy, TranscribeOptions, Transcript
from hfasr._core.breaker import _MAX_CIRCUITS, Breaker, Permit
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, replies
from tests.colours import Session
from tests.core.engines import Loading

Make = Callable[..., Session]
POLICY = RetryPolicy(max_attempts=1, breaker_threshold=2, breaker_recovery=30)
DOWN = replies.server_error(500)


def entered(breaker: Breaker, now: float, policy: RetryPolicy = POLICY, *, forced: bool = False) -> Permit:
    permit = breaker.enter("key", policy, now, forced=forced)
    assert isinstance(permit, Permit), permit
    return permit


def opened() -> Breaker:
    """Return a breaker whose route has failed at 0 and 1 s, which opens it until 31 s."""
    breaker = Breaker()
    for now in (0.0, 1.0):
        entered(breaker, now).failed(RuntimeError("boom"), now)
    return breaker


def why(breaker: Breaker, now: float, policy: RetryPolicy = POLICY) -> str:
    reason = breaker.enter("key", policy, now, forced=False)
    assert isinstance(reason, str)
    return reason


def test_failures_in_a_row_open_it() -> None:
    """Below the threshold a route is taken; a success in between starts the count anew."""
    breaker = Breaker()
    entered(breaker, 0).failed(RuntimeError("boom"), 0)
    entered(breaker, 0).succeeded()
    entered(breaker, 0).failed(RuntimeError("boom"), 0)
    entered(breaker, 0).failed(RuntimeError("bang"), 0)
    assert why(breaker, 12.5) == (
        "skipped: 2 calls in a row failed, the last with RuntimeError: bang; it is tried again in 18 s"
    )


def test_one_failure_may_be_enough() -> None:
    """One call that failed is told as one."""
    once = RetryPolicy(breaker_threshold=1, breaker_recovery=30)
    breaker = Breaker()
    entered(breaker, 0, once).failed(RuntimeError("boom"), 0)
    assert why(breaker, 1, once) == (
        "skipped: 1 call failed, the last with RuntimeError: boom; it is tried again in 29 s"
    )


def test_forked_child() -> None:
    """A child knows what its parent knew, but none of the parent's calls probes a route there."""
    breaker = opened()
    parents = entered(breaker, 31)
    lock = breaker._lock
    breaker.renew()
    assert breaker._lock is not lock
    assert isinstance(entered(breaker, 31), Permit)
    parents.release()  # as a thread of the parent's would
    assert "another call" in why(breaker, 31)


def test_one_call_probes() -> None:
    """After the recovery one call may pass, and the others are told that it is trying."""
    breaker = opened()
    assert "in 1 s" in why(breaker, 30.9)
    entered(breaker, 31)
    assert why(breaker, 31).endswith("another call is trying it again now")


def test_probe_that_succeeds_closes_it() -> None:
    """A route that answers its probe is taken by all."""
    breaker = opened()
    entered(breaker, 31).succeeded()
    entered(breaker, 31)
    entered(breaker, 31)


def test_probe_that_fails_opens_it_again() -> None:
    """A failed probe leaves the route alone for as long as before."""
    breaker = opened()
    entered(breaker, 31).failed(RuntimeError("still"), 33)
    assert "3 calls in a row failed, the last with RuntimeError: still; it is tried again in 30 s" in why(breaker, 33)
    entered(breaker, 63)


def test_probe_that_says_nothing_gives_its_place_back() -> None:
    """A probe that was cancelled, or told nothing of the route, leaves the next call to probe."""
    breaker = opened()
    probe = entered(breaker, 31)
    probe.release()
    second = entered(breaker, 31)
    probe.release()  # once more changes nothing: the place is another's
    why(breaker, 31)
    second.release()


def test_late_failure_does_not_end_a_probe() -> None:
    """A call from before the opening may fail while a probe is under way: there is still one probe."""
    never = RetryPolicy(breaker_threshold=1, breaker_recovery=0)
    breaker = Breaker()
    old = entered(breaker, 0, never)
    entered(breaker, 0, never).failed(RuntimeError("boom"), 0)
    probe = entered(breaker, 0, never)
    old.failed(RuntimeError("late"), 0)
    assert "another call" in why(breaker, 0, never)
    probe.release()
    entered(breaker, 0, never)


def test_last_route_is_always_tried() -> None:
    """Where there is no other, an open route is taken; its answer closes it, and due probes are its."""
    breaker = opened()
    entered(breaker, 2, forced=True)
    assert "tried again in 29 s" in why(breaker, 2)
    entered(breaker, 31, forced=True)
    assert "another call" in why(breaker, 31)
    entered(breaker, 31, forced=True).succeeded()
    entered(breaker, 31)


def test_never() -> None:
    """Without a threshold a route is never skipped, whatever the others' policies think."""
    breaker = opened()
    entered(breaker, 2, RetryPolicy(breaker_threshold=None))
    entered(breaker, 2, RetryPolicy(breaker_threshold=3))
    why(breaker, 2)


def test_only_so_many_circuits() -> None:
    """Keys that fail without end, such as strangers' models, do not fill the memory; the oldest are forgotten."""
    breaker = Breaker()
    once = RetryPolicy(breaker_threshold=1)
    for key in range(_MAX_CIRCUITS + 1):
        permit = breaker.enter(key, once, 0, forced=False)
        assert isinstance(permit, Permit)
        permit.failed(RuntimeError("no way " * 2_000), 0)
    assert len(breaker._circuits) == _MAX_CIRCUITS
    assert not breaker.shuts_out(0, once, 0)
    assert breaker.shuts_out(1, once, 0)
    assert {len(circuit.reason) for circuit in breaker._circuits.values()} == {200}


def test_many_threads_one_probe() -> None:
    """Of many threads that ask at once, one probes."""
    breaker, start, got = opened(), threading.Barrier(16), []

    def ask() -> None:
        start.wait(10)
        got.append(breaker.enter("key", POLICY, 31, forced=False))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(permit, Permit) for permit in got) == 1


# In calls


def errors_of(transcript: Transcript) -> list[tuple[str, str | None]]:
    assert transcript.provenance is not None
    return [(attempt.route, attempt.error) for attempt in transcript.provenance.attempts]


def test_route_is_skipped_and_probed(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """After the threshold no request is made until the recovery is over; the result tells of it."""
    asr_server.script(DOWN, DOWN, DOWN)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=POLICY, fallback=FakeBackend("here"))
    for _ in range(2):
        assert errors_of(asr.transcribe(wav)) == [("hf-inference", "ServerError"), ("fake", None)]
    fake_clock.pause(12)
    skipped = asr.transcribe(wav)
    assert errors_of(skipped) == [("hf-inference", "skipped"), ("fake", None)]
    assert len(asr_server.requests) == 2
    assert skipped.provenance is not None
    reason = str(skipped.provenance.fallback_reason)
    assert reason.startswith("hf-inference was skipped: 2 calls in a row failed, the last with ServerError: ")
    assert reason.endswith("; it is tried again in 18 s")
    first = skipped.provenance.attempts[0]
    assert (first.status, first.request_id, first.duration, first.waited) == (None, None, 0.0, 0.0)
    fake_clock.pause(18)
    assert errors_of(asr.transcribe(wav))[0] == ("hf-inference", "ServerError")
    assert errors_of(asr.transcribe(wav))[0] == ("hf-inference", "skipped")
    fake_clock.pause(30)
    assert errors_of(asr.transcribe(wav)) == [("hf-inference", None)]
    assert errors_of(asr.transcribe(wav)) == [("hf-inference", None)]


def test_no_fallback_no_breaker(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """With one route there is nothing to skip it for: each call is tried, and raises its own error."""
    asr_server.script(*[DOWN] * 4)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=POLICY)
    for _ in range(4):
        with pytest.raises(hfasr.ServerError):
            asr.transcribe(wav)
    assert len(asr_server.requests) == 4


def test_all_failed_names_the_skipped(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """Where the routes that were tried fail, the error tells of the skipped one, too; the last is always tried."""
    asr_server.script(*[DOWN] * 4)
    broken = FakeBackend(error=RuntimeError("boom"))
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=POLICY, fallback=broken)
    for _ in range(4):
        with pytest.raises(hfasr.AllRoutesFailedError) as caught:
            asr.transcribe(wav)
    assert len(asr_server.requests) == 2
    assert len(broken.calls) == 4
    assert [type(error).__name__ for error in caught.value.errors] == ["BackendError"]
    assert [attempt.error for attempt in caught.value.attempts] == ["skipped", "BackendError"]
    assert "all routes failed or were skipped: hf-inference was skipped: 2 calls" in str(caught.value)
    assert "BackendError: fake failed: RuntimeError: boom" in str(caught.value)


COUNTED = [
    replies.Reset("before_reply"),
    Reply(200, json={"foo": 1}),
    DOWN,
    replies.loading(estimated_time=1),
    replies.rate_limited(retry_after=999),
    replies.unauthorized(),
    replies.payment_required(),
    replies.forbidden(),
    replies.not_hosted(),
    replies.does_not_exist(),
    replies.gone(),
]
NOT_COUNTED = [
    Reply(400, json={"error": "CUDA out of memory"}),
    Reply(422, json={"error": "nope"}),
    replies.too_large(),
]


@pytest.mark.parametrize(
    ("action", "counts"), [*((action, True) for action in COUNTED), *((action, False) for action in NOT_COUNTED)]
)
def test_what_counts(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, action: Any, counts: bool
) -> None:
    """Failures of the route's own health open the circuit; complaints about a request do not."""
    policy = RetryPolicy(max_attempts=1, loading_timeout=0, breaker_threshold=1)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=policy, fallback=FakeBackend("here"))
    asr_server.script(*[action] * 2)
    asr.transcribe(wav)
    assert (errors_of(asr.transcribe(wav))[0] == ("hf-inference", "skipped")) is counts


def test_what_the_caller_did_does_not_count(session: Make, fake_clock: FakeClock, wav: bytes) -> None:
    """Too long audio, a wrong option and damaged audio say nothing of an engine; its own failure does."""
    policy = RetryPolicy(breaker_threshold=1)
    cases: list[tuple[FakeBackend, bool]] = [
        (FakeBackend(max_duration_s=0.1, name="first"), False),
        (FakeBackend(error=hfasr.InvalidOptionError("num_beams must be 1 or more"), name="first"), False),
        (FakeBackend(error=hfasr.AudioDecodeError("damaged"), name="first"), False),
        (FakeBackend(error=RuntimeError("boom"), name="first"), True),
        (FakeBackend(error=hfasr.BackendLoadError("not here"), name="first"), True),
    ]
    for engine, counts in cases:
        asr = session(backend=engine, fallback=FakeBackend("here"), clock=fake_clock, retry=policy)
        for _ in range(2):
            try:
                transcript = asr.transcribe(wav)
            except (hfasr.InvalidOptionError, hfasr.AudioDecodeError):
                assert not counts
            else:
                skipped = ("first", "skipped") in errors_of(transcript)
        if counts:
            assert skipped
        else:
            assert all(circuit.n_failed == 0 for circuit in asr.client._shared.breaker._circuits.values())


def test_no_token_does_not_count(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was sent nothing was learnt: a login that comes later is used at once."""
    asr = session(retry=RetryPolicy(breaker_threshold=1), fallback=FakeBackend("here"))
    for _ in range(3):
        transcript = asr.transcribe(wav)
        assert errors_of(transcript) == [("fake", None)]
        assert str(transcript.provenance and transcript.provenance.fallback_reason).startswith("AuthenticationError: ")


def test_slow_engine_is_not_ill(session: Make, colour: str, wav: bytes) -> None:
    """An engine whose share of the deadline ran out is tried again by the next call; what the sync one got, it keeps."""
    slow = FakeBackend("late", name="slow", delay=0.3)
    asr = session(backend=slow, fallback=FakeBackend("here"), retry=RetryPolicy(breaker_threshold=1))
    went = [("slow", None)] if colour == "sync" else [("slow", "BackendError"), ("fake", None)]
    for _ in range(2):
        assert errors_of(asr.transcribe(wav, deadline=0.5)) == went
    assert asr.transcribe(wav).text == "late"


def test_clients_share_it(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """A client made by with_options knows what its parent learnt; another token or model is another route."""
    asr_server.script(DOWN)
    policy = RetryPolicy(max_attempts=1, breaker_threshold=1)
    asr = session(
        router_url=asr_server.router_url,
        clock=fake_clock,
        retry=policy,
        fallback=FakeBackend("here"),
        token="hf_aaaaaa",
    )
    asr.transcribe(wav)
    parent = asr.client
    asr.client = parent.with_options(deadline=60)
    assert errors_of(asr.transcribe(wav))[0] == ("hf-inference", "skipped")
    assert errors_of(asr.transcribe(wav, model="other/model")) == [("hf-inference", None)]
    for change in ({"token": "hf_bbbbbb"}, {"bill_to": "another"}):
        asr.client = parent.with_options(**change)
        assert errors_of(asr.transcribe(wav)) == [("hf-inference", None)]
    asr.client = parent


def test_two_engines_of_one_name(session: Make, fake_clock: FakeClock, wav: bytes) -> None:
    """Engines are told apart by what they are, not by what they are called, and need not be hashable."""

    class Unhashable(FakeBackend):
        __hash__ = None  # type: ignore[assignment]  # that is what is tested

        def __eq__(self, other: object) -> bool:
            return False

    broken, sound = Unhashable(error=RuntimeError("boom")), Unhashable("sound")
    asr = session(backend=broken, fallback=sound, clock=fake_clock, retry=RetryPolicy(breaker_threshold=1))
    assert errors_of(asr.transcribe(wav)) == [("fake", "BackendError"), ("fake", None)]
    assert errors_of(asr.transcribe(wav)) == [("fake", "skipped"), ("fake", None)]


def test_skipped_route_gives_its_share(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """The time of a route that will be skipped goes to the others."""
    asr_server.script(*[DOWN] * 12)
    policy = RetryPolicy(max_attempts=99, wait_initial=1, wait_max=1, breaker_threshold=3)
    ill, sound = FakeBackend(name="ill", error=RuntimeError("boom")), FakeBackend("here")
    asr = session(router_url=asr_server.router_url, clock=fake_clock, retry=policy, fallback=[ill, sound])
    asr.transcribe(wav, deadline=12)
    assert fake_clock.slept == pytest.approx(3.0)  # pauses of 1 s within a third
    routes = asr.client
    asr.client = routes.with_options(backend=ill, fallback=sound)
    for _ in range(2):
        asr.transcribe(wav)
    asr.client = routes
    asr.transcribe(wav, deadline=12)
    assert fake_clock.slept == pytest.approx(3.0 + 5.0)  # within a half


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_probe_gives_its_place_back(backend: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """A probe that is cancelled in its request leaves the next call to probe."""
    policy = RetryPolicy(max_attempts=1, breaker_threshold=1, breaker_recovery=0)
    asr_server.script(DOWN, replies.Hang(20))

    async def main() -> None:
        async with AsyncASRClient(router_url=asr_server.router_url, retry=policy, fallback=FakeBackend("x")) as asr:
            await asr.transcribe(wav)
            with anyio.move_on_after(0.3) as scope:
                await asr.transcribe(wav)
            assert scope.cancelled_caught
            assert errors_of(await asr.transcribe(wav)) == [("hf-inference", None)]

    anyio.run(main, backend=backend)


class Gated:
    """An engine that fails at first, and then waits to be let through."""

    name = "gated"
    sampling_rate = 16_000
    max_duration_s = None

    def __init__(self) -> None:
        self.n_calls = 0
        self.entered, self.gate = threading.Event(), threading.Event()

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        self.n_calls += 1
        if self.n_calls == 1:
            raise RuntimeError("boom")
        self.entered.set()
        assert self.gate.wait(10)
        return [Transcript("gated")]

    def close(self) -> None:
        return None


def test_threads_skip_while_one_probes(wav: bytes) -> None:
    """While one thread's call probes a route, the calls of the others go past it."""
    engine = Gated()
    policy = RetryPolicy(breaker_threshold=1, breaker_recovery=0)
    with ASRClient(backend=engine, fallback=FakeBackend("here"), retry=policy) as asr:
        asr.transcribe(wav)
        texts: list[str] = []
        prober = threading.Thread(target=lambda: texts.append(asr.transcribe(wav).text))
        prober.start()
        assert engine.entered.wait(10)
        others = [asr.transcribe(wav) for _ in range(3)]
        assert [errors_of(one)[0] for one in others] == [("gated", "skipped")] * 3
        assert others[0].provenance is not None
        assert "another call is trying it again now" in str(others[0].provenance.fallback_reason)
        engine.gate.set()
        prober.join()
        assert texts == ["gated"]
        assert asr.transcribe(wav).text == "gated"


def test_preload_closes_it(session: Make, wav: bytes) -> None:
    """An engine that was loaded ahead, after calls that could not load it, is taken again at once."""
    engine = Loading()
    engine.broken = True
    asr = session(backend=engine, fallback=FakeBackend("here"), retry=RetryPolicy(breaker_threshold=1))
    assert errors_of(asr.transcribe(wav))[0] == ("loading", "BackendLoadError")
    assert errors_of(asr.transcribe(wav))[0] == ("loading", "skipped")
    engine.broken = False
    asr.call("preload")
    assert errors_of(asr.transcribe(wav)) == [("loading", None)]


def test_forbidden_download_is_no_illness(session: Make, wav: bytes) -> None:
    """Calls that may not download a model do not shut out those that may."""
    engine = Loading(on_disk=False)
    asr = session(backend=engine, fallback=FakeBackend("here"), retry=RetryPolicy(breaker_threshold=1))
    for _ in range(2):
        assert errors_of(asr.transcribe(wav, deadline=60))[0] == ("loading", "BackendLoadError")
    assert errors_of(asr.transcribe(wav)) == [("loading", None)]
