"""One connection to one server: a request, and its reply, at a time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import httpcore

from .http1 import READ_BYTES, Head, Talk, kept_for

if TYPE_CHECKING:
    from hfasr.wire import Request

    from .target import Target

__all__ = ["AsyncLine", "BlockingLine", "Key", "key_of"]

_LEAVES_EARLIER_S = 1.0  # than the server does: what is sent just then is lost

Key = tuple[str, str, int]
"""Scheme, host and port."""


def key_of(target: Target) -> Key:
    """Return what tells the server of *target* from others."""
    return target.scheme, target.host, target.port


class _Line:
    """One connection to one server, in either colour."""

    def __init__(self, stream: Any, target: Target) -> None:
        self.stream = stream
        self.key = key_of(target)
        self.talk = Talk()
        self.is_whole = True  # all that was to be written was
        self.expires = 0.0
        self._kept_for = math.inf

    def rest(self, seconds: float) -> bool:
        """Become idle, for *seconds* at most, and say whether it can be used again."""
        seconds = min(seconds, self._kept_for - _LEAVES_EARLIER_S)
        self.expires = time.monotonic() + seconds
        return seconds > 0 and self.is_whole and self.talk.end()

    def was_lost(self, error: Exception) -> bool:
        """Whether *error* of `ask` means that the server left, without a word on what was asked."""
        return not self.talk.is_answered and (self.talk.has_left or isinstance(error, httpcore.ReadError))

    def is_stale(self) -> bool:
        """Whether, being idle, it has become too old, or the server has left."""
        return time.monotonic() > self.expires or bool(self.stream.get_extra_info("is_readable"))


class BlockingLine(_Line):
    """The blocking colour's."""

    def ask(self, request: Request, target: Target, timeout: float) -> Head:
        """Send *request*, and return the head of the reply."""
        try:
            for data in self.talk.ask(request, target):
                self.stream.write(data, timeout)
        except httpcore.WriteError:
            self.is_whole = False  # a server may refuse a request before it has read all of it: it says why
        while (head := self.talk.head()) is None:
            self.talk.hear(self.stream.read(READ_BYTES, timeout))
        self._kept_for = kept_for(head.headers)
        return head

    def read(self, timeout: float) -> bytes:
        """Return the next part of the reply's body, which is empty at its end."""
        while (data := self.talk.body()) is None:
            self.talk.hear(self.stream.read(READ_BYTES, timeout))
        return data


class AsyncLine(_Line):
    """The async colour's; see `BlockingLine`."""

    async def ask(self, request: Request, target: Target, timeout: float) -> Head:
        try:
            for data in self.talk.ask(request, target):
                await self.stream.write(data, timeout)
        except httpcore.WriteError:
            self.is_whole = False
        while (head := self.talk.head()) is None:
            self.talk.hear(await self.stream.read(READ_BYTES, timeout))
        self._kept_for = kept_for(head.headers)
        return head

    async def read(self, timeout: float) -> bytes:
        while (data := self.talk.body()) is None:
            self.talk.hear(await self.stream.read(READ_BYTES, timeout))
        return data
