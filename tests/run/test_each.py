"""Running an order to its end from code for both colours."""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from hfasr._core.io import run_sync
from hfasr._run.each import each
from hfasr.testing import FakeASRServer, replies
from tests.colours import Session
from tests.core.test_transport import wait_for
from tests.run.kit import FunctionOrder, ask, io_of

Make = Callable[..., Session]


def run(session: Session, order: FunctionOrder, deliver: Callable[[Any], None]) -> None:
    """Call `each`: in the sync colour by `run_sync`, which allows no suspending."""
    if session.colour == "sync":
        run_sync(each(order, deliver))
    else:
        session.run(lambda: each(order, deliver))


def left_over() -> list[str]:
    """Return the names of a run's threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hfasr-run")]


def test_all_in_order(session: Make) -> None:
    """Every item is delivered, in order, in the thread of the call; what was opened is closed."""
    made = session()
    given: list[int] = []
    order = FunctionOrder(io_of(made), iter(range(100)), n_workers=8)
    run(made, order, given.append)
    assert given == list(range(100))
    assert order.n_closed >= 1
    assert left_over() == []


def test_errors_of_the_one_who_takes(session: Make) -> None:
    """What *deliver* raises is raised, once nothing runs any more."""
    made = session()

    def deliver(item: int) -> None:
        if item == 3:
            raise LookupError("no room for it")

    order = FunctionOrder(io_of(made), itertools.count())
    with pytest.raises(LookupError, match="no room"):
        run(made, order, deliver)
    assert order.n_closed == 1
    wait_for(lambda: left_over() == [])


def test_errors_of_the_work(session: Make) -> None:
    """What a job raises is raised after the items that were finished before, and nothing runs any more."""
    made = session()

    async def settle(io: Any, index: int, given: int) -> int:
        if given == 3:
            raise LookupError("cannot be done")
        return given

    given: list[int] = []
    order = FunctionOrder(io_of(made), itertools.count(), settle, n_workers=1)
    with pytest.raises(LookupError, match="cannot be done"):
        run(made, order, given.append)
    assert given == [0, 1, 2]
    wait_for(lambda: left_over() == [])


def test_cancelled(asr_server: FakeASRServer, wav: bytes) -> None:
    """A call that is cancelled takes its run with it; no request goes on."""
    for backend in ("asyncio", "trio"):
        made = Session(backend)
        n_before = len(asr_server.requests)
        asr_server.script(*[replies.Hang(60)] * 2)

        async def settle(io: Any, index: int, given: bytes) -> bytes:
            return await ask(io, asr_server, given)

        order = FunctionOrder(io_of(made), itertools.repeat(wav), settle)

        async def call(order: FunctionOrder = order) -> bool:
            with anyio.move_on_after(0.5) as scope:
                await each(order, print)
            return scope.cancelled_caught

        began = time.monotonic()
        assert made.run(call)
        assert time.monotonic() - began < 10
        assert order.n_closed == 1
        assert len(asr_server.requests) == n_before + 2
        wait_for(lambda: asr_server.connections.open == 0)
        made.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c(wav: bytes, asr_server: FakeASRServer) -> None:
    """Ctrl-C at any time ends the call with that, and leaves no thread and no request."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    made = Session("sync")
    rng = random.Random(5)

    async def settle(io: Any, index: int, given: bytes) -> bytes:
        return await ask(io, asr_server, given)

    def inputs() -> Iterator[bytes]:
        while True:
            yield wav

    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(20):
            asr_server.script(replies.Normal(), replies.Hang(20))
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-3, 0.03))
                run_sync(each(FunctionOrder(io_of(made), inputs(), settle), lambda _: None))
            wait_for(lambda: left_over() == [])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        made.close()
