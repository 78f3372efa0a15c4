"""A server that says what it likes, when it likes: faults of HTTP that no honest server has, one a port."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Self

from hfasr import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    DeadlineExceededError,
    PermissionDeniedError,
)

__all__ = ["FAULTS", "Adversary", "Fault"]

Said = Iterator[bytes | float]

OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
MIB = 2**20
_SEND_BYTES = 100 * MIB  # far beyond every cap: who reads all of it is found out by the memory it takes
_AFTER_S = 0.05  # lets the client read what was said: on some systems a reset discards it


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and what must become of it."""

    said: Callable[[], Said]
    """What is sent: bytes; numbers are pauses in seconds."""

    error: type[Exception] | None
    """What a call must end with; ``None``: it has a transcript, "ok"."""

    says: str | None = None
    """Regular expression for its message."""

    read: Literal["all", "head", "nothing"] = "all"
    """How much of the request is read before."""

    end: Literal["close", "reset", "stay"] = "close"
    """What follows."""

    scheme: Literal["http", "https"] = "http"
    """What the client is told to speak; the server itself has no TLS."""

    upload: Literal["small", "large"] = "small"
    """Whether the audio fits into the buffers of the sockets."""

    bomb: bool = False
    """Whether it aims at the client's memory."""


class Adversary:
    """Does *fault* to whoever connects."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(16)
        self.url = f"{fault.scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        with contextlib.suppress(OSError):  # an accept() is not woken by a close
            socket.create_connection(self._listening.getsockname(), timeout=1).close()
        for thread in list(self._threads):
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._leaving.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)  # so that `_leaving` is looked at
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._fault.read != "nothing" and not self._read(connection):
                return
            n_sent = 0
            for piece in self._fault.said():
                if isinstance(piece, float):
                    if self._leaving.wait(piece):
                        return
                elif not self._send(connection, piece) or (n_sent := n_sent + len(piece)) > _SEND_BYTES:
                    return
            if self._fault.end == "stay":
                self._leaving.wait()
            elif self._fault.end == "reset":
                self._leaving.wait(_AFTER_S)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(socket.SHUT_WR)
                self._drain(connection)

    def _read(self, connection: socket.socket) -> bool:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._receive(connection)
            if not piece:
                return False
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        if self._fault.read == "all":
            lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
            left = next((int(value) for name, _, value in lines if name == b"content-length"), 0) - len(body)
            while left > 0 and (piece := self._receive(connection)):
                left -= len(piece)
        return True

    def _receive(self, connection: socket.socket) -> bytes:
        while not self._leaving.is_set():
            try:
                return connection.recv(65_536)
            except TimeoutError:
                continue
        return b""

    def _send(self, connection: socket.socket, piece: bytes) -> bool:
        left = memoryview(piece)
        while left and not self._leaving.is_set():
            with contextlib.suppress(TimeoutError):
                left = left[connection.send(left) :]
        return not left

    def _drain(self, connection: socket.socket) -> None:
        """Read on for a moment: closing with unread bytes resets, and that can overtake what was said."""
        until = time.monotonic() + 1
        while time.monotonic() < until and self._receive(connection):
            continue


def _once(*pieces: bytes) -> Callable[[], Said]:
    return lambda: iter(pieces)


def _for_ever(head: bytes, piece: bytes, pause: float = 0.0) -> Callable[[], Said]:
    """Say *head*, then *piece* again and again."""
    block = piece if pause else piece * max(1, 65_536 // len(piece))

    def said() -> Said:
        yield head
        while True:
            yield block
            if pause:
                yield pause

    return said


def _drip(text: bytes, interval: float = 0.05) -> Callable[[], Said]:
    """Say *text* a byte at a time, and its last one never."""

    def said() -> Said:
        for start in range(len(text) - 1):
            yield text[start : start + 1]
            yield interval
        while True:
            yield interval

    return said


def _body(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


@functools.cache
def _packed(wbits: int, n_mib: int = 64) -> bytes:
    """Return spaces, a thousand times smaller."""
    packer = zlib.compressobj(1, wbits=wbits)
    return b"".join(packer.compress(b" " * MIB) for _ in range(n_mib)) + packer.flush()


def _bomb(encoding: str, packed: Callable[[], bytes]) -> Callable[[], Said]:
    """Say a packed body that is made only now."""
    return lambda: iter((_body(packed(), f"Content-Encoding: {encoding}".encode()),))


TEXT = b'{"text": "ok"}'
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
LATE, CONNECTION, RESPONSE = DeadlineExceededError, APIConnectionError, APIResponseError
FILLER = b"X-Filler: " + b"y" * 1_000 + b"\r\n"

FAULTS: dict[str, Fault] = {
    # Bodies that are more than they seem.
    "gzip bomb": Fault(_bomb("gzip", lambda: _packed(31)), RESPONSE, "larger than", bomb=True),
    "deflate bomb": Fault(_bomb("deflate", lambda: _packed(15)), RESPONSE, "larger than", bomb=True),
    "raw deflate bomb": Fault(_bomb("deflate", lambda: _packed(-15)), RESPONSE, "larger than", bomb=True),
    "gzip in gzip, said twice": Fault(
        _bomb("gzip, gzip", lambda: gzip.compress(_packed(31))), RESPONSE, "packed its reply as 'gzip, gzip'"
    ),
    "gzip in gzip, said once": Fault(_bomb("gzip", lambda: gzip.compress(_packed(31))), RESPONSE, "no transcript"),
    "br": Fault(_once(_body(b"\x8b\x03\x80" + bytes(99), b"Content-Encoding: br")), RESPONSE, "packed its reply as 'br'"),
    "zstd": Fault(_once(_body(b"\x28\xb5\x2f\xfd", b"Content-Encoding: zstd")), RESPONSE, "packed its reply as 'zstd'"),
    "gzip of many empty parts": Fault(_bomb("gzip", lambda: gzip.compress(b"") * 200_000), RESPONSE, bomb=True),
    "gzip that inflates to nothing": Fault(
        _bomb("gzip", lambda: gzip.compress(TEXT)[:-8] + b"\x00\x00\x00\xff\xff" * 8_000_000), RESPONSE, bomb=True
    ),
    "endless body without a length": Fault(_for_ever(JSON + b"\r\n", b" " * 65_536), RESPONSE, "larger than", bomb=True),
    "endless chunks": Fault(
        _for_ever(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"), RESPONSE, "larger than", bomb=True
    ),
    "endless chunks of a byte": Fault(_for_ever(CHUNKED, b"1\r\n \r\n"), LATE, bomb=True),
    "endless refusal": Fault(
        _for_ever(b"HTTP/1.1 500 Oops\r\n\r\n", b"sorry " * 10_000), RESPONSE, "larger than", bomb=True
    ),
    "JSON of nothing but lists": Fault(
        lambda: iter((_body(b'{"text": "ok", "chunks": [' + b"[]," * 4_000_000 + b"0]}"),)), RESPONSE, bomb=True
    ),
    "JSON that nests": Fault(lambda: iter((_body(b"[" * 4_000_000),)), RESPONSE, bomb=True),
    "JSON that nests in a refusal": Fault(
        lambda: iter((_body(b"[" * 4_000_000, status=b"400 Bad Request"),)), BadRequestError, bomb=True
    ),
    "a text without end": Fault(
        lambda: iter((_body(b'{"text": "' + b"ab cd " * 1_300_000 + b'"}'),)), RESPONSE, "characters", bomb=True
    ),
    "a number of a million digits": Fault(
        lambda: iter((_body(b'{"text": "ok", "duration": ' + b"9" * 1_000_000 + b"}"),)), RESPONSE
    ),
    # Heads.
    "endless line of a header": Fault(_for_ever(OK + b"X-Filler: ", b"y" * 65_536), CONNECTION, bomb=True),
    "endless status line": Fault(_for_ever(b"HTTP/1.1 200 ", b"y" * 65_536), CONNECTION, bomb=True),
    "endless headers": Fault(_for_ever(OK, FILLER), CONNECTION, bomb=True),
    "endless informational replies": Fault(_for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), LATE, bomb=True),
    "endless informational replies, slowly": Fault(_for_ever(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.1), LATE),
    "a few informational replies": Fault(
        _once(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3, _body(TEXT)), None
    ),
    "endless trailers": Fault(_for_ever(CHUNKED + b"e\r\n" + TEXT + b"\r\n0\r\n", FILLER), RESPONSE, bomb=True),
    "endless extension of a chunk": Fault(_for_ever(CHUNKED + b"e;x=", b"y" * 65_536), RESPONSE, bomb=True),
    "endless size of a chunk": Fault(_for_ever(CHUNKED, b"0" * 65_536), RESPONSE, bomb=True),
    "size of a chunk that is none": Fault(_once(CHUNKED + b"zz\r\n" + TEXT), RESPONSE, "cut off"),
    "negative size of a chunk": Fault(_once(CHUNKED + b"-e\r\n" + TEXT + b"\r\n0\r\n\r\n"), RESPONSE, "cut off"),
    # Drips.
    "status line, a byte at a time": Fault(_drip(_body(TEXT)), LATE),
    "headers, a byte at a time": Fault(lambda: _after(OK, _drip(FILLER * 9)()), LATE),
    "body, a byte at a time": Fault(lambda: _after(_body(b" " * 999)[:-999], _drip(b" " * 999)()), LATE),
    "chunks, a byte at a time": Fault(lambda: _after(CHUNKED, _drip(b"1\r\n \r\n" * 99)()), LATE),
    "nothing": Fault(_once(), LATE, end="stay"),
    "nothing after the headers": Fault(_once(JSON + b"Content-Length: 14\r\n\r\n"), LATE, end="stay"),
    # Lengths that lie.
    "a length that is too small": Fault(_once(JSON + b"Content-Length: 3\r\n\r\n" + TEXT), RESPONSE, "no transcript"),
    "a length that is too large": Fault(_once(JSON + b"Content-Length: 99\r\n\r\n" + TEXT), RESPONSE, "cut off"),
    "a negative length": Fault(_once(JSON + b"Content-Length: -14\r\n\r\n" + TEXT), CONNECTION),
    "a length in words": Fault(_once(JSON + b"Content-Length: many\r\n\r\n" + TEXT), CONNECTION),
    "a length of 5000 digits": Fault(_once(JSON + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n" + TEXT), CONNECTION),
    "a length beyond all memory": Fault(_once(JSON + b"Content-Length: %d\r\n\r\n" % 2**62 + TEXT), RESPONSE, "cut off"),
    "two lengths": Fault(_once(JSON + b"Content-Length: 14\r\nContent-Length: 15\r\n\r\n" + TEXT), CONNECTION),
    "the same length twice": Fault(_once(JSON + b"Content-Length: 14\r\nContent-Length: 14\r\n\r\n" + TEXT), None),
    "an unknown transfer encoding": Fault(_once(JSON + b"Transfer-Encoding: gzip\r\n\r\n" + TEXT), CONNECTION),
    # Replies at the wrong moment.
    "a reply before the request": Fault(_once(_body(TEXT)), None, read="nothing"),
    "a refusal before the upload": Fault(
        _once(_body(b'{"error": "not you"}', b"Connection: close", status=b"403 Forbidden")),
        PermissionDeniedError, "not you", read="head", upload="large",
    ),
    "a close in the upload": Fault(_once(), CONNECTION, read="head", upload="large"),
    "a reset in the upload": Fault(_once(), CONNECTION, read="head", upload="large", end="reset"),
    "an upload that is not read": Fault(_once(), LATE, read="head", upload="large", end="stay"),
    "two replies": Fault(_once(_body(TEXT) + _body(b'{"text": "smuggled"}')), None),
    "a close at once": Fault(_once(), CONNECTION, read="nothing"),
    "a reset in the headers": Fault(_once(JSON), CONNECTION, end="reset"),
    # No HTTP/1.1.
    "switching protocols": Fault(
        _once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + TEXT), CONNECTION
    ),
    "HTTP/0.9": Fault(_once(TEXT), CONNECTION),
    "HTTP/1.0": Fault(_once(b"HTTP/1.0 200 OK\r\n\r\n" + TEXT), None),
    "HTTP/2 without being asked": Fault(_once(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)), CONNECTION, end="stay"),
    "a status of 999": Fault(_once(_body(TEXT, status=b"999 Odd")), APIStatusError, "999"),
    "a status of 99999": Fault(_once(_body(TEXT, status=b"99999 Odd")), CONNECTION),
    "a header without a name": Fault(_once(OK + b": x\r\n\r\n"), CONNECTION),
    "NUL in a header": Fault(_once(OK + b"X-Nul: a\x00b\r\n\r\n" + TEXT), CONNECTION),
    "SSH": Fault(_once(b"SSH-2.0-OpenSSH_9.6\r\n"), CONNECTION, read="nothing"),
    "endless noise": Fault(_for_ever(b"", b"\xff\xfe" * 5_000), CONNECTION, bomb=True),
    # No TLS.
    "HTTP where TLS was expected": Fault(_once(_body(TEXT)), CONNECTION, read="nothing", scheme="https"),
    "noise where TLS was expected": Fault(
        _for_ever(b"", b"\xff" * 65_536), CONNECTION, read="nothing", scheme="https", bomb=True
    ),
    "a handshake without end": Fault(
        # Records of a handshake whose message never ends: 16 kB each, of a certificate of 16 MB.
        _for_ever(b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff", b"\x16\x03\x03\x40\x00" + bytes(16_384)),
        CONNECTION, read="nothing", scheme="https", bomb=True,
    ),
    "no handshake": Fault(_once(), LATE, read="nothing", scheme="https", end="stay"),
}  # fmt: skip


def _after(head: bytes, rest: Said) -> Said:
    yield head
    yield from rest
