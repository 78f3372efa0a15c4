"""How far a run reads ahead, and what it holds."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from tests.colours import Session
from tests.core.test_transport import wait_for
from tests.run.kit import FunctionOrder, Items, io_of

Make = Callable[..., Session]


class Large:
    """An input that can be watched."""


class Source:
    """Endless inputs, none of which it holds itself; stops after some until it is let go on."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self.alive: list[weakref.ref[Large]] = []
        self.may_end = threading.Event()
        self._stop_at = stop_at

    def __iter__(self) -> Iterator[Large]:
        return self  # no generator, which holds what it gave last

    def __next__(self) -> Large:
        if len(self.alive) == self._stop_at:
            assert self.may_end.wait(20)
            raise StopIteration
        one = Large()
        self.alive.append(weakref.ref(one))
        return one

    def asynchronously(self) -> AsyncIterator[Large]:
        """Give them from an async generator, which waits for ever in the end."""

        async def give() -> AsyncIterator[Large]:
            while len(self.alive) != self._stop_at:
                one = next(self)
                yield one
                del one
            await anyio.sleep_forever()

        return give()

    @property
    def n_alive(self) -> int:
        """How many there are."""
        return sum(one() is not None for one in self.alive)


@pytest.mark.parametrize("max_waiting", [1, 3])
def test_no_more_wait_than_may(session: Make, max_waiting: int) -> None:
    """Besides what is in work, no more inputs are read than may wait, in an event loop's thread as well."""
    go = threading.Event()
    began: list[int] = []
    source = Source()

    async def settle(io: Any, index: int, given: Large) -> int:
        began.append(index)
        await io.offload(lambda: go.wait(20))
        return index

    made = session()
    items = Items(made, FunctionOrder(io_of(made), source, settle, max_waiting=max_waiting))
    first: list[int] = []
    waiting = threading.Thread(target=lambda: first.append(next(items)))
    waiting.start()
    wait_for(lambda: len(began) == 2 and len(source.alive) > 2)
    time.sleep(0.2)
    assert len(began) == 2
    assert 2 < len(source.alive) <= 2 + max_waiting
    go.set()
    waiting.join(20)
    assert [*first, *(next(items) for _ in range(50))] == list(range(51))
    items.close()


@pytest.mark.parametrize("max_waiting", [1, None])
def test_as_many_are_in_work_as_may_be(session: Make, max_waiting: int | None) -> None:
    """That few inputs may wait holds up no worker."""
    meet = threading.Barrier(4)

    async def settle(io: Any, index: int, given: int) -> int:
        await io.offload(lambda: meet.wait(20))
        return given

    made = session()
    order = FunctionOrder(io_of(made), iter(range(40)), settle, n_workers=4, window=8, max_waiting=max_waiting)
    assert list(Items(made, order)) == list(range(40))


@pytest.mark.parametrize("kind", ["blocking", "asynchronous"])
@pytest.mark.parametrize("max_waiting", [1, None])
def test_settled_inputs_are_let_go(session: Make, colour: str, kind: str, max_waiting: int | None) -> None:
    """What has been settled is held by nobody, though the run goes on and waits for more."""
    if kind == "asynchronous" and colour == "sync":
        pytest.skip("async inputs are for tasks")
    source = Source(stop_at=5)

    async def settle(io: Any, index: int, given: Large) -> int:
        return index

    made = session()
    inputs = source if kind == "blocking" else source.asynchronously()
    items = Items(made, FunctionOrder(io_of(made), inputs, settle, max_waiting=max_waiting, window=4))
    assert [next(items) for _ in range(5)] == list(range(5))
    wait_for(lambda: source.n_alive == 0)
    source.may_end.set()
    items.close()


def test_one_is_let_go_while_the_window_is_full(session: Make) -> None:
    """An input that was settled is let go, too, while nothing more may be read since no item is taken."""
    source = Source()

    async def settle(io: Any, index: int, given: Large) -> int:
        return index

    made = session()
    items = Items(made, FunctionOrder(io_of(made), source, settle, window=3, max_waiting=1))
    assert next(items) == 0
    wait_for(lambda: len(source.alive) == 4)
    wait_for(lambda: source.n_alive == 0)
    items.close()
