"""What a run is asked for, and what it works with; generic in what goes in and in what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from hfasr._core.io import IO
    from hfasr.errors import JournalError

__all__ = ["Job", "Journal", "Opened", "Order", "Settled", "Watcher"]

In = TypeVar("In")
Item = TypeVar("Item")
In_contra = TypeVar("In_contra", contravariant=True)
Item_co = TypeVar("Item_co", covariant=True)
Item_contra = TypeVar("Item_contra", contravariant=True)


class Settled(NamedTuple, Generic[Item_co]):
    """A finished item, and the key under which the journal is to keep it."""

    item: Item_co
    """Never ``None``."""
    key: str | None
    """``None``: it is not to be written."""


class Job(Protocol[In_contra, Item_co]):
    """What is done with each input."""

    async def settle(self, io: IO, index: int, given: In_contra, /) -> Settled[Item_co]:
        """
        Return what came of *given*, the input of that index. What is raised ends the run.

        In the blocking colour it must not suspend, but on *io*.
        """
        ...


class Journal(Protocol[Item_contra]):
    """Keeps finished items."""

    def append(self, key: str, item: Item_contra, done: Callable[[JournalError | None], None], /) -> None:
        """Write *item* down, and call *done* when it is kept, or with why it is not; in any thread."""
        ...


class Opened(Protocol[In_contra, Item]):
    """What a run holds open."""

    @property
    def job(self) -> Job[In_contra, Item]:
        """What is done with each input."""
        ...

    @property
    def journal(self) -> Journal[Item] | None:
        """What keeps finished items before they are handed out, if anything does."""
        ...

    def close(self) -> None:
        """Close all of it. Blocks; may be called twice."""
        ...


class Watcher(Protocol[Item_contra]):
    """Told of each item as it is handed out."""

    def __call__(self, item: Item_contra, /) -> object: ...

    def close(self) -> None:
        """Learn that no more come."""
        ...


class Order(Protocol[In, Item]):
    """What a run is asked for."""

    @property
    def what(self) -> str:
        """What is run, for messages and names of threads: ``"batch"``."""
        ...

    @property
    def io(self) -> Any:
        """The client's, of its colour, or that of the run around this one."""
        ...

    @property
    def inputs(self) -> Iterable[In] | AsyncIterable[In]:
        """Read lazily, and in a thread where they are no sequence; async ones only by tasks."""
        ...

    @property
    def owns_inputs(self) -> bool:
        """Whether the run closes them; generators are closed in any case."""
        ...

    @property
    def n_workers(self) -> int:
        """Most inputs in work at once, 1 or more."""
        ...

    @property
    def window(self) -> int:
        """Most inputs that are held at once: in work, waiting for it, or for their turn to come out. 1 or more."""
        ...

    @property
    def max_waiting(self) -> int | None:
        """Most inputs that are read and that no worker has taken, 1 or more, for large ones; ``None``: any number."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether items come out in the order of the inputs."""
        ...

    def check_open(self) -> None:
        """Raise where the client has been closed."""
        ...

    def open(self) -> Opened[In, Item]:
        """Open what the run works with. Blocks."""
        ...

    def watcher(self) -> Watcher[Item] | None:
        """Return who is told of each item, if anybody is."""
        ...
