"""Stand-ins for httpcore's streams and back-ends, for tests of what is put around them."""

from __future__ import annotations

from typing import Any

import httpcore

from hfasr._core.io import run_sync
from hfasr._core.network import AsyncBackend, BlockingBackend

__all__ = ["AsyncNet", "Connecting", "Net", "Stream"]


class Stream(httpcore.NetworkStream):
    """Notes what is done with it; *fails* is raised by a handshake."""

    def __init__(self, sock: Any = None, fails: BaseException | None = None) -> None:
        self.sock = sock
        self.done: list[tuple[Any, ...]] = []
        self.fails = fails
        self.meanwhile: Any = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.done.append(("read", max_bytes, timeout))
        return b"said"

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.done.append(("write", bytes(buffer), timeout))

    def close(self) -> None:
        self.done.append(("close",))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        self.done.append(("start_tls", ssl_context, server_hostname, timeout))
        if self.meanwhile is not None:
            self.meanwhile()
        if self.fails is not None:
            raise self.fails
        return Stream(self.sock)

    def get_extra_info(self, info: str) -> Any:
        return self.sock if info == "socket" else f"its {info}"


class Net:
    """In the place of httpcore's back-end: connects, or fails with what *answers* has for an address."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def connect_tcp(self, host: str, *args: Any) -> Any:
        self.asked.append((host, *args))
        answer = self.answers[f"_{host[-1]}"]
        if isinstance(answer, Exception):
            raise answer
        return answer


class AsyncNet(Net):
    async def connect_tcp(self, host: str, *args: Any) -> Any:
        return super().connect_tcp(host, *args)


class Connecting:
    """A back-end of one colour, called as a plain function."""

    def __init__(self, colour: str, *, guarded: bool, **answers: Any) -> None:
        self.colour = colour
        kind: Any = BlockingBackend if colour == "sync" else AsyncBackend
        self.backend = kind(guarded=guarded)
        self.net = (Net if colour == "sync" else AsyncNet)(**answers)
        self.backend._backend = self.net

    def connect(self, host: str = "h.test") -> Any:
        args = (host, 80, 3.0, "10.0.0.1", [(1, 2, 3)])
        if self.colour == "sync":
            return self.backend.connect_tcp(*args)

        async def main() -> Any:
            return await self.backend.connect_tcp(*args)

        return run_sync(main())
