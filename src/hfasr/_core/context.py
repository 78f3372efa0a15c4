"""One call's clock, log and limits."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hfasr.errors import APIError, DeadlineExceededError, HfasrError
from hfasr.types import Attempt
from hfasr.wire import Request, Response

from . import telemetry, watch
from .hidden import Secrets

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

    from .about import Stretch
    from .config import Config
    from .io import IO
    from .room import Room
    from .routes import Route
    from .shared import Shared

__all__ = ["CANCELLED", "SKIPPED", "CallContext", "logger"]

logger = logging.getLogger("hfasr")

SKIPPED = "skipped"
"""In the place of an error's name in `Attempt.error`."""

CANCELLED = "cancelled"
"""The same, of what was under way when the call was given up."""

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
        self.channel: int | None = None  # which one of a recording that is split
        self.route: Route | None = None  # that is being tried
        self.span: Any = None  # of OpenTelemetry, to which the attempts belong
        self.stretch: Stretch | None = None  # of what longer audio this is for a part
        self.seats: Room | None = None  # which chunks of this share with those of other calls
        self.parts: list[CallContext] = []  # that are under way, or failed
        self._deadline = deadline
        self._waited = 0.0
        self._n_told = 0
        self._ended_ns = 0  # when the last attempt did, since 1970

    def part(self, io: IO, *, chunk: int | None = None, config: Config | None = None) -> CallContext:
        """Return what a part of this call needs: the same clock and deadline, and a log of its own."""
        made = CallContext(io, config or self.config, self.shared, self._deadline)
        made.started = self.started
        made.chunk = self.chunk if chunk is None else chunk
        made.stretch = self.stretch
        made.channel = self.channel
        made.span = self.span
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
        self.tell()
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
        waited, self._waited = self._waited, 0.0
        self._append(
            Attempt(
                route,
                status,
                error,
                request_id,
                began - self.started,
                now - began,
                waited,
                loading,
                self.chunk,
                self.channel,
            )
        )
        logger.debug("%s: %s in %.3f s", route, error or status or "done", now - began)

    def _append(self, attempt: Attempt) -> None:
        self.tell()  # the one before is as it will stay
        self.attempts.append(attempt)
        if self.span is not None:
            self._ended_ns = time.time_ns()

    @contextmanager
    def recorded_if_cancelled(self, route: str, began: float, loading: float) -> Iterator[None]:
        """Write down a run that is given up while it is under way."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.record(route, began, status=None, error=CANCELLED, loading=loading)
            raise

    def failed(self, error: HfasrError) -> None:
        """Name *error* in the last attempt: what seemed to be an answer was none."""
        self.attempts[-1] = replace(self.attempts[-1], error=type(error).__name__)
        self.tell()

    def tell(self) -> None:
        """Tell those who watch of the attempts of which they have not heard; none of these may change any more."""
        hook, span = self.config.on_attempt, self.span
        if hook is None and span is None:
            return
        while self._n_told < len(self.attempts):
            attempt = self.attempts[self._n_told]
            self._n_told += 1
            if span is not None:
                telemetry.record_attempt(span, attempt, self.route, self._ended_ns)
            if hook is not None:
                watch.tell(hook, attempt, self.shared)

    def turn_to(self, route: Route) -> None:
        """Go on with *route*."""
        self.tell()
        self.route = route

    def take_over(self, attempts: Iterable[Attempt]) -> None:
        """Make *attempts* those of this call, its parts' among them, which were told of there."""
        self.tell()
        self.attempts[:] = attempts
        self._n_told = len(self.attempts)
        self.parts.clear()

    def every_attempt(self) -> tuple[Attempt, ...]:
        """Return the attempts of this call, and then those of its parts."""
        return (*self.attempts, *(attempt for part in self.parts for attempt in part.every_attempt()))

    def record_skip(self, route: str) -> None:
        """Write down that *route* was not tried at all."""
        began = self.io.clock.now() - self.started
        skipped = Attempt(route, None, SKIPPED, None, began, 0.0, 0.0, chunk=self.chunk, channel=self.channel)
        self._append(skipped)
        self.tell()

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
        try:
            with self._in_time("fetching the audio", APIError):
                return await self.io.send(request, timeout=self.config.timeout, expires_in=self.left(), reach=reach)
        except HfasrError as error:
            Secrets(url.partition("?")[2]).out_of_error(error)  # of a signed URL
            raise

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
