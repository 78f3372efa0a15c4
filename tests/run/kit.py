"""Orders made of plain functions, and a runner of each colour that plain code iterates over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfasr._core.http import Reach
from hfasr._run.asynchronous import AsyncRunner
from hfasr._run.blocking import Runner
from hfasr._run.order import Settled
from hfasr.wire import Request

if TYPE_CHECKING:
    from hfasr._core.io import IO
    from hfasr.testing import FakeASRServer
    from tests.colours import Session

Settle = Callable[[Any, int, Any], Awaitable[Any]]


async def as_it_is(io: IO, index: int, given: Any) -> Any:
    """Settle an input by giving it out."""
    return given


@dataclass
class FunctionOrder:
    """An order whose job is *settle*, which returns an item."""

    io: Any
    inputs: Any
    settle_one: Settle = as_it_is
    n_workers: int = 2
    window: int = 64
    max_waiting: int | None = None
    ordered: bool = True
    owns_inputs: bool = False
    what: str = "run"
    n_closed: int = 0
    opening: BaseException | None = None
    journal: None = None

    def check_open(self) -> None:
        """Nothing is ever closed."""

    def open(self) -> FunctionOrder:
        """Return itself: nothing is opened, but where that is to fail."""
        if self.opening is not None:
            raise self.opening
        return self

    @property
    def job(self) -> FunctionOrder:
        """Itself."""
        return self

    async def settle(self, io: Any, index: int, given: Any) -> Settled[Any]:
        """Call the function."""
        return Settled(await self.settle_one(io, index, given), None)

    def close(self) -> None:
        """Count it."""
        self.n_closed += 1

    def watcher(self) -> None:
        """Nobody looks."""


class Items:
    """A runner of the session's colour, iterated over and closed by plain code."""

    def __init__(self, session: Session, order: FunctionOrder) -> None:
        self._session = session
        self.runner: Any = Runner(order) if session.colour == "sync" else AsyncRunner(order)

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Any:
        try:
            return self._session.run(self.runner.__next__ if self._session.colour == "sync" else self.runner.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Close it."""
        self._session.run(self.runner.close if self._session.colour == "sync" else self.runner.aclose)


def io_of(session: Session) -> Any:
    """Return what a client of that colour waits with."""
    return session.client._io


async def ask(io: IO, server: FakeASRServer, body: bytes) -> bytes:
    """Send *body* to the server, and return its answer."""
    url = f"{server.router_url}/hf-inference/models/openai/whisper-large-v3"
    request = Request("POST", url, {"content-type": "audio/flac"}, body)
    reply = await io.send(request, timeout=60, expires_in=None, reach=Reach())
    assert reply.status_code == 200
    return reply.content
