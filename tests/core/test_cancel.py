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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest

from hfasr import ASRClient, AsyncASRClient, Audio
from hfasr._core import prepared
from hfasr._core.context import CallContext
from hfasr._core.io import AsyncIO
from hfasr.audio import decode, encoding, files, source, waveforms
from hfasr.audio.source import BytesSource, PathSource, WaveformSource
from hfasr.audio.waveforms import from_audio
from hfasr.testing import FakeASRServer, FakeBackend, Reply, replies
from tests.conftest import clip
from tests.core.test_transport import wait_for

BACKENDS = ["asyncio", "trio"]
CTC = "facebook/wav2vec2-base-960h"  # takes audio of any length


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
@pytest.mark.parametrize("where", ["hosted", "engine"])
def test_cancel_during_decoding(
    backend: str, where: str, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding ends with the very block at which the call is cancelled, and nothing is sent."""
    audio = Audio(np.zeros((2, 48_000 * 20), np.float32), 48_000)
    blocks: list[int] = []
    decode(from_audio(audio), check=lambda: blocks.append(0))
    n_all, blocks = len(blocks), []
    assert n_all > 4
    reached, cancelled = threading.Event(), threading.Event()
    original = CallContext.check

    def check(self: CallContext) -> None:
        blocks.append(threading.get_ident())
        if len(blocks) == 3:
            reached.set()
            assert cancelled.wait(10)
        original(self)

    monkeypatch.setattr(CallContext, "check", check)
    settings: dict[str, Any] = {"backend": FakeBackend("x")} if where == "engine" else {"model": CTC}

    async def cancel(scope: anyio.CancelScope) -> None:
        assert await anyio.to_thread.run_sync(reached.wait, 10)
        scope.cancel()
        cancelled.set()

    async def main() -> None:
        async with AsyncASRClient(router_url=asr_server.router_url, **settings) as asr:
            async with anyio.create_task_group() as group:
                with anyio.CancelScope() as scope:
                    group.start_soon(cancel, scope)
                    await asr.transcribe(audio)
            assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    assert len(blocks) == 3
    assert threading.get_ident() not in blocks
    assert asr_server.requests == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_during_a_fetch(backend: str, asr_server: FakeASRServer) -> None:
    """Fetching an audio URL is cut off, too."""
    asr_server.script(replies.Drip(interval=0.1), path="/clip.wav")
    url = f"{asr_server.url}/clip.wav"
    assert run_cancelled(backend, asr_server, url, 0.3, allow_private_urls=True) < 1


class Threads:
    """Remembers in which threads the slow functions run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, set[int]] = {}
        self.n_offloaded = 0
        for owner, name in (
            (files, "open_path"),
            (waveforms, "from_audio"),
            (prepared, "decode"),
            (prepared, "make_upload"),
            (encoding, "encode"),
            (BytesSource, "sha256"),
            (PathSource, "sha256"),
            (WaveformSource, "sha256"),
            (BytesSource, "open"),
            (PathSource, "open"),
        ):
            monkeypatch.setattr(owner, name, self._watched(name, getattr(owner, name)))
        offload = AsyncIO.offload

        async def counted(io: AsyncIO, work: Callable[[], Any], /, **how: Any) -> Any:
            self.n_offloaded += 1
            return await offload(io, work, **how)

        monkeypatch.setattr(AsyncIO, "offload", counted)

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.seen.setdefault(name, set()).add(threading.get_ident())
            return function(*args, **kwargs)

        return call


def minute() -> Audio:
    """Return a minute of 44.1 kHz stereo."""
    noise = np.random.default_rng(0).standard_normal((2, 44_100 * 60), np.float32)
    return Audio(noise * np.float32(0.1), 44_100)


def run_watched(on: str, threads: Threads, audio: Any, **settings: Any) -> dict[str, set[int]]:
    """Transcribe *audio*, and return in which threads that was done; this one is the event loop's."""
    threads.seen.clear()

    async def main() -> None:
        async with AsyncASRClient(CTC, **settings) as asr:
            assert (await asr.transcribe(audio)).text == "heard"

    anyio.run(main, backend=on)
    return threads.seen


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["hosted", "engine"])
@pytest.mark.parametrize("kind", ["samples", "path", "path of FLAC", "bytes"])
def test_event_loop_is_never_blocked(
    backend: str,
    where: str,
    kind: str,
    asr_server: FakeASRServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wav: bytes,
) -> None:
    """Reading, decoding, encoding and hashing are done by worker threads, never by the event loop's."""
    monkeypatch.setattr(source, "_READ_AT_ONCE_BYTES", -1)  # so that the file is dealt with as a large one
    path = tmp_path / "clip"
    path.write_bytes(clip("red boat", format="FLAC") if "FLAC" in kind else wav)
    audio, of_the_input = {
        "samples": (minute(), {"from_audio", "sha256"}),
        "path": (path, {"open_path", "open", "sha256"}),
        "path of FLAC": (path, {"open_path", "open", "sha256"}),  # which goes out as it is
        "bytes": (wav, {"open", "sha256"}),
    }[kind]
    settings: dict[str, Any] = {"backend": FakeBackend("heard")}
    if where == "hosted":
        asr_server.script(Reply(200, json={"text": "heard"}))
        settings = {"router_url": asr_server.router_url}
    seen = run_watched(backend, Threads(monkeypatch), audio, **settings)
    work = {"decode"} if where == "engine" else {"make_upload"} if "FLAC" in kind else {"make_upload", "encode"}
    assert seen.keys() == of_the_input | work
    on_the_loop = {name for name, threads in seen.items() if threading.get_ident() in threads}
    assert on_the_loop == set()


@pytest.mark.parametrize("backend", BACKENDS)
def test_small_bytes_take_no_thread(backend: str, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is small, in memory and goes out as it is, is dealt with on the spot: a hop would cost more."""
    flac = clip("red boat green", format="FLAC")
    asr_server.script(Reply(200, json={"text": "heard"}))
    threads = Threads(monkeypatch)
    seen = run_watched(backend, threads, flac, router_url=asr_server.router_url)
    assert asr_server.requests[0].body == flac
    assert {"make_upload", "sha256"} <= seen.keys()
    assert all(used == {threading.get_ident()} for used in seen.values())
    assert threads.n_offloaded == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_small_files_take_one_thread(
    backend: str, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A small file is read and hashed in one hop; what is left to do with its bytes is done on the spot."""
    path = tmp_path / "clip.flac"
    path.write_bytes(clip("red boat green", format="FLAC"))
    asr_server.script(Reply(200, json={"text": "heard"}))
    threads = Threads(monkeypatch)
    seen = run_watched(backend, threads, path, router_url=asr_server.router_url)
    assert asr_server.requests[0].body == path.read_bytes()
    assert threading.get_ident() not in seen["open_path"]
    assert seen["make_upload"] == {threading.get_ident()}
    assert threads.n_offloaded == 1


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
    if sys.platform == "win32":
        pytest.skip("Windows cannot send Ctrl-C to a thread")
    asr_server.script(replies.Hang(5))
    with ASRClient(router_url=asr_server.router_url) as asr:
        main = threading.get_ident()
        timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
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
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and some CI runners ignore it
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
