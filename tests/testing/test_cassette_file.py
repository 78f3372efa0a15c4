"""The file of a cassette: what is in it, when it is written, and what it is refused for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfasr import (
    ASRClient,
    RetryPolicy,
)
from hfasr.testing import (
    FakeASRServer,
    Reply,
    record,
    replay,
)
from tests.testing.cassette_kit import Make, clip, entries, failure

BODIES: list[tuple[Reply, str]] = [
    (Reply(200, body="<html>busy</html>", headers={"content-type": "text/html"}), "text"),
    (Reply(200, body=b"\xff\x00\x01"), "base64"),
    (Reply(200, body="7"), "text"),
    (Reply(200, json={"error": "no, not today"}), "json"),
    (Reply(500), "status"),
]


@pytest.mark.parametrize(("reply", "kind"), BODIES, ids=[kind for _, kind in BODIES])
def test_bodies_of_any_kind(asr_server: FakeASRServer, tape: Path, reply: Reply, kind: str) -> None:
    """What is no JSON, or no text, fails in the replay as it has failed before."""
    asr_server.script(reply)
    found = []
    for cassette, url in ((record(tape), asr_server.router_url), (replay(tape), None)):
        with cassette, ASRClient(router_url=url, retry=RetryPolicy(max_attempts=1)) as asr:
            error = failure(asr)
        found.append((type(error), str(error)))
    assert found[0] == found[1]
    assert kind in entries(tape)[0]["takes"][0][0]


def test_text_of_any_script_is_readable(asr_server: FakeASRServer, tape: Path) -> None:
    """Transcripts stand in the file as they are, and half a character harms nobody."""
    asr_server.script(Reply(body='{"text": "Grüße, 你好 \\ud83d"}'))
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        first = asr.transcribe(clip()).text
    assert "Grüße, 你好" in tape.read_text(encoding="utf-8")
    with replay(tape), ASRClient() as asr:
        assert asr.transcribe(clip()).text == first


def test_new_sends_only_what_is_missing(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """With "new" the file grows by what it lacks; with "all" it holds what the block did, and nothing else."""
    with record(tape, mode="new"):
        session(router_url=asr_server.router_url).transcribe(clip())
    before = entries(tape)
    with record(tape, mode="new") as made:
        asr = session(router_url=asr_server.router_url)
        assert [asr.transcribe(clip(words)).text for words in ("red boat", "green")] == ["red boat", "green"]
    assert (made.n_replayed, made.n_recorded) == (1, 1)
    assert len(asr_server.requests) == 2
    assert all(entry in entries(tape) for entry in before)
    with replay(tape):
        assert [session().transcribe(clip(words)).text for words in ("green", "red boat")] == ["green", "red boat"]
    with record(tape, mode="all"):
        session(router_url=asr_server.router_url).transcribe(clip("apple"))
    assert len(entries(tape)) == 1


def test_two_that_add_to_one_file(asr_server: FakeASRServer, tape: Path) -> None:
    """What another process has added meanwhile is kept."""
    with record(tape, mode="new"), ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(clip("red"))
        with record(tape, mode="new"), ASRClient(router_url=asr_server.router_url) as other:
            other.transcribe(clip("green"))
    with replay(tape), ASRClient() as asr:
        assert [asr.transcribe(clip(word)).text for word in ("red", "green")] == ["red", "green"]


@pytest.mark.parametrize("mode", ["all", "new"])
def test_what_cannot_be_written_is_said_before_anything_is_sent(tmp_path: Path, mode: Any) -> None:
    """A folder, or a path below a file, is refused at the start of the block, not at its end."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        record(tmp_path, mode=mode).open()
    with pytest.raises(NotADirectoryError, match=r"file is a file, so .* name another path"):
        record(tmp_path / "file" / "deep" / "one.json", mode=mode).open()
    (tmp_path / "clip.flac").write_bytes(b"fLaC\0")
    with pytest.raises(ValueError, match="no cassette; name another file"):
        record(tmp_path / "clip.flac", mode=mode).open()
    record(tmp_path / "new" / "deep" / "one.json", mode=mode).open().close()
    assert not (tmp_path / "new").exists()


def test_nothing_recorded_writes_nothing(tape: Path) -> None:
    """A block without an exchange leaves no file, and one that was there as it was."""
    with record(tape):
        pass
    assert not tape.parent.exists()


def test_what_was_paid_for_is_kept_after_an_error(asr_server: FakeASRServer, tape: Path) -> None:
    """A block that is left by an error has written what it recorded."""

    def work() -> None:
        with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
            asr.transcribe(clip())
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    assert len(entries(tape)) == 1


def test_a_file_is_whole_or_as_it_was(asr_server: FakeASRServer, tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing fails half-way, the old file stays and nothing is left beside it."""
    tape.parent.mkdir()
    tape.write_text("{the old one}")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cassette = record(tape).open()
    with ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(clip())
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        cassette.close()
    assert [path.name for path in tape.parent.iterdir()] == [tape.name]
    assert tape.read_text() == "{the old one}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is damaged"),
        ("[]", "it is damaged"),
        ("{}", "it is damaged"),
        ('{"hfasr_cassette": 2, "recordings": []}', "it is of version 2, and this hfasr reads 1"),
        ('{"hfasr_cassette": 1}', "it is damaged"),
        ('{"hfasr_cassette": 1, "recordings": [{}]}', "it is damaged"),
        ('{"hfasr_cassette": 1, "recordings": [{"takes": [[]]}]}', "it is damaged"),
        ('{"hfasr_cassette": 1, "recordings": [{"takes": [[{"status": "200"}]]}]}', "it is damaged"),
        ("[" * 100_000, "it is damaged"),
        ("fLaC\udcef", "it is damaged"),
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_cassette(tape: Path, text: str, told: str) -> None:
    """Another file is refused at once, by one line that says what to do."""
    tape.parent.mkdir()
    tape.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"one\.json is no cassette that can be read") as caught, replay(tape):
        raise AssertionError("the block was entered")
    assert told in str(caught.value)
    assert "record it again, or name another file" in str(caught.value)
