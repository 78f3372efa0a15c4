"""Batches of the installed command, in processes that are interrupted, killed and cut off."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from hfasr.testing import FakeASRServer, ToneSpeech
from tests.cli.test_command import MAIN, WITH_SIGINT, lines, wait_until

N_FILES = 40
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, pipes and limits")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for number in range(N_FILES):
        path = folder / f"{number % 4}" / f"{number:02}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, ToneSpeech().say("red boat"), 16_000)
    return folder


def command(server: FakeASRServer, *arguments: str | Path, before: str = "") -> dict[str, Any]:
    """Return what to give to `subprocess` for ``hfasr transcribe``."""
    others = ("HF_", "HFASR_", *(("COVERAGE_",) if before else ()))  # what measures writes files, too
    environment = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    environment |= {"HFASR_ROUTER_URL": server.router_url, "HF_TOKEN_PATH": os.devnull}
    program = [sys.executable, "-W", "error", "-c", WITH_SIGINT + before + MAIN, "transcribe"]
    return {
        "args": [*program, *map(str, arguments)],
        "env": environment,
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


def run(server: FakeASRServer, *arguments: str | Path, before: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(**command(server, *arguments, before=before), timeout=60, check=False)


def journalled(out: Path) -> list[str]:
    text = (out / ".hfasr-journal.jsonl").read_bytes()
    return [json.loads(line)["audio"] for line in text.split(b"\n")[1:-1]]


def made(out: Path) -> list[Path]:
    return sorted(out.rglob("*.flac.txt"))


@posix
def test_ctrl_c(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends a batch with one line that says how to go on; what was done is not sent again."""
    out = tmp_path / "out"
    with FakeASRServer(delay=0.05) as server:
        with subprocess.Popen(**command(server, folder, "-o", out, "-j", "2")) as process:
            wait_until(lambda: len(made(out)) >= 3)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
        assert (process.returncode, stdout, stderr.count(b"\n")) == (130, b"", 1), stderr
        (line,) = lines(stderr)
        assert line.startswith("hfasr: interrupted: ")
        assert line.endswith(
            f"files are done, and kept in {out / '.hfasr-journal.jsonl'}; run again with --resume to go on"
        )
        n_kept = len(journalled(out))
        assert 3 <= n_kept < N_FILES
        n_before = len(server.requests)
        done = run(server, folder, "-o", out, "--resume")
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(server.requests) - n_before == N_FILES - n_kept
    assert len(made(out)) == N_FILES
    assert list(out.rglob("*.tmp")) == []


@posix
@pytest.mark.parametrize("waiting", ["-", "pipe"])
def test_ctrl_c_while_a_pipe_is_read(waiting: str, folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends a batch at once, also where it waits for a pipe that nobody writes to."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    os.mkfifo(tmp_path / "pipe")
    reading, writing = os.pipe()
    with FakeASRServer() as server, os.fdopen(reading), os.fdopen(writing, "wb"):
        how = command(server, folder / "0" / "00.flac", "-" if waiting == "-" else tmp_path / waiting)
        with subprocess.Popen(**how | {"stdin": reading}) as process:
            assert process.stdout is not None
            header = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
    assert header.endswith(b"00.flac <==\n")
    assert process.returncode == 130, stderr
    (line,) = lines(stderr)
    assert re.fullmatch(r"hfasr: interrupted: (1 file is|0 files are) done; add --journal FILE to be able to .*", line)


@posix
def test_killed(folder: Path, tmp_path: Path) -> None:
    """After kill -9 a resume sends only what the journal lacks, and ends with every file."""
    out = tmp_path / "out"
    with FakeASRServer(delay=0.02) as server:
        for n_more in (2, 9, 4):
            n_there = len(made(out))
            how = command(server, folder, "-o", out, "-j", "4", "--resume", "-f", "txt", "-f", "jsonl")
            with subprocess.Popen(**how) as process:
                wait_until(lambda: len(made(out)) >= n_there + n_more)  # noqa: B023 # called in this round
                process.kill()
        n_kept, n_before = len(journalled(out)), len(server.requests)
        assert 15 <= n_kept < N_FILES
        done = run(server, folder, "-o", out, "-j", "4", "--resume", "-f", "txt", "-f", "jsonl")
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(server.requests) - n_before == N_FILES - n_kept
    assert {path.read_text() for path in made(out)} == {"red boat\n"}
    assert len(made(out)) == N_FILES
    records = [json.loads(line) for line in (out / "transcripts.jsonl").read_text().splitlines()]
    assert [record["audio"] for record in records] == sorted(str(path) for path in folder.rglob("*.flac"))


@posix
def test_closed_pipe_is_quiet(folder: Path) -> None:
    """Whoever reads the texts may leave: the batch ends early, without a word."""
    with FakeASRServer(delay=0.02) as server:
        with subprocess.Popen(**command(server, folder, "-j", "2")) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr is not None
            stderr = process.stderr.read()
            process.wait(timeout=30)
        assert (process.returncode, stderr) == (1, b"")
        assert len(server.requests) < N_FILES


@posix
def test_full_disk(folder: Path, tmp_path: Path) -> None:
    """Where the disk takes no more, the batch ends with one line; what is on it is not sent again."""
    out = tmp_path / "out"
    # A process that may write no file larger than this stands for the disk: its error is as real.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); "
    with FakeASRServer() as server:
        full = run(server, folder, "-o", out, "-j", "1", before=limit)
        assert full.returncode == 1
        line = lines(full.stderr)[-1]
        assert "the file would be larger than is allowed" in line
        assert "run again with --resume to go on" in line
        n_kept, n_before = len(journalled(out)), len(server.requests)
        assert 0 < n_kept < N_FILES
        assert len(made(out)) >= n_kept
        done = run(server, folder, "-o", out, "--resume")
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(server.requests) - n_before == N_FILES - n_kept
    assert len(made(out)) == N_FILES


@posix
def test_two_batches_on_one_journal(folder: Path, tmp_path: Path) -> None:
    """A second batch on a journal in use is refused with one line and status 2, and sends nothing."""
    out = tmp_path / "out"
    with FakeASRServer(delay=0.5) as server:
        with subprocess.Popen(**command(server, folder, "-o", out, "-j", "1")) as process:
            wait_until(lambda: len(server.requests) > 0)
            second = run(server, folder, "-o", out, "-j", "1", "--resume")
            process.kill()
        assert second.returncode == 2
        (line,) = lines(second.stderr)
        assert "is in use by another batch" in line
        assert made(out) == [] or len(made(out)) < N_FILES


@posix
def test_bar_and_failures_on_one_screen(folder: Path, tmp_path: Path) -> None:
    """With a bar, failures are lines of their own, and the bar ends with its count."""
    (folder / "bad.wav").write_text("no audio")
    with FakeASRServer() as server:
        done = run(server, folder, "-o", tmp_path / "out", "--progress")
    assert done.returncode == 1
    told = done.stderr.decode()
    assert f"\nhfasr: {folder / 'bad.wav'}: is plain text" in told.replace("\r", "\n")
    assert f"{N_FILES + 1} files" in told
    assert "1 failed" in told
