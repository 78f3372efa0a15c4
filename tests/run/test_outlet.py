"""The outlet: order, room and release."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfasr._run.outlet import Outlet


def given_out(outlet: Outlet[str]) -> list[str]:
    """Return the items that are ready."""
    items = []
    while (item := outlet.pop()) is not None:
        items.append(item)
    return items


@given(st.permutations(range(8)))
def test_any_order_in(order: list[int]) -> None:
    """Items that are finished in any order come out in the order of the inputs, as early as they can."""
    outlet: Outlet[str] = Outlet(ordered=True, window=8)
    assert [outlet.take() for _ in range(8)] == list(range(8))
    out: list[str] = []
    for n_finished, index in enumerate(order, 1):
        outlet.put(index, str(index))
        out += given_out(outlet)
        finished = set(order[:n_finished])
        assert out == [str(i) for i in range(8) if set(range(i + 1)) <= finished]
    assert outlet.is_empty
    assert outlet.all_finished


def test_as_finished() -> None:
    """Without order an item comes out when it is finished."""
    outlet: Outlet[str] = Outlet(ordered=False, window=3)
    for _ in range(3):
        outlet.take()
    outlet.put(2, "2")
    assert given_out(outlet) == ["2"]
    outlet.put(0, "0")
    outlet.put(1, "1")
    assert given_out(outlet) == ["0", "1"]


def test_room() -> None:
    """What is finished and not given out takes up room, too."""
    outlet: Outlet[str] = Outlet(ordered=True, window=2)
    outlet.take()
    assert outlet.has_room
    outlet.take()
    assert not outlet.has_room
    outlet.put(1, "1")
    assert not outlet.has_room
    outlet.put(0, "0")
    assert not outlet.has_room
    assert outlet.pop() is not None
    assert outlet.has_room
    assert not outlet.is_empty


def test_release() -> None:
    """Once released, nothing waits for an earlier item that will not come; the order is kept."""
    outlet: Outlet[str] = Outlet(ordered=True, window=9)
    for _ in range(6):
        outlet.take()
    for index in (5, 3, 1):
        outlet.put(index, str(index))
    assert given_out(outlet) == []
    assert not outlet.all_finished
    outlet.release()
    assert given_out(outlet) == ["1", "3", "5"]
    outlet.put(4, "4")
    assert given_out(outlet) == ["4"]
    assert not outlet.is_empty
