"""`on_attempt` is told of every attempt, once, in order, as it ended; and can break nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest

import hfasr
from hfasr import ASRClient, AsyncASRClient, Attempt, Audio, Chunking, RetryPolicy, Transcript
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, ToneSpeech, replies
from tests.colours import Session
from tests.core.test_failure_table import ROWS, Row, endless
from tests.core.test_transport import wait_for

Make = Callable[..., Session]
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
WHO: ContextVar[str] = ContextVar("who", default="nobody")


def long_audio() -> Audio:
    """Five words in 9 s, with pauses to cut at."""
    words = [(0.5, "red"), (2.5, "boat"), (4.5, "green"), (6.5, "river"), (8.0, "lake")]
    return Audio(ToneSpeech().say_at(words, duration=9.0), 16_000)


def attempts_of(transcript: Transcript) -> tuple[Attempt, ...]:
    assert transcript.provenance is not None
    return transcript.provenance.attempts


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_failed_calls(row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """What was told is what the error lists, with the names of the errors that answers turned out to be."""
    told: list[Attempt] = []
    endless(asr_server, row)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, on_attempt=told.append)
    with pytest.raises(hfasr.HfasrError) as caught:
        asr.transcribe(wav)
    assert tuple(told) == caught.value.attempts
    assert [attempt.error for attempt in told] == [row.error] * row.n_requests


@pytest.mark.parametrize("row", [row for row in ROWS if not row.raised_with_fallback], ids=lambda row: row.name)
def test_calls_that_fall_back(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """What was told is what the provenance lists, the engine's run at its end."""
    told: list[Attempt] = []
    endless(asr_server, row)
    asr = session(
        router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend("hi"), on_attempt=told.append
    )
    transcript = asr.transcribe(wav)
    assert tuple(told) == attempts_of(transcript)
    assert [attempt.error for attempt in told] == [row.error] * row.n_requests + [None]
    assert told[-1].route == "fake"


