"""Work that nobody waits for any more: it is not begun, and closing does not wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import anyio
import pytest

from hfasr import AsyncASRClient, Audio, BackendError, DeadlineExceededError, TranscribeOptions, Transcript
from tests.colours import Session
from tests.core.test_transport import wait_for

Make = Callable[..., Session]


class Queue:
    """An engine that works on one clip at a time, and looks whether somebody waits before it begins."""

    name = "queue"
    sampling_rate = 16_000
    max_duration_s = None
    model = "org/here"

    def __init__(self, seconds: float = 0.0) -> None:
        self.n_begun = 0
        self.n_refused = 0
        self.downloads: list[bool] = []
        self._seconds = seconds
        self._lock = threading.Lock()

    def transcribe(
        self,
        batch: Sequence[Audio],
        options: TranscribeOptions,
        *,
        check: Callable[[], object] = lambda: None,
        download: bool = True,
    ) -> list[Transcript]:
        self.downloads.append(download)
        with self._lock:
            try:
                check()
            except BackendError:
                self.n_refused += 1
                raise
            self.n_begun += 1
            time.sleep(self._seconds)
        return [Transcript("done") for _ in batch]

    def close(self) -> None:
        time.sleep(self._seconds)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_abandoned_work_is_not_begun(backend: str, wav: bytes) -> None:
    """Of many calls whose deadline ends while they wait for an engine, none reaches it afterwards."""
    engine = Queue(0.3)
    client = AsyncASRClient(backend=engine)

    async def one() -> None:
        with pytest.raises(DeadlineExceededError):
            await client.transcribe(wav, deadline=0.2)

    async def main() -> None:
        async with client, anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(one)

    anyio.run(main, backend=backend)
    wait_for(lambda: client._shared.gatherer._lines == {})
    assert (engine.n_begun, engine.n_refused) == (1, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_engine_that_several_clients_share(backend: str, wav: bytes) -> None:
    """An engine that others use as well is told, when it could begin, that nobody waits any more."""
    engine = Queue(1.5)

    async def one() -> None:
        async with AsyncASRClient(backend=engine) as asr:
            with pytest.raises(DeadlineExceededError):
                await asr.transcribe(wav, deadline=1.0)  # long enough for all to reach the engine

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(one)

    anyio.run(main, backend=backend)
    wait_for(lambda: engine.n_refused == 7)
    assert engine.n_begun == 1


def test_transcribe_is_told_about_downloads(session: Make, wav: bytes) -> None:
    """Under a deadline, and with local_only, the run itself may not download either."""
    engine = Queue()
    session(backend=engine).transcribe(wav)
    session(backend=engine).transcribe(wav, deadline=60)
    session(backend=engine, local_only=True).transcribe(wav)
    assert engine.downloads == [True, False, False]


def test_model_that_an_engine_does_not_run(session: Make, wav: bytes) -> None:
    """A call's model that the client's engine does not run is told in the warnings."""
    asr = session(backend=Queue())
    assert asr.transcribe(wav, model="org/here").warnings == ()
    (warning,) = asr.transcribe(wav, model="org/other").warnings
    assert warning == "queue runs 'org/here'; model='org/other' was not used"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_does_not_hold_up_the_loop(backend: str, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an engine takes its time to close, other tasks go on; a cancelled task closes it as well."""
    closed = threading.Event()

    def close(_: object) -> None:
        time.sleep(0.3)
        closed.set()

    monkeypatch.setattr("hfasr._core.shared.Shared.close", close)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        asr = AsyncASRClient(backend=Queue())
        await asr.transcribe(wav)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await asr.aclose()
            tasks.cancel_scope.cancel()
        assert closed.is_set()
        closed.clear()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await AsyncASRClient(backend=Queue()).aclose()

    anyio.run(main, backend=backend)
    assert ticks > 5
    assert closed.is_set()
