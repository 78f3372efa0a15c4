"""How much of a server's limited rate is used, and how many requests it refuses."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.measure import show
from benchmarks.server import REPLY_BODY, REPLY_HEAD
from benchmarks.sound import clip
from hfasr import APIError, ASRClient

RATE = 20  # requests a second
N_THREADS = 32
SETTLING_S = 15.0


def run(*, seconds: float = 40.0) -> None:
    """Print two lines for each server, asked by 32 threads for *seconds*, of which the first 15 do not count."""
    for name, asked in itertools.product(_LIMITS, (None, 1)):
        gave, refused = _measure(name, asked, seconds)
        told = f"{name}, Retry-After: {asked}" if asked else f"{name}, no Retry-After"
        show(f"{told}: share of its {RATE} a second", gave, "at least 0.95")
        show(f"{told}: % of requests refused", 100 * refused, "under 3")


def _measure(name: str, asked: int | None, seconds: float) -> tuple[float, float]:
    flac = clip(1, 16_000, 1, "FLAC")
    over = threading.Event()
    with _server(name, asked) as (url, counts), ASRClient(router_url=url) as asr:

        def ask() -> None:
            while not over.is_set():
                try:
                    asr.transcribe(flac)
                except APIError:
                    continue  # refused five times in a row, before the rate was found

        threads = [threading.Thread(target=ask) for _ in range(N_THREADS)]
        for thread in threads:
            thread.start()
        time.sleep(SETTLING_S)
        before, began = tuple(counts), time.monotonic()
        time.sleep(seconds - SETTLING_S)
        taken, refused = (after - earlier for after, earlier in zip(counts, before, strict=True))
        took = time.monotonic() - began
        over.set()
        for thread in threads:
            thread.join()
    return taken / took / RATE, refused / (taken + refused)


def _token_bucket() -> Callable[[], bool]:
    tokens, at = float(RATE), time.monotonic()

    def takes() -> bool:
        nonlocal tokens, at
        now = time.monotonic()
        tokens, at = min(RATE, tokens + (now - at) * RATE), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return takes


def _fixed_window() -> Callable[[], bool]:
    second, left = 0, 0

    def takes() -> bool:
        nonlocal second, left
        if int(time.monotonic()) != second:
            second, left = int(time.monotonic()), RATE
        left -= 1
        return left >= 0

    return takes


_LIMITS = {"token bucket": _token_bucket, "fixed window": _fixed_window}


def _serve(listening: socket.socket, counts: list[int], name: str, asked: int | None) -> None:
    takes = _LIMITS[name]()
    told = f"retry-after: {asked}\r\n" if asked else ""
    refusal = f"HTTP/1.1 429 Too Many Requests\r\n{told}content-length: 0\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                taken = takes()
                counts[0 if taken else 1] += 1
                if taken:
                    await asyncio.sleep(0.05)
                writer.write(REPLY_HEAD + REPLY_BODY if taken else refusal)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, sock=listening)
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def _server(name: str, asked: int | None) -> Iterator[tuple[str, list[int]]]:
    """Run a server in a process of its own; give its URL, and how many requests it has taken and refused."""
    context = multiprocessing.get_context("spawn")
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        counts = context.Array("q", 2)
        process = context.Process(target=_serve, args=(listening, counts, name, asked), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", counts  # type: ignore[misc]  # it is as good as a list
        finally:
            process.terminate()
            process.join()


if __name__ == "__main__":
    run()
