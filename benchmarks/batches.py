"""
A batch of files against a server on loopback that takes 200 ms a request: rate, processor time, memory.

Each measurement runs in a process of its own, so that its processor time and its peak memory are its own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.measure import show
from benchmarks.server import slow_server
from benchmarks.sound import clip
from hfasr import ASRClient, AsyncASRClient

CONCURRENCY = 32
TAKES_S = 0.2
IDEAL_PER_S = CONCURRENCY / TAKES_S
N_DIFFERENT = 50
"""Files that are really there; a batch names them over and over, since the disk is not what is measured."""

_NO_LIMITS = httpx.Limits(max_keepalive_connections=None)


def run(*, n_files: int = 1_000, n_many: int = 10_000) -> None:
    """Print the lines of the table."""
    with tempfile.TemporaryDirectory() as folder, slow_server(TAKES_S) as url:
        for number in range(N_DIFFERENT):
            Path(folder, f"{number}.flac").write_bytes(clip(5, 16_000, 1, "FLAC", seed=number))
        for colour in ("sync", "async"):
            bare = _measure("httpx", colour, n_files, folder, url)
            ours = _measure("hfasr", colour, n_files, folder, url)
            share = ours["per_s"] / IDEAL_PER_S
            show(f"{colour} batch of {n_files} files: share of {IDEAL_PER_S:.0f} a second", share, "at least 0.90")
            show("  (httpx alone)", bare["per_s"] / IDEAL_PER_S, "")
            show("  processor time a file / httpx's", ours["cpu_s"] / bare["cpu_s"], "at most 1.50")
            many = _measure("hfasr", colour, n_many, folder, url) if n_many else ours
            show(f"  peak memory of {n_many} files / of {n_files}", many["peak_mib"] / ours["peak_mib"], "about 1.0")


def _measure(who: str, colour: str, n_files: int, folder: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.batches", who, colour, str(n_files), folder, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _paths(folder: str, n_files: int) -> Iterator[str]:
    return (f"{folder}/{number % N_DIFFERENT}.flac" for number in range(n_files))


def _hfasr_sync(folder: str, n_files: int, url: str) -> int:
    with (
        ASRClient(router_url=url) as asr,
        asr.transcribe_many(_paths(folder, n_files), max_concurrency=CONCURRENCY) as items,
    ):
        return sum(item.ok for item in items)


def _hfasr_async(folder: str, n_files: int, url: str) -> int:
    async def main() -> int:
        async with AsyncASRClient(router_url=url) as asr:
            return sum(
                [item.ok async for item in asr.transcribe_many(_paths(folder, n_files), max_concurrency=CONCURRENCY)]
            )

    return asyncio.run(main())


def _httpx_sync(folder: str, n_files: int, url: str) -> int:
    def one(path: str) -> bool:
        return "text" in client.post(target, content=Path(path).read_bytes(), headers=headers).json()

    target, headers = f"{url}/hf-inference/models/openai/whisper-large-v3", {"content-type": "audio/flac"}
    with httpx.Client(limits=_NO_LIMITS) as client, ThreadPoolExecutor(CONCURRENCY) as pool:
        return sum(pool.map(one, _paths(folder, n_files)))


def _httpx_async(folder: str, n_files: int, url: str) -> int:
    target, headers = f"{url}/hf-inference/models/openai/whisper-large-v3", {"content-type": "audio/flac"}

    async def main() -> int:
        paths, n_ok = _paths(folder, n_files), 0

        async def work() -> None:
            nonlocal n_ok
            for path in paths:
                body = Path(path).read_bytes()  # noqa: ASYNC240  # the least that a program can do
                reply = await client.post(target, content=body, headers=headers)
                n_ok += "text" in reply.json()

        async with httpx.AsyncClient(limits=_NO_LIMITS) as client, asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(work())
        return n_ok

    return asyncio.run(main())


def _child(who: str, colour: str, n_files: int, folder: str, url: str) -> None:
    work: Callable[[str, int, str], int] = globals()[f"_{who}_{colour}"]
    work(folder, CONCURRENCY, url)  # imports, threads, connections
    before, began = time.process_time(), time.perf_counter()
    n_ok = work(folder, n_files, url)
    took, cpu = time.perf_counter() - began, time.process_time() - before
    if n_ok != n_files or threading.active_count() > CONCURRENCY + 2:
        raise AssertionError(f"{n_ok} of {n_files} files, {threading.active_count()} threads")
    if sys.platform == "win32":
        raise SystemExit("Windows does not tell how much memory was used")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"per_s": n_files / took, "cpu_s": cpu / n_files, "peak_mib": peak_mib}))


if __name__ == "__main__":
    name, in_colour, count, where, address = sys.argv[1:]
    _child(name, in_colour, int(count), where, address)
