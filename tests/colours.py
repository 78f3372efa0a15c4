"""One test body for three colours: a facade over both clients."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from anyio.from_thread import start_blocking_portal

from hfasr import ASRClient, AsyncASRClient, BatchItem, Segment, Transcript

if TYPE_CHECKING:
    from hfasr.testing import FakeClock

COLOURS = ("sync", "asyncio", "trio")

Item = TypeVar("Item")


class Session:
    """A client of one colour whose methods are called as plain functions."""

    def __init__(self, colour: str, *args: Any, clock: FakeClock | None = None, **settings: Any) -> None:
        self.colour = colour
        self._stack = contextlib.ExitStack()
        if colour == "sync":
            self._portal = None
            self.client: Any = ASRClient(*args, **settings)
        else:
            self._portal = self._stack.enter_context(start_blocking_portal(colour))
            self.client = AsyncASRClient(*args, **settings)
        if clock is not None:
            clock.attach(self.client)

    def transcribe(self, audio: Any, **options: Any) -> Transcript:
        """Call `transcribe`."""
        return self.call("transcribe", audio, **options)  # type: ignore[no-any-return]  # the client's own

    def transcribe_many(self, audios: Any, **options: Any) -> Items:
        """Call `transcribe_many`."""
        return Items(self, self.client.transcribe_many(audios, **options))

    def transcribe_stream(self, audio: Any, **options: Any) -> Segments:
        """Call `transcribe_stream`."""
        return Segments(self, self.client.transcribe_stream(audio, **options))

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call any method."""
        bound = getattr(self.client, method)
        if self._portal is None:
            return bound(*args, **options)

        async def run() -> Any:
            return await bound(*args, **options)

        return self._portal.call(run)

    def run(self, function: Any) -> Any:
        """Call *function*; where the client is async, await what it returns, in the client's event loop."""
        if self._portal is None:
            return function()

        async def run() -> Any:
            return await function()

        return self._portal.call(run)

    def close_http(self, client: Any) -> None:
        """Close an httpx client of the same colour, in the same event loop."""
        if self._portal is None:
            client.close()
        else:
            self._portal.call(client.aclose)

    def close(self) -> None:
        """Close the client and end its event loop."""
        try:
            self.call("close" if self._portal is None else "aclose")
        finally:
            self._stack.close()


class _Each(Generic[Item]):
    """What a client iterates over, iterated over and closed by plain code."""

    def __init__(self, session: Session, batch: Any) -> None:
        self.session = session
        self.batch = batch

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        try:
            return self.session.run(  # type: ignore[no-any-return]  # the client's own
                self.batch.__next__ if self.session.colour == "sync" else self.batch.__anext__
            )
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Close it."""
        self.session.run(self.batch.close if self.session.colour == "sync" else self.batch.aclose)


class Items(_Each[BatchItem]):
    """A batch of one colour."""


class Segments(_Each[Segment]):
    """A stream of one colour; what it tells of itself is asked of `stream`."""

    @property
    def stream(self) -> Any:
        """The client's own."""
        return self.batch
