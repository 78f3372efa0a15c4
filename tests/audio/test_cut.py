"""Files that are cut off at any byte, or damaged anywhere: audio or one of our errors, and the process lives on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfasr import APIError, AudioError, HfasrError, RetryPolicy
from hfasr.audio import source as sources
from tests.audio.damage import KINDS, beginnings, damaged, file_of, read_everywhere
from tests.colours import Session

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer

pytest.importorskip("av", reason="needs the extra av")

ROOT = Path(__file__).parents[2]
SOUND = {"heard", "too long", "EmptyAudioError", "UnsupportedAudioError", "AudioDecodeError", "AudioTooLongError"}


@pytest.fixture(autouse=True)
def files_are_large() -> None:
    """Read files as they are read, here: small ones at once."""


def in_a_process_of_its_own(*arguments: str, timeout: float) -> list[str]:
    """Run a module of these tests; return its lines."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{arguments}: ended with {done.returncode} at {lines[-1:]}: {done.stderr[-2_000:]}"
    return lines


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["cut", "spoil"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way(kind: str, how: str) -> None:
    """Every beginning of a file, and 400 kinds of damage, are read in every way without a crash, a hang or a flood."""
    *numbers, said = in_a_process_of_its_own("tests.audio.damage", how, kind, timeout=580)
    assert len(numbers) == (len(file_of(kind)) + 1 if how == "cut" else 400)
    told: dict[str, Any] = json.loads(said)
    assert set(told["ends"]) <= SOUND
    assert sum(told["ends"].values()) == 4 * len(numbers)
    assert told["ends"]["heard"] >= 4
    assert told["grown_mb"] < 150  # of thousands of readings together


@pytest.mark.parametrize("kind", KINDS)
def test_some_beginnings(kind: str) -> None:
    """Where a file is cut it is decoded as far as it goes, or refused."""
    every = list(beginnings(kind))
    chosen = random.Random(kind).sample(range(1, len(every)), 12)
    assert read_everywhere(every[0]) == ["EmptyAudioError"] * 4
    for n_bytes in sorted(chosen):
        assert set(read_everywhere(every[n_bytes])) <= SOUND


@pytest.mark.parametrize("kind", KINDS)
def test_some_damage(kind: str) -> None:
    """Flipped, forged, lost, doubled and foreign bytes lead to audio with its damage, or to an error."""
    for data in damaged(kind, 12):
        assert set(read_everywhere(data)) <= SOUND


def test_damaged_files_that_are_sent(colour: str, asr_server: FakeASRServer) -> None:
    """A call to a server ends with a transcript, an error of the audio, or the server's own; in every colour."""
    once = RetryPolicy(max_attempts=1, breaker_threshold=None)
    asr = Session(colour, base_url=asr_server.url, dialect="hf", retry=once, deadline=30.0)
    ends = dict.fromkeys(["heard", "audio", "server"], 0)
    try:
        for kind in KINDS:
            for data in (file_of(kind), *damaged(kind, 5)):
                try:
                    asr.transcribe(data)
                except HfasrError as error:
                    ends["audio" if isinstance(error, AudioError) else "server"] += 1
                    if not isinstance(error, AudioError | APIError):
                        raise
                else:
                    ends["heard"] += 1
    finally:
        asr.close()
    assert min(ends.values()) > 0
    assert sum(ends.values()) == 6 * len(KINDS)


@pytest.mark.parametrize("kind", ["wav", "flac", "opus", "mp3", "m4a", "webm"])
@pytest.mark.parametrize("change", ["shorter", "longer", "other", "gone"])
def test_path_that_changes(
    kind: str, change: str, colour: str, asr_server: FakeASRServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is exchanged between two looks at it is heard as one or the other, or is an error of the audio."""
    monkeypatch.setattr(sources, "_READ_AT_ONCE_BYTES", -1)
    path = tmp_path / "a.bin"
    path.write_bytes(file_of(kind))
    plain, n_opened = sources.PathSource.open, 0

    exchanged_at = 0

    def exchanging(source: sources.PathSource) -> Any:
        nonlocal n_opened
        n_opened += 1
        file = plain(source)
        if n_opened == exchanged_at:
            if change == "gone":
                path.unlink()
            else:
                whole = file_of(kind)
                after = {"shorter": whole[: len(whole) // 2], "longer": whole * 3, "other": file_of("voc")}
                path.write_bytes(after[change])  # in place: who has it open sees it, too
        return file

    monkeypatch.setattr(sources.PathSource, "open", exchanging)
    once = RetryPolicy(max_attempts=1, breaker_threshold=None)
    asr = Session(colour, base_url=asr_server.url, dialect="hf", retry=once, upload="flac")
    try:
        for number in range(1, 5):
            exchanged_at = number
            path.write_bytes(file_of(kind))
            n_opened = 0
            with contextlib.suppress(AudioError):
                asr.transcribe(path)
    finally:
        asr.close()
