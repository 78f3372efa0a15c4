"""What is said of a transcript that was joined from chunks: how often, how many are named, in which order."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr._core.remarks import Remarks

DIFFERENT = ": they heard different words there"


def test_nothing_to_say() -> None:
    """Chunks without a warning leave no line."""
    remarks = Remarks()
    assert remarks.lines() == ()
    remarks.chunk([])
    assert remarks.lines() == ()


def test_how_many_chunks() -> None:
    """A warning is told once, with the number of chunks that had it; of the only chunk, as it is."""
    remarks = Remarks()
    remarks.chunk(["one", "two", "one"])
    assert remarks.lines() == ("one", "two")
    remarks.chunk(["two"])
    assert remarks.lines() == ("one (in 1 of 2 chunks)", "two (in 2 of 2 chunks)")
    remarks.gap(0.0, 1.0, "error")
    assert remarks.lines()[1:] == ("one (in 1 of 3 chunks)", "two (in 2 of 3 chunks)")


def test_kinds_are_bounded() -> None:
    """Of different warnings the first 20 are told, and counted on; of the others how many there were."""
    remarks = Remarks()
    remarks.chunk([f"w{i}" for i in range(20)])
    assert len(remarks.lines()) == 20
    remarks.chunk(["w0", "w20"])
    assert remarks.lines()[-1] == "1 more warnings of chunks are not shown"
    remarks.chunk(["w20", "w21"])
    lines = remarks.lines()
    assert (len(lines), lines[0], lines[19]) == (21, "w0 (in 2 of 3 chunks)", "w19 (in 1 of 3 chunks)")
    assert lines[20] == "3 more warnings of chunks are not shown"


def test_gaps() -> None:
    """Chunks that failed are told with their times and the first error, in one clean line."""
    remarks = Remarks()
    remarks.gap(0.04, 9.96, "first\nerror")
    assert remarks.lines() == ("1 of 1 chunk failed and left a gap, 0.0 to 10.0 s: first error",)
    remarks.gap(20.0, 30.0, "second error")
    remarks.chunk([])
    assert remarks.lines() == ("2 of 3 chunks failed and left a gap, 0.0 to 10.0 s, 20.0 to 30.0 s: first error",)


@pytest.mark.parametrize(
    ("doubt", "line"),
    [
        ("repeated", f"words may be repeated where chunks meet, at {{}}{DIFFERENT}"),
        ("missing", f"words may be missing where chunks meet, at {{}}{DIFFERENT}"),
        ("again", "words may be missing where chunks meet, at {}: the same words are said more than once there"),
    ],
)
def test_places_are_bounded(doubt: Any, line: str) -> None:
    """The first five places are named, and how many more there are."""
    remarks = Remarks()
    for i in range(5):
        remarks.seam(i + 0.25, doubt)
    five = "0.2 s, 1.2 s, 2.2 s, 3.2 s, 4.2 s"
    assert remarks.lines() == (line.format(five),)
    remarks.seam(5.0, doubt)
    assert remarks.lines() == (line.format(f"{five} and 1 more"),)
    remarks.seam(6.0, doubt)
    assert remarks.lines() == (line.format(f"{five} and 2 more"),)


def test_order() -> None:
    """Gaps come first, then seams by kind, then the chunks' own, and last what is not shown."""
    remarks = Remarks()
    remarks.chunk([f"w{i}" for i in range(21)])
    for doubt in ("again", "missing", "repeated"):
        remarks.seam(1.0, doubt)
    remarks.gap(1.0, 2.0, "error")
    lines = remarks.lines()
    assert [line[:26] for line in lines[:4]] == [
        "1 of 2 chunks failed and l",
        "words may be repeated wher",
        "words may be missing where",
        "words may be missing where",
    ]
    assert lines[2].endswith(DIFFERENT)
    assert lines[4] == "w0 (in 1 of 2 chunks)"
    assert lines[-1] == "1 more warnings of chunks are not shown"
