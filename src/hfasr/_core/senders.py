"""What requests go through, and what comes back, in both colours: our own connections, or a client of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from hfasr.wire import Request

__all__ = ["AsyncReply", "AsyncSender", "Reply", "Sender"]


class Reply(Protocol):
    """A reply, of which the head has been read; it must be closed."""

    status_code: int
    headers: dict[str, str]
    """Lower-case names."""

    @property
    def content(self) -> bytes | None:
        """The body, where it has been read already: a mocked reply's."""

    def chunks(self) -> Iterable[bytes]:
        """Read the body, packed as it may be."""
        ...

    def close(self) -> None:
        """Give the connection back, where the body was read to its end; else close it."""
        ...


class AsyncReply(Protocol):
    """See `Reply`."""

    status_code: int
    headers: dict[str, str]

    @property
    def content(self) -> bytes | None: ...

    def chunks(self) -> AsyncIterable[bytes]: ...

    async def cut(self) -> None:
        """End the body that is being read at its socket."""
        ...

    async def aclose(self) -> None: ...


class Sender(Protocol):
    """What requests go through."""

    def open(self, request: Request, timeout: float) -> Reply:
        """Send *request*, and return the reply as soon as its head is there. *timeout* is for each operation."""
        ...


class AsyncSender(Protocol):
    """See `Sender`."""

    async def open(self, request: Request, timeout: float) -> AsyncReply: ...
