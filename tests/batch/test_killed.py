"""Batches whose process is killed, again and again."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfasr.testing import FakeASRServer, ToneSpeech
from tests.batch.conftest import text_of

N_FILES = 400
N_KILLS = 30
TAKES_S = 0.03
PROGRAM = textwrap.dedent(
    """
    import sys
    from hfasr import ASRClient, AsyncASRClient

    colour, url, journal, *paths = sys.argv[1:]
    how = {"journal": journal, "max_concurrency": 4, "ordered": False}

    def show(item):
        print(item.index, item.resumed, item.transcript.text if item.ok else item.error, flush=True)

    async def main():
        async with AsyncASRClient(router_url=url) as asr, asr.transcribe_many(paths, **how) as items:
            async for item in items:
                show(item)

    if colour == "sync":
        with ASRClient(router_url=url) as asr, asr.transcribe_many(paths, **how) as items:
            for item in items:
                show(item)
    else:
        import anyio
        anyio.run(main, backend=colour)
    """
)


def write_files(folder: Path) -> list[Path]:
    """Write files that differ from each other in their bytes, and return their paths."""
    tones, rng = ToneSpeech(), np.random.default_rng(0)
    paths = [folder / f"{number:03}.flac" for number in range(N_FILES)]
    for number, path in enumerate(paths):
        samples = tones.say(text_of(number))
        file = io.BytesIO()
        hiss = rng.standard_normal(len(samples)).astype(np.float32) * 1e-4
        soundfile.write(file, samples + hiss, 16_000, format="FLAC")
        path.write_bytes(file.getvalue())
    return paths


def journalled(journal: Path) -> list[str]:
    """Return the names of the files that the journal holds a whole line for, in its order."""
    if not journal.exists():
        return []
    lines = journal.read_bytes().split(b"\n")[1:-1]
    return [Path(json.loads(line)["audio"]).name for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_kills(tmp_path: Path) -> None:
    """
    However often and whenever the process is killed, nothing is lost, written twice, or sent again once it is written.
    """
    paths = write_files(tmp_path)
    name_of = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in paths}
    journal = tmp_path / "batch.jsonl"
    rng = random.Random(4)
    n_lines_lost = 0
    with FakeASRServer(delay=TAKES_S) as server:
        n_seen = 0
        for run in range(N_KILLS):
            known = set(journalled(journal))
            colour = ("sync", "asyncio", "trio")[run % 3]
            command = [sys.executable, "-c", PROGRAM, colour, server.router_url, str(journal), *map(str, paths)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                patience = time.monotonic() + 60
                while len(server.requests) == n_seen and process.poll() is None and time.monotonic() < patience:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0.0, 0.12))
                assert process.poll() is None, process.communicate()[1].decode()
                process.kill()
                shown, _ = process.communicate()
            time.sleep(2 * TAKES_S)  # what the server was at when its client died
            kept = journalled(journal)
            # What was handed out had been written, and what had been written before was not sent.
            handed_out = [line.split() for line in shown.decode().splitlines() if line.count(" ") >= 2]
            assert {paths[int(index)].name for index, *_ in handed_out} <= set(kept)
            sent = [name_of[hashlib.sha256(request.body).hexdigest()] for request in server.requests[n_seen:]]
            assert known.isdisjoint(sent)
            n_lines_lost += len(set(sent) - set(kept))
            n_seen = len(server.requests)
        assert 0 < len(journalled(journal)) < N_FILES  # else the kills came too late to mean anything
        command = [sys.executable, "-c", PROGRAM, "sync", server.router_url, str(journal), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    said = {int(line.split()[0]): line.split(maxsplit=2)[2] for line in done.stdout.splitlines()}
    assert said == {number: text_of(number) for number in range(N_FILES)}
    kept = journalled(journal)
    assert sorted(kept) == [path.name for path in paths]
    # Only what was on the wire (4), or waited for the disk (50 ms of 4 workers), at the moment of a kill.
    assert n_lines_lost <= 16 * N_KILLS
