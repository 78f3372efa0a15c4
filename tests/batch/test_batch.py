"""Batches, in three colours: order, laziness, bad items, and how they end."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import logging
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hfasr
from hfasr import ASRClient, Audio, BatchAbortedError, Progress, RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.batch.conftest import text_of, until_it_raises
from tests.colours import Session
from tests.core.test_transport import wait_for

Make = Callable[..., Session]
Files = Callable[[int], list[Path]]
QUICK = RetryPolicy(max_attempts=1)


def test_in_order(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """Items come in the order of the inputs, each with the very object that was passed in."""
    asr_server.script(replies.Normal(delay=0.3))
    paths = files(12)
    items = list(session(router_url=asr_server.router_url).transcribe_many(paths, max_concurrency=4))
    assert [item.index for item in items] == list(range(12))
    assert all(item.audio is path for item, path in zip(items, paths, strict=True))
    assert [item.transcript and item.transcript.text for item in items] == [text_of(number) for number in range(12)]
    assert all(item.ok and item.error is None and not item.resumed for item in items)
    assert asr_server.peak_concurrency <= 4


def test_as_completed(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """Without order, an item that takes long does not hold up those after it."""
    asr_server.script(replies.Normal(delay=0.5))
    batch = session(router_url=asr_server.router_url).transcribe_many(files(6), max_concurrency=2, ordered=False)
    indices = [item.index for item in batch]
    assert sorted(indices) == list(range(6))
    assert indices != sorted(indices)


def test_requests_go_out_together(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """As many requests are on the way as were asked for."""
    asr_server.script(*[replies.Normal(delay=0.3)] * 8)
    list(session(router_url=asr_server.router_url).transcribe_many(files(8), max_concurrency=8))
    assert asr_server.peak_concurrency == 8


@pytest.mark.parametrize("ordered", [True, False])
def test_inputs_are_read_lazily(session: Make, asr_server: FakeASRServer, clips: Any, ordered: bool) -> None:
    """Of endless inputs only as many are read as a few items need."""
    n_read = itertools.count()

    def endless() -> Iterator[bytes]:
        for number in n_read:
            yield clips(number)

    batch = session(router_url=asr_server.router_url).transcribe_many(endless(), max_concurrency=2, ordered=ordered)
    assert next(n_read) == 0  # nothing is read before the first item is asked for
    for _ in range(3):
        assert next(batch).ok
    time.sleep(0.3)
    batch.close()
    assert next(n_read) < 3 + 64 + 32 + 2


def test_slow_inputs_come_out_at_once(session: Make, asr_server: FakeASRServer, clips: Any) -> None:
    """An item is handed out while the inputs after it have still to come."""
    came = threading.Event()

    def slow() -> Iterator[bytes]:
        yield clips(0)
        assert came.wait(20)
        yield clips(1)

    batch = session(router_url=asr_server.router_url).transcribe_many(slow())
    assert next(batch).index == 0
    came.set()
    assert [item.index for item in batch] == [1]


def test_async_inputs(session: Make, colour: str, asr_server: FakeASRServer, clips: Any) -> None:
    """The async client takes an async iterable, and leaves it closed; the sync one says what to do."""
    closed = []

    async def inputs() -> AsyncIterator[bytes]:
        try:
            for number in range(5):
                yield clips(number)
        finally:
            closed.append(True)

    asr = session(router_url=asr_server.router_url)
    if colour == "sync":
        with pytest.raises(TypeError, match="AsyncASRClient"):
            asr.transcribe_many(inputs())
        return
    assert [item.ok for item in asr.transcribe_many(inputs())] == [True] * 5
    early = asr.transcribe_many(inputs(), max_concurrency=1)
    assert next(early).ok
    early.close()
    assert closed == [True, True]


def test_bad_items_end_nothing(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """A missing file, one that is not audio, and an object that is none are items with an error."""
    (tmp_path / "text.txt").write_text("no audio at all, but text")
    good = files(2)
    inputs = [good[0], tmp_path / "missing.flac", tmp_path / "text.txt", 42, b"", good[1]]
    items = list(session(router_url=asr_server.router_url).transcribe_many(inputs))
    kinds = [type(item.error).__name__ for item in items]
    assert kinds == [
        "NoneType", "AudioNotFoundError", "UnsupportedAudioError", "TypeError", "EmptyAudioError", "NoneType",
    ]  # fmt: skip
    assert all((item.transcript is None) != (item.error is None) for item in items)
    assert items[5].transcript is not None
    assert items[5].transcript.text == text_of(1)


def test_failures_of_the_server_are_items(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """A server that fails for one item fails for that one, with every attempt, and is tried again by the policy."""
    asr_server.script(replies.server_error(500), replies.server_error(500))
    batch = session(
        router_url=asr_server.router_url, retry=RetryPolicy(max_attempts=2, wait_initial=0)
    ).transcribe_many(files(3), max_concurrency=1)
    items = list(batch)
    assert isinstance(items[0].error, hfasr.ServerError)
    assert [attempt.status for attempt in items[0].error.attempts] == [500, 500]
    assert [item.ok for item in items[1:]] == [True, True]


def test_errors_hold_no_frames(session: Make, asr_server: FakeASRServer) -> None:
    """An item's error keeps nothing alive of the call that it comes from."""
    asr_server.script(replies.server_error(500))
    (item,) = session(router_url=asr_server.router_url, retry=QUICK).transcribe_many([b"RIFF" + bytes(4_000)])
    error: BaseException | None = item.error
    assert error is not None
    while error is not None:
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__


