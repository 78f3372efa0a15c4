"""HTTP/1.1 on one connection, without the connection: h11 says what to write, and what was read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import h11

if TYPE_CHECKING:
    from hfasr.wire import Request

    from .target import Target

__all__ = ["READ_BYTES", "Head", "Talk", "kept_for", "plain_headers", "raw_headers"]

READ_BYTES = 64 * 1024

_MAX_HEAD_BYTES = 100 * 1024
_KEPT_FOR = re.compile(r"timeout\s*=\s*(\d{1,6})(?!\d)", re.IGNORECASE)
_JOINED_BYTES = 256 * 1024  # up to here a copy costs less than one more packet to send and to wake up for


class Head(NamedTuple):
    """A reply before its body."""

    status_code: int
    headers: dict[str, str]


class Talk:
    """
    Requests and their replies, one after the other.

    Whatever a server says that is not HTTP raises h11's ``RemoteProtocolError``, and a request that cannot be
    written h11's ``LocalProtocolError``, whose message may hold a header.
    """

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._is_doubtful = False  # where the reply ends
        self._may_hide_more = False
        self.is_answered = False
        """Whether anything at all has come since the last request."""

        self.has_left = False
        """Whether the server has, in place of an answer."""

    def ask(self, request: Request, target: Target) -> tuple[bytes, ...]:
        """Return what to write for *request*, in order."""
        talk, body = self._h11, request.content
        self.is_answered = False
        event = h11.Request(
            method=request.method.encode("ascii"), target=target.path, headers=raw_headers(request, target)
        )
        head = talk.send(event)
        talk.send_with_data_passthrough(h11.Data(data=body))
        talk.send(h11.EndOfMessage())  # writes nothing: the length was said
        assert head is not None
        return (head + body,) if len(body) <= _JOINED_BYTES else (head, body)

    def hear(self, data: bytes) -> None:
        """Take what was read; nothing: the server has left."""
        if not data and self._h11.their_state is h11.SEND_RESPONSE:
            self.has_left = True
            raise h11.RemoteProtocolError("the server left without an answer")
        self.is_answered = self.is_answered or bool(data)
        self._may_hide_more = len(data) >= READ_BYTES  # an event loop may have read on, and keeps that to itself
        self._h11.receive_data(data)

    def head(self) -> Head | None:
        """Return the reply's head; ``None``: it is not there yet."""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Response):
                head = Head(event.status_code, plain_headers(event.headers.raw_items()))
                if {"transfer-encoding", "content-length"} <= head.headers.keys():
                    self._is_doubtful = True  # who stands between may have read it otherwise: RFC 9112 6.3
                return head

    def body(self) -> bytes | None:
        """Return the next part of the reply's body, which is empty at its end; ``None``: it is not there yet."""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            else:
                return b""

    def end(self) -> bool:
        """Make ready for the next request, and say whether there can be one."""
        talk = self._h11
        # What comes after a reply would be taken for the answer to the next request.
        has_more = bool(talk.trailing_data[0]) or self._may_hide_more
        if talk.our_state is not h11.DONE or talk.their_state is not h11.DONE or has_more or self._is_doubtful:
            return False
        talk.start_next_cycle()
        return True


def kept_for(headers: Mapping[str, str]) -> float:
    """Return the seconds for which a server says that it keeps its connection: RFC 2068 19.7.1.1."""
    found = _KEPT_FOR.search(headers.get("keep-alive", ""))
    return float(found[1]) if found else math.inf


def raw_headers(request: Request, target: Target) -> list[tuple[bytes, bytes]]:
    """
    Return what *request* says in its head.

    Raises:
        UnicodeError: It holds characters that a header cannot.
    """
    headers = [(b"host", target.authority.encode("ascii")), (b"accept-encoding", b"identity")]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers.items()]
    if request.content or request.method != "GET":
        headers.append((b"content-length", b"%d" % len(request.content)))
    return headers


def plain_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return *headers* as text, whatever bytes they hold, under lower-case names."""
    plain: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain
