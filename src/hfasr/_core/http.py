"""
Sending plain `Request`s and returning plain `Response`s, in both colours.

The client is ours (`pool`, the one place that imports httpx) or the caller's, of httpx or
httpx2. Whatever goes wrong becomes one of hfasr's errors here.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from hfasr.errors import APIResponseError, APITimeoutError, AudioError, AudioURLError
from hfasr.wire import Request, Response

from .body import BodyReader
from .expiry import EXPIRES
from .translate import translate

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

    from .pool import AsyncPools, Pools

__all__ = ["AsyncHTTP", "BlockingHTTP", "Reach", "check_colour"]

T = TypeVar("T")

_ASIDE_BYTES = 65_536  # of a redirect's page; a longer one costs more than another connection


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses a request may connect to, and how much may come back."""

    audio: bool = False
    """Whether an audio URL is fetched: by our own client, never by the caller's."""

    private: bool = True
    """Whether private addresses are allowed."""

    max_bytes: int = 32 * 1024**2
    """Largest reply; an hour of words with times is about 2 MB of JSON."""

    sink: Spool | None = None
    """Takes the body of a 2xx instead of the response; of another status, next to nothing is read then."""


def _family(client: object) -> str | None:
    """Name the library that *client* belongs to: ``"httpx"``, ``"httpx2"`` or ``None``."""
    for cls in type(client).__mro__:
        top = cls.__module__.partition(".")[0]
        if top in {"httpx", "httpx2"}:
            return top
    return None


def check_colour(client: object, name: str) -> None:
    """
    See that *client* is a ``Client`` or ``AsyncClient`` (*name*) of httpx or httpx2.

    Raises:
        TypeError: It is not.
    """
    family = _family(client)
    wanted = family and getattr(sys.modules[family], name)
    if not (wanted and isinstance(client, wanted)):
        raise TypeError(f"http_client must be an httpx.{name} (or httpx2.{name}), not {type(client).__name__}")


def _limits_to(timeout: float, expires_in: float | None) -> float:
    if expires_in is None:
        return timeout
    if expires_in <= 0:
        raise APITimeoutError("the call's deadline passed before the request could be sent")
    return min(timeout, expires_in)


def _build(client: Any, request: Request, timeout: float) -> Any:
    # Both asked for in full: a caller's client may have other defaults.
    headers = {"accept-encoding": "identity", **request.headers}
    return client.build_request(
        request.method, request.url, headers=headers, content=request.content or None, timeout=timeout
    )


def _reader(reply: Any, headers: dict[str, str], reach: Reach) -> BodyReader | None:
    """Return what reads the body; ``None``: nobody wants it."""
    status: int = reply.status_code
    if reach.sink is None or 200 <= status < 300:
        return BodyReader(headers, status_code=status, max_bytes=reach.max_bytes, sink=reach.sink)
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and int(length[:9]) <= _ASIDE_BYTES):
        return None
    return BodyReader(headers, status_code=status, max_bytes=_ASIDE_BYTES)  # so that the connection can be used again


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _cut_off(error: BaseException, url: str, status_code: int) -> NoReturn:
    failure = translate(error, url)
    if isinstance(failure, APITimeoutError | AudioURLError):
        raise failure
    raise APIResponseError(
        "the server's reply was cut off; try again, and if it stays so, look at the server's own log",
        status_code=status_code,
    ) from failure.__cause__


