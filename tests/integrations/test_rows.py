"""Rows in, columns out."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr import ASRClient, Audio, Segment, Transcript, Word
from hfasr.integrations._rows import Columns, Work
from hfasr.testing import FakeBackend, ToneSpeech

ALL = Columns(text="t", error="e", language="l", duration="d", segments="s")


def test_names_stand_in_order() -> None:
    """Only columns that have a name are added, in a fixed order."""
    assert ALL.names == ("t", "e", "l", "d", "s")
    assert Columns(text="t", duration="d").names == ("t", "d")


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        ({"text": None}, TypeError, "text_column must be a column's name, not NoneType"),
        ({"text": "t", "error": True}, TypeError, "error_column"),
        ({"text": ""}, ValueError, "text_column must not be empty"),
        ({"text": "t", "error": "t"}, ValueError, "two columns are both to be called 't'"),
    ],
)
def test_bad_names(names: dict[str, Any], error: type[Exception], match: str) -> None:
    """What cannot be a column's name is refused, and so is one name for two columns."""
    with pytest.raises(error, match=match):
        Columns(**names)


def test_nothing_is_written_over() -> None:
    """A column that is there already is refused, with the argument that mends it."""
    ALL.check(["audio", "text"])
    with pytest.raises(ValueError, match=r"column 'd' already; choose another name \(duration_column=\)"):
        ALL.check(["audio", "d"])


def test_row_of_a_transcript() -> None:
    """A row has what the transcript says, as plain values."""
    word = Word(0.0, 0.5, "hi", 0.9)
    made = ALL.row(Transcript("hi", (Segment(0.0, None, "hi", (word,)),), "en", 0.5), None)
    words = [{"start": 0.0, "end": 0.5, "word": "hi", "confidence": 0.9}]
    assert made == {
        "t": "hi",
        "e": None,
        "l": "en",
        "d": 0.5,
        "s": [{"start": 0.0, "end": None, "text": "hi", "words": words, "channel": None, "error": None}],
    }


def test_row_of_an_error() -> None:
    """A row that failed has its error's kind and message, and nothing else."""
    assert ALL.row(None, ValueError("no")) == {"t": None, "e": "ValueError: no", "l": None, "d": None, "s": []}


def test_types_fit_the_values() -> None:
    """The Arrow types hold what a row has, whole."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    said, gap = Segment(0.0, None, "hi", (Word(0.0, 0.5, "hi"),), channel=1), Segment(0.5, 1.0, "", error="down")
    made = ALL.row(Transcript("hi", (said, gap), "en", 0.5), None)
    for name, kind in ALL.types().items():
        assert pa.array([made[name], None], kind).to_pylist() == [made[name], None]


def test_run_reads_lazily_and_keeps_order() -> None:
    """Columns are in the order of the rows, also where the rows come one by one."""
    texts = ["red boat", "green river", "sun"]
    audios = (Audio(ToneSpeech().say(text), 16_000) for text in texts)
    work = Work(columns=Columns(text="t"), options={}, max_concurrency=2, cache=None)
    with ASRClient(backend=FakeBackend(None)) as asr:
        assert work.run(asr, audios) == {"t": texts}
        assert work.run(asr, []) == {"t": []}
