"""What wakes threads and tasks, and the machine's clock."""

from __future__ import annotations

import random
import threading
import time

import anyio
import anyio.to_thread
import pytest

from hfasr._core.bells import TaskBell, ThreadBell
from hfasr._core.clock import SystemClock


def test_thread_bell() -> None:
    """A thread hears a bell from any other, also one that rang before; one that never rings, it leaves."""
    bell = ThreadBell()
    bell.wait(0.001)
    assert not bell._event.is_set()
    thread = threading.Thread(target=bell.ring)
    thread.start()
    bell.wait(20.0)
    thread.join()
    bell.ring()
    bell.wait(None)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_task_bell(backend: str) -> None:
    """So does a task, from within its loop and from threads."""

    async def main() -> None:
        silent, here, there = TaskBell(), TaskBell(), TaskBell()
        await silent.wait(0.001)
        here.ring()
        await anyio.to_thread.run_sync(there.ring)
        with anyio.fail_after(10):
            await here.wait(None)
            await there.wait(20.0)

    anyio.run(main, backend=backend)


def test_system_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock is one that never goes back, and its pauses pass in truth."""
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    monkeypatch.setattr(time, "time", lambda: 6.0)
    monkeypatch.setattr(random, "random", lambda: 0.5)
    clock = SystemClock()
    assert (clock.now(), clock.wall(), clock.random(), clock.pause(3.0)) == (5.0, 6.0, 0.5, 3.0)
