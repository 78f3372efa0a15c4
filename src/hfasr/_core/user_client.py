"""Sending by a client of the caller's own, of httpx or httpx2, in the same words as by our own connections."""

from __future__ import annotations

import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from .expiry import EXPIRES

if TYPE_CHECKING:
    from hfasr.wire import Request

__all__ = ["AsyncUserClient", "UserClient", "UserReply"]


class UserReply:
    """A reply of the client's, of which the head has been read; it must be closed. See `senders.Reply`."""

    def __init__(self, reply: Any) -> None:
        self.status_code: int = reply.status_code
        self.headers: dict[str, str] = {name.lower(): value for name, value in reply.headers.items()}
        self._reply = reply

    @property
    def content(self) -> bytes | None:
        """The body of a reply that has been read or closed already, by a mock or a hook; ``None``: read it."""
        if not (self._reply.is_stream_consumed or self._reply.is_closed):
            return None
        try:
            content: bytes = self._reply.content
        except RuntimeError:  # it was not read
            return b""
        return content

    def chunks(self) -> Any:
        """See `senders.Reply.chunks`."""
        for chunk in self._reply.iter_raw():
            expires = EXPIRES.get()
            if expires is not None and time.monotonic() > expires:
                raise TimeoutError  # the call has gone on without this thread
            yield chunk

    def close(self) -> None:
        self._reply.close()


class AsyncUserReply(UserReply):
    """The same of an async client."""

    def chunks(self) -> Any:
        return self._reply.aiter_raw()

    async def aclose(self) -> None:
        await self._reply.aclose()

    async def cut(self) -> None:
        stream = self._reply.extensions.get("network_stream")
        if stream is not None:
            await stream.aclose()


class UserClient:
    """
    Sends by a blocking client.

    Raises:
        TypeError: It is none.
    """

    def __init__(self, client: Any) -> None:
        _check_colour(client, "Client")
        self._client = client

    def open(self, request: Request, timeout: float) -> UserReply:
        """See `senders.Sender.open`."""
        try:
            reply = self._client.send(_built(self._client, request, timeout), stream=True, follow_redirects=False)
        except Exception as error:
            reply = _refused_by_hook(error)
            if reply is None:
                raise
        return UserReply(reply)


class AsyncUserClient:
    """
    Sends by an async client.

    Raises:
        TypeError: It is none.
    """

    def __init__(self, client: Any) -> None:
        _check_colour(client, "AsyncClient")
        self._client = client

    async def open(self, request: Request, timeout: float) -> AsyncUserReply:
        """See `senders.Sender.open`."""
        built = _built(self._client, request, timeout)
        if request.content:
            built.stream = _body_class(_family(self._client))(request.content)
        try:
            reply = await self._client.send(built, stream=True, follow_redirects=False)
        except Exception as error:
            reply = _refused_by_hook(error)
            if reply is None:
                raise
        return AsyncUserReply(reply)


class _Body:
    """A request's bytes, given once; no generator as httpx's own, since trio warns of those that are left half-way."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left: list[bytes] = []

    def __aiter__(self) -> Self:
        self._left = [self._content]
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@cache
def _body_class(family: str) -> Any:
    """Return `_Body` as *family* wants it."""
    return type("Body", (_Body, sys.modules[family].AsyncByteStream), {})


def _check_colour(client: object, name: str) -> None:
    """See that *client* is a ``Client`` or ``AsyncClient`` (*name*) of httpx or httpx2."""
    family = _family(client)
    wanted = family and getattr(sys.modules[family], name)
    if not (wanted and isinstance(client, wanted)):
        raise TypeError(f"http_client must be an httpx.{name} (or httpx2.{name}), not {type(client).__name__}")


def _family(client: object) -> str | None:
    """Name the library that *client* belongs to: ``"httpx"``, ``"httpx2"`` or ``None``."""
    for cls in type(client).__mro__:
        top = cls.__module__.partition(".")[0]
        if top in {"httpx", "httpx2"}:
            return top
    return None


def _refused_by_hook(error: Exception) -> Any:
    """Return the reply that a response hook of the client's raised, as ``raise_for_status`` does; else ``None``."""
    is_status = any(cls.__name__ == "HTTPStatusError" for cls in type(error).__mro__)
    return getattr(error, "response", None) if is_status else None


def _built(client: Any, request: Request, timeout: float) -> Any:
    # Both asked for in full: a caller's client may have other defaults.
    headers = {"accept-encoding": "identity", **request.headers}
    return client.build_request(
        request.method, request.url, headers=headers, content=request.content or None, timeout=timeout
    )
