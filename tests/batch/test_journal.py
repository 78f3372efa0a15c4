"""The journal: what was written is found again, and says when it cannot be."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfasr import BatchItem, Transcript
from hfasr._batch import journal_writer
from hfasr._batch.journal import Journal
from hfasr._batch.keys import content_key
from hfasr.errors import EmptyAudioError, HfasrError, JournalError, ServerError
from hfasr.types import Attempt, Provenance, Segment, Word

FULL = Transcript(
    "héllo \u2028 wörld",
    segments=(Segment(0.0, 1.5, "héllo", (Word(0.0, None, "héllo", 0.5),)),),
    language="en",
    duration=1.5,
    provenance=Provenance(
        "hosted",
        "hf-inference",
        "m",
        None,
        1.5,
        10,
        "flac",
        (Attempt("r", 200, None, None, 0.0, 0.1, 0.0),),
        "x",
        ("y",),
    ),
    warnings=("a", "b"),
)


def key(n: int) -> str:
    return content_key(str(n), "f")


def said(text: str, audio: Any = "a.wav") -> BatchItem:
    return BatchItem(0, audio, Transcript(text))


def failed(error: Exception) -> BatchItem:
    return BatchItem(0, "a.wav", error=error)


def write(journal: Journal, n: int, item: BatchItem) -> None:
    """Write *item* under the key of *n*, and wait until it is on the disk."""
    journal.append(key(n), item, lambda error: None)
    journal.flush()


def text_of(journal: Journal, n: int) -> str | None:
    entry = journal.find(key(n))
    return None if entry is None or entry.transcript is None else entry.transcript.text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_items_come_back(path: Path) -> None:
    """Transcripts and errors are found in the same run and in the next one, whole."""
    error = ServerError("down; wait", status_code=503, retry_after=2.0)
    for is_next in (False, True):
        with Journal(path) as journal:
            if not is_next:
                write(journal, 1, BatchItem(0, "https://u:p@h/a.wav?sig=s", FULL))
                write(journal, 2, failed(error))
                write(journal, 3, failed(EmptyAudioError("empty")))
            good, bad, empty = (journal.find(key(n)) for n in (1, 2, 3))
            assert good is not None
            assert bad is not None
            assert empty is not None
            assert (good.transcript, good.error, good.ok, good.audio) == (FULL, None, True, "https://h/a.wav")
            assert (bad.transcript, bad.ok, bad.permanent, empty.permanent) == (None, False, False, True)
            assert vars(bad.error or error) == vars(error)
            assert journal.find(key(4)) is None


def test_later_lines_win(path: Path) -> None:
    """Of several records of an item the last one stands, whether or not the journal was opened in between."""
    with Journal(path) as journal:
        write(journal, 1, failed(ServerError("down", status_code=500)))
        write(journal, 1, said("first"))
        assert text_of(journal, 1) == "first"
    with Journal(path) as journal:
        assert text_of(journal, 1) == "first"
        write(journal, 1, said("second"))
        assert text_of(journal, 1) == "second"
        write(journal, 1, failed(EmptyAudioError("now it fails")))
        entry = journal.find(key(1))
        assert entry is not None
        assert str(entry.error) == "now it fails"


def test_lines_are_json_that_anybody_reads(path: Path) -> None:
    """Every line is UTF-8 and JSON in the documented layout, and readable text stays so."""
    with Journal(path) as journal:
        write(journal, 1, BatchItem(0, "ü\n.wav", FULL))
        write(journal, 2, failed(EmptyAudioError("empty")))
    lines = path.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 4
    assert json.loads(lines[0])["hfasr_journal"] == 1
    assert lines[1].startswith(f'{{"key":"{key(1)}","ok":true,"audio":"ü\\n.wav","at":"')
    assert "héllo" in lines[1]
    assert lines[2].startswith(f'{{"key":"{key(2)}","ok":false,"permanent":true,"audio":"a.wav","at":"')
    assert Transcript.from_dict(json.loads(lines[1])["transcript"]) == FULL


@pytest.mark.parametrize("text", ["\udcff.wav", "a\nb", "\r", "\0", "\u2028", "😀", '"\\'])
def test_any_text_comes_back(path: Path, text: str) -> None:
    """Names and transcripts with any character at all come back, and the file stays UTF-8."""
    with Journal(path) as journal:
        write(journal, 1, said(text, audio=text))
    path.read_bytes().decode("utf-8")
    with Journal(path) as journal:
        entry = journal.find(key(1))
        assert entry is not None
        assert (entry.audio, entry.transcript) == (text, Transcript(text))


def test_numbers_of_numpy(path: Path) -> None:
    """An engine that gives numpy's numbers for times is no reason to lose its transcript."""
    segment = Segment(np.float32(0.5), np.float64(1.5), "x")  # type: ignore[arg-type]  # as engines do
    with Journal(path) as journal:
        write(journal, 1, BatchItem(0, b"", Transcript("x", (segment,), duration=float("nan"))))
        entry = journal.find(key(1))
        assert entry is not None
        assert entry.transcript is not None
        assert entry.transcript.segments == (Segment(0.5, 1.5, "x"),)
        assert entry.audio == "bytes"


