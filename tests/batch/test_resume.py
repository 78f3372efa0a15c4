"""Batches that are run again: what the journal and the cache save."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

import hfasr
from hfasr import Audio, BatchAbortedError, BatchItem, JournalError, RetryPolicy, Transcript
from hfasr.cache import TranscriptCache
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.batch.conftest import text_of, until_it_raises
from tests.colours import Session

Make = Callable[..., Session]
Files = Callable[[int], list[Path]]
QUICK = RetryPolicy(max_attempts=1)


def texts(items: list[BatchItem]) -> list[str | None]:
    """Return what the items say."""
    return [None if item.transcript is None else item.transcript.text for item in items]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return where a journal is to be."""
    return tmp_path / "batch.jsonl"


def test_nothing_is_sent_twice(session: Make, asr_server: FakeASRServer, files: Files, journal: Path) -> None:
    """A second run with the same journal sends nothing, and hands out the same items, marked as resumed."""
    paths = files(6)
    asr = session(router_url=asr_server.router_url)
    first = list(asr.transcribe_many(paths, journal=journal, return_timestamps="word"))
    assert len(asr_server.requests) == 6
    again = list(asr.transcribe_many(paths, journal=journal, return_timestamps="word"))
    assert len(asr_server.requests) == 6
    assert [item.transcript for item in again] == [item.transcript for item in first]
    assert [item.resumed for item in first + again] == [False] * 6 + [True] * 6
    assert all(item.audio is path for item, path in zip(again, paths, strict=True))


def test_only_what_is_missing_is_sent(session: Make, asr_server: FakeASRServer, files: Files, journal: Path) -> None:
    """A batch that was left half-way goes on where it stopped."""
    paths = files(10)
    asr = session(router_url=asr_server.router_url)
    batch = asr.transcribe_many(paths, journal=journal, max_concurrency=2)
    for _ in range(4):
        next(batch)
    batch.close()
    kept = sum('"ok":true' in line for line in journal.read_text(encoding="utf-8").splitlines())
    assert kept >= 4
    asr_server.script()
    n_before = len(asr_server.requests)
    items = list(asr.transcribe_many(paths, journal=journal))
    assert texts(items) == [text_of(number) for number in range(10)]
    assert sum(item.resumed for item in items) == kept
    assert len(asr_server.requests) - n_before == 10 - kept


def test_an_item_is_on_the_disk_before_it_is_handed_out(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path
) -> None:
    """Whoever sees an item can rely on it: it is in the file by then."""
    for item in session(router_url=asr_server.router_url).transcribe_many(files(5), journal=journal, ordered=False):
        assert f"/{item.index}.flac" in journal.read_text(encoding="utf-8")


@pytest.mark.parametrize("verify", ["stat", "hash"])
def test_a_file_that_was_touched(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path, verify: str
) -> None:
    """By default a file with another time of modification is sent again; by content it is not, until that changes."""
    (path,) = files(1)
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many([path], journal=journal, verify=verify))
    os.utime(path, ns=(1, 1))
    (item,) = asr.transcribe_many([path], journal=journal, verify=verify)
    assert item.resumed is (verify == "hash")
    path.write_bytes(files(2)[1].read_bytes())
    (item,) = asr.transcribe_many([path], journal=journal, verify=verify)
    assert not item.resumed
    assert texts([item]) == [text_of(1)]


def test_moved_files_are_known_by_their_content(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path
) -> None:
    """With ``verify="hash"`` a file may move, and bytes of the same content are the same item."""
    (path,) = files(1)
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many([path], journal=journal, verify="hash"))
    moved = path.rename(path.with_name("moved.flac"))
    items = list(asr.transcribe_many([moved, moved.read_bytes()], journal=journal, verify="hash"))
    assert [item.resumed for item in items] == [True, True]
    assert len(asr_server.requests) == 1


def test_bytes_and_arrays_go_by_content(session: Make, asr_server: FakeASRServer, clips: Any, journal: Path) -> None:
    """What has no name is known by what it holds, and an array by its rate as well."""
    samples, rate = soundfile.read(io.BytesIO(clips(3)), dtype="float32")
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many([clips(0), Audio(samples, rate)], journal=journal))
    again = [bytearray(clips(0)), Audio(samples.copy(), rate), Audio(samples.copy(), rate // 2), clips(1)]
    items = list(asr.transcribe_many(again, journal=journal))
    assert [item.resumed for item in items] == [True, True, False, False]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "openai/whisper-small"},
        {"language": "de"},
        {"return_timestamps": True},
        {"generation_parameters": {"num_beams": 2}},
        {"prompt": "names"},
    ],
)
def test_other_options_are_other_items(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path, change: dict[str, Any]
) -> None:
    """A transcript is not taken over for another model or other options; for the old ones it still is."""
    paths = files(1)
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many(paths, journal=journal))
    (item,) = asr.transcribe_many(paths, journal=journal, **change)
    assert not item.resumed
    (item,) = asr.transcribe_many(paths, journal=journal, deadline=100)
    assert item.resumed


