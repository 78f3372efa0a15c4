"""
What reading audio may wait for. The sync client gives one that blocks, the async client one that awaits.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from hfasr.wire import Response

__all__ = ["AudioIO"]

T = TypeVar("T")


class AudioIO(Protocol):
    """Everything that reading audio may wait for."""

    async def offload(self, fn: Callable[[], T], /) -> T:
        """Run blocking work: in a thread on async clients, in place on sync ones."""
        ...

    async def get(self, url: str, /, *, allow_private: bool, max_bytes: int) -> Response:
        """
        Do one GET without following redirects, by the guarded client.

        Raises:
            APIConnectionError: No response arrived (`APITimeoutError`: in time).

            APIResponseError: It was cut off, is packed in an unknown way, or has more than *max_bytes*.

            AudioURLError: A private address.
        """
        ...

    async def collect(self, chunks: AsyncIterable[bytes], /, *, max_bytes: int) -> bytes:
        """
        Join the chunks of an async iterable.

        Raises:
            TypeError: The client is a sync one.

            AudioError: There are more than *max_bytes*.
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