class _OnAnotherDevice:
    """Like a tensor that has no data: its conversion raises what nobody would think of."""

    def tolist(self) -> float:
        raise NotImplementedError("no data by hf_abcdefghijkl")


class _SilentError(Exception):
    def __str__(self) -> str:
        raise KeyError


class _Unsayable:
    def tolist(self) -> float:
        raise _SilentError


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (object(), "object is nothing that JSON can carry"),
        (_OnAnotherDevice(), r"NotImplementedError: no data by hf_\*\*\*"),
        (_Unsayable(), "_SilentError: no message"),
    ],
)
def test_what_json_cannot_carry(path: Path, odd: Any, why: str) -> None:
    """A transcript that cannot be written is reported to whoever waits for it, and stops nothing else."""
    told: list[JournalError | None] = []
    with Journal(path) as journal:
        journal.append(key(1), BatchItem(0, b"", Transcript("x", (Segment(0.0, odd, "x"),))), told.append)
        journal.append(key(2), said("fine"), told.append)
    assert told[0] is not None
    assert re.search(f"cannot hold the transcript of an engine: {why}; mend the engine", str(told[0]))
    assert told[1:] == [None]


def test_inputs_and_errors_whose_attributes_raise(path: Path) -> None:
    """What a caller's own object does when it is asked for its name, or an error for its message, costs no record."""

    class Nameless(io.BytesIO):
        @property
        def name(self) -> str:
            raise RuntimeError

    told: list[JournalError | None] = []
    with Journal(path) as journal:
        journal.append(key(1), said("x", audio=Nameless(b"RIFF")), told.append)
        journal.append(key(2), failed(_SilentError()), told.append)
    assert told == [None, None]
    with Journal(path) as journal:
        good, bad = journal.find(key(1)), journal.find(key(2))
        assert good is not None
        assert bad is not None
        assert (good.audio, str(bad.error)) == ("audio", "_SilentError: no message")


def test_done_in_order_and_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told in the order of the calls, after an fsync, when the record can be found."""
    synced: list[int] = []
    monkeypatch.setattr(journal_writer, "sync_data", lambda fd: synced.append(path.stat().st_size))
    seen: list[tuple[int, bool, bool, str]] = []
    with Journal(path) as journal:

        def told(n: int, error: JournalError | None) -> None:
            entry = journal.find(key(n))
            line_is_in = f'"{n}.wav"'.encode() in path.read_bytes()[: synced[-1]]
            assert entry is not None
            seen.append((n, error is None, line_is_in, threading.current_thread().name))

        for n in range(200):
            journal.append(key(n), said("x", audio=f"{n}.wav"), partial(told, n))
    assert seen == [(n, True, True, "hfasr-journal") for n in range(200)]


def test_many_threads(path: Path) -> None:
    """Threads that write and read at once lose nothing and get nobody else's records."""
    wrong: list[int] = []

    def tell(written: threading.Event, error: JournalError | None) -> None:
        written.set()

    def work(first: int) -> None:
        for n in range(first, first + 100):
            written = threading.Event()
            journal.append(key(n), said(str(n) * 50), partial(tell, written))
            if n % 25 == 0:
                written.wait()
                wrong.extend([] if text_of(journal, n) == str(n) * 50 else [n])

    with Journal(path) as journal:
        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 800, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Journal(path) as journal:
        wrong.extend(n for n in range(800) if text_of(journal, n) != str(n) * 50)
    assert wrong == []


