"""
Cancelling a call after each of its steps: what counts the steps, cancels, and looks at what is left.

A step is what a task does between two suspensions. Those of every task of the event loop count, so that a batch is
cancelled between the steps of its workers, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import trio

from hfasr import AsyncASRClient
from hfasr._core.gates import gate_of
from hfasr._core.io import _room_of_the_loop

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer

__all__ = ["WAYS", "Call", "Left", "Scenario", "cancel_at_each_step", "forget_script"]

WAYS = ("asyncio", "asyncio, by the task", "trio")
"""How a call is cancelled: by a scope of anyio's, or as `asyncio.timeout` and web servers do it: once, by its task."""

_SOON_S = 10.0
"""Longest wait for what ends by itself soon, such as a thread in the middle of a block."""

Call = Callable[[AsyncASRClient], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Scenario:
    """A call that is cancelled, and what must hold of it."""

    call: Call
    """The call; it raises where what it gets is wrong."""

    again: Call
    """The next call of the same client, which must go well whatever became of the first."""

    settings: dict[str, Any] = field(default_factory=dict)
    """The client's."""

    prepare: Callable[[], object] = lambda: None
    """Called before each run, such as to tell the server what to answer."""

    before: Call | None = None
    """An earlier call of the same client, which leaves a connection open."""


class _Steps:
    """Counts, and cancels after one of them."""

    def __init__(self, cancel_after: int) -> None:
        self.n = 0
        self.cancel: Callable[[], object] | None = None  # while the call is under way
        self.was_cancelled = False
        self._cancel_after = cancel_after

    def one_more(self) -> None:
        if self.cancel is None:
            return
        self.n += 1
        if self.n == self._cancel_after:
            self.was_cancelled = True
            self.cancel()


class _Counted(Generator[Any, Any, Any]):
    """A coroutine whose steps are counted."""

    def __init__(self, work: Any, steps: _Steps) -> None:
        self._work = work
        self._steps = steps

    def send(self, value: Any, /) -> Any:
        try:
            return self._work.send(value)
        finally:
            self._steps.one_more()

    def throw(self, *error: Any) -> Any:
        try:
            return self._work.throw(*error)
        finally:
            self._steps.one_more()

    def close(self) -> None:
        self._work.close()


class _Awaited:
    def __init__(self, work: Any, steps: _Steps) -> None:
        self._counted = _Counted(work, steps)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._counted


async def _run_counted(work: Any, steps: _Steps) -> Any:
    return await _Awaited(work, steps)


class _Instrument(trio.abc.Instrument):
    def __init__(self, steps: _Steps) -> None:
        self._steps = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # trio's
        self._steps.one_more()


class Left:
    """
    What a process has open, to be compared with later.

    Args:
        folder: Where temporary files and the call's own lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = self._names()
        self._files = self._open_files()
        self._n_sockets = self._count_sockets()

    def has_gone(self, server: FakeASRServer) -> None:
        """Wait until nothing more is open than before."""
        _wait(lambda: server.connections.open == 0, lambda: "connections are open")
        _wait(lambda: self._names() <= self._threads, lambda: f"threads run: {self._names() - self._threads}")
        _wait(lambda: self._open_files() <= self._files, lambda: f"files are open: {self._open_files() - self._files}")
        _wait(lambda: self._count_sockets() <= self._n_sockets, lambda: "sockets are open")

    @staticmethod
    def _names() -> set[tuple[str, int | None]]:
        """Return the threads that may be ours: idle workers of anyio and trio, and the server's, end by themselves."""
        others = ("AnyIO worker", "Trio thread", "FakeASRServer", "asyncio_")
        return {(t.name, t.ident) for t in threading.enumerate() if not t.name.startswith(others)}

    def _links(self) -> Iterator[str]:
        folder = Path("/proc/self/fd")
        for link in folder.iterdir() if folder.exists() else ():
            with contextlib.suppress(OSError):  # closed meanwhile
                yield str(link.readlink())

    def _open_files(self) -> set[str]:
        return {link for link in self._links() if link.startswith(str(self._folder))}

    def _count_sockets(self) -> int:
        return sum(link.startswith("socket:") for link in self._links())


def _wait(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    until = time.monotonic() + _SOON_S
    while not condition():
        assert time.monotonic() < until, why()
        gc.collect()  # a cancelled task's traceback may be in a cycle with what it worked on
        time.sleep(0.005)


async def _soon(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    until = time.monotonic() + _SOON_S
    while not condition():
        assert time.monotonic() < until, why()
        await anyio.sleep(0.002)


class _Run:
    """One run of a scenario, cancelled after one step."""

    def __init__(self, way: str, scenario: Scenario, server: FakeASRServer, cancel_after: int) -> None:
        self._way = way
        self._scenario = scenario
        self._server = server
        self.steps = _Steps(cancel_after)
        self.complaints: list[str] = []
        self.finished = False
        """Whether the call came to its end, since it was cancelled too late."""

    def run(self) -> None:
        """Do all of it, in an event loop of its own."""
        if self._way == "trio":
            trio.run(self._in_trio, instruments=[_Instrument(self.steps)])
        else:
            asyncio.run(self._in_asyncio())
        assert self.complaints == []

    async def _in_trio(self) -> None:
        statistics = trio.lowlevel.current_statistics
        before = statistics().tasks_living
        await self._all(self._in_a_scope, lambda: statistics().tasks_living - before)

    async def _in_asyncio(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.complaints.append(str(context)))
        loop.set_task_factory(self._make_task)
        before = len(asyncio.all_tasks())
        await self._all(self._in_a_task, lambda: len(asyncio.all_tasks()) - before)

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> Any:
        return asyncio.Task(_run_counted(work, self.steps), loop=loop, **how)

    async def _all(self, call: Callable[[AsyncASRClient], Awaitable[bool]], n_tasks: Callable[[], int]) -> None:
        scenario = self._scenario
        scenario.prepare()
        asr = AsyncASRClient(**scenario.settings)
        if scenario.before is not None:
            await scenario.before(asr)
        self.finished = await call(asr)
        self.steps.cancel = None
        await _soon(lambda: n_tasks() == 0, lambda: f"{n_tasks()} tasks are left")
        gate = gate_of(self._server.url, asr._io.clock)
        await _soon(lambda: gate.is_idle, lambda: f"{gate.limiter.n_inside} are in the gate, {gate.n_waiting} wait")
        await _soon(lambda: _n_at_work() == 0, lambda: f"{_n_at_work()} threads work")
        forget_script(self._server)
        await scenario.again(asr)
        await asr.aclose()
        await _soon(lambda: n_tasks() == 0, lambda: f"{n_tasks()} tasks are left by the next call")

    async def _in_a_scope(self, asr: AsyncASRClient) -> bool:
        with anyio.CancelScope() as scope:
            self.steps.cancel = scope.cancel
            await self._scenario.call(asr)
            self.steps.cancel = None
            return True
        assert self.steps.was_cancelled
        return False

    async def _in_a_task(self, asr: AsyncASRClient) -> bool:
        """Do so in a task of its own: the steps of the one that is here already are not counted."""
        finished = False

        async def call() -> None:
            nonlocal finished
            if self._way == "asyncio":
                finished = await self._in_a_scope(asr)
                return
            self.steps.cancel = task.cancel
            await self._scenario.call(asr)
            self.steps.cancel = None
            finished = True

        work: Coroutine[Any, Any, None] = call()
        task = asyncio.get_running_loop().create_task(work)
        await asyncio.wait([task])
        if task.cancelled():
            assert self.steps.was_cancelled
            assert self._way != "asyncio", "cancelled by its task, where a scope was to do so"
        else:
            task.result()
        return finished


def forget_script(server: FakeASRServer) -> None:
    """Let *server* answer as it would: what was scripted for a call that was ended is of no use."""
    with server._lock:
        server._script.clear()


def _n_at_work() -> int:
    """Return the number of threads that work for this event loop."""
    waiting_room = _room_of_the_loop().get(None)
    n_waiting = 0 if waiting_room is None else waiting_room.borrowed_tokens
    return anyio.to_thread.current_default_thread_limiter().borrowed_tokens + n_waiting


def cancel_at_each_step(
    way: str, scenario: Scenario, server: FakeASRServer, folder: Path, *, stride: int = 1
) -> tuple[int, int]:
    """
    Run *scenario* again and again, cancelled after its first step, its second, and so on, until it comes to its end.

    Returns:
        How often it was cancelled, and how often it came to its end although it was to be cancelled.

    Args:
        way: One of `WAYS`.

        scenario: What to run.

        server: What it asks.

        folder: Where temporary files go.

        stride: Try only each so many-th step.
    """
    _Run(way, scenario, server, 0).run()  # which imports, and opens what stays open
    unraisable: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda found: unraisable.append(repr(found.exc_value))
    n_cancelled = n_too_late = 0
    try:
        left = Left(folder)
        for number in range(1, 100_000, stride):
            run = _Run(way, scenario, server, number)
            try:
                run.run()
                left.has_gone(server)
            except BaseException as error:
                error.add_note(f"cancelled after step {number}, {way}")
                raise
            n_cancelled += not run.finished
            if not run.steps.was_cancelled:
                break
            n_too_late += run.finished
        gc.collect()
        assert unraisable == []
    finally:
        sys.unraisablehook = hook
    return n_cancelled, n_too_late