def test_inputs_that_fail(session: Make, asr_server: FakeASRServer, clips: Any) -> None:
    """What the inputs raise is raised once the items before it are handed out."""

    def failing() -> Iterator[bytes]:
        yield clips(0)
        yield clips(1)
        raise LookupError("the database is gone")

    batch = session(router_url=asr_server.router_url).transcribe_many(failing())
    assert [next(batch).index, next(batch).index] == [0, 1]
    with pytest.raises(LookupError, match="the database is gone"):
        next(batch)
    assert list(batch) == []


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (replies.unauthorized(), hfasr.AuthenticationError),
        (replies.payment_required(), hfasr.PaymentRequiredError),
        (replies.forbidden(), hfasr.PermissionDeniedError),
    ],
)
def test_what_fails_for_all_stops_the_batch(
    session: Make, asr_server: FakeASRServer, files: Files, reply: Any, cause: type[Exception]
) -> None:
    """The first refusal of the account ends the batch, after what is on its way: no further item is sent."""
    asr_server.script(replies.Normal(), replies.Normal(), reply, replies.Normal(delay=0.5))
    paths = files(40)
    batch = session(router_url=asr_server.router_url).transcribe_many(paths, max_concurrency=2)
    with pytest.raises(BatchAbortedError) as raised:
        list(batch)
    assert isinstance(raised.value.__cause__, cause)
    assert "every further item" in str(raised.value)
    assert len(asr_server.requests) <= 5
    assert list(batch) == []


@pytest.mark.parametrize("reply", [replies.not_hosted(), replies.does_not_exist(), replies.gone()])
def test_a_wrong_model_is_found_at_once(session: Make, asr_server: FakeASRServer, files: Files, reply: Any) -> None:
    """A model that is not there ends the batch at its first item; after an answer it is that item's failure alone."""
    asr = session(router_url=asr_server.router_url)
    asr_server.script(reply)
    with pytest.raises(BatchAbortedError) as raised:
        next(asr.transcribe_many(files(20), max_concurrency=1))
    assert isinstance(raised.value.__cause__, hfasr.APIStatusError)
    assert len(asr_server.requests) == 1
    asr_server.script(replies.Normal(), reply)
    assert [item.ok for item in asr.transcribe_many(files(4), max_concurrency=1)] == [True, False, True, True]