def test_told_when_it_is_known(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A failure is told before the pause that follows it, and not when the call ends."""
    told: list[tuple[str | None, int]] = []
    clock = FakeClock()
    asr_server.script(replies.server_error(500), replies.Reply(200, json={"foo": 1}))
    asr = session(
        router_url=asr_server.router_url, clock=clock, on_attempt=lambda a: told.append((a.error, len(clock.sleeps)))
    )
    asr.transcribe(wav)
    assert told == [("ServerError", 0), ("APIResponseError", 1), (None, 2)]


def test_other_forms_are_attempts(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A request that was refused for its form is told of, with its error, as is the one that mended it."""
    told: list[Attempt] = []
    asr_server.script(replies.Reply(400, json={"error": "[Errno 36] File name too long: 'QUJD'"}))
    asr = session(router_url=asr_server.router_url, on_attempt=told.append)
    transcript = asr.transcribe(wav, language="en")
    assert [attempt.error for attempt in told] == ["BadRequestError", None]
    assert tuple(told) == attempts_of(transcript)


def test_redirects_and_probes_are_attempts(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A redirect, and the question what a server speaks, are requests as well."""
    told: list[Attempt] = []
    asr_server.script(replies.Reply(307, headers={"location": "/predict"}))
    transcript = session(base_url=asr_server.url, on_attempt=told.append).transcribe(wav)
    assert len(told) == len(asr_server.requests) > 2
    assert tuple(told) == attempts_of(transcript)
    assert 307 in [attempt.status for attempt in told]


def test_skipped_routes(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """A route that is left out is told of once a call."""
    told: list[Attempt] = []
    asr_server.script(*[replies.server_error(500)] * 2)
    asr = session(
        router_url=asr_server.router_url,
        clock=fake_clock,
        fallback=FakeBackend("hi"),
        retry=RetryPolicy(max_attempts=1, breaker_threshold=2),
        on_attempt=told.append,
    )
    for _ in range(3):
        asr.transcribe(wav)
    assert [attempt.error for attempt in told] == ["ServerError", None, "ServerError", None, "skipped", None]


def test_deadline(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """The request that the deadline cut off is told of."""
    told: list[Attempt] = []
    asr_server.script(replies.Hang(5))
    asr = session(router_url=asr_server.router_url, on_attempt=told.append)
    with pytest.raises(hfasr.DeadlineExceededError):
        asr.transcribe(wav, deadline=0.3)
    assert [attempt.error for attempt in told] == ["APITimeoutError"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("engine", [False, True])
def test_cancelled_call(backend: str, engine: bool, asr_server: FakeASRServer, wav: bytes) -> None:
    """What was under way when the call was cancelled is told of, as that."""
    told: list[Attempt] = []
    asr_server.script(replies.server_error(500), replies.Hang(5))
    slow = FakeBackend("hi", delay=5)

    async def main() -> None:
        first: dict[str, Any] = {"backend": slow} if engine else {"router_url": asr_server.router_url}
        retry = RetryPolicy(wait_initial=0)
        async with AsyncASRClient(**first, retry=retry, on_attempt=told.append) as asr:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asr.transcribe, wav)
                await anyio.to_thread.run_sync(wait_for, lambda: bool(slow.calls) or len(asr_server.requests) == 2)
                tasks.cancel_scope.cancel()
            slow.close()

    anyio.run(main, backend=backend)
    assert [attempt.error for attempt in told] == (["cancelled"] if engine else ["ServerError", "cancelled"])


def test_cancelled_before_it_was_sent(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A batch that is closed tells of the requests that were cut off, and of none that were never sent."""
    told: list[Attempt] = []
    asr_server.script(*[replies.Hang(5)] * 2)
    asr = session(router_url=asr_server.router_url, on_attempt=told.append)
    batch = asr.transcribe_many([wav] * 6, max_concurrency=2)

    def take() -> None:
        with contextlib.suppress(hfasr.BatchError, StopIteration):
            next(batch)

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    wait_for(lambda: asr_server.peak_concurrency == 2)
    batch.close()
    waiting.join()
    assert [attempt.error for attempt in told] == ["cancelled"] * 2


def test_interrupted_call(asr_server: FakeASRServer, wav: bytes) -> None:
    """What Ctrl-C ends is told of on its way out."""
    told: list[Attempt] = []

    def interrupt(audio: Audio) -> str:
        raise KeyboardInterrupt

    with ASRClient(backend=FakeBackend(interrupt), on_attempt=told.append) as asr, pytest.raises(KeyboardInterrupt):
        asr.transcribe(wav)
    assert [attempt.error for attempt in told] == ["cancelled"]


def test_chunks_and_channels(session: Make, asr_server: FakeASRServer) -> None:
    """Each request of each chunk of each channel is told of once, in order within the chunk."""
    told: list[Attempt] = []
    asr_server.script(*[replies.server_error(500)] * 3)
    mono = long_audio().waveform
    asr = session(
        router_url=asr_server.router_url,
        channels="split",
        chunking=Chunking(chunk_length_s=3),
        retry=RetryPolicy(wait_initial=0.01),
        on_attempt=told.append,
    )
    transcript = asr.transcribe(Audio(np.stack([mono, mono[::-1].copy()]), 16_000), return_timestamps=True)
    listed = attempts_of(transcript)
    assert sorted(told, key=repr) == sorted(listed, key=repr)
    places = {(attempt.channel, attempt.chunk) for attempt in listed}
    assert {channel for channel, _ in places} == {0, 1}
    assert len(places) >= 6
    for place in places:
        mine = [attempt for attempt in told if (attempt.channel, attempt.chunk) == place]
        assert mine == [attempt for attempt in listed if (attempt.channel, attempt.chunk) == place]
    assert sum(attempt.error == "ServerError" for attempt in told) == 3
    assert Transcript.from_dict(transcript.to_dict()).provenance == transcript.provenance


def test_chunk_that_fails(session: Make, asr_server: FakeASRServer) -> None:
    """Of chunks that fail all is told, whether they end the call or leave a gap."""
    for gap in (False, True):
        told: list[Attempt] = []
        asr_server.script(replies.forbidden())
        chunking = Chunking(chunk_length_s=3, max_concurrency=1)
        asr = session(router_url=asr_server.router_url, chunking=chunking, on_attempt=told.append)
        if gap:
            listed = attempts_of(asr.transcribe(long_audio(), on_chunk_error="gap"))
        else:
            with pytest.raises(hfasr.PermissionDeniedError) as caught:
                asr.transcribe(long_audio())
            listed = caught.value.attempts
        assert tuple(told) == listed
        assert told[0].error == "PermissionDeniedError"


def test_stream(session: Make, asr_server: FakeASRServer) -> None:
    """A stream tells of the attempts of its chunks."""
    told: list[Attempt] = []
    asr_server.script(replies.server_error(500))
    asr = session(
        router_url=asr_server.router_url,
        chunking=Chunking(chunk_length_s=3, max_concurrency=1),
        retry=RetryPolicy(wait_initial=0.01),
        on_attempt=told.append,
    )
    stream = asr.transcribe_stream(long_audio())
    list(stream)
    assert tuple(told) == attempts_of(stream.stream.transcript)
    assert [attempt.error for attempt in told][:2] == ["ServerError", None]


def test_batch(session: Make, colour: str, asr_server: FakeASRServer, wav: bytes, tmp_path: Path) -> None:
    """A batch tells of every item's attempts, in the thread or loop of the call, with the caller's context."""
    told: list[tuple[Attempt, str, str]] = []
    asr_server.script(*[replies.server_error(500)] * 2)

    def hook(attempt: Attempt) -> None:
        told.append((attempt, WHO.get(), threading.current_thread().name))

    asr = session(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0.01), on_attempt=hook)

    def take() -> Any:
        WHO.set("request 7")
        batch = asr.client.transcribe_many([wav] * 5, journal=tmp_path / "out.jsonl")
        if colour == "sync":
            return list(batch)

        async def every() -> list[Any]:
            return [item async for item in batch]

        return every()

    items = asr.run(take)
    listed = [attempt for item in items for attempt in attempts_of(item.transcript)]
    assert sorted((one for one, _, _ in told), key=repr) == sorted(listed, key=repr)
    assert len(told) == 7
    assert {who for _, who, _ in told} == {"request 7"}
    in_workers = {name.startswith("hfasr-batch-") for _, _, name in told}
    assert in_workers == {colour == "sync"}
    told.clear()
    assert all(item.resumed for item in asr.transcribe_many([wav] * 5, journal=tmp_path / "out.jsonl"))
    assert told == []


def test_waiting_until_ready(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """The requests that ask whether a server is ready are told of, too."""
    told: list[Attempt] = []
    asr_server.script(replies.Reply(503), path="/health")
    asr = session(base_url=asr_server.url, dialect="hf", clock=fake_clock, on_attempt=told.append)
    asr.call("wait_until_ready", timeout=30)
    assert [attempt.status for attempt in told] == [503, 200]


def test_failing_function(
    session: Make, asr_server: FakeASRServer, wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises breaks nothing, and is logged once: what and where, and not its message."""

    def hook(attempt: Attempt) -> None:
        raise LookupError("secret words")

    asr_server.script(replies.server_error(500))
    asr = session(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0), on_attempt=hook)
    assert asr.transcribe(wav).text == asr.transcribe(wav).text == "red boat green"
    (record,) = [record for record in caplog.records if "on_attempt" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert "LookupError (test_on_attempt.py, line " in record.getMessage()
    assert "secret" not in record.getMessage()


def test_function_that_ends_the_program(wav: bytes) -> None:
    """Ctrl-C within it is not swallowed."""

    def hook(attempt: Attempt) -> None:
        raise KeyboardInterrupt

    with ASRClient(backend=FakeBackend("hi"), on_attempt=hook) as asr, pytest.raises(KeyboardInterrupt):
        asr.transcribe(wav)


class Awaited:
    async def __call__(self, attempt: Attempt) -> None:
        await asyncio.sleep(0)


async def awaited(attempt: Attempt) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("make", [ASRClient, AsyncASRClient])
@pytest.mark.parametrize("hook", [awaited, functools.partial(awaited), Awaited(), Awaited().__call__])
def test_async_functions_are_refused(make: type[ASRClient], hook: Any) -> None:
    """A function that would have to be awaited is refused, with what to do instead."""
    with pytest.raises(TypeError, match=r"plain function.*queue"):
        make(on_attempt=hook)
    with pytest.raises(TypeError, match="plain function"):
        make().with_options(on_attempt=hook)


def test_coroutine_after_all(session: Make, wav: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """One that gives a coroutine all the same is told so once, without a warning that nobody awaited it."""
    hook: Any = lambda attempt: awaited(attempt)  # noqa: E731, PLW0108  # what does not look like what it is
    asr = session(backend=FakeBackend("hi"), on_attempt=hook)
    asr.transcribe(wav)
    asr.transcribe(wav)
    assert [record.getMessage() for record in caplog.records] == [
        "on_attempt returned a coroutine, which nobody awaits; the call goes on, and further ones are not logged"
    ]


@pytest.mark.parametrize("bad", ["print", 5, [print]])
def test_what_cannot_be_called(bad: Any) -> None:
    """Anything else is refused when the client is made."""
    with pytest.raises(TypeError, match="on_attempt must be a function of one Attempt"):
        ASRClient(on_attempt=bad)


@pytest.mark.parametrize("make", [ASRClient, AsyncASRClient])
def test_pickle_and_repr(make: type[ASRClient]) -> None:
    """A client pickles whatever it is, and leaves it behind; its repr does not show what it was given."""
    lock = threading.Lock()
    secret = functools.partial(lambda token, attempt: lock, TOKEN)
    asr = make(timeout=5, on_attempt=secret)
    assert TOKEN not in repr(asr)
    assert "on_attempt='partial'" in repr(asr)
    again = pickle.loads(pickle.dumps(asr))
    assert repr(again) == f"{make.__name__}(timeout=5)"
    assert "on_attempt='print'" in repr(again.with_options(on_attempt=print))


def test_with_options(session: Make, wav: bytes) -> None:
    """A client made from another has a function of its own, or none, or the same."""
    told: list[str] = []
    asr = session(backend=FakeBackend("hi"), on_attempt=lambda attempt: told.append("one"))
    first = asr.client
    for options in ({}, {"on_attempt": lambda attempt: told.append("two")}, {"on_attempt": None}):
        asr.client = first.with_options(**options)
        asr.transcribe(wav)
    asr.client = first
    assert told == ["one", "two"]


def test_channel_of_older_records() -> None:
    """An attempt that was written down before it had a channel is read; a new one keeps it."""
    attempt = Attempt("here", 200, None, None, 0.0, 1.0, 0.0, chunk=3, channel=1)
    assert pickle.loads(pickle.dumps(attempt)) == attempt
    whole = Transcript("x", provenance=hfasr.Provenance("hosted", None, None, None, None, None, None, (attempt,)))
    data = whole.to_dict()
    assert Transcript.from_dict(data) == whole
    del data["provenance"]["attempts"][0]["channel"]
    assert attempts_of(Transcript.from_dict(data))[0].channel is None


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Leave no thread of ours behind."""
    yield
    wait_for(lambda: not any(thread.name.startswith("hfasr-") for thread in threading.enumerate()))
