"""
Sending plain `Request`s and returning plain `Response`s, in both colours.

They go over our own connections (`pool`), or by a client of the caller's (`user_client`). Whatever
goes wrong becomes one of hfasr's errors here.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hfasr._forks import ForkedLock, renew_in_child
from hfasr.errors import APIResponseError, APITimeoutError, AudioError, AudioURLError, HfasrError
from hfasr.wire import Request, Response

from .body import BodyReader
from .expiry import EXPIRES
from .loops import context_for_a_thread
from .translate import translate
from .user_client import AsyncUserClient, UserClient

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

    from .pool import AsyncPools, Pools
    from .senders import AsyncReply, AsyncSender, Reply, Sender

__all__ = ["AsyncHTTP", "BlockingHTTP", "Reach"]

T = TypeVar("T")

_making = ForkedLock()
_ASIDE_BYTES = 65_536  # of a redirect's page; a longer one costs more than another connection


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses a request may connect to, and how much may come back."""

    audio: bool = False
    """Whether an audio URL is fetched: by our own client, never by the caller's."""

    private: bool = True
    """Whether private addresses are allowed."""

    max_bytes: int = 8 * 1024**2
    """Largest reply; an hour of words with times is about 2 MB of JSON. It takes up to three times as much memory."""

    sink: Spool | None = None
    """Takes the body of a 2xx instead of the response; of another status, next to nothing is read then."""


def _limits_to(timeout: float, expires_in: float | None) -> float:
    if expires_in is None:
        return timeout
    if expires_in <= 0:
        raise APITimeoutError("the call's deadline passed before the request could be sent")
    return min(timeout, expires_in)


def _reader(status: int, headers: dict[str, str], reach: Reach) -> BodyReader | None:
    """Return what reads the body; ``None``: nobody wants it."""
    if reach.sink is None or 200 <= status < 300:
        return BodyReader(headers, status_code=status, max_bytes=reach.max_bytes, sink=reach.sink)
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and int(length[:9]) <= _ASIDE_BYTES):
        return None
    return BodyReader(headers, status_code=status, max_bytes=_ASIDE_BYTES)  # so that the connection can be used again


def _cut_off(error: BaseException, url: str, status_code: int) -> HfasrError:
    failure = translate(error, url)
    if isinstance(failure, APITimeoutError | AudioURLError):
        return failure
    cut_off = APIResponseError(
        "the server's reply was cut off; try again, and if it stays so, look at the server's own log",
        status_code=status_code,
    )
    cut_off.__cause__ = failure.__cause__
    return cut_off


class BlockingHTTP:
    """Sends with blocking sockets. Safe to use from many threads."""

    def __init__(self, user_client: Any = None) -> None:
        self._user_client = None if user_client is None else UserClient(user_client)

        self._pools: Pools | None = None
        self._inherited: Pools | None = None
        self._closed = False
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the parent its connections, in a forked child; see `hfasr._forks`."""
        self._inherited, self._pools = self._pools, None  # kept until their sockets are no more in this process

    def _own(self) -> Pools:
        from .pool import Pools, closed  # httpcore takes 40 ms to import: not before something is sent

        made = Pools()
        with _making:  # another thread may have been faster
            if self._closed:
                raise closed()
            if self._pools is None:
                self._pools = made
            return self._pools

    def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        """Send *request* and read the whole answer; see `IO.send`."""
        timeout = _limits_to(timeout, expires_in)
        client = self._user_client
        if client is None or reach.audio:
            sender = (self._pools or self._own()).sender(reach)
            token = EXPIRES.set(None if expires_in is None else time.monotonic() + expires_in)
            try:
                return _exchange(sender, request, timeout, reach)
            finally:
                EXPIRES.reset(token)
        if expires_in is None:
            return _exchange(client, request, timeout, reach)
        return _in_helper_thread(lambda: _exchange(client, request, timeout, reach), expires_in)

    def close(self) -> None:
        """Close our own connections; the caller's client stays open."""
        with _making:
            self._closed = True
            pools = self._pools
        if pools is not None:
            pools.close()


