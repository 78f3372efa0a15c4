"""Sockets below HTTP: clamped to the deadline, and ended from outside."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from hfasr._core import network
from hfasr._core.cancel import CANCEL, Cancel, Cancelled
from hfasr._core.expiry import EXPIRES
from hfasr._core.network import BlockingBackend
from tests.core.network_kit import Net, Stream

NOW = 1000.0
KIB16 = 16 * 1024


@pytest.fixture
def expires(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Say how many seconds the request has left, on a clock that stands still."""
    monkeypatch.setattr(network, "time", SimpleNamespace(monotonic=lambda: NOW))
    tokens = []

    def set_(seconds: float | None) -> None:
        tokens.append(EXPIRES.set(None if seconds is None else NOW + seconds))

    yield set_
    for token in reversed(tokens):
        EXPIRES.reset(token)


def blocking(guarded: bool = False, **answers: Any) -> tuple[BlockingBackend, Net]:
    backend = BlockingBackend(guarded=guarded)
    net: Any = Net(**answers)
    backend._backend = net
    return backend, net


def connected(stream: Stream) -> Any:
    return blocking(_1=stream)[0].connect_tcp("127.0.0.1", 80)


# Clamped


@pytest.mark.parametrize(
    ("left", "timeout", "clamped"),
    [(None, 3.0, 3.0), (None, None, None), (2.0, 3.0, 2.0), (4.0, 3.0, 3.0), (2.0, None, 2.0), (0.5, 3.0, 0.5)],
)
def test_clamped(expires: Any, left: float | None, timeout: float | None, clamped: float | None) -> None:
    """Each operation may take its timeout, and no longer than the request has."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours)
        expires(left)
        backend, net = blocking(_1=stream)
        connection = backend.connect_tcp("127.0.0.1", 80, timeout, "10.0.0.1", [(1, 2, 3)])
        assert net.asked == [("127.0.0.1", 80, clamped, "10.0.0.1", [(1, 2, 3)])]
        assert connection.read(99, timeout) == b"said"
        connection.write(b"asked", timeout)
        context = ssl.create_default_context()
        connection.start_tls(context, "h.test", timeout).read(9, timeout)
        assert stream.done == [
            ("read", 99, clamped),
            ("write", b"asked", clamped),
            ("start_tls", context, "h.test", clamped),
        ]


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_no_time_left(expires: Any, left: float) -> None:
    """Without time nothing is done at all; each kind of operation has its own error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours)
        connection = connected(stream)
        backend, net = blocking(_1=stream)
        expires(left)
        for kind, work in (
            (httpcore.ReadTimeout, lambda: connection.read(1)),
            (httpcore.WriteTimeout, lambda: connection.write(b"x")),
            (httpcore.ConnectTimeout, lambda: backend.connect_tcp("127.0.0.1", 80)),
            (httpcore.ConnectTimeout, lambda: connection.start_tls(ssl.create_default_context())),
        ):
            with pytest.raises(kind, match=r"^the call's deadline passed$"):
                work()
        assert (stream.done, net.asked) == ([("close",)], [])  # a connection without its TLS is of no use


