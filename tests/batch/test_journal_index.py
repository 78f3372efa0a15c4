"""The index: it is a dictionary that takes little memory."""

from __future__ import annotations

import io
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr._batch import journal_index
from hfasr._batch.journal_index import Index, scan

# Few halves, so that keys share the first one, or both.
KEYS = st.builds(
    lambda high, low: f"{high:016x}{low:016x}", *[st.sampled_from([0, 1, 2**53 + 1, 2**63, 2**64 - 1])] * 2
)
RECORDS = st.lists(KEYS, max_size=40)


def line(key: str) -> bytes:
    return b'{"key":"%s","ok":true,"x":1}\n' % key.encode()


def n_bytes(index: Index) -> int:
    return sum(column.nbytes for column in index._columns)


@settings(deadline=None)
@given(RECORDS, RECORDS, st.integers(1, 5))
def test_index_is_a_dictionary(old: list[str], new: list[str], min_merged: int) -> None:
    """Whatever is read and put, also with equal halves of keys, the last of each key is found, and kept once."""
    file = io.BytesIO(b"".join(line(key) for key in old))
    expected = {}
    offset = 0
    for key in old:
        expected[key] = offset
        offset += len(line(key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_index, "_MIN_MERGED", min_merged)
        index = scan(file, 0).index
        assert n_bytes(index) == 24 * len(expected)
        for number, key in enumerate(new):
            index.put(key, 10**12 + number)
            expected[key] = 10**12 + number
            assert index.find(key) == 10**12 + number
    assert {key: index.find(key) for key in expected} == expected
    assert index.find("f" * 31 + "0") is None


def test_index_takes_24_bytes_a_record() -> None:
    """A million records fit into 24 MB."""
    numbers = array("Q", range(1000))
    assert n_bytes(Index(numbers, numbers, numbers)) == 24_000


def test_new_entries_join_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a long run adds does not stay in a dictionary."""
    monkeypatch.setattr(journal_index, "_MIN_MERGED", 10)
    index = Index(array("Q"), array("Q"), array("Q"))
    for n in range(1000):
        index.put(f"{n:032x}", n)
    assert n_bytes(index) > 24 * 800
    assert [index.find(f"{n:032x}") for n in range(1000)] == list(range(1000))
