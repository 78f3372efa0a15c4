"""What a server sends goes on to the disk as it comes, in every colour; what fails leaves nothing there."""

from __future__ import annotations

import gc
import gzip
import random
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from hfasr._core.clock import SystemClock
from hfasr._core.config import Config
from hfasr._core.context import CallContext
from hfasr._core.http import AsyncHTTP
from hfasr._core.io import AsyncIO
from hfasr._core.shared import Shared
from hfasr.audio import load
from hfasr.audio.spool import Spool, SpooledSource
from hfasr.errors import APIResponseError, AudioError, AudioURLError, DeadlineExceededError
from tests.audio.spool_kit import Answers, answer, head, load_by_core, nothing_left_open, run, temporary_files

pytestmark = [
    pytest.mark.usefixtures("disk"),
    pytest.mark.skipif(sys.platform != "linux", reason="open files are read from Linux's /proc"),
]
FLAC = b"fLaC" + random.Random(5).randbytes(6_000_000)


def endless(n_bytes: int = 2**40, pause: float = 0.0) -> Iterator[bytes]:
    """Give an answer that promises *n_bytes* and sends until the client leaves."""
    yield head(content_length=n_bytes)
    for _ in range(n_bytes // len(FLAC) + 1):
        for start in range(0, len(FLAC), 65_536):
            yield FLAC[start : start + 65_536]
            time.sleep(pause)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_file_goes_to_the_disk(colour: str, chunked: bool) -> None:
    """With and without a length, packed or not, the bytes are those that were sent."""
    body = gzip.compress(FLAC, 1) if chunked else FLAC

    def reply() -> Iterator[bytes]:
        yield head(transfer_encoding="chunked", content_encoding="gzip") if chunked else head(content_length=len(body))
        for start in range(0, len(body), 50_000):
            piece = body[start : start + 50_000]
            yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
        yield b"0\r\n\r\n" if chunked else b""

    def check(source: Any) -> tuple[type, bool, str, int]:
        return type(source), source.read() == FLAC, source.name, len(temporary_files())

    with nothing_left_open(), Answers(reply) as server:
        assert load_by_core(colour, server.url, then=check) == (SpooledSource, True, "long.wav", 1)


@pytest.mark.parametrize("status", [302, 404])
@pytest.mark.parametrize("length", [100, 10_000_000])
def test_only_audio_goes_to_the_disk(
    colour: str, monkeypatch: pytest.MonkeyPatch, disk: Path, status: int, length: int
) -> None:
    """The page of a redirect or of an error is not kept, and a large one is not even read."""
    monkeypatch.setattr("tempfile.tempdir", str(disk / "gone"))  # so that writing anything would fail

    def page() -> Iterator[bytes]:
        yield head(status, location="/next.flac", content_length=length)
        for _ in range(length // 100):
            yield b"<" * 100

    with Answers(page, answer(FLAC[:1_000])) as server:
        if status == 404:
            with pytest.raises(AudioURLError, match="answered with status 404"):
                load_by_core(colour, server.url)
        else:
            source = load_by_core(colour, server.url)
            assert source.read() == FLAC[:1_000]
            assert server.n_connections == (1 if length == 100 else 2)
        assert server.n_sent < 9_000_000


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_off(colour: str, packed: bool) -> None:
    """A connection that ends in the middle is an error that names the URL, and nothing stays on the disk."""
    body = gzip.compress(FLAC, 1) if packed else FLAC

    def reply() -> Iterator[bytes]:
        yield head(content_length=len(body), content_encoding="gzip" if packed else "identity")
        yield body[:-1_000]

    with nothing_left_open(), Answers(reply) as server:
        with pytest.raises(AudioURLError, match=r"127\.0\.0\.1/long\.wav answered, but its body was cut off") as caught:
            load_by_core(colour, server.url)
        assert isinstance(caught.value.__cause__, APIResponseError)
        del caught


def test_a_file_that_is_too_large(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the cap the download is left, whatever length it promised."""
    monkeypatch.setattr("hfasr.audio.urls.MAX_SPOOLED_BYTES", 5_000_000)
    with nothing_left_open(), Answers(endless) as server:
        with pytest.raises(AudioURLError, match="over 5000000 bytes") as caught:
            load_by_core(colour, server.url)
        del caught


def test_a_bomb_is_left_at_the_cap(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed bytes are counted as they are unpacked."""
    monkeypatch.setattr("hfasr.audio.urls.MAX_SPOOLED_BYTES", 5_000_000)
    bomb = gzip.compress(b"fLaC" + bytes(30_000_000), 1)
    with nothing_left_open(), Answers(answer(bomb, content_encoding="gzip")) as server:
        with pytest.raises(AudioURLError, match="over 5000000 bytes") as caught:
            load_by_core(colour, server.url)
        del caught


def test_a_full_disk(colour: str, monkeypatch: pytest.MonkeyPatch, disk: Path) -> None:
    """Where there is no room, the download is left with the remedy, on trio, too."""
    monkeypatch.setattr("tempfile.tempdir", str(disk / "gone"))
    with nothing_left_open(), Answers(endless) as server:
        with pytest.raises(AudioError, match=r"cannot be kept in a temporary file: .*; point TMPDIR") as caught:
            load_by_core(colour, server.url)
        assert not isinstance(caught.value, AudioURLError)
        del caught


def test_the_deadline_holds(colour: str) -> None:
    """A slow download ends at the deadline, after much of it went to the disk."""
    began = time.monotonic()
    with nothing_left_open(), Answers(lambda: endless(pause=0.001)) as server:
        with pytest.raises(DeadlineExceededError, match="fetching the audio") as caught:
            load_by_core(colour, server.url, deadline=0.7)
        del caught
        assert server.n_sent > 5_000_000
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_cancelling_leaves_nothing(loop: str) -> None:
    """A download that is cancelled is over at once, and its file is closed."""

    async def main() -> None:
        http = AsyncHTTP()
        call = CallContext(AsyncIO(http, SystemClock()), Config(), Shared(), None)
        with anyio.move_on_after(0.5) as scope:
            await load(server.url, call, allow_private_urls=True)
        assert scope.cancelled_caught
        await http.aclose()

    with nothing_left_open(), Answers(endless) as server:
        run(loop, main)
        assert server.n_sent > 5_000_000


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_cancelling_before_a_write(monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    """Also where the cancellation comes as a piece is due, what reads the socket is not left in the middle."""
    scopes: list[anyio.CancelScope] = []
    add = Spool.add

    def cancelling(spool: Spool, chunk: bytes) -> None:
        add(spool, chunk)
        if spool.due:
            scopes[0].cancel()

    async def main() -> None:
        http = AsyncHTTP()
        call = CallContext(AsyncIO(http, SystemClock()), Config(), Shared(), None)
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await load(server.url, call, allow_private_urls=True)
        assert scope.cancelled_caught
        gc.collect()
        await http.aclose()

    monkeypatch.setattr(Spool, "add", cancelling)
    with nothing_left_open(), Answers(endless) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run(loop, main)
    assert [str(warning.message) for warning in warned] == []


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_event_loop_does_not_write(monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    """Not one byte goes to the disk on the event loop's own thread."""
    from hfasr.audio import spool

    threads: set[int] = set()
    append = spool._Disk.append

    def watched(disk: Any, data: bytes) -> None:
        threads.add(threading.get_ident())
        append(disk, data)

    async def later() -> Any:
        for start in range(0, len(FLAC), 65_536):
            yield FLAC[start : start + 65_536]

    monkeypatch.setattr(spool._Disk, "append", watched)
    with Answers(answer(FLAC)) as server:
        assert load_by_core(loop, server.url).size == len(FLAC)
    assert load_by_core(loop, later()).size == len(FLAC)
    assert threads
    assert threading.get_ident() not in threads