def test_no_time_left_after_the_look_up(expires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name took all of the time, no address is connected to."""

    def look_up(*_: Any) -> list[str]:
        expires(0.0)
        return ["8.8.8.1"]

    monkeypatch.setattr(network, "addresses_of", look_up)
    expires(5.0)
    backend, net = blocking(_1=Stream())
    with pytest.raises(httpcore.ConnectTimeout, match=r"^the call's deadline passed$"):
        backend.connect_tcp("h.test", 80)
    assert net.asked == []


@pytest.mark.parametrize(("n_bytes", "sizes"), [(0, []), (1, [1]), (KIB16, [KIB16]), (KIB16 + 1, [KIB16, 1])])
def test_writing(expires: Any, n_bytes: int, sizes: list[int]) -> None:
    """Under a deadline bytes go out in pieces, each with what is left; without one all at once."""
    data = os.urandom(n_bytes)
    stream = Stream()
    connection = connected(stream)
    connection.write(data, 3.0)
    assert stream.done == [("write", data, 3.0)]
    stream.done.clear()
    expires(2.0)
    connection.write(data, 3.0)
    assert [len(piece) for _, piece, _ in stream.done] == sizes
    assert b"".join(piece for _, piece, _ in stream.done) == data
    assert {timeout for _, _, timeout in stream.done} <= {2.0}


def test_the_rest() -> None:
    """What is known of a connection is the stream's own, and closing closes that."""
    stream = Stream()
    connection = connected(stream)
    assert connection.get_extra_info("server_addr") == "its server_addr"
    connection.close()
    assert stream.done == [("close",)]


# Ended from outside


def test_cut() -> None:
    """All connections of a back-end end when they are cut, and so do those that are made after that."""
    pairs = [socket.socketpair() for _ in range(3)]
    backend, net = blocking()
    for i, (ours, _) in enumerate(pairs):
        net.answers[f"_{i}"] = Stream(ours)
    kept = [backend.connect_tcp(f"127.0.0.{i}", 80) for i in range(2)]
    assert not ended(pairs[0][1])
    backend.cut()
    assert [ended(theirs) for _, theirs in pairs] == [True, True, False]
    kept.append(backend.connect_tcp("127.0.0.2", 80))
    assert ended(pairs[2][1])
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def ended(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


def test_cut_while_it_shakes_hands() -> None:
    """A handshake is ended by a socket of its own, which is closed after it; the connection is closed, too."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours, fails=httpcore.ConnectError("broken off"))
        backend, _ = blocking(_1=stream)
        connection = backend.connect_tcp("127.0.0.1", 80)
        number = ours.fileno()
        seen: list[bool] = []
        stream.sock = SimpleNamespace(fileno=lambda: number, family=ours.family, type=ours.type)

        def cut() -> None:
            backend.cut()
            seen.append(ended(theirs))

        stream.meanwhile = cut
        with pytest.raises(httpcore.ConnectError):
            connection.start_tls(ssl.create_default_context(), "h.test")
        assert seen == [True]
        assert stream.done[-1] == ("close",)


def test_watched_by_its_batch() -> None:
    """What a batch's thread waits for ends with the batch: reading, writing and shaking hands; nothing else does."""
    ours, theirs = socket.socketpair()
    cancel = Cancel()
    token = CANCEL.set(cancel)
    with ours, theirs:
        try:
            stream = Stream(ours)
            connection = connected(stream)
            watched: list[Any] = []
            for work in ("read", "write", "start_tls"):
                original = getattr(stream, work)

                def noted(*args: Any, original: Any = original) -> Any:
                    watched.extend(cancel._streams)
                    return original(*args)

                setattr(stream, work, noted)
            connection.read(1)
            connection.write(b"x")
            assert watched == [stream, stream]
            stream.meanwhile = cancel.cut
            connection.start_tls(ssl.create_default_context())
            assert ended(theirs)
            assert not cancel._streams
            with pytest.raises(Cancelled):
                connection.read(1)
            with pytest.raises(Cancelled):
                connection.write(b"x")
        finally:
            CANCEL.reset(token)
    assert len(watched) == 3
    assert watched[2].get_extra_info("server_addr") is None  # of a socket alone


def test_after_a_fork() -> None:
    """A child closes its copies of the parent's sockets without a word to the server, and forgets them."""
    ours, theirs = socket.socketpair()
    backend, _ = blocking(_1=Stream(ours))
    connection = backend.connect_tcp("127.0.0.1", 80)
    twin = ours.dup()  # the parent's
    backend._streams.renew()
    assert ours.fileno() == -1
    assert not ended(theirs)
    backend.cut()
    assert not ended(theirs)
    assert connection.get_extra_info("socket") is ours
    twin.close()
    theirs.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks there")
def test_closing_an_event_loops_socket_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an event loop holds is closed behind its back, and its number kept from other files; what is closed is fine."""
    ours, theirs = socket.socketpair()
    held = SimpleNamespace(fileno=ours.fileno)
    opened: list[int] = []
    open_ = os.open

    def noted(*args: Any) -> int:
        opened.append(open_(*args))
        return opened[-1]

    monkeypatch.setattr(os, "open", noted)
    network._close_here(held)
    assert ended(theirs)
    assert os.path.samestat(os.fstat(ours.fileno()), Path(os.devnull).stat())
    assert not os.get_inheritable(ours.fileno())
    with pytest.raises(OSError):  # errno.EBADF
        os.fstat(opened[0])
    ours.close()
    theirs.close()

    def gone(error: Exception) -> int:
        raise error

    for closed in (
        None,
        SimpleNamespace(fileno=lambda: -1),
        SimpleNamespace(fileno=lambda: gone(ValueError())),
        SimpleNamespace(fileno=lambda: gone(OSError())),
        ours,
    ):
        network._close_here(closed)
