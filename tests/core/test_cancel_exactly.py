"""What a batch's way to stop its calls does, step by step, and what waits with it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from hfasr._core.bells import ThreadBell
from hfasr._core.cancel import (
    CANCEL,
    Cancel,
    Cancelled,
    CutOff,
    StoppableAsyncIO,
    StoppableBlockingIO,
    shut_down,
)
from hfasr._core.io import AsyncIO, BlockingIO, run_sync
from hfasr.testing import FakeClock

BACKENDS = ["asyncio", "trio"]


class Inner:
    """Goes on within a batch, and notes how it is ended."""

    def __init__(self, on_cut: Callable[[], None] = lambda: None) -> None:
        self.told: list[str] = []
        self._on_cut = on_cut

    def stop(self) -> None:
        self.told.append("stop")

    def cut(self) -> None:
        self.told.append("cut")
        self._on_cut()


class Stream:
    """In the place of a network stream of httpcore."""

    def __init__(self, sock: object) -> None:
        self.sock = sock

    def get_extra_info(self, name: str) -> object:
        return self.sock if name == "socket" else None


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(5.0)
        here.settimeout(5.0)
        yield here, there


def rang(bell: ThreadBell) -> bool:
    return bell._event.is_set()


def test_new() -> None:
    """A batch begins unstopped, within no other, and for no thread."""
    cancel = Cancel()
    assert (cancel.stopped.is_set(), cancel.was_cut, cancel.outer, cancel.is_ours) == (False, False, None, True)
    cancel.check()
    assert CANCEL.get() is None


def test_stop() -> None:
    """Stopping rings every bell that is waited for and stops what runs within, and cuts nothing."""
    cancel, inner, bells = Cancel(), [Inner(), Inner()], [ThreadBell(), ThreadBell()]
    for one in inner:
        cancel.adopt(one)
    with pytest.raises(Cancelled), cancel.hearing(bells[0]), cancel.hearing(bells[1]):
        cancel.stop()
    assert [one.told for one in inner] == [["stop"]] * 2
    assert all(map(rang, bells))
    assert not cancel.was_cut
    with pytest.raises(Cancelled):
        cancel.check()


def test_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    """Cutting stops, and ends what waits on sockets, here and within."""
    here, there = pair
    cancel = Cancel()
    order: list[tuple[bool, bytes]] = []
    inner = Inner(lambda: order.append((cancel.was_cut, there.recv(1))))
    cancel.adopt(inner)
    with cancel.watching(Stream(here)):
        cancel.cut()
    assert inner.told == ["stop", "cut"]
    assert order == [(True, b"")]
    assert cancel.was_cut
    assert cancel.stopped.is_set()


def test_nothing_is_cut_that_is_not_waited_on(pair: tuple[socket.socket, socket.socket]) -> None:
    """A stream that is no longer watched stays open, and what was released is left alone."""
    here, there = pair
    cancel, inner = Cancel(), Inner()
    cancel.adopt(inner)
    cancel.release(inner)
    cancel.release(inner)
    with cancel.watching(Stream(here)):
        pass
    with pytest.raises(ValueError, match="no"), cancel.watching(Stream(here)):
        raise ValueError("no")
    cancel.cut()
    here.send(b"x")
    assert there.recv(1) == b"x"
    assert inner.told == []


def test_nothing_waits_after_a_cut() -> None:
    """After a cut no stream is waited on; after a mere stop one may be, since it may be paid for."""
    cancel = Cancel()
    cancel.stop()
    with cancel.watching(Stream(None)):
        pass
    cancel.cut()
    with pytest.raises(Cancelled), cancel.watching(Stream(None)):
        raise AssertionError


def test_bells() -> None:
    """A bell is rung only while it is heard; who comes after a stop does not wait, and one during it ends."""
    cancel, before, after = Cancel(), ThreadBell(), ThreadBell()
    with cancel.hearing(before):
        pass
    cancel.stop()
    assert not rang(before)
    with pytest.raises(Cancelled), cancel.hearing(after):
        raise AssertionError
    cancel.stop()
    assert not rang(after)
    with pytest.raises(ValueError, match="no"), Cancel().hearing(after):
        raise ValueError("no")


@pytest.mark.parametrize(("end", "told"), [(None, []), (Cancel.stop, ["stop"]), (Cancel.cut, ["cut"])])
def test_adopted_late(end: Callable[[Cancel], None] | None, told: list[str]) -> None:
    """What comes to a batch that was stopped or cut is ended alike, at once."""
    cancel, inner = Cancel(), Inner()
    if end is not None:
        end(cancel)
    cancel.adopt(inner)
    assert inner.told == told


def test_around() -> None:
    """A batch is around itself and all that runs within it, however deep."""
    outer, middle, inner = Cancel(), Cancel(), Cancel()
    middle.outer, inner.outer = outer, middle
    assert [outer.is_around(one) for one in (outer, middle, inner)] == [True] * 3
    assert [inner.is_around(one) for one in (outer, middle, inner, None)] == [False, False, True, False]


def test_forked_child(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process nothing is cut or stopped: the sockets are the parent's."""
    here, there = pair
    cancel, inner = Cancel(), Inner()
    cancel.adopt(inner)
    pid = os.getpid() + 1
    with cancel.watching(Stream(here)):
        monkeypatch.setattr(os, "getpid", lambda: pid)
        assert not cancel.is_ours
        cancel.cut()
    assert (cancel.was_cut, cancel.stopped.is_set(), inner.told) == (False, False, [])
    here.send(b"x")
    assert there.recv(1) == b"x"


