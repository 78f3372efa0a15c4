"""Chunks of long items, kept in a batch's journal and cache: what is done is never sent again."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hfasr import ASRClient, BatchItem, Chunking, RetryPolicy, ServerError, Transcript
from hfasr.testing import FakeASRServer, Hang, Normal, ToneSpeech, replies
from tests.cli.test_many_command import run
from tests.colours import COLOURS, Session
from tests.long.kit import bare, speech

Make = Callable[..., Session]

SAID = speech(8, 24.0)
ONE_BY_ONE = Chunking(chunk_length_s=5, max_concurrency=1)
ONCE = RetryPolicy(max_attempts=1, breaker_threshold=None)
DOWN = replies.server_error(500)

PROGRAM = textwrap.dedent(
    """
    import sys
    import anyio
    from hfasr import ASRClient, AsyncASRClient, Chunking

    colour, url, journal, path = sys.argv[1:]
    settings = {"router_url": url, "chunking": Chunking(chunk_length_s=5, max_concurrency=2)}

    async def main():
        async with AsyncASRClient(**settings) as asr, asr.transcribe_many([path], journal=journal) as items:
            async for item in items:
                print(item.transcript.text)

    if colour == "sync":
        with ASRClient(**settings) as asr, asr.transcribe_many([path], journal=journal) as items:
            for item in items:
                print(item.transcript.text)
    else:
        anyio.run(main, backend=colour)
    """
)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Write what was said to a file."""
    path = tmp_path / "talk.flac"
    soundfile.write(path, SAID.waveform(), 16_000)
    return path


def lines_of(journal: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal, but the first."""
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]] if journal.exists() else []


def one(asr: Session, path: Path, **options: Any) -> BatchItem:
    """Run a batch of one item."""
    [item] = asr.transcribe_many([path], **options)
    return item


def n_new(server: FakeASRServer, run: Callable[[], Any]) -> int:
    """Return how many requests *run* sends."""
    before = len(server.requests)
    run()
    return len(server.requests) - before


@pytest.mark.parametrize("colour", COLOURS)
def test_killed_half_way(asr_server: FakeASRServer, talk: Path, tmp_path: Path, colour: str) -> None:
    """A batch that is killed in the middle of a file sends the rest of that file when it is run again."""
    journal = tmp_path / "batch.jsonl"
    asr_server.script(*[Normal()] * 3, *[Hang()] * 2)
    command = [sys.executable, "-c", PROGRAM, colour, asr_server.router_url, str(journal), str(talk)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        patience = time.monotonic() + 60
        while (len(lines_of(journal)) < 3 or len(asr_server.requests) < 5) and time.monotonic() < patience:
            assert child.poll() is None
            time.sleep(0.02)
        child.kill()
        assert child.communicate()[0] == b""
    kept = lines_of(journal)
    assert len({line["chunk"] for line in kept}) == len(kept) == 3
    assert {Path(line["audio"]).name for line in kept} == {"talk.flac"}
    said: list[str] = []
    n_sent = n_new(
        asr_server, lambda: said.append(subprocess.run(command, capture_output=True, check=True).stdout.decode())
    )
    assert bare(said[0]) == SAID.words
    whole = Transcript.from_dict(lines_of(journal)[-1]["transcript"])
    assert whole.provenance is not None
    assert n_sent == whole.provenance.chunks - 3 > 0


def test_gaps_are_filled(session: Make, asr_server: FakeASRServer, talk: Path, tmp_path: Path) -> None:
    """A batch that is run again sends the chunk that left a gap, and only that; with retry_failed=False nothing."""
    how: dict[str, Any] = {"journal": tmp_path / "batch.jsonl", "on_chunk_error": "gap"}
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=ONCE)
    asr_server.script(Normal(), DOWN)
    first = one(asr, talk, **how)
    assert first.transcript is not None
    assert sum(segment.error is not None for segment in first.transcript.segments) == 1
    items: list[BatchItem] = []
    assert n_new(asr_server, lambda: items.append(one(asr, talk, retry_failed=False, **how))) == 0
    assert items[0].resumed
    assert items[0].transcript == first.transcript.__class__.from_dict(first.transcript.to_dict())
    assert n_new(asr_server, lambda: items.append(one(asr, talk, **how))) == 1
    assert items[1].transcript is not None
    assert not items[1].resumed
    assert bare(items[1].transcript.text) == SAID.words
    assert items[1].transcript.warnings == ()
    assert n_new(asr_server, lambda: items.append(one(asr, talk, **how))) == 0
    assert items[2].resumed
    assert items[2].transcript is not None
    assert items[2].transcript.text == items[1].transcript.text


@pytest.mark.parametrize("split", ["silence", "none"])
@pytest.mark.parametrize("kept_in", ["journal", "cache"])
def test_what_was_done_before_a_failure(
    session: Make, asr_server: FakeASRServer, talk: Path, tmp_path: Path, kept_in: str, split: Any
) -> None:
    """An item that fails at a chunk is, when it is run again, sent from that chunk on: with another concurrency, too."""
    how: dict[str, Any] = {kept_in: tmp_path / "kept"}
    settings = {"router_url": asr_server.router_url, "retry": ONCE}
    chunking = Chunking(chunk_length_s=5, max_concurrency=1, split=split)
    asr_server.script(Normal(), Normal(), DOWN)
    failed = one(session(chunking=chunking, **settings), talk, **how)
    assert isinstance(failed.error, ServerError)
    n_before = len(asr_server.requests)
    again = session(chunking=Chunking(chunk_length_s=5, max_concurrency=4, split=split), **settings)
    item = one(again, talk, **how)
    assert item.transcript is not None
    assert bare(item.transcript.text) == SAID.words
    assert item.transcript.provenance is not None
    assert len(asr_server.requests) - n_before == item.transcript.provenance.chunks - 2
    other = session(chunking=Chunking(chunk_length_s=6, split=split), **settings)
    assert n_new(asr_server, lambda: one(other, talk, **how)) > 2  # cut otherwise, nothing of that is of use


def test_gap_is_not_cached(session: Make, asr_server: FakeASRServer, talk: Path, tmp_path: Path) -> None:
    """The cache keeps the chunks of an item with a gap, and not the item: the gap is filled the next time."""
    how: dict[str, Any] = {"cache": tmp_path / "cache.sqlite", "on_chunk_error": "gap"}
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=ONCE)
    asr_server.script(Normal(), DOWN)
    one(asr, talk, **how)
    items: list[BatchItem] = []
    assert n_new(asr_server, lambda: items.append(one(asr, talk, **how))) == 1
    assert items[0].transcript is not None
    assert bare(items[0].transcript.text) == SAID.words
    assert n_new(asr_server, lambda: one(asr, talk, **how)) == 0


class Broken:
    """A cache that always fails."""

    def get(self, key: str, /) -> Transcript | None:
        raise OSError(key)

    def put(self, key: str, transcript: Transcript, /) -> None:
        raise OSError(key, transcript)


def test_a_cache_that_fails_costs_no_chunk(session: Make, asr_server: FakeASRServer, talk: Path) -> None:
    """What is raised by a cache of the caller's own is logged; the item is transcribed."""
    item = one(session(router_url=asr_server.router_url, chunking=ONE_BY_ONE), talk, cache=Broken())
    assert item.transcript is not None
    assert bare(item.transcript.text) == SAID.words


def test_lines_of_chunks_are_no_items(session: Make, asr_server: FakeASRServer, talk: Path, tmp_path: Path) -> None:
    """A journal may hold chunks beside items: neither the batch, nor its progress, nor short files heed them."""
    journal = tmp_path / "batch.jsonl"
    short = tmp_path / "short.flac"
    soundfile.write(short, ToneSpeech().say("red boat"), 16_000)
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE)
    seen: list[int] = []
    for n_resumed in (0, 2):
        seen.clear()
        items = list(
            asr.transcribe_many([talk, short], journal=journal, progress=lambda progress: seen.append(progress.n_done))
        )
        assert [bool(item.resumed) for item in items].count(True) == n_resumed
        assert [item.index for item in items] == [0, 1]
        assert seen[-1] == 2
    lines = lines_of(journal)
    assert len([line for line in lines if "chunk" not in line]) == 2
    assert [line["chunk"] for line in lines if "chunk" in line] == list(range(len(lines) - 2))
    assert all(line["ok"] and "raw" not in line["transcript"] for line in lines)


