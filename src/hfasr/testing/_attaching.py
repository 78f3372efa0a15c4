"""
Where a tape gets between a client and the network.

All that the test kit knows of the inside of clients is here, and in `FakeClock.attach`.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hfasr._client_base import BaseClient
from hfasr._core.cancel import CANCEL
from hfasr._core.clock import SystemClock
from hfasr._core.config import is_server
from hfasr.errors import AudioURLError, HfasrError

from ._exchanges import answer, failure, is_timeout, replayed
from ._secrets import credentials
from ._tape import Blank

if TYPE_CHECKING:
    from hfasr._core.http import Reach
    from hfasr.wire import Request, Response

    from ._tape import Tape
    from .clock import FakeClock

__all__ = ["Attached", "tell_no_more", "tell_of_new_clients"]

_PLAIN_HEADERS = {"accept", "accept-encoding", "accept-language", "authorization", "connection", "cookie", "user-agent"}
"""Of an HTTP client, that are no secret, or looked at one by one."""

_NOBODY = "a replay needs no token"


class _Taped:
    """What stands in the place of a client's way to the network."""

    def __init__(self, inner: Any, tape: Tape, clock: FakeClock | None) -> None:
        self.inner = inner
        self.tape = tape
        self._clock = clock
        tape.secrets.add(_of_users_client(inner))

    def find(self, request: Request, reach: Reach) -> dict[str, Any] | Blank:
        if reach.audio:
            raise AudioURLError(
                "a cassette holds no audio, so what is at a URL cannot be replayed: download it, and pass the file"
            )
        return self.tape.find(request)

    def play(self, kept: dict[str, Any], timeout: float, expires_in: float | None) -> Response:
        if self._clock is not None and is_timeout(kept):
            self._clock.advance(timeout if expires_in is None else min(timeout, expires_in))
        return replayed(kept)

    def answered(self, blank: Blank, request: Request, response: Response) -> None:
        secrets = self.tape.secrets
        secrets.add(credentials(response.headers))
        self.tape.keep(blank, answer(response, url=request.url, wall=time.time(), secrets=secrets))

    def failed(self, blank: Blank, request: Request, error: HfasrError) -> None:
        run = CANCEL.get()
        if run is not None and run.was_cut:
            return  # by its own side
        kept = failure(error, host=urlsplit(request.url).netloc)
        if kept is not None:
            self.tape.keep(blank, kept)


class _BlockingTaped(_Taped):
    def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        found = self.find(request, reach)
        if not isinstance(found, Blank):
            return self.play(found, timeout, expires_in)
        try:
            response: Response = self.inner.send(request, timeout=timeout, expires_in=expires_in, reach=reach)
        except HfasrError as error:
            self.failed(found, request, error)
            raise
        self.answered(found, request, response)
        return response

    def close(self) -> None:
        self.inner.close()


class _AsyncTaped(_Taped):
    async def send(self, request: Request, *, timeout: float, expires_in: float | None, reach: Reach) -> Response:
        import anyio.lowlevel

        found = self.find(request, reach)
        if not isinstance(found, Blank):
            await anyio.lowlevel.checkpoint()  # as the network is one: others have their turn, and may cancel
            return self.play(found, timeout, expires_in)
        try:
            response: Response = await self.inner.send(request, timeout=timeout, expires_in=expires_in, reach=reach)
        except HfasrError as error:
            self.failed(found, request, error)
            raise
        self.answered(found, request, response)
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


class Attached:
    """
    The clients that are on a tape, until `leave`.

    Args:
        tape: What answers them.

        clock: What they wait on; ``None``: their own clock. With one, nothing is sent, and no token is looked up.
    """

    def __init__(self, tape: Tape, clock: FakeClock | None) -> None:
        self._tape = tape
        self._clock = clock
        self._undo = ExitStack()
        self._lock = threading.Lock()
        self._left = False

    def add(self, client: BaseClient) -> None:
        """Put *client* on the tape, with all clients that share its connections."""
        with self._lock:
            if self._left:
                return  # since this client's thread was told of us
            self._tape.learn_of_servers(_addresses(client))
            io, shared = client._io, client._shared  # noqa: SLF001  # the one door for tapes
            taped = _AsyncTaped if hasattr(io.http, "aclose") else _BlockingTaped
            if isinstance(io.http, taped) and io.http.tape is self._tape:
                return
            self._set(io, "http", taped(io.http, self._tape, self._clock))
            # Each call is answered as if it were alone, in whatever order calls come: nothing is learned from others.
            self._set(shared, "_forms", _Nothing())
            self._set(shared, "_longest", _Nothing())
            self._set(shared, "dialects", {})
            if self._clock is not None:
                if isinstance(io.clock, SystemClock):
                    self._set(io, "clock", self._clock)
                self._set(shared, "known_token", _NOBODY)
                self._set(shared, "find_token", lambda: _NOBODY)

    def _set(self, owner: Any, name: str, value: object) -> None:
        had, before = name in vars(owner), getattr(owner, name)
        setattr(owner, name, value)
        self._undo.callback(
            functools.partial(setattr, owner, name, before) if had else functools.partial(delattr, owner, name)
        )

    def leave(self) -> None:
        """Leave all clients as they were."""
        with self._lock:
            self._left = True
            self._undo.close()


class _Nothing(dict[Any, Any]):
    """Learns nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget it."""


_told: list[Callable[[BaseClient], None]] = []
_telling = threading.Lock()
_init = BaseClient.__init__


@functools.wraps(_init)
def _init_and_tell(self: BaseClient, *args: Any, **settings: Any) -> None:
    _init(self, *args, **settings)
    with _telling:
        newest = _told[-1] if _told else None
    if newest is not None:
        newest(self)


def tell_of_new_clients(tell: Callable[[BaseClient], None]) -> None:
    """Call *tell*, and nobody who was told before, with every client that this process makes, in any thread."""
    with _telling:
        _told.append(tell)
        BaseClient.__init__ = _init_and_tell  # type: ignore[method-assign]  # for as long as somebody is told


def tell_no_more(tell: Callable[[BaseClient], None]) -> None:
    """Call *tell* no more."""
    with _telling:
        _told.remove(tell)
        if not _told:
            BaseClient.__init__ = _init  # type: ignore[method-assign]


def _addresses(client: BaseClient) -> Iterator[str]:
    """Yield the servers that *client* may ask."""
    config = client._config  # noqa: SLF001  # the one door for tapes
    yield str(config.router_url)
    if config.base_url is not None:
        yield config.base_url
    yield from (spec for spec in config.fallbacks if isinstance(spec, str) and is_server(spec))


def _of_users_client(http: Any) -> Iterator[str]:
    """Yield what a caller's own HTTP client adds to requests by itself: a server may echo it."""
    client = getattr(getattr(http, "_user_client", None), "_client", None)
    if client is None:
        return
    headers = {name.lower(): value for name, value in client.headers.items()}
    yield from credentials(headers)
    yield from (value for name, value in headers.items() if name not in _PLAIN_HEADERS)
    yield from (value for value in client.cookies.values() if value)
    yield from client.params.values()
    yield from credentials({"authorization": getattr(client.auth, "_auth_header", "")})