def test_closed_journal_says_so(path: Path) -> None:
    """After closing, which may be done twice, appending reports an error and reading raises one."""
    journal = Journal(path)
    told: list[Any] = []
    journal.append(key(1), said("early"), told.append)
    journal.open()
    write(journal, 1, said("x"))
    journal.close()
    journal.close()
    journal.append(key(2), said("late"), told.append)
    assert [type(error) for error in told] == [JournalError, JournalError]
    with pytest.raises(JournalError, match="has been closed"):
        journal.find(key(1))
    with Journal(path) as again:
        assert [text_of(again, n) for n in (1, 2)] == ["x", None]


def test_never_opened(path: Path) -> None:
    """A journal that was not opened holds nothing, can be closed, and writes no file."""
    journal = Journal(path)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.flush()
    with pytest.raises(JournalError, match="closed"):
        journal.find(key(1))
    assert not path.exists()


def test_close_from_the_writers_thread(path: Path) -> None:
    """A batch that is closed by what it waits for, or by the garbage collector there, does not hang."""
    journal = Journal(path)
    journal.open()
    journal.append(key(1), said("x"), lambda error: journal.close())
    closing = [thread for thread in threading.enumerate() if thread.name == "hfasr-journal"]
    for thread in closing:
        thread.join(60)
        assert not thread.is_alive()
    with Journal(path) as again:
        assert text_of(again, 1) == "x"


def test_nothing_is_left(path: Path) -> None:
    """Closing ends the thread, and another may have the journal at once."""
    for _ in range(20):
        with Journal(path) as journal:
            write(journal, 1, said("x"))
        assert not [thread for thread in threading.enumerate() if thread.name == "hfasr-journal"]


def test_damaged_lines_are_skipped(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lines in the middle that are no records are passed over and counted, and told once."""
    with Journal(path) as journal:
        for n in range(6):
            write(journal, n, said(str(n)))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * 40 + b"\n"
    lines[2] = lines[2][:60] + b"\n"
    lines[3] = b"\n"
    lines[4] = lines[4].replace(b'"transcript":{', b'"transcript":[', 1)
    path.write_bytes(b"".join(lines))
    with caplog.at_level(logging.WARNING, "hfasr"), Journal(path) as journal:
        assert [text_of(journal, n) for n in range(6)] == [None, None, None, None, "4", "5"]
        assert text_of(journal, 3) is None
        write(journal, 3, said("again"))
        assert text_of(journal, 3) == "again"
    assert [record.getMessage() for record in caplog.records] == [
        "out.jsonl: damaged lines are skipped: 3; their items are tried again",
        "out.jsonl: a damaged record is skipped; its item is tried again",
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"ok": True, "transcript": {}},
        {"ok": True, "transcript": "text"},
        {"ok": True, "transcript": {"text": 5}},
        {"ok": True, "transcript": {"text": "x", "duration": "long"}},
        {"ok": True},
        {"ok": False},
        {"ok": False, "error": "text"},
    ],
)
def test_odd_records(path: Path, record: dict[str, Any]) -> None:
    """A record of the right layout with something else in it never breaks a run."""
    with Journal(path):
        pass
    with path.open("ab") as file:
        file.write(json.dumps({"key": key(1), **record}, separators=(",", ":")).encode() + b"\n")
    with Journal(path) as journal:
        entry = journal.find(key(1))
        assert entry is None or isinstance(entry.error, HfasrError)


def test_windows_newlines_are_read(path: Path) -> None:
    """A journal that an editor or git has turned is still one."""
    with Journal(path) as journal:
        write(journal, 1, said("x"))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with Journal(path) as journal:
        write(journal, 2, said("y"))
    with Journal(path) as journal:
        assert [text_of(journal, n) for n in (1, 2)] == ["x", "y"]


def test_a_done_that_fails_stops_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error in what waits for a record is logged, and the records after it are written."""

    def fail(error: JournalError | None) -> None:
        raise ZeroDivisionError

    with Journal(path) as journal:
        journal.append(key(1), said("x"), fail)
        write(journal, 2, said("y"))
        assert [text_of(journal, n) for n in (1, 2)] == ["x", "y"]
    assert "what waited for a record failed" in caplog.text
