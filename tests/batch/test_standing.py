"""How a batch stands: items first, then the reason why it ends."""

from __future__ import annotations

import pytest

from hfasr import BatchItem, JournalError
from hfasr._batch.standing import NOT_YET, Standing


def in_work(n_items: int) -> Standing:
    """Return a batch that has so many items in work."""
    standing = Standing(ordered=True, window=9)
    for _ in range(n_items):
        standing.outlet.take()
        standing.n_pending += 1
    return standing


def test_items_then_the_end() -> None:
    """Finished items come out; then nothing until the inputs are at their end, and then that."""
    standing = in_work(1)
    assert standing.next() is NOT_YET
    standing.done(item := BatchItem(0, b""))
    assert standing.next() is item
    assert standing.next() is NOT_YET
    standing.fed = True
    assert standing.next() is None


def test_inputs_that_failed() -> None:
    """What the inputs raised comes after the items before it."""
    standing = in_work(1)
    standing.inputs_error = LookupError("gone")
    standing.fed = True
    assert standing.next() is NOT_YET
    standing.done(item := BatchItem(0, b""))
    assert standing.next() is item
    with pytest.raises(LookupError):
        standing.next()


def test_failure_waits_for_what_is_in_work() -> None:
    """The first failure is raised once nothing is in work, and after every item that was finished, gaps or not."""
    standing = in_work(3)
    standing.fail(ValueError("first"))
    standing.fail(ValueError("second"))
    standing.done(None)
    standing.done(last := BatchItem(2, b""))
    assert standing.next() is NOT_YET
    standing.done(middle := BatchItem(1, b""))
    assert standing.next() is middle
    assert standing.next() is last
    with pytest.raises(ValueError, match="first"):
        standing.next()


def test_what_was_not_written_is_in_the_error() -> None:
    """Items that could not be written come with the error, and not before it."""
    standing = in_work(2)
    items = [BatchItem(index, b"") for index in range(2)]
    for item in items:
        standing.not_written(item, JournalError("the disk is full"))
    with pytest.raises(JournalError) as raised:
        standing.next()
    assert raised.value.unwritten == tuple(items)