def test_nothing_paid_is_lost_when_a_batch_is_stopped(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """Items that were on their way when the batch was stopped are handed out before the error is raised."""
    asr_server.script(replies.Normal(delay=0.3), replies.payment_required(), *[replies.Normal(delay=0.3)] * 2)
    batch = session(router_url=asr_server.router_url).transcribe_many(files(40), max_concurrency=4)
    items, error = until_it_raises(batch)
    assert isinstance(error, BatchAbortedError)
    assert all(item.ok for item in items)
    indices = [item.index for item in items]
    assert len(indices) == sum(request.status == 200 for request in asr_server.requests)
    assert indices == sorted(indices)


def test_another_route_keeps_the_batch_going(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """Where another route answers, a refused account does not end the batch."""
    asr_server.script(*[replies.payment_required()] * 3)
    batch = session(router_url=asr_server.router_url, fallback=FakeBackend("from here")).transcribe_many(
        files(3), max_concurrency=1
    )
    assert [item.transcript and item.transcript.text for item in batch] == ["from here"] * 3


def test_waits_end_when_a_batch_is_stopped(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """A pause of two minutes does not hold up the end of a batch that was stopped."""
    # Late, so that both requests are on their way before one of the answers shuts the gate.
    limited = dataclasses.replace(replies.rate_limited(retry_after=100), delay=0.5)
    asr_server.script(limited, dataclasses.replace(replies.unauthorized(), delay=1.0))
    batch = session(router_url=asr_server.router_url).transcribe_many(files(20), max_concurrency=2)
    began = time.monotonic()
    with pytest.raises(BatchAbortedError):
        list(batch)
    assert time.monotonic() - began < 60


def test_leaving_half_way(session: Make, colour: str, asr_server: FakeASRServer, files: Files) -> None:
    """A batch that is closed cuts off its requests; no thread, task or connection is left."""
    before = threading.active_count()
    asr_server.script(replies.Normal(), *[replies.Hang(60)] * 8)
    asr = session(router_url=asr_server.router_url)
    batch = asr.transcribe_many(files(20), max_concurrency=4, ordered=False)
    began = time.monotonic()
    assert next(batch).ok
    wait_for(lambda: len(asr_server.requests) >= 4)
    batch.close()
    assert time.monotonic() - began < 30
    assert list(batch) == []
    batch.close()
    wait_for(lambda: asr_server.connections.open <= 1)  # the one that answered may be used again
    if colour == "sync":
        wait_for(lambda: threading.active_count() <= before + 3)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("hfasr-batch")]
    assert len(asr_server.requests) < 10


def test_forgotten_half_way(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """A batch that is left with ``break`` and forgotten ends by itself."""
    asr_server.script(replies.Normal(), *[replies.Hang(60)] * 8)
    asr = session(router_url=asr_server.router_url)
    for item in asr.transcribe_many(files(20), max_concurrency=4, ordered=False):
        assert item.ok
        break
    gc.collect()
    wait_for(lambda: asr_server.connections.open <= 1)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("hfasr-batch")])


def test_never_begun(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """A batch of which nothing was asked opens nothing and sends nothing."""
    batch = session(router_url=asr_server.router_url).transcribe_many(files(2), journal=tmp_path / "j.jsonl")
    batch.close()
    assert list(batch) == []
    assert asr_server.requests == []
    assert not (tmp_path / "j.jsonl").exists()


def test_nothing_to_do(session: Make, asr_server: FakeASRServer) -> None:
    """A batch of nothing has no items."""
    assert list(session(router_url=asr_server.router_url).transcribe_many([])) == []
    assert list(session(router_url=asr_server.router_url).transcribe_many(iter(()))) == []


def test_inputs_are_let_go(session: Make, asr_server: FakeASRServer, clips: Any) -> None:
    """What was handed out is held no longer, however long the batch."""
    alive: list[Any] = []

    class Clip(bytearray):
        """A clip that can be watched."""

    def inputs() -> Iterator[bytearray]:
        for number in range(200):
            one = Clip(clips(number))
            alive.append(weakref.ref(one))
            yield one
            del one

    most = 0
    for item in session(router_url=asr_server.router_url).transcribe_many(inputs(), max_concurrency=2, ordered=False):
        assert item.ok
        del item
        most = max(most, sum(one() is not None for one in alive))
    assert most <= 4 + 32 + 4  # the window, what is read ahead, and what is on the way


def test_progress(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """The function is called after each item, with what has been done."""
    asr_server.script(replies.server_error(500))
    seen: list[Progress] = []
    asr = session(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0))
    inputs = [*files(3), tmp_path / "missing.flac"]
    assert len(list(asr.transcribe_many(inputs, max_concurrency=1, progress=seen.append))) == 4
    assert [one.n_done for one in seen] == [1, 2, 3, 4]
    last = seen[-1]
    assert (last.n_failed, last.n_retries, last.n_resumed, last.n_cached, last.n_total) == (1, 1, 0, 0, 4)
    assert last.audio_s > 0
    assert last.items_per_s > 0
    assert last.speed > 0
    list(asr.transcribe_many(iter(inputs), progress=seen.append))
    assert seen[-1].n_total is None


def test_progress_bar(
    session: Make, asr_server: FakeASRServer, files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    """``progress=True`` draws a bar on standard error, and nothing else."""
    list(session(router_url=asr_server.router_url).transcribe_many(files(3), progress=True))
    shown = capfd.readouterr()
    assert "3/3" in shown.err
    assert "h of audio" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("inputs", "options", "kind", "said"),
    [
        ("one.flac", {}, TypeError, "pass a list"),
        (b"RIFF", {}, TypeError, "pass a list"),
        ({"array": [0], "sampling_rate": 16_000}, {}, TypeError, "pass a list"),
        (3, {}, TypeError, "iterable of audio"),
        ([], {"max_concurrency": 0}, ValueError, "from 1 to"),
        ([], {"max_concurrency": 2.5}, TypeError, "whole number"),
        ([], {"ordered": "yes"}, TypeError, "ordered"),
        ([], {"journal": 5}, TypeError, "journal must be a path"),
        ([], {"journal": ""}, ValueError, "journal"),
        ([], {"cache": 5}, TypeError, "cache must be a path"),
        ([], {"verify": "name"}, ValueError, "verify"),
        ([], {"retry_failed": "all"}, TypeError, "retry_failed"),
        ([], {"progress": 3}, TypeError, "progress"),
        ([], {"langauge": "de"}, TypeError, "did you mean 'language'"),
        ([], {"return_timestamps": "char"}, ValueError, "return_timestamps"),
        ([], {"model": "not a model id!"}, ValueError, "model"),
    ],
)
def test_wrong_calls(session: Make, inputs: Any, options: dict[str, Any], kind: type[Exception], said: str) -> None:
    """A call that cannot be right is refused before anything is opened or sent."""
    with pytest.raises(kind, match=said):
        session().transcribe_many(inputs, **options)


def test_an_open_file_is_not_many(session: Make, files: Files) -> None:
    """One open file is refused: its lines are no audio."""
    with files(1)[0].open("rb") as file, pytest.raises(TypeError, match="not one open file"):
        session().transcribe_many(file)


def test_closed_client(session: Make, asr_server: FakeASRServer, files: Files) -> None:
    """A client that is closed in mid-batch ends it with an error that says so."""
    asr = session(router_url=asr_server.router_url)
    batch = asr.transcribe_many(files(40), max_concurrency=1)
    assert next(batch).ok
    asr.call("close" if asr.colour == "sync" else "aclose")
    items, error = until_it_raises(batch)
    failed = [item.error for item in items if item.error is not None]
    assert "closed" in str(failed[0] if failed else error)
    with pytest.raises(RuntimeError, match="closed"):
        asr.transcribe_many([])


def test_engines_get_batches(session: Make, files: Files, clips: Any) -> None:
    """An engine on this machine gets many clips at once, and every item its own text."""
    engine = FakeBackend(None, delay=0.05)
    items = list(session(backend=engine).transcribe_many(files(40)))
    assert [item.transcript and item.transcript.text for item in items] == [text_of(number) for number in range(40)]
    assert max(len(call.batch) for call in engine.calls) >= 8
    assert len(engine.calls) < 20


def test_arrays_and_bytes(session: Make, asr_server: FakeASRServer, clips: Any) -> None:
    """All kinds of input can be mixed in one batch."""
    from hfasr.audio import decode
    from hfasr.audio.source import BytesSource

    samples = decode(BytesSource(clips(2), name="x")).audio
    inputs = [clips(0), Audio(samples.waveform, 16_000), {"array": samples.waveform, "sampling_rate": 16_000}]
    items = list(session(router_url=asr_server.router_url).transcribe_many(inputs))
    assert [item.transcript and item.transcript.text for item in items] == [text_of(0), text_of(2), text_of(2)]


def test_the_log_is_not_flooded(
    session: Make, asr_server: FakeASRServer, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """What an item's error says already is no warning in the log: a batch may have a million."""
    asr_server.script(*[replies.server_error(500)] * 3)
    with caplog.at_level(logging.INFO, "hfasr"):
        list(session(router_url=asr_server.router_url, retry=QUICK).transcribe_many(files(3)))
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert len(caplog.records) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_at_any_time(asr_server: FakeASRServer, files: Files) -> None:
    """Wherever Ctrl-C finds a batch, it ends with that, and with no thread left."""
    paths = files(4)
    rng = random.Random(3)
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with ASRClient(router_url=asr_server.router_url) as asr:
            asr.transcribe(paths[0])
            for _ in range(40):
                asr_server.script(replies.Hang(20))
                with pytest.raises(KeyboardInterrupt), asr.transcribe_many(paths * 4, max_concurrency=4) as batch:  # noqa: PT012
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 0.03))
                    for _ in batch:
                        continue
                    time.sleep(5)  # it was faster: the signal is still to come
                wait_for(lambda: not [one for one in threading.enumerate() if one.name.startswith("hfasr-batch-")])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
