"""
A listening socket with a thread for each connection, which stops without leaving either behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["SocketServer"]

HANDSHAKE_TIMEOUT_S = 10.0
BACKLOG = 512  # connections that may wait to be accepted


class SocketServer:
    """
    Accepts connections and gives each to *serve* in a thread of its own.

    Args:
        serve: Called with the connected socket, which is closed when it returns.

        turn_away: Called with each new socket before anything else; ``True`` closes it at once.

        host: Address or name to bind to.

        port: ``0`` takes a free one, and keeps it.

        ssl_context: Server-side TLS.
    """

    def __init__(
        self,
        serve: Callable[[socket.socket], None],
        turn_away: Callable[[socket.socket], bool],
        *,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._serve = serve
        self._turn_away = turn_away
        self._ssl_context = ssl_context
        self.host = host
        self.port = port
        self.accepted = 0
        self.stopping = threading.Event()
        self._listening: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    @property
    def open(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._open)

    def start(self) -> None:
        """Bind, listen and begin to accept."""
        if self._listening is not None:
            return
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it would let two servers share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        self.port = listening.getsockname()[1]
        self.stopping.clear()
        self._listening = listening
        self._run(self._accept_all, listening)

    def stop(self) -> None:
        """Close every socket and wait for every thread. May be called twice."""
        if self._listening is None:
            return
        self.stopping.set()
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
            pass  # wakes accept(): closing a socket in another thread does not, on every system
        me = threading.current_thread()
        while waiting := [thread for thread in self._snapshot() if thread is not me and thread.is_alive()]:
            with self._lock:
                for sock in self._open:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            waiting[0].join(timeout=0.1)
        self._listening = None

    def _snapshot(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _run(self, target: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(sock,), name=f"FakeASRServer:{self.port}", daemon=True)
        with self._lock:
            self._threads = {old for old in self._threads if old.is_alive()} | {thread}
            thread.start()

    def _accept_all(self, listening: socket.socket) -> None:
        with listening:
            while True:
                try:
                    sock, _ = listening.accept()
                except ConnectionError:
                    continue  # the client left before it was accepted
                if self.stopping.is_set():
                    sock.close()
                    return
                with self._lock:
                    self.accepted += 1
                    self._open.add(sock)
                self._run(self._serve_one, sock)

    def _serve_one(self, plain: socket.socket) -> None:
        sock = plain
        try:
            if self._turn_away(plain):
                return
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                plain.settimeout(HANDSHAKE_TIMEOUT_S)
                sock = self._ssl_context.wrap_socket(plain, server_side=True)
                sock.settimeout(None)
                with self._lock:
                    self._open = (self._open - {plain}) | {sock}
            self._serve(sock)
        except OSError:
            pass  # the client left, or stop() shut the socket
        except ValueError:
            if not self.stopping.is_set():  # a TLS socket that stop() has shut raises this
                raise
        finally:
            with self._lock:
                self._open -= {plain, sock}
            sock.close()
            plain.close()