def _exchange(sender: Sender, request: Request, timeout: float, reach: Reach) -> Response:
    reply = _open(sender, request, timeout)
    status, headers = reply.status_code, reply.headers
    try:
        if reply.content is not None:
            return Response(status, headers, reply.content)
        reader = _reader(status, headers, reach)
        if reader is None:
            return Response(status, headers)
        for chunk in reply.chunks():
            for _ in reader.feed(chunk):
                reader.flush()
        return Response(status, headers, reader.finish())
    except (APIResponseError, AudioError):
        raise
    except Exception as error:  # noqa: BLE001  # typed there
        failed = _cut_off(error, request.url, status)
    finally:
        reply.close()
    raise failed


def _open(sender: Sender, request: Request, timeout: float) -> Reply:
    try:
        return sender.open(request, timeout)
    except Exception as error:  # noqa: BLE001  # typed here
        failed = translate(error, request.url)
    raise failed  # out here, so that what may hold a header is not its context


class AsyncHTTP:
    """Sends on asyncio and trio."""

    def __init__(self, user_client: Any = None) -> None:
        self._user_client = None if user_client is None else AsyncUserClient(user_client)
        self._pools: AsyncPools | None = None
        self._inherited: AsyncPools | None = None
        self._closed = False
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the parent its connections, in a forked child; see `hfasr._forks`."""
        # Kept, since what is dropped is closed with a warning. Their sockets are no more in this process.
        self._inherited, self._pools = self._pools, None

    async def _own(self) -> AsyncPools:
        if self._pools is None:
            import anyio.to_thread

            # httpcore takes 40 ms to import, which must not stop the event loop.
            pool = await anyio.to_thread.run_sync(importlib.import_module, f"{__package__}.pool")
            if self._closed:
                raise pool.closed()
            made: AsyncPools = pool.AsyncPools()
            self._pools = self._pools or made  # another task may have been faster
        return self._pools

    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        """Send *request* and read the whole answer; see `IO.send`."""
        timeout = _limits_to(timeout, expires_in)
        client: AsyncSender | None = self._user_client
        if client is None or reach.audio:
            client = (self._pools or await self._own()).sender(reach)
        if expires_in is None:
            return await _exchange_async(client, request, timeout, reach)
        import anyio

        try:
            with anyio.fail_after(expires_in):
                return await _exchange_async(client, request, timeout, reach)
        except TimeoutError as error:
            if isinstance(error, APITimeoutError):
                raise
            raise APITimeoutError("the server did not answer before the deadline", maybe_billed=True) from error

    async def aclose(self) -> None:
        """Close our own connections; the caller's client stays open."""
        self._closed = True
        if self._pools is not None:
            await self._pools.aclose()


async def _exchange_async(sender: AsyncSender, request: Request, timeout: float, reach: Reach) -> Response:
    reply = await _open_async(sender, request, timeout)
    status, headers = reply.status_code, reply.headers
    try:
        if reply.content is not None:
            return Response(status, headers, reply.content)
        reader = _reader(status, headers, reach)
        if reader is None:
            return Response(status, headers)
        await _drain(reply, reader)
        return Response(status, headers, reader.finish())
    except (APIResponseError, AudioError):
        raise
    except Exception as error:  # noqa: BLE001  # typed there
        failed = _cut_off(error, request.url, status)
    finally:
        await reply.aclose()
    raise failed


async def _open_async(sender: AsyncSender, request: Request, timeout: float) -> AsyncReply:
    try:
        return await sender.open(request, timeout)
    except Exception as error:  # noqa: BLE001  # typed here
        failed = translate(error, request.url)
    raise failed


async def _drain(reply: AsyncReply, reader: BodyReader) -> None:
    refused: APIResponseError | AudioError | None = None
    try:
        async for chunk in reply.chunks():
            if refused is None:
                try:
                    for _ in reader.feed(chunk):
                        await _flush(reader)
                except (APIResponseError, AudioError) as error:
                    # Leaving the chunks early warns on trio: end them at their socket, and let them end.
                    refused = error
                    await reply.cut()
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
    that outlives the deadline goes on in its thread until the client's own timeouts end it, or
    the next piece of the reply comes.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        EXPIRES.set(time.monotonic() + seconds)  # of this thread alone
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  # handed to the waiting thread, which raises it
            failed.append(error)

    context = context_for_a_thread()  # of the caller's hooks, and of who traces its client
    thread = threading.Thread(target=context.run, args=(run,), name="hfasr-send", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if done:
        return done[0]
    raise APITimeoutError("the server did not answer before the deadline", maybe_billed=True)
