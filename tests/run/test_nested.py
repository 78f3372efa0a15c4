"""Runs within the calls of another run: they end with it."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hfasr import BatchError
from hfasr._core.cancel import Cancel
from hfasr._run import threads
from hfasr._run.each import each
from hfasr.testing import FakeASRServer, replies
from tests.colours import Session
from tests.core.test_transport import wait_for
from tests.run.kit import FunctionOrder, Items, ask, io_of

Make = Callable[..., Session]


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody find out by chance, between two looks, that a run has been stopped."""
    monkeypatch.setattr(threads, "_LOOK_S", 60)


class LongFiles:
    """A job that has each input but the first worked on piece by piece, in a run of its own."""

    def __init__(self, server: FakeASRServer, wav: bytes, *, depth: int = 1) -> None:
        self._server = server
        self._wav = wav
        self._depth = depth
        self.n_answered = 0
        self.opened: list[FunctionOrder] = []

    async def __call__(self, io: Any, index: int, given: int) -> int:
        if given:
            await self.nest(io, self._depth)
        return given

    async def nest(self, io: Any, depth: int) -> None:
        """Work on endless pieces."""

        async def settle(io: Any, index: int, given: bytes) -> bytes:
            if depth > 1:
                await self.nest(io, depth - 1)
            reply = await ask(io, self._server, given)
            self.n_answered += 1
            return reply

        order = FunctionOrder(io, itertools.repeat(self._wav), settle, what="run-within", max_waiting=1)
        self.opened.append(order)
        await each(order, lambda _: None)


def left_over() -> list[str]:
    """Return the names of the runs' threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hfasr-run")]


def nothing_is_left(session: Session, job: LongFiles, server: FakeASRServer) -> None:
    """See that no thread, task or socket is left, and that everything was closed."""
    wait_for(lambda: left_over() == [])
    assert all(order.n_closed for order in job.opened)

    async def tasks() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("hfasr")}

    if session.colour == "asyncio":
        assert session.run(tasks) == set()
    wait_for(lambda: server.connections.open == 0)


@pytest.mark.parametrize("depth", [1, 2])
def test_closing_the_outer_one(session: Make, asr_server: FakeASRServer, wav: bytes, depth: int) -> None:
    """When a run is closed, what runs within its calls is cut off with it, however deep."""
    asr_server.script(*[replies.Hang(60)] * 100)
    made = session()
    job = LongFiles(asr_server, wav, depth=depth)
    outer = Items(made, FunctionOrder(io_of(made), iter(range(10)), job))
    assert next(outer) == 0
    wait_for(lambda: len(asr_server.requests) == 2 * 2**depth)
    began = time.monotonic()
    outer.close()
    assert time.monotonic() - began < 10
    assert list(outer) == []
    assert len(asr_server.requests) == 2 * 2**depth
    nothing_is_left(made, job, asr_server)


def test_closing_amid_answers(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """The same while pieces come and go."""
    asr_server.script(*[replies.Normal(delay=0.01)] * 10_000)
    made = session()
    for _ in range(5):
        job = LongFiles(asr_server, wav)
        outer = Items(made, FunctionOrder(io_of(made), iter(range(10)), job))
        assert next(outer) == 0
        n_before = job.n_answered
        wait_for(lambda job=job, n=n_before: job.n_answered > n + 5)  # type: ignore[misc]  # bound now
        outer.close()
        wait_for(lambda: left_over() == [])
        time.sleep(0.2)  # the server may still read what was sent
        n_after = len(asr_server.requests)
        time.sleep(0.2)
        assert len(asr_server.requests) == n_after
        assert all(order.n_closed for order in job.opened)


def test_failure_of_the_outer_one(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """When a run fails, runs within its calls begin nothing more, and what they have on the wire is waited for."""
    asr_server.script(*[replies.Normal(delay=1.0)] * 100)
    made = session()
    job = LongFiles(asr_server, wav)

    async def settle(io: Any, index: int, given: int) -> int:
        if given == 1:
            await io.offload(lambda: wait_for(lambda: len(asr_server.requests) == 2))
            raise LookupError("nothing goes on")
        return await job(io, index, given)

    outer = Items(made, FunctionOrder(io_of(made), iter([1, 2]), settle))
    with pytest.raises(LookupError, match="nothing goes on"):
        next(outer)
    assert (job.n_answered, len(asr_server.requests)) == (2, 2)
    wait_for(lambda: left_over() == [])
    assert all(order.n_closed for order in job.opened)


def test_closed_while_it_fails(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Closing a run that waits for what is on the wire, runs within it included, cuts that off."""
    asr_server.script(*[replies.Hang(60)] * 100)
    made = session()
    job = LongFiles(asr_server, wav)
    failed = threading.Event()

    async def settle(io: Any, index: int, given: int) -> int:
        if given == 1:
            await io.offload(lambda: wait_for(lambda: len(asr_server.requests) == 2))
            failed.set()
            raise LookupError("nothing goes on")
        return await job(io, index, given)

    outer = Items(made, FunctionOrder(io_of(made), iter([1, 2]), settle))
    raised: list[BaseException] = []

    def ask_for_one() -> None:
        try:
            next(outer)
        except Exception as error:  # noqa: BLE001  # looked at below
            raised.append(error)

    waiting = threading.Thread(target=ask_for_one)
    waiting.start()
    assert failed.wait(10)
    time.sleep(0.3)
    assert waiting.is_alive()
    began = time.monotonic()
    outer.close()
    waiting.join(10)
    assert time.monotonic() - began < 10
    assert isinstance(raised[0], LookupError | BatchError)  # it was closed by somebody else
    nothing_is_left(made, job, asr_server)


