"""Room that calls share: who gets in, who waits, and what is given back."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr._core.io import run_sync
from hfasr._core.room import Room
from tests.core.waiting_kit import Waits


def enter(room: Room, amount: float, io: Any = None, **options: Any) -> None:
    waiting: Any = io or Waits()
    run_sync(room.enter(waiting, amount, **options))


def is_full(room: Room, amount: float) -> bool:
    """Return whether there is no room for *amount* now; take nothing."""
    try:
        enter(room, amount, left=lambda: 0.0)
    except TimeoutError:
        return True
    room.leave(amount)
    return False


def test_as_much_as_fits() -> None:
    """It fills up to its size and no further, and what is given back is free again."""
    room = Room(10.0)
    enter(room, 4.0)
    enter(room, 5.0)
    assert not is_full(room, 1.0)
    assert is_full(room, 1.5)
    room.leave(4.0)
    assert not is_full(room, 5.0)
    assert is_full(room, 5.5)
    room.leave(5.0)
    enter(room, 10.0)
    assert is_full(room, 0.5)


def test_more_than_its_size_alone() -> None:
    """What is larger than the room gets in where nothing else is, and keeps everything else out."""
    room = Room(10.0)
    enter(room, 3.0)
    assert is_full(room, 99.0)
    room.leave(3.0)
    enter(room, 99.0)
    assert is_full(room, 0.001)
    room.leave(99.0)
    assert not is_full(room, 10.0)


def test_nothing_is_taken_in_vain() -> None:
    """Who gives up has taken nothing, also after it waited."""
    room = Room(10.0)
    enter(room, 8.0)
    left = [3.0, 0.0]
    io = Waits(lambda: None)
    with pytest.raises(TimeoutError):
        enter(room, 4.0, io, left=lambda: left.pop(0))
    assert io.heard == [3.0]
    with pytest.raises(TimeoutError):
        enter(room, 4.0, left=lambda: -1.0)
    assert not is_full(room, 2.0)
    room.leave(8.0)
    assert not is_full(room, 10.0)


def test_everyone_who_waits_is_woken_once() -> None:
    """Leaving wakes all who wait, and they look again; without a limit they wait as long as it takes."""
    room = Room(10.0)
    enter(room, 6.0)
    first, second = Waits(lambda: None), Waits(lambda: room.leave(6.0))
    with pytest.raises(IndexError):  # it waits again, where this IO has nothing more to do
        enter(room, 5.0, first)
    enter(room, 5.0, second)
    assert second.heard == [None]
    assert [bell.n_rung for bell in (*first.bells, second.bells[0])] == [1, 1, 1]
    room.leave(5.0)
    assert first.bells[0].n_rung == 1
    assert not is_full(room, 10.0)