def test_which_failures_are_tried_again(
    session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path, journal: Path
) -> None:
    """What failed for good is kept, what may work another time is tried; ``retry_failed`` says otherwise."""
    (tmp_path / "text.flac").write_text("no audio at all")
    paths = [*files(2), tmp_path / "text.flac"]
    asr_server.script(replies.server_error(500))
    asr = session(router_url=asr_server.router_url, retry=QUICK)

    def run(retry_failed: bool | None) -> list[BatchItem]:
        batch = asr.transcribe_many(paths, journal=journal, max_concurrency=1, retry_failed=retry_failed)
        return list(batch)

    first = run(None)
    assert [type(item.error).__name__ for item in first] == ["ServerError", "NoneType", "UnsupportedAudioError"]
    kept = run(False)
    assert [item.resumed for item in kept] == [True, True, True]
    assert isinstance(kept[0].error, hfasr.ServerError)
    assert kept[0].error.status_code == 500
    assert str(kept[2].error) == str(first[2].error)
    assert len(asr_server.requests) == 2
    again = run(None)
    assert [item.resumed for item in again] == [False, True, True]
    assert again[0].ok
    assert [item.resumed for item in run(True)] == [True, True, False]


def test_content_that_failed(session: Make, asr_server: FakeASRServer, journal: Path) -> None:
    """A failure for good is remembered of bytes, too."""
    asr = session(router_url=asr_server.router_url)
    inputs = [b"no audio at all, and long enough to be sure of it" * 10]
    (first,) = asr.transcribe_many(inputs, journal=journal)
    (again,) = asr.transcribe_many(inputs, journal=journal)
    assert type(again.error) is type(first.error)
    assert first.error is not None


@pytest.mark.parametrize("reply", [replies.unauthorized(), replies.payment_required(), replies.forbidden()])
def test_refused_accounts_leave_no_trace(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path, reply: Any
) -> None:
    """Items of a batch that was stopped stay out of the journal, and are sent when it goes on."""
    paths = files(8)
    asr = session(router_url=asr_server.router_url)
    asr_server.script(replies.Normal(), reply)
    with pytest.raises(BatchAbortedError):
        list(asr.transcribe_many(paths, journal=journal, max_concurrency=1))
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert [line["ok"] for line in lines[1:]] == [True]
    items = list(asr.transcribe_many(paths, journal=journal))
    assert texts(items) == [text_of(number) for number in range(8)]
    assert sum(item.resumed for item in items) == 1
    assert len(asr_server.requests) == 2 + 7


def test_one_batch_at_a_time(session: Make, asr_server: FakeASRServer, files: Files, journal: Path) -> None:
    """A second batch on the same journal is refused, and the first goes on."""
    asr = session(router_url=asr_server.router_url)
    paths = files(100)  # more than are held at once, so that it cannot be done yet
    batch = asr.transcribe_many(paths, journal=journal)
    next(batch)
    with pytest.raises(JournalError, match="in use"):
        next(asr.transcribe_many(paths, journal=journal))
    assert len(list(batch)) == 99
    assert len(list(asr.transcribe_many(paths, journal=journal))) == 100


def test_not_a_journal(session: Make, asr_server: FakeASRServer, files: Files, journal: Path) -> None:
    """Another file is not overwritten, and nothing is sent."""
    journal.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(JournalError, match="journal"):
        next(session(router_url=asr_server.router_url).transcribe_many(files(1), journal=journal))
    assert journal.read_text(encoding="utf-8") == "my notes\n"
    assert asr_server.requests == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_private_files(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path, journal: Path) -> None:
    """What was said is for the owner's eyes: every file of a batch has mode 0600, and no temporary one is left."""
    folder = tmp_path / "kept"
    folder.mkdir()
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many(files(2), journal=folder / "j.jsonl", cache=folder / "c.sqlite"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"j.jsonl", "c.sqlite"} <= modes.keys() <= {"j.jsonl", "j.jsonl.lock", "c.sqlite"}


