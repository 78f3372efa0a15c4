"""
Carry out on a socket what a script says.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING

from ._connection import arm_reset, render
from .replies import Action, Drip, Hang, NotHTTP, Reply, Reset, Truncated

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

__all__ = ["needs_reply", "perform", "wait"]

READ_BEFORE_RESET_S = 0.05  # lets the client read what was sent: on some systems a reset discards it
LOOK_EVERY_S = 0.05  # how soon a waiting thread sees that its client has left


def needs_reply(action: Action) -> bool:
    """Whether the action sends an answer, or a part of one."""
    if isinstance(action, Reset):
        return action.when in ("in_headers", "in_body")
    return not isinstance(action, Hang | NotHTTP)


def wait(sock: socket.socket, stopping: threading.Event, seconds: float | None) -> bool:
    """Wait so many seconds (``None``: for ever); ``False`` as soon as the server stops or the client leaves."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = LOOK_EVERY_S if until is None else min(LOOK_EVERY_S, until - time.monotonic())
        if stopping.wait(max(0.0, left)) or _has_left(sock):
            return False
        if until is not None and time.monotonic() >= until:
            return True


def _has_left(sock: socket.socket) -> bool:
    sock.settimeout(0)
    try:
        waiting = socket.socket.recv(sock, 1, socket.MSG_PEEK)  # a TLS socket's own recv() cannot peek
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(None)
    return isinstance(sock, ssl.SSLSocket) or not waiting  # under TLS a farewell comes first


def perform(
    sock: socket.socket,
    action: Action,
    reply: Reply | None,
    *,
    close: bool,
    with_body: bool,
    pause: Callable[[float | None], bool],
    ending: Callable[[], object],
) -> bool:
    """
    Answer one request.

    Args:
        sock: The connection, its request read.

        action: What to do.

        reply: The answer, or what *action* spoils of it; ``None`` where the action needs none.

        close: Whether the client asked to close the connection after this.

        with_body: ``False`` for ``HEAD``.

        pause: Waits so many seconds (``None``: for ever); ``False`` if the server stops or the client leaves.

        ending: Called before the client can see the end of the answer, from when it may ask again.

    Returns:
        Whether the connection can take another request.
    """
    match action:
        case Hang(seconds=seconds):
            pause(seconds)
            return False
        case NotHTTP(data=data):
            ending()
            sock.sendall(data)
            return False
        case Reset(when="accept" | "in_request" | "before_reply"):
            ending()
            arm_reset(sock)
            return False
    assert reply is not None  # only the actions above come without one
    chunked = reply.chunked and not isinstance(action, Truncated)  # which needs a length to fall short of
    head, body = render(reply, chunked=chunked, close=close, with_body=with_body)
    match action:
        case Reset(when=when):
            sock.sendall(head[: len(head) // 2] if when == "in_headers" else head + body[: len(body) // 2])
            pause(READ_BEFORE_RESET_S)
            ending()
            arm_reset(sock)
            return False
        case Truncated(after_bytes=after_bytes):
            ending()
            sock.sendall(head + body[:after_bytes])
            return False
        case Drip(interval=interval, n_bytes=n_bytes, headers=headers):
            if not headers:
                sock.sendall(head)
            rest = head + body if headers else body
            for start in range(0, len(rest), n_bytes):
                if start + n_bytes >= len(rest):
                    ending()
                sock.sendall(rest[start : start + n_bytes])
                if not pause(interval):
                    return False
        case _:
            ending()
            sock.sendall(head + body)
    return not close
