"""Closing the inputs: in the thread that read them, however the run ends."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.colours import Session
from tests.core.test_transport import wait_for
from tests.run.kit import FunctionOrder, Items, io_of

Make = Callable[..., Session]


class File:
    """Inputs that hold something open: with an iterator of its own, or itself."""

    def __init__(self, n_inputs: int, *, blocks: bool = False) -> None:
        self._n_left = n_inputs
        self._blocks = blocks
        self.go_on = threading.Event()
        self.read_in: set[int] = set()
        self.closed_in: list[int] = []

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.read_in.add(threading.get_ident())
        if self._blocks and self._n_left == 1:
            assert self.go_on.wait(20)
        if not self._n_left:
            raise StopIteration
        self._n_left -= 1
        return self._n_left

    def close(self) -> None:
        """Note the thread."""
        self.closed_in.append(threading.get_ident())


def generated(file: File) -> Iterator[int]:
    """Give what is in the file, and close it."""
    try:
        for one in file:  # noqa: UP028  # `yield from` would close it, too
            yield one
    finally:
        file.close()


@pytest.mark.parametrize("given", ["generator", "owned"])
@pytest.mark.parametrize("early", [False, True])
def test_closed_where_they_were_read(session: Make, given: str, early: bool) -> None:
    """A generator, and what the run owns, is closed once, in the thread that read it, at the end and before it."""
    made = session()
    file = File(10**9 if early else 3)
    inputs: Any = generated(file) if given == "generator" else file
    items = Items(made, FunctionOrder(io_of(made), inputs, owns_inputs=given == "owned"))
    next(items)
    if early:
        items.close()
    else:
        assert list(items) == [1, 0]
    assert file.closed_in == list(file.read_in)
    assert threading.get_ident() not in file.closed_in


def test_generators_of_an_iterable(session: Make) -> None:
    """The generator that an iterable makes for the run is closed, too, also where the caller owns the iterable."""
    file = File(10**9)

    class Loader:
        def __iter__(self) -> Iterator[int]:
            self.kept = generated(file)  # so that it is not just forgotten
            return self.kept

    made = session()
    items = Items(made, FunctionOrder(io_of(made), Loader()))
    next(items)
    items.close()
    assert file.closed_in == list(file.read_in)


def test_what_is_the_callers_stays_open(session: Make) -> None:
    """A file or cursor of the caller's own is not closed."""
    made = session()
    file = File(3)
    assert list(Items(made, FunctionOrder(io_of(made), file))) == [2, 1, 0]
    assert file.closed_in == []


def test_blocked_inputs_hold_up_nothing(session: Make) -> None:
    """Where the inputs wait for something, closing does not; they are closed when they come back."""
    made = session()
    file = File(3, blocks=True)
    items = Items(made, FunctionOrder(io_of(made), file, owns_inputs=True))
    assert [next(items), next(items)] == [2, 1]
    began = time.monotonic()
    items.close()
    assert time.monotonic() - began < 3
    assert file.closed_in == []
    file.go_on.set()
    wait_for(lambda: file.closed_in == list(file.read_in))


@pytest.mark.parametrize("begun", [False, True])
def test_inputs_that_nobody_read(session: Make, begun: bool) -> None:
    """What the run owns is closed where it ends before it began to read, or cannot open what it needs."""
    made = session()
    file = File(3)
    items = Items(made, FunctionOrder(io_of(made), file, owns_inputs=True, opening=LookupError("no such thing")))
    if begun:
        with pytest.raises(LookupError):
            next(items)
    items.close()
    assert len(file.closed_in) == 1
    assert file.read_in == set()


def test_a_failure_of_closing(session: Make) -> None:
    """What closing the inputs raises at their end is raised after the items."""

    def inputs() -> Iterator[int]:
        yield 1

    class Broken:
        def __iter__(self) -> Iterator[int]:
            return inputs()

        def close(self) -> None:
            raise OSError("the disk is gone")

    made = session()
    items = Items(made, FunctionOrder(io_of(made), Broken(), owns_inputs=True))
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


@pytest.mark.parametrize("colour", ["asyncio", "trio"])
@pytest.mark.parametrize("early", [False, True])
def test_async_inputs(session: Make, early: bool) -> None:
    """Async inputs that the run owns, and their generator, are closed in the task that read them."""
    closed: list[str] = []

    class Stream:
        async def _give(self) -> AsyncIterator[int]:
            try:
                for number in range(10**9 if early else 3):
                    yield number
            finally:
                closed.append("generator")

        def __aiter__(self) -> AsyncIterator[int]:
            self.kept = self._give()
            return self.kept

        async def aclose(self) -> None:
            closed.append("stream")

    made = session()
    items = Items(made, FunctionOrder(io_of(made), Stream(), owns_inputs=True))
    assert next(items) == 0
    if early:
        items.close()
    else:
        assert list(items) == [1, 2]
    assert closed == ["generator", "stream"]