def test_disk_full(
    session: Make, asr_server: FakeASRServer, files: Files, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up ends the batch with what could not be written; later it goes on, and nothing was lost."""
    paths = files(6)
    written = [0]

    def write(fd: int, data: Any, plain: Any = os.write) -> int:
        if written[0] >= 2:  # the header's line, and the first group
            raise OSError(28, "No space left on device")
        written[0] += 1
        return int(plain(fd, data))

    asr = session(router_url=asr_server.router_url)
    with monkeypatch.context() as patched:
        patched.setattr("hfasr._batch.journal_writer.os.write", write)
        items, error = until_it_raises(asr.transcribe_many(paths, journal=journal, max_concurrency=1))
    handed_out = [item.index for item in items]
    assert isinstance(error, JournalError)
    assert "space" in str(error)
    assert len(handed_out) + len(error.unwritten) == sum(r.status == 200 for r in asr_server.requests)
    assert all(item.ok for item in error.unwritten)
    items = list(asr.transcribe_many(paths, journal=journal))
    assert texts(items) == [text_of(number) for number in range(6)]
    assert [item.index for item in items if item.resumed] == handed_out


def test_cache_by_content(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """What was transcribed once is not sent again, whatever the file is called; and the result says so."""
    paths = files(3)
    cache = tmp_path / "cache.sqlite"
    asr = session(router_url=asr_server.router_url)
    first = list(asr.transcribe_many(paths, cache=cache))
    copy = tmp_path / "copy.flac"
    copy.write_bytes(paths[1].read_bytes())
    seen: list[Any] = []
    again = list(asr.transcribe_many([copy, paths[2].read_bytes()], cache=cache, progress=seen.append))
    assert len(asr_server.requests) == 3
    assert texts(again) == texts(first)[1:]
    assert not any(item.resumed for item in again)
    for item in again:
        assert item.transcript is not None
        assert item.transcript.provenance is not None
        assert [attempt.route for attempt in item.transcript.provenance.attempts] == ["cache"]
    assert seen[-1].n_cached == 2
    list(asr.transcribe_many(paths, cache=cache, return_timestamps=True))
    assert len(asr_server.requests) == 6


def test_cache_object(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """A cache may be an object: ours, which stays open, or any with ``get`` and ``put``."""

    class Mine:
        def __init__(self) -> None:
            self.kept: dict[str, Transcript] = {}

        def get(self, key: str) -> Transcript | None:
            return self.kept.get(key)

        def put(self, key: str, transcript: Transcript) -> None:
            self.kept[key] = transcript

    mine = Mine()
    asr = session(router_url=asr_server.router_url)
    paths = files(2)
    with TranscriptCache(tmp_path / "c.sqlite") as ours:
        for cache in (mine, ours):
            list(asr.transcribe_many(paths, cache=cache))
            list(asr.transcribe_many(paths, cache=cache))
        assert len(ours) == 2
    assert len(mine.kept) == 2
    assert len(asr_server.requests) == 4


def test_cache_that_fails(session: Make, asr_server: FakeASRServer, files: Files, caplog: Any) -> None:
    """A cache of one's own that fails costs no transcript."""

    class Broken:
        def get(self, key: str) -> Transcript | None:
            raise ConnectionError("gone")

        def put(self, key: str, transcript: Transcript) -> None:
            raise ConnectionError("gone")

    items = list(session(router_url=asr_server.router_url).transcribe_many(files(2), cache=Broken()))
    assert texts(items) == [text_of(0), text_of(1)]
    assert "the cache failed" in caplog.text


def test_engines_are_remembered_by_revision(session: Make, files: Files, tmp_path: Path) -> None:
    """Another commit of the model is another entry of the cache."""
    cache = tmp_path / "cache.sqlite"
    engine = FakeBackend("old")
    engine.revision = "aaa"  # type: ignore[attr-defined]  # what engines may have beyond the protocol
    asr = session(backend=engine)
    assert texts(list(asr.transcribe_many(files(1), cache=cache))) == ["old"]
    assert texts(list(asr.transcribe_many(files(1), cache=cache))) == ["old"]
    assert len(engine.calls) == 1
    engine.revision = "bbb"  # type: ignore[attr-defined]  # the same
    list(asr.transcribe_many(files(1), cache=cache))
    assert len(engine.calls) == 2


def test_journal_and_cache_together(session: Make, asr_server: FakeASRServer, files: Files, tmp_path: Path) -> None:
    """What comes from the cache is written into the journal as well."""
    paths = files(2)
    asr = session(router_url=asr_server.router_url)
    list(asr.transcribe_many(paths, cache=tmp_path / "c"))
    list(asr.transcribe_many(paths, cache=tmp_path / "c", journal=tmp_path / "j"))
    assert [item.resumed for item in asr.transcribe_many(paths, journal=tmp_path / "j")] == [True, True]
    assert len(asr_server.requests) == 2