@pytest.mark.parametrize("sock", [None, object()])
def test_shut_down_of_what_has_no_socket(sock: object) -> None:
    """A stream without a socket is left alone."""
    shut_down(Stream(sock))


def test_shut_down_of_a_closed_socket() -> None:
    """A socket that has just been closed needs no end."""
    here, there = socket.socketpair()
    with there:
        here.close()
        shut_down(Stream(here))
        assert there.recv(1) == b""


def test_shut_down_in_both_directions(pair: tuple[socket.socket, socket.socket]) -> None:
    """Neither reading nor writing goes on."""
    here, there = pair
    there.send(b"x")
    shut_down(Stream(here))
    with pytest.raises(OSError, match=r".+"):
        here.send(b"x")
    assert here.recv(9) in (b"x", b"")
    assert here.recv(1) == b""


class HTTP:
    """Answers once, after it has done something; notes what it was asked."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, error: Exception | None = None) -> None:
        self.asked: list[Any] = []
        self._meanwhile = meanwhile
        self._error = error

    def send(self, request: Any, **options: Any) -> str:
        self.asked.append((request, options))
        self._meanwhile()
        if self._error is not None:
            raise self._error
        return "response"


class AsyncHTTP(HTTP):
    async def send(self, request: Any, **options: Any) -> str:  # type: ignore[override]  # the other colour
        return super().send(request, **options)


def blocking(cancel: Cancel, http: Any = None) -> Any:
    return StoppableBlockingIO(BlockingIO(http, FakeClock()), cancel)


OPTIONS: Any = {"timeout": 3.0, "expires_in": 2.0, "reach": "reach"}


def test_send() -> None:
    """A request goes on to the client's connections as it is; after a stop none is sent."""
    cancel, http = Cancel(), HTTP()
    io = blocking(cancel, http)
    assert run_sync(io.send("request", **OPTIONS)) == "response"
    assert http.asked == [("request", OPTIONS)]
    cancel.stop()
    with pytest.raises(Cancelled) as caught:
        run_sync(io.send("request", **OPTIONS))
    assert type(caught.value) is Cancelled
    assert len(http.asked) == 1


@pytest.mark.parametrize(("end", "kind"), [(Cancel.cut, CutOff), (Cancel.stop, OSError), (Cancel.check, OSError)])
def test_send_that_fails(end: Callable[[Cancel], None], kind: type[BaseException]) -> None:
    """What fails because it was cut off says so; what fails otherwise, also after a stop, is told as it is."""
    cancel = Cancel()
    with pytest.raises(kind):
        run_sync(blocking(cancel, HTTP(lambda: end(cancel), OSError("gone"))).send("request", **OPTIONS))


def test_cancelled_is_no_exception() -> None:
    """Nothing on the way takes it for an error; being cut off is one way of it."""
    assert issubclass(CutOff, Cancelled)
    assert not issubclass(Cancelled, Exception)


def test_answer_after_a_stop() -> None:
    """An answer that came in spite of a stop is kept: it may be paid for."""
    cancel = Cancel()
    assert run_sync(blocking(cancel, HTTP(cancel.stop)).send("request", **OPTIONS)) == "response"


def test_pauses() -> None:
    """A pause is the clock's, and ends with the batch; so does waiting for a bell."""
    cancel = Cancel()
    io = blocking(cancel)
    run_sync(io.sleep(50.0))
    assert io.clock.sleeps == [50.0]
    bell = io.bell()
    bell.ring()
    run_sync(io.hear(bell, None))
    run_sync(io.hear(io.bell(), 0.001))
    io.check_cancelled()
    timer = threading.Timer(0.02, cancel.stop)
    timer.start()
    with pytest.raises(Cancelled):
        run_sync(io.hear(io.bell(), 20.0))
    timer.join()
    with pytest.raises(Cancelled):
        run_sync(io.sleep(50.0))
    with pytest.raises(Cancelled):
        io.check_cancelled()


class RealPauses(FakeClock):
    def pause(self, seconds: float) -> float:
        super().pause(seconds)
        return seconds


def test_stop_in_a_pause() -> None:
    """A pause that really passes is cut short by a stop."""
    cancel, clock = Cancel(), RealPauses()
    timer = threading.Timer(0.02, cancel.stop)
    timer.start()
    with pytest.raises(Cancelled):
        run_sync(StoppableBlockingIO(BlockingIO(None, clock), cancel).sleep(20.0))  # type: ignore[arg-type]
    timer.join()
    assert clock.sleeps == [20.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks(backend: str) -> None:
    """The same in tasks, on asyncio and trio."""

    async def main() -> None:
        cancel, http, clock = Cancel(), AsyncHTTP(), RealPauses()
        io: Any = StoppableAsyncIO(AsyncIO(http, clock), cancel)  # type: ignore[arg-type]  # it only sends
        assert await io.send("request", **OPTIONS) == "response"
        assert http.asked == [("request", OPTIONS)]
        await io.sleep(0.01)
        bell = io.bell()
        bell.ring()
        with anyio.fail_after(10):
            await io.hear(bell, None)
            await io.hear(io.bell(), 0.001)
        timer = threading.Timer(0.02, cancel.stop)
        timer.start()
        with anyio.fail_after(10), pytest.raises(Cancelled):
            await io.sleep(20.0)
        timer.join()
        for wait in (io.send("request", **OPTIONS), io.sleep(20.0), io.hear(io.bell(), 20.0)):
            with pytest.raises(Cancelled):
                await wait
        assert len(http.asked) == 1
        assert clock.sleeps == [0.01, 20.0, 20.0]

    anyio.run(main, backend=backend)
