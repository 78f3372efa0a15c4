"""How a run stands: items first, then the reason why it ends."""

from __future__ import annotations

import pytest

from hfasr import JournalError
from hfasr._run.standing import NOT_YET, Standing


def in_work(n_items: int) -> Standing[str]:
    """Return a run that has so many items in work."""
    standing: Standing[str] = Standing(ordered=True, window=9)
    for _ in range(n_items):
        standing.outlet.take()
        standing.n_pending += 1
    return standing


def test_items_then_the_end() -> None:
    """Finished items come out; then nothing until the inputs are at their end, and then that."""
    standing = in_work(1)
    assert standing.next() is NOT_YET
    standing.done(0, "zero")
    assert standing.next() == "zero"
    assert standing.next() is NOT_YET
    standing.fed = True
    assert standing.next() is None


def test_inputs_that_failed() -> None:
    """What the inputs raised comes after the items before it."""
    standing = in_work(1)
    standing.inputs_error = LookupError("gone")
    standing.fed = True
    assert standing.next() is NOT_YET
    standing.done(0, "zero")
    assert standing.next() == "zero"
    with pytest.raises(LookupError):
        standing.next()


def test_failure_waits_for_what_is_in_work() -> None:
    """The first failure is raised once nothing is in work, and after every item that was finished, gaps or not."""
    standing = in_work(3)
    standing.fail(ValueError("first"))
    standing.fail(ValueError("second"))
    standing.dropped()
    standing.done(2, "two")
    assert standing.next() is NOT_YET
    standing.done(1, "one")
    assert standing.next() == "one"
    assert standing.next() == "two"
    with pytest.raises(ValueError, match="first"):
        standing.next()


def test_what_was_not_written_is_in_the_error() -> None:
    """Items that could not be written come with the error, and not before it."""
    standing = in_work(2)
    items = ["zero", "one"]
    for item in items:
        standing.not_written(item, JournalError("the disk is full"))
    with pytest.raises(JournalError) as raised:
        standing.next()
    unwritten: tuple[object, ...] = raised.value.unwritten
    assert unwritten == tuple(items)
