"""Event loops reached from other threads and given tasks of their own: asyncio's and trio's alike."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio

from hfasr._core.loops import Loop, context_for_a_thread

BACKENDS = ("asyncio", "trio")
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_loop() -> None:
    """Where none runs there is none."""
    with pytest.raises(RuntimeError):
        Loop()


def test_which_loop(backend: str) -> None:
    """It is the one that runs here, of its own kind, and no other: not in another thread, nor in a later run."""

    async def make() -> tuple[Loop, bool, bool]:
        loop = Loop()
        assert (loop._trio is None, loop._asyncio is None) == (backend != "trio", backend == "trio")
        return loop, loop.is_current(), await anyio.to_thread.run_sync(loop.is_current)

    first, here, elsewhere = anyio.run(make, backend=backend)
    assert (here, elsewhere, first.is_current()) == (True, False, False)

    async def again() -> bool:
        return first.is_current()

    assert [anyio.run(again, backend=name) for name in BACKENDS] == [False, False]


def test_called_soon(backend: str) -> None:
    """What another thread hands over runs in the loop's own, not at once."""
    done: list[threading.Thread] = []

    async def main() -> None:
        loop, event = Loop(), anyio.Event()

        def work() -> None:
            done.append(threading.current_thread())
            event.set()

        loop.call_soon(work)
        assert done == []
        await event.wait()
        event = anyio.Event()
        await anyio.to_thread.run_sync(loop.call_soon, work)
        await event.wait()

    anyio.run(main, backend=backend)
    assert done == [threading.current_thread()] * 2


def test_loop_that_has_ended(backend: str) -> None:
    """It runs nothing more, which is no error; asyncio's is known to have ended, and may have left tasks behind."""

    async def make() -> Loop:
        assert not Loop().has_ended
        return Loop()

    loop = anyio.run(make, backend=backend)
    loop.call_soon(lambda: pytest.fail("it ran"))
    assert loop.has_ended is (backend == "asyncio")


def test_task_of_its_own(backend: str) -> None:
    """It runs by itself, under its name and in the caller's context, and is cancelled when the loop ends."""
    seen: list[Any] = []

    async def work() -> None:
        seen.extend([NAME.get(), anyio.get_current_task().name])
        NAME.set("inner")
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("ended")

    async def main() -> object:
        NAME.set("outer")
        kept = Loop().spawn(work, "the task")
        assert seen == []
        while not seen:
            await anyio.lowlevel.checkpoint()
        assert NAME.get() == "outer"
        return kept

    assert anyio.run(main, backend=backend) is not None
    assert seen == ["outer", "the task", "ended"]


def test_trio_before_its_host() -> None:
    """Where trio is loaded but asyncio runs, the loop is asyncio's; without trio, too."""
    assert "trio" in sys.modules

    async def main() -> Loop:
        return Loop()

    assert asyncio.run(main())._trio is None


def test_without_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trio need not be there."""
    monkeypatch.setitem(sys.modules, "trio", None)

    async def main() -> Loop:
        return Loop()

    assert asyncio.run(main())._asyncio is not None


def test_context_for_a_thread(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a copy of the caller's, in which no loop runs: a thread may run one of its own."""

    async def main() -> None:
        NAME.set("outer")
        context = context_for_a_thread()
        assert context[NAME] == "outer"
        assert context.run(sniffio.current_async_library_cvar.get) is None
        context.run(NAME.set, "inner")
        assert NAME.get() == "outer"
        assert sniffio.current_async_library() == backend

    anyio.run(main, backend=backend)
    monkeypatch.setitem(sys.modules, "sniffio", None)
    token = NAME.set("plain")
    assert context_for_a_thread()[NAME] == "plain"
    NAME.reset(token)