class BlockingHTTP:
    """Sends with blocking sockets. Safe to use from many threads."""

    def __init__(self, user_client: Any = None) -> None:
        if user_client is not None:
            check_colour(user_client, "Client")
        self._user_client = user_client

    @cached_property
    def _pools(self) -> Pools:
        from .pool import Pools  # httpx takes 60 ms to import: not before something is sent

        return Pools()

    def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        """Send *request* and read the whole answer; see `IO.send`."""
        timeout = _limits_to(timeout, expires_in)
        if self._user_client is None or reach.audio:
            client = self._pools.client(reach)
            token = EXPIRES.set(None if expires_in is None else time.monotonic() + expires_in)
            try:
                return self._exchange(client, request, timeout, reach)
            finally:
                EXPIRES.reset(token)
        if expires_in is None:
            return self._exchange(self._user_client, request, timeout, reach)
        return _in_helper_thread(lambda: self._exchange(self._user_client, request, timeout, reach), expires_in)

    def _exchange(self, client: Any, request: Request, timeout: float, reach: Reach) -> Response:
        reply = self._open(client, request, timeout)
        try:
            headers = _lower(reply.headers)
            if reply.is_stream_consumed:  # a mocked reply, already read
                return Response(reply.status_code, headers, reply.content)
            reader = _reader(reply, headers, reach)
            if reader is None:
                return Response(reply.status_code, headers)
            for chunk in reply.iter_raw():
                reader.feed(chunk)
                if reader.due:
                    reader.flush()
            return Response(reply.status_code, headers, reader.finish())
        except (APIResponseError, AudioError):
            raise
        except Exception as error:  # noqa: BLE001  # typed there
            _cut_off(error, request.url, reply.status_code)
        finally:
            reply.close()

    def _open(self, client: Any, request: Request, timeout: float) -> Any:
        try:
            return client.send(_build(client, request, timeout), stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # typed here
            failed = translate(error, request.url)
        raise failed  # out here, so that what may hold a header is not its context

    def close(self) -> None:
        """Close our own connections; the caller's client stays open."""
        if "_pools" in self.__dict__:
            self._pools.close()


class AsyncHTTP:
    """Sends on asyncio and trio."""

    def __init__(self, user_client: Any = None) -> None:
        if user_client is not None:
            check_colour(user_client, "AsyncClient")
        self._user_client = user_client
        self._pools: AsyncPools | None = None

    async def _own(self) -> AsyncPools:
        if self._pools is None:
            import anyio.to_thread

            # httpx takes 60 ms to import, which must not stop the event loop.
            pool = await anyio.to_thread.run_sync(importlib.import_module, f"{__package__}.pool")
            made: AsyncPools = pool.AsyncPools()
            self._pools = self._pools or made  # another task may have been faster
        return self._pools

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        """Send *request* and read the whole answer; see `IO.send`."""
        import anyio

        timeout = _limits_to(timeout, expires_in)
        own = self._user_client is None or reach.audio
        client = (await self._own()).client(reach) if own else self._user_client
        if expires_in is None:
            return await self._exchange(client, request, timeout, reach)
        try:
            with anyio.fail_after(expires_in):
                return await self._exchange(client, request, timeout, reach)
        except TimeoutError as error:
            if isinstance(error, APITimeoutError):
                raise
            raise APITimeoutError("the server did not answer before the deadline", maybe_billed=True) from error

    async def _exchange(self, client: Any, request: Request, timeout: float, reach: Reach) -> Response:
        reply = await self._open(client, request, timeout)
        try:
            headers = _lower(reply.headers)
            if reply.is_stream_consumed:
                return Response(reply.status_code, headers, reply.content)
            reader = _reader(reply, headers, reach)
            if reader is None:
                return Response(reply.status_code, headers)
            await _drain(reply, reader)
            return Response(reply.status_code, headers, reader.finish())
        except (APIResponseError, AudioError):
            raise
        except Exception as error:  # noqa: BLE001  # typed there
            _cut_off(error, request.url, reply.status_code)
        finally:
            await reply.aclose()

    async def _open(self, client: Any, request: Request, timeout: float) -> Any:
        try:
            return await client.send(_build(client, request, timeout), stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # typed here
            failed = translate(error, request.url)
        raise failed

    async def aclose(self) -> None:
        """Close our own connections; the caller's client stays open."""
        if self._pools is not None:
            await self._pools.aclose()


async def _drain(reply: Any, reader: BodyReader) -> None:
    refused: APIResponseError | AudioError | None = None
    try:
        async for chunk in reply.aiter_raw():
            if refused is None:
                try:
                    reader.feed(chunk)
                    if reader.due:
                        await _flush(reader)
                except (APIResponseError, AudioError) as error:
                    # Leaving aiter_raw early warns on trio: end the stream at its socket, and let it end.
                    refused = error
                    stream = reply.extensions.get("network_stream")
                    if stream is not None:
                        await stream.aclose()
    except Exception:
        if refused is None:
            raise
    if refused is not None:
        raise refused


async def _flush(reader: BodyReader) -> None:
    """Write in a thread; cancelling comes through where more is read, as `_drain` may not be left here."""
    import anyio.to_thread

    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(reader.flush)


def _in_helper_thread(work: Callable[[], T], seconds: float) -> T:
    """
    Run *work*, leaving it behind after *seconds*.

    The sockets of a caller's own blocking client cannot be reached to clamp them, so a request
    that outlives the deadline goes on in its thread until the client's own timeouts end it.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  # handed to the waiting thread, which raises it
            failed.append(error)

    thread = threading.Thread(target=run, name="hfasr-send", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if done:
        return done[0]
    raise APITimeoutError("the server did not answer before the deadline", maybe_billed=True)
