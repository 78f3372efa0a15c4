"""One call's clock, log and limits."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from hfasr.errors import APIError, DeadlineExceededError, HfasrError
from hfasr.types import Attempt
from hfasr.wire import Request, Response

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

    from .config import Config
    from .io import IO
    from .room import Room
    from .shared import Shared

__all__ = ["SKIPPED", "CallContext", "logger"]

logger = logging.getLogger("hfasr")

SKIPPED = "skipped"
"""In the place of an error's name in `Attempt.error`."""

T = TypeVar("T")

_SLACK_S = 0.01  # a socket's timeout may fire a little early


class CallContext:
    """
    What every step of one call needs: how to wait, how long, and where to write down what was done.

    It is also the `AudioIO` that reading audio waits on.
    """

    def __init__(self, io: IO, config: Config, shared: Shared, deadline: float | None) -> None:
        self.io = io
        self.config = config
        self.shared = shared
        self.attempts: list[Attempt] = []
        self.last_api_error: APIError | None = None
        self.audio_refused = False  # the server says that the audio is damaged, also decoded here
        self.late: HfasrError | None = None  # of an engine that was cut short, which says nothing of its health
        self.started = io.clock.now()
        self.chunk: int | None = None  # which one of long audio this is for
        self.seats: Room | None = None  # which chunks of this share with those of other calls
        self.parts: list[CallContext] = []  # that are under way, or failed
        self._deadline = deadline
        self._waited = 0.0

    def part(self, io: IO, *, chunk: int | None = None, config: Config | None = None) -> CallContext:
        """Return what a part of this call needs: the same clock and deadline, and a log of its own."""
        made = CallContext(io, config or self.config, self.shared, self._deadline)
        made.started = self.started
        made.chunk = self.chunk if chunk is None else chunk
        made.seats = self.seats
        self.parts.append(made)
        return made

    # Time

    def left(self) -> float | None:
        """Return the seconds until the deadline, ``None`` without one; may be negative."""
        return None if self._deadline is None else self._deadline - (self.io.clock.now() - self.started)

    @property
    def may_download(self) -> bool:
        """Whether an engine may fetch its model now: never under a deadline, which that would use up."""
        return self._deadline is None and not self.config.local_only

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        left = self.left()
        return left is not None and left <= _SLACK_S

    def deadline_error(self, doing: str) -> DeadlineExceededError:
        """Return the error for time that ran out, with the last server's error as its cause."""
        error = DeadlineExceededError(
            f"the deadline of {self._deadline:g} s passed while {doing}; raise deadline=, or shorten the audio",
            attempts=self.attempts,
        )
        error.__cause__ = self.last_api_error
        return error

    def check(self) -> None:
        """Raise where the deadline has passed or the call was cancelled. Any thread may call it."""
        if self.expired():
            raise self.deadline_error("reading the audio")
        self.io.check_cancelled()

    async def sleep(self, seconds: float) -> None:
        """Pause, and count it for the next attempt."""
        await self.io.sleep(seconds)
        self.count_wait(seconds)

    def count_wait(self, seconds: float) -> None:
        """Count a pause that was made elsewhere for the next attempt."""
        self._waited += seconds

    # Log

    def record(
        self,
        route: str,
        began: float,
        *,
        status: int | None,
        error: str | None,
        request_id: str | None = None,
        loading: float = 0.0,
    ) -> None:
        """Write down one request or engine run that began at *began* on the clock."""
        now = self.io.clock.now()
        attempt = Attempt(
            route, status, error, request_id, began - self.started, now - began, self._waited, loading, self.chunk
        )
        self._waited = 0.0
        self.attempts.append(attempt)
        logger.debug("%s: %s in %.3f s", route, error or status or "done", attempt.duration)

    def every_attempt(self) -> tuple[Attempt, ...]:
        """Return the attempts of this call, and then those of its parts."""
        return (*self.attempts, *(attempt for part in self.parts for attempt in part.every_attempt()))

    def record_skip(self, route: str) -> None:
        """Write down that *route* was not tried at all."""
        began = self.io.clock.now() - self.started
        self.attempts.append(Attempt(route, None, SKIPPED, None, began, 0.0, 0.0, chunk=self.chunk))

    def stamp(self, error: HfasrError) -> None:
        """Give *error* the attempts, where it has none yet."""
        if not error.attempts:
            error.attempts = self.every_attempt()

    def forget_errors(self) -> None:
        """Keep only the attempts, now that this part has ended: the traceback of an error holds all of its audio."""
        self.last_api_error = self.late = None

    # What reading audio waits on

    async def offload(self, fn: Callable[[], T], /) -> T:
        """Run blocking work off the event loop."""
        return await self.io.offload(fn)

    async def get(self, url: str, /, *, allow_private: bool, max_bytes: int, sink: Spool) -> Response:
        """Fetch *url* once into *sink*, without a token and following no redirect."""
        from .http import Reach

        request = Request("GET", url, {"accept": "audio/*, video/*;q=0.9, */*;q=0.5", "user-agent": user_agent()})
        reach = Reach(audio=True, private=allow_private, max_bytes=max_bytes, sink=sink)
        with self._in_time("fetching the audio", APIError):
            return await self.io.send(request, timeout=self.config.timeout, expires_in=self.left(), reach=reach)

    async def collect(self, chunks: AsyncIterable[bytes], sink: Spool, /) -> None:
        """Write an async iterable to *sink*."""
        with self._in_time("reading the audio", TimeoutError):
            await self.io.collect(chunks, sink, expires_in=self.left())

    async def wait(self, awaitable: Awaitable[T], /) -> T:
        """Wait for an async file."""
        with self._in_time("reading the audio", TimeoutError):
            return await self.io.wait(awaitable, expires_in=self.left())

    @contextmanager
    def _in_time(self, doing: str, kind: type[Exception]) -> Iterator[None]:
        """Tell an error of *kind* that the deadline has brought about as what it is."""
        try:
            yield
        except kind as error:
            if not self.expired():
                raise
            raise self.deadline_error(doing) from error


@functools.cache
def user_agent() -> str:
    """Return how hfasr names itself to servers."""
    import platform

    from hfasr._version import __version__

    return f"hfasr/{__version__}; python/{platform.python_version()}"