def test_a_chunk_is_no_retry(session: Make, asr_server: FakeASRServer, talk: Path) -> None:
    """Progress counts what followed a failure as a retry, and not each chunk's own request."""
    asr_server.script(Normal(), DOWN)
    retry = RetryPolicy(max_attempts=2, wait_initial=0, wait_max=0)
    seen: list[int] = []
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=retry)
    one(asr, talk, progress=lambda progress: seen.append(progress.n_retries))
    assert seen == [1]


def test_the_command_goes_on_with_chunks(asr_server: FakeASRServer, talk: Path, tmp_path: Path) -> None:
    """The command resumes a journal in which there are chunks of a file alone."""
    journal = tmp_path / "batch.jsonl"
    asr_server.script(Normal(), Normal(), replies.forbidden())
    how: list[str | Path] = [talk, "--journal", journal, "--chunk-length", "5", "--chunk-concurrency", "1"]
    assert run(asr_server, *how).returncode != 0
    assert [line["chunk"] for line in lines_of(journal)] == [0, 1]
    n_before = len(asr_server.requests)
    done = run(asr_server, *how, "--resume")
    assert done.returncode == 0, done.stderr.decode()
    assert bare(done.stdout.decode()) == SAID.words
    whole = Transcript.from_dict(lines_of(journal)[-1]["transcript"])
    assert whole.provenance is not None
    assert len(asr_server.requests) - n_before == whole.provenance.chunks - 2


def test_identical_chunks_are_sent_once_they_are_known(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """A stretch that comes twice in a file is taken from the journal the second time."""
    words = ToneSpeech().say_at([(1.0, "red"), (2.0, "boat")], duration=5.0)
    path = tmp_path / "twice.wav"
    soundfile.write(path, np.tile(words, 4), 16_000)
    chunking = Chunking(chunk_length_s=5, max_concurrency=1, split="none", stride_length_s=0)
    with (
        ASRClient(router_url=asr_server.router_url, chunking=chunking) as asr,
        asr.transcribe_many([path], journal=tmp_path / "batch.jsonl", return_timestamps="word") as items,
    ):
        [item] = items
    assert item.transcript is not None
    assert [word.word for word in item.transcript.words] == ["red", "boat"] * 4
    starts = [round(word.start, 2) for word in item.transcript.words]
    assert starts == [1.0, 2.0, 6.0, 7.0, 11.0, 12.0, 16.0, 17.0]
