"""A proxy that really forwards: HTTP, CONNECT and SOCKS5, in clear text or TLS, and the ways in which it can fail."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """
    Forwards to servers on loopback, by the names that it knows.

    Args:
        names: Host → port on loopback; any other host is connected to as it is.

        user: ``name:password`` that it asks for.

        answer: Said to each request in place of forwarding it.

        pause: Seconds between two bytes of *answer*; ``None``: it comes at once.

        ssl_context: For a proxy that is spoken to over TLS.

        socks: Whether it speaks SOCKS5 (RFC 1928, RFC 1929) and not HTTP.
    """

    def __init__(
        self,
        names: Mapping[str, int] | None = None,
        *,
        user: str | None = None,
        answer: bytes | None = None,
        pause: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        socks: bool = False,
    ) -> None:
        self._names = names or {}
        self._user = user
        self._answer = answer
        self._pause = pause
        self._ssl_context = ssl_context
        self._serve_one = self._serve_socks if socks else self._serve_http
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.asked: list[str] = []
        """Such as ``"CONNECT api.example:443"``."""

        self.users: set[str] = set()
        """``name:password`` of those who asked; empty: nobody gave any."""

        self._leaving = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def url(self, scheme: str = "http", user: str = "") -> str:
        """Return the address, as it is written into ``HTTP_PROXY``."""
        return f"{scheme}://{user and f'{user}@'}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        with contextlib.suppress(OSError):  # an accept() is not woken by a close
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        self._listening.close()

    def _run(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep(self, sock: socket.socket) -> socket.socket:
        with self._lock:
            self._open.add(sock)
        return sock

    def _accept(self) -> None:
        while True:
            plain, _ = self._listening.accept()
            if self._leaving.is_set():
                plain.close()
                return
            self._run(lambda sock=plain: self._serve(sock))  # type: ignore[misc]  # bound now, as the loop goes on

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError, ssl.SSLError, ValueError):
            sock = self._keep(plain)
            if self._ssl_context is not None:
                sock = self._keep(self._ssl_context.wrap_socket(plain, server_side=True))
            with sock:
                self._serve_one(sock)

    def _serve_http(self, client: socket.socket) -> None:
        head, rest = _head(client)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.asked.append(f"{method} {target}")
        given = headers.pop("proxy-authorization", "").removeprefix("Basic ")
        user = base64.b64decode(given).decode()
        if user:
            self.users.add(user)
        if self._answer is not None:
            # A connection that is closed with something unread in it is reset, which may overtake the answer.
            while len(rest) < int(headers.get("content-length", 0)) and (more := client.recv(65_536)):
                rest += more
            self._say(client, self._answer.replace(b"{given}", given.encode()))
        elif self._user is not None and user != self._user:
            self._say(client, b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        elif method == "CONNECT":
            host, _, port = target.rpartition(":")
            with self._connect(host, int(port)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._splice(client, server, rest)
        else:
            authority, _, path = target.removeprefix("http://").partition("/")
            host, _, port = authority.partition(":")
            forwarded = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            with self._connect(host, int(port or 80)) as server:
                self._splice(client, server, "\r\n".join([*forwarded, "", ""]).encode("latin-1") + rest)

    def _serve_socks(self, client: socket.socket) -> None:
        methods = _exactly(client, _exactly(client, 2)[1])
        method = 2 if self._user is not None else 0
        client.sendall(bytes([5, method if method in methods else 255]))
        if method == 2:
            name = _exactly(client, _exactly(client, 2)[1])
            word = _exactly(client, _exactly(client, 1)[0])
            user = f"{name.decode()}:{word.decode()}"
            self.users.add(user)
            client.sendall(bytes([1, user != self._user]))
            if user != self._user:
                return
        kind = _exactly(client, 4)[3]
        host = socket.inet_ntoa(_exactly(client, 4)) if kind == 1 else _exactly(client, _exactly(client, 1)[0]).decode()
        port = int.from_bytes(_exactly(client, 2), "big")
        self.asked.append(f"SOCKS {host}:{port}")
        try:
            server = self._connect(host, port)
        except OSError:
            client.sendall(b"\x05\x05\x00\x01" + bytes(6))  # connection refused
            return
        with server:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            self._splice(client, server, b"")

    def _connect(self, host: str, port: int) -> socket.socket:
        known = self._names.get(host)
        address = (host, port) if known is None else ("127.0.0.1", known)
        return self._keep(socket.create_connection(address, timeout=5))

    def _splice(self, client: socket.socket, server: socket.socket, first: bytes) -> None:
        server.settimeout(None)
        server.sendall(first)
        back = threading.Thread(target=_pour, args=(server, client), daemon=True)
        back.start()
        _pour(client, server)
        back.join()

    def _say(self, client: socket.socket, answer: bytes) -> None:
        if self._pause is None:
            client.sendall(answer)
            return
        for start in range(len(answer)):
            client.sendall(answer[start : start + 1])
            if self._leaving.wait(self._pause):
                return


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65_536)
        if not piece:
            raise ConnectionError
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    return head, rest


def _exactly(sock: socket.socket, n_bytes: int) -> bytes:
    got = b""
    while len(got) < n_bytes:
        piece = sock.recv(n_bytes - len(got))
        if not piece:
            raise ConnectionError
        got += piece
    return got


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sink, socket.SHUT_WR)