def test_nobody_waits_for_inputs_of_a_run_that_was_stopped(session: Make) -> None:
    """Who waits within a call, for inputs that do not come, is woken when the run around it fails."""
    waits = threading.Event()
    come = threading.Event()

    def inputs() -> Iterator[int]:
        waits.set()
        assert come.wait(20)
        yield 1

    async def settle(io: Any, index: int, given: int) -> int:
        if given == 1:
            await io.offload(lambda: waits.wait(10))
            raise LookupError("nothing goes on")
        await each(FunctionOrder(io, inputs(), what="run-within"), lambda _: None)
        return given

    made = session()
    began = time.monotonic()
    with pytest.raises(LookupError):
        next(Items(made, FunctionOrder(io_of(made), iter([1, 2]), settle)))
    assert time.monotonic() - began < 3
    come.set()
    wait_for(lambda: left_over() == [])


def test_closed_from_within(session: Make, colour: str) -> None:
    """A call within a call that closes the outermost run ends it, and does not wait for itself."""
    made = session()
    outer: Any = None

    async def close_it(io: Any, index: int, given: int) -> int:
        if colour == "sync":
            outer.close()
        else:
            await outer.runner.aclose()
        return given

    async def settle(io: Any, index: int, given: int) -> int:
        await each(FunctionOrder(io, [1], close_it, what="run-within"), lambda _: None)
        return given

    outer = Items(made, FunctionOrder(io_of(made), iter([1, 2, 3]), settle))
    got: list[BaseException | None] = []

    def ask_for_all() -> None:
        try:
            list(outer)
        except Exception as error:  # noqa: BLE001  # looked at below
            got.append(error)
        else:
            got.append(None)

    waiting = threading.Thread(target=ask_for_all, daemon=True)
    waiting.start()
    waiting.join(10)
    assert len(got) == 1
    wait_for(lambda: left_over() == [])


def test_passing_on() -> None:
    """What is adopted late is stopped or cut as what was there before; what was released is left alone."""

    class Noted:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def stop(self) -> None:
            self.calls.append("stop")

        def cut(self) -> None:
            self.calls.append("cut")

    cancel = Cancel()
    first, released, after_stop, after_cut = (Noted() for _ in range(4))
    cancel.adopt(first)
    cancel.adopt(released)
    cancel.release(released)
    cancel.stop()
    cancel.adopt(after_stop)
    assert (first.calls, after_stop.calls) == (["stop"], ["stop"])
    cancel.cut()
    cancel.adopt(after_cut)
    assert first.calls[-1] == after_stop.calls[-1] == "cut"
    assert (after_cut.calls, released.calls) == (["cut"], [])


def test_which_is_around_which() -> None:
    """A run is around itself and around what runs within it, and around nothing else."""
    outer, middle, inner, other = (Cancel() for _ in range(4))
    middle.outer, inner.outer = outer, middle
    assert [outer.is_around(one) for one in (outer, middle, inner, other, None)] == [True] * 3 + [False] * 2
    assert not inner.is_around(outer)
