"""Pieces of one call, worked on at once: an order for the runners."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hfasr._run.each import each

if TYPE_CHECKING:
    from hfasr._core.io import IO
    from hfasr._run.order import Job

__all__ = ["WorkOrder", "each", "one_by_one"]

In = TypeVar("In")
Item = TypeVar("Item")


def _is_open() -> None:
    """A call that has begun goes on."""


@dataclass(frozen=True, slots=True)
class WorkOrder(Generic[In, Item]):
    """Inputs that are large, and read no further ahead than need be; nothing to open, nobody to tell."""

    io: Any
    inputs: Iterable[In] | AsyncIterable[In]
    job: Job[In, Item]
    n_workers: int
    what: str = "transcription"
    check_open: Callable[[], None] = _is_open
    owns_inputs: bool = True
    ordered: bool = True
    max_waiting: int | None = 1
    journal: None = None
    ahead: int = 8
    """So many times *n_workers* may be done before their turn, while one piece is tried again."""

    @property
    def window(self) -> int:
        """Most inputs that are taken and not given out; what is finished holds no audio."""
        return self.ahead * self.n_workers

    def open(self) -> WorkOrder[In, Item]:
        """Return what the run works with: this."""
        return self

    def close(self) -> None:
        """There is nothing to close."""

    def watcher(self) -> None:
        """Nobody is told."""


async def one_by_one(
    io: IO, inputs: Iterable[In], job: Job[In, Item], deliver: Callable[[Item], Awaitable[object]]
) -> None:
    """Work on *inputs* one after the other, where others are in work at the same time already."""
    end = object()
    rest = iter(inputs)
    index = 0
    while True:
        given = await io.offload(lambda: next(rest, end))
        if given is end:
            return
        settled = await job.settle(io, index, given)  # type: ignore[arg-type]  # the end is told above
        await deliver(settled.item)
        index += 1
