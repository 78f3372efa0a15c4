"""
HTTP/1.1 over one socket, as far as a fake server needs it, and the ways in which it can break.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from time import gmtime, strftime
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from .replies import Reply

__all__ = ["BadHTTPError", "RecordedRequest", "arm_reset", "read_body", "read_head", "render"]

MAX_LINE = 65_536  # bytes of one header line
MAX_HEADERS = 100


class BadHTTPError(Exception):
    """What came is not an HTTP/1.1 request."""


@dataclass(slots=True)
class RecordedRequest:
    """
    One request that a `FakeASRServer` got.

    It is recorded when the request has been read; *status* and *heard* are filled in before the
    answer goes out.
    """

    method: str
    """Such as ``"POST"``."""

    path: str
    """Decoded, without the query."""

    query: dict[str, str]
    """Decoded; the last of repeated names."""

    headers: dict[str, str]
    """Lower-case names; values of repeated names joined by ``", "``."""

    received_at: float
    """When its headers were in, seconds, on the clock of ``time.monotonic()``."""

    body: bytes = b""
    """The whole body, unpacked from chunks; at most one byte more than the server's limit."""

    status: int | None = None
    """HTTP status of the answer; ``None`` where none was given."""

    heard: str | None = None
    """Text that the engine heard; ``None`` where it was not asked."""


def read_head(stream: BinaryIO, now: float) -> RecordedRequest | None:
    """
    Read a request's first line and headers; ``None`` at the end of the connection.

    Raises:
        BadHTTPError: Not HTTP/1.1.
    """
    line = stream.readline(MAX_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
        url = urlsplit(target)
    except ValueError:
        raise BadHTTPError("not a request line") from None
    if not version.startswith("HTTP/1."):
        raise BadHTTPError(f"{version} is not HTTP/1")
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = stream.readline(MAX_LINE)
        if line in (b"\r\n", b"\n"):
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadHTTPError("a header without a colon")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    else:
        raise BadHTTPError("too many headers")
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return RecordedRequest(
        method, unquote(url.path), dict(parse_qsl(url.query, keep_blank_values=True)), headers, received_at=now
    )


def read_body(stream: BinaryIO, sock: socket.socket, headers: dict[str, str], limit: int | None) -> bytes:
    """
    Read a request's body; beyond *limit* + 1 bytes it is read, but thrown away.

    Raises:
        BadHTTPError: It ends early, or its chunks are malformed.
    """
    if headers.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    kept = bytearray()
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := _chunk_size(stream):
            _copy(stream, size, kept, limit)
            stream.readline(MAX_LINE)
        while stream.readline(MAX_LINE).strip():
            pass  # trailers
    else:
        try:
            size = int(headers.get("content-length", "0"))
        except ValueError:
            raise BadHTTPError("content-length is not a number") from None
        _copy(stream, size, kept, limit)
    return bytes(kept)


def _chunk_size(stream: BinaryIO) -> int:
    try:
        return int(stream.readline(MAX_LINE).split(b";")[0], 16)
    except ValueError:
        raise BadHTTPError("a malformed chunk") from None


def _copy(stream: BinaryIO, size: int, kept: bytearray, limit: int | None) -> None:
    while size:
        block = stream.read(min(size, 1 << 20))
        if not block:
            raise BadHTTPError("the body ended early")
        size -= len(block)
        room = len(block) if limit is None else max(0, limit + 1 - len(kept))
        kept += block[:room]


def render(reply: Reply, *, chunked: bool, close: bool, with_body: bool = True) -> tuple[bytes, bytes]:
    """Return the bytes of the answer's head and body."""
    if reply.json is not None:
        body = json.dumps(reply.json, separators=(",", ":"), ensure_ascii=False).encode()
        kind = "application/json"
    else:
        body = reply.body.encode() if isinstance(reply.body, str) else bytes(reply.body)
        kind = "application/octet-stream"
    headers = {"date": strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime()), "content-type": kind}
    headers["connection"] = "close" if close else "keep-alive"
    if chunked:
        headers["transfer-encoding"] = "chunked"
        half = len(body) // 2
        pieces = [piece for piece in (body[:half], body[half:]) if piece]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        headers["content-length"] = str(len(body))
    headers.update({name.lower(): value for name, value in reply.headers.items()})
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1"), body if with_body else b""


def arm_reset(sock: socket.socket) -> None:
    """Make closing *sock* send a TCP reset, by a linger time of zero."""
    linger = struct.pack("hh" if hasattr(socket, "SO_EXCLUSIVEADDRUSE") else "ii", 1, 0)  # Windows: two shorts
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
