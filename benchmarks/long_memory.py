"""
Peak memory of long audio, above the interpreter with its imports.

Each measurement runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.measure import show
from benchmarks.server import slow_server
from hfasr import ASRClient, AsyncASRClient, Transcript

RATE_HZ, CHANNELS = 44_100, 2
HOURS = (2, 4)
SHORT_S = 32
"""Of the call before: two chunks, so that what cuts and joins them is imported as well."""

BLOCK_BYTES = 65_536
KINDS = ("wav", "flac", "url", "bytes")
"""How it is given: a file, a URL of a WAV file, an iterable of the bytes of one."""

WAYS = {"sync hf": "chunks of 30 s", "async hf": "chunks of 30 s", "sync openai": "chunks of 2 min"}


def run(minute: Path) -> None:
    """Print the lines of the table, for the sound of *minute* over and over: silence would not be sent."""
    if sys.platform != "linux":
        print("memory is not measured here: the peak is read from Linux's /proc")
        return
    with slow_server(0.0) as url, _web(minute) as web, tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for hours in HOURS:
                given = f"{web}/{3600 * hours}" if kind == "url" else str(3600 * hours)
                if kind in {"wav", "flac"}:
                    given = str(repeated(minute, 60 * hours, Path(folder, f"long.{kind}")))
                for way, length in WAYS.items():
                    figure = _peak_mb(way, kind, given, minute, url)
                    show(f"{way}: MB for {hours} h as {kind}, {length}", figure, "at most 150")


def repeated(minute: Path, times: int, path: Path) -> Path:
    """Write the sound of *minute* so many times into *path*."""
    samples, rate = soundfile.read(minute, dtype="int16")
    with soundfile.SoundFile(path, "w", rate, samples.shape[1]) as file:
        for _ in range(times):
            file.write(samples)
    return path


def transcribe(colour: str, short: Any, long: Any, between: Callable[[], None], **settings: Any) -> Transcript:
    """Transcribe *short*, so that everything is imported and connected; call *between*; transcribe *long*."""
    if colour == "sync":
        with ASRClient(token="x", **settings) as asr:
            asr.transcribe(short)
            between()
            return asr.transcribe(long)

    async def main() -> Transcript:
        async with AsyncASRClient(token="x", **settings) as client:
            await client.transcribe(short)
            between()
            return await client.transcribe(long)

    return asyncio.run(main())


def _peak_mb(way: str, kind: str, given: str, minute: Path, url: str) -> float:
    command = [sys.executable, "-m", "benchmarks.long_memory", way, kind, given, str(minute), url]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _bytes(minute: Path, seconds: int) -> Iterator[bytes]:
    """Give a WAV file of so many seconds: the sound of *minute* over and over."""
    left = seconds * RATE_HZ * CHANNELS * 2
    with minute.open("rb") as file:
        head = bytearray(file.read(44))
        head[4:8], head[40:44] = (left + 36).to_bytes(4, "little"), left.to_bytes(4, "little")
        yield bytes(head)
        while left:
            block = file.read(min(BLOCK_BYTES, left))
            left -= len(block)
            if block:
                yield block
            else:
                file.seek(44)


@contextmanager
def _web(minute: Path) -> Iterator[str]:
    """Serve ``/{seconds}``: a WAV file of that length."""

    def answer(connection: socket.socket) -> None:
        with connection:
            seconds = int(connection.recv(BLOCK_BYTES).split()[1].strip(b"/"))
            n_bytes = 44 + seconds * RATE_HZ * CHANNELS * 2
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: %d\r\n\r\n" % n_bytes)
            for block in _bytes(minute, seconds):
                connection.sendall(block)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _child(way: str, kind: str, given: str, minute: str, url: str) -> None:
    colour, dialect = way.split()
    settings = {"base_url": f"{url}/v1", "dialect": "openai"} if dialect == "openai" else {"router_url": url}
    short: Any = b"".join(_bytes(Path(minute), SHORT_S))
    long: Any = given
    if kind == "url":
        short = f"{given.rpartition('/')[0]}/{SHORT_S}"
    elif kind == "bytes":
        short, long = _bytes(Path(minute), SHORT_S), _bytes(Path(minute), int(given))
    before: list[int] = []

    def begin() -> None:
        before.append(_status("VmRSS"))
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew

    transcript = transcribe(colour, short, long, begin, allow_private_urls=True, **settings)
    if transcript.provenance is None or transcript.provenance.chunks < 2:
        raise AssertionError("the long audio was not cut")
    print((_status("VmHWM") - before[0]) / 1e6)


def _status(name: str) -> int:
    """Return a figure of this process's memory, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


if __name__ == "__main__":
    _child(*sys.argv[1:])
