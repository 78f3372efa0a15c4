"""Cancellation and Ctrl-C leave no task, thread or connection behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

from hfasr import ASRClient, AsyncASRClient, Audio
from hfasr.testing import FakeASRServer, replies
from tests.core.test_transport import wait_for

BACKENDS = ["asyncio", "trio"]


def run_cancelled(backend: str, server: FakeASRServer, audio: Any, after: float, **settings: Any) -> float:
    """Cancel a call after *after* seconds, check that nothing is left, return how long it took."""
    before = threading.active_count()

    async def main() -> float:
        asr = AsyncASRClient(router_url=server.router_url, **settings)
        began = time.monotonic()
        with anyio.move_on_after(after) as scope:
            await asr.transcribe(audio)
        assert scope.cancelled_caught
        took = time.monotonic() - began
        if backend == "asyncio":
            await anyio.lowlevel.checkpoint()
            assert len(asyncio.all_tasks()) == 1
        wait_for(lambda: server.connections.open == 0)
        await asr.aclose()
        return took

    took = anyio.run(main, backend=backend)
    wait_for(lambda: threading.active_count() <= before + (1 if backend == "trio" else 0))
    return took


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "action", [replies.Hang(5), replies.Drip(interval=0.1), replies.Drip(interval=0.1, headers=True)]
)
def test_cancel_during_a_request(backend: str, action: replies.Action, asr_server: FakeASRServer, wav: bytes) -> None:
    """A request in flight is cut off at its socket."""
    asr_server.script(action)
    assert run_cancelled(backend, asr_server, wav, 0.3) < 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_during_back_off(backend: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """A pause is left at once."""
    asr_server.script(replies.Reply(429, headers={"retry-after": "60", "connection": "close"}))
    assert run_cancelled(backend, asr_server, wav, 0.3) < 1
    assert len(asr_server.requests) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_during_decoding(backend: str, asr_server: FakeASRServer) -> None:
    """Decoding ends between two blocks, long before the file does."""
    audio = Audio(np.zeros((8, 48_000 * 120), np.float32), 48_000)
    assert run_cancelled(backend, asr_server, audio, 0.05, model="facebook/wav2vec2-base") < 1
    assert asr_server.requests == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_during_a_fetch(backend: str, asr_server: FakeASRServer) -> None:
    """Fetching an audio URL is cut off, too."""
    asr_server.script(replies.Drip(interval=0.1), path="/clip.wav")
    url = f"{asr_server.url}/clip.wav"
    assert run_cancelled(backend, asr_server, url, 0.3, allow_private_urls=True) < 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_event_loop_is_never_blocked(backend: str, asr_server: FakeASRServer) -> None:
    """While a minute of stereo is decoded, encoded and sent, the event loop goes on."""
    rng = np.random.default_rng(0)
    audio = Audio((rng.standard_normal((2, 44_100 * 25)) * 0.1).astype(np.float32), 44_100)
    gaps: list[float] = []

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await anyio.sleep(0.001)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    async def main() -> None:
        async with AsyncASRClient(router_url=asr_server.router_url) as asr, anyio.create_task_group() as group:
            group.start_soon(tick)
            await asr.transcribe(audio)
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert len(gaps) > 10
    # Noisy machines stall by themselves; a decoder on the loop would stall it once, for all of its time.
    assert sorted(gaps)[-3] < 0.1


def test_sync_client_inside_a_running_loop(asr_server: FakeASRServer, wav: bytes) -> None:
    """The sync client works inside a running event loop, on no thread of its own."""

    async def main() -> str:
        before = threading.active_count()
        with ASRClient(router_url=asr_server.router_url) as asr:
            text = asr.transcribe(wav).text
        server_threads = asr_server.connections.accepted
        assert threading.active_count() <= before + server_threads
        return text

    assert asyncio.run(main()) == "red boat green"


def test_keyboard_interrupt_in_a_request(asr_server: FakeASRServer, wav: bytes) -> None:
    """Ctrl-C in a blocking request closes its connection; the client still works."""
    asr_server.script(replies.Hang(5))
    with ASRClient(router_url=asr_server.router_url) as asr:
        main = threading.get_ident()
        timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
        if not hasattr(signal, "pthread_kill"):
            pytest.skip("this system cannot send Ctrl-C to a thread")
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            asr.transcribe(wav)
        assert time.monotonic() - began < 2
        timer.join()
        wait_for(lambda: asr_server.connections.open == 0)
        assert asr.transcribe(wav).text == "red boat green"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_an_async_program(backend: str, asr_server: FakeASRServer) -> None:
    """Ctrl-C ends a program that waits for an answer, with nothing on stderr but the interrupt."""
    asr_server.script(replies.Hang(20))
    program = textwrap.dedent(
        f"""
        import anyio, numpy as np
        from hfasr import AsyncASRClient, Audio
        async def main():
            async with AsyncASRClient(router_url={asr_server.router_url!r}) as asr:
                print("ready", flush=True)
                await asr.transcribe(Audio(np.zeros(16000, np.float32), 16000))
        anyio.run(main, backend={backend!r})
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wait_for(lambda: len(asr_server.requests) == 1, 20)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in stderr
    assert b"ResourceWarning" not in stderr
    assert b"never retrieved" not in stderr
    wait_for(lambda: asr_server.connections.open == 0)
