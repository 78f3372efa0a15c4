"""Text that is printed while it goes on, by the installed command: from files and from PCM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile

from hfasr.testing import FakeASRServer, ToneSpeech, replies
from tests.cli.test_command import MAIN, WITH_SIGINT, lines, wait_until

if TYPE_CHECKING:
    import numpy as np

RATE = 16_000
SPEECH = ToneSpeech().say_at([(0.5, "red"), (4.0, "boat"), (8.0, "river"), (12.0, "green")], duration=13.0)
IN_CHUNKS = ("--stream", "--chunk-length", "4", "--chunk-concurrency", "1")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and pipes")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, SPEECH, RATE)
    return path


def started(server: FakeASRServer, *arguments: str | Path, **how: Any) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HFASR_"))}
    environment |= {"HFASR_ROUTER_URL": server.router_url, "HF_TOKEN_PATH": os.devnull}
    program = [sys.executable, "-W", "error", "-c", WITH_SIGINT + MAIN]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*program, *map(str, arguments)], env=environment, **{**pipes, **how})


def run(server: FakeASRServer, *arguments: str | Path, stdin: bytes | None = None) -> tuple[int, list[str], list[str]]:
    how = {} if stdin is None else {"stdin": subprocess.PIPE}
    with started(server, *arguments, **how) as process:
        out, err = process.communicate(stdin, timeout=60)
    return process.returncode, lines(out), lines(err)


def pcm(speech: np.ndarray[Any, Any] = SPEECH) -> bytes:
    return (speech * 32767).astype("<i2").tobytes()


def test_text_comes_while_it_goes_on(clip: Path) -> None:
    """The first line is there before the last chunk is even sent, and the words are all there in the end."""
    with FakeASRServer(delay=0.5) as server, started(server, "transcribe", *IN_CHUNKS, clip) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        n_sent = len(server.requests)
        rest, err = process.communicate(timeout=60)
        assert n_sent < len(server.requests)
    assert " ".join([first.decode().strip(), *lines(rest)]) == "red boat river green"
    assert (process.returncode, err) == (0, b"")


def test_standard_input(clip: Path, asr_server: FakeASRServer) -> None:
    """`-` is streamed as well, and subtitles have numbers in order."""
    status, out, err = run(asr_server, "transcribe", *IN_CHUNKS, "-f", "srt", "-", stdin=clip.read_bytes())
    assert (status, err) == (0, [])
    assert (out[0::4], out[2::4]) == (["1", "2", "3", "4"], ["red", "boat", "river", "green"])
    assert out[1].startswith("00:00:00,5")


def test_failure_comes_after_the_text(clip: Path, asr_server: FakeASRServer) -> None:
    """What was done before a chunk failed is printed; then one line says why, with status 1."""
    asr_server.script(replies.Normal(), replies.forbidden())
    status, out, err = run(asr_server, "transcribe", *IN_CHUNKS, "-f", "jsonl", clip)
    assert status == 1
    first, last = (json.loads(line) for line in (out[0], out[-1]))
    assert (first["text"], first["error"]) == ("red", None)
    assert (last["text"], last["error"], last["status_code"]) == (None, "PermissionDeniedError", 403)
    assert len(err) == 1


def test_gap_is_marked(clip: Path, asr_server: FakeASRServer) -> None:
    """With --on-chunk-error gap the text goes on after a mark, and a warning says why."""
    asr_server.script(replies.Normal(), replies.forbidden())
    status, out, err = run(asr_server, "transcribe", *IN_CHUNKS, "--on-chunk-error", "gap", clip)
    assert (status, out[:2], out[-1]) == (0, ["red", "[not transcribed]"], "green")
    assert len(err) == 1
    assert "left a gap" in err[0]


@posix
def test_reader_that_leaves(clip: Path) -> None:
    """Whoever reads the lines may leave: the command ends quietly, and sends no more."""
    with FakeASRServer(delay=0.5) as server, started(server, "transcribe", *IN_CHUNKS, clip) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"red\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
        assert len(server.requests) < 4


@posix
def test_ctrl_c(clip: Path, asr_server: FakeASRServer) -> None:
    """Ctrl-C ends a stream at once, with one line and status 130."""
    asr_server.script(replies.Normal(), replies.Hang())
    with started(asr_server, "transcribe", *IN_CHUNKS, clip) as process:
        wait_until(lambda: len(asr_server.requests) == 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, lines(err)) == (130, ["hfasr: interrupted"])


def test_no_such_file(asr_server: FakeASRServer) -> None:
    """A file that is not there is one line, with status 1."""
    status, out, (line,) = run(asr_server, "transcribe", "--stream", "absent.wav")
    assert (status, out) == (1, [])
    assert line.startswith("hfasr: absent.wav: cannot be opened: there is no such file")


def test_pcm(asr_server: FakeASRServer) -> None:
    """Raw PCM from standard input is printed a line a phrase, and its end is the command's."""
    assert run(asr_server, "listen", "--pcm", str(RATE), stdin=pcm()) == (0, ["red", "boat", "river", "green"], [])


def test_pause(asr_server: FakeASRServer) -> None:
    """--pause is what ends a phrase."""
    status, out, _ = run(asr_server, "listen", "--pcm", str(RATE), "--pause", "5", stdin=pcm())
    assert (status, out) == (0, ["red boat river green"])


def test_phrase_comes_before_the_input_ends(asr_server: FakeASRServer) -> None:
    """A phrase is printed while standard input is still open."""
    with started(asr_server, "listen", "--pcm", str(RATE), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pcm(SPEECH[: 3 * RATE]))
        process.stdin.flush()
        assert process.stdout.readline() == b"red\n"
        process.stdin.close()
        assert process.wait(30) == 0


@posix
def test_ctrl_c_finishes_what_was_said(asr_server: FakeASRServer) -> None:
    """Ctrl-C ends listening with status 130, after what was said until then, though the input goes on."""
    with started(asr_server, "listen", "--pcm", str(RATE), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pcm(SPEECH[: round(4.4 * RATE)]))  # "boat" ends in the last 0.5 s: no pause has ended it
        process.stdin.flush()
        assert process.stdout.readline() == b"red\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read() if process.stderr else b""
        assert process.wait(30) == 130
    assert (lines(out), lines(err)) == (["boat"], ["hfasr: interrupted"])


@posix
def test_second_ctrl_c_cuts_it_off(asr_server: FakeASRServer) -> None:
    """A second Ctrl-C does not wait for a server that does not answer."""
    asr_server.script(replies.Hang())
    with started(asr_server, "listen", "--pcm", str(RATE), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(pcm(SPEECH[: 2 * RATE]))
        process.stdin.flush()
        wait_until(lambda: len(asr_server.requests) == 1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, lines(err)) == (130, ["hfasr: interrupted"])


def test_no_token_is_told_once() -> None:
    """Without a token listening is a matter of usage."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HFASR_"))}
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "listen", "--pcm", str(RATE)],
        input=pcm(),
        env=environment | {"HF_HUB_OFFLINE": "1", "HF_TOKEN_PATH": os.devnull},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = lines(done.stderr)
    assert "no Hugging Face token was found" in line
