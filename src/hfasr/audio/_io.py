"""
What reading audio may wait for. The sync client gives one that blocks, the async client one that awaits.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from hfasr.wire import Response

    from .spool import Spool

__all__ = ["AudioIO"]

T = TypeVar("T")


class AudioIO(Protocol):
    """Everything that reading audio may wait for."""

    async def offload(self, fn: Callable[[], T], /) -> T:
        """Run blocking work: in a thread on async clients, in place on sync ones."""
        ...

    async def get(self, url: str, /, *, allow_private: bool, max_bytes: int, sink: Spool) -> Response:
        """
        Do one GET without following redirects, by the guarded client.

        The body goes to *sink* and not into the response, where the status is 2xx; else nothing does.

        Raises:
            APIConnectionError: No response arrived (`APITimeoutError`: in time).

            APIResponseError: It was cut off, is packed in an unknown way, or has more than *max_bytes*.

            AudioURLError: A private address.

            AudioError: *sink* cannot take it.
        """
        ...

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /) -> None:
        """
        Write the chunks of an async iterable to *sink*.

        Raises:
            TypeError: The client is a sync one.

            AudioError: *sink* cannot take them.
        """
        ...

    async def wait(self, awaitable: Awaitable[T], /) -> T:
        """
        Wait for what an async file's ``read`` returns.

        Raises:
            TypeError: The client is a sync one.
        """
        ...

    def check(self) -> None:
        """Raise when the deadline has passed or the call was cancelled. Any thread may call it."""
        ...
