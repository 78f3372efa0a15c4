"""The installed command, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

import hfasr.cli
from hfasr.testing import FakeASRServer, ToneSpeech, replies
from hfasr.types import Audio, TranscribeOptions, Transcript

SPEECH = Path(__file__).parents[2] / "examples" / "audio" / "weather.flac"
MAIN = "import sys; from hfasr.cli import main; sys.argv[0] = 'hfasr'; main()"
# nohup and some CI runners start programs with SIGINT ignored, which children inherit.
WITH_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    soundfile.write(path, ToneSpeech().say("red boat"), 16_000)
    return path


def hfasr_command(
    *arguments: str | Path, server: FakeASRServer | None = None, stdin: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HFASR_"))}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_TOKEN_PATH": os.devnull, **variables}
    if server is not None:
        environment["HFASR_ROUTER_URL"] = server.router_url
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        input=stdin,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )


def lines(stream: bytes) -> list[str]:
    return stream.decode().splitlines()


def test_hosted(clip: Path, asr_server: FakeASRServer) -> None:
    """A file goes to the server and comes back as text on standard output, with nothing on standard error."""
    done = hfasr_command("transcribe", clip, server=asr_server)
    assert (done.returncode, lines(done.stdout), done.stderr) == (0, ["red boat"], b"")


def test_stdin(clip: Path, asr_server: FakeASRServer) -> None:
    """`-` reads binary audio from standard input."""
    done = hfasr_command("transcribe", "-", server=asr_server, stdin=clip.read_bytes())
    assert (done.returncode, lines(done.stdout)) == (0, ["red boat"])


def test_subtitles(clip: Path, asr_server: FakeASRServer) -> None:
    """srt asks for times by itself and prints them."""
    done = hfasr_command("transcribe", "-f", "srt", clip, server=asr_server)
    number, times, text = lines(done.stdout)
    assert (number, text) == ("1", "red boat")
    assert times.startswith("00:00:00,")


def test_some_fail(clip: Path, tmp_path: Path, asr_server: FakeASRServer) -> None:
    """A missing file is one line of JSON on standard error; the other file is transcribed; the status is 1."""
    done = hfasr_command("transcribe", "--json-errors", tmp_path / "absent.wav", clip, server=asr_server)
    assert done.returncode == 1
    assert lines(done.stdout)[-1] == "red boat"
    (line,) = lines(done.stderr)
    record = json.loads(line)
    assert record["error"] == "AudioNotFoundError"
    assert record["input"].endswith("absent.wav")
    assert (record["status_code"], record["attempts"]) == (None, [])


def test_server_failure_has_its_attempts(clip: Path, asr_server: FakeASRServer) -> None:
    """A server's refusal is reported with its status and every attempt."""
    asr_server.script(replies.forbidden())
    done = hfasr_command("transcribe", "--json-errors", clip, server=asr_server)
    record = json.loads(lines(done.stderr)[0])
    assert (record["error"], record["status_code"]) == ("PermissionDeniedError", 403)
    assert [attempt["status"] for attempt in record["attempts"]] == [403]


def test_no_token(clip: Path) -> None:
    """Without a token one line, whatever the number of inputs, names the ways out, and nothing is sent."""
    done = hfasr_command("transcribe", clip, clip)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = lines(done.stderr)
    assert line == (
        "hfasr: no Hugging Face token was found: run `hf auth login` or set HF_TOKEN, "
        "or choose a local engine such as --backend pocketsphinx"
    )


def test_own_server_with_a_key(clip: Path, asr_server: FakeASRServer) -> None:
    """The key in HFASR_TOKEN goes to the server of --base-url; a token of Hugging Face does not."""
    asr_server.script(replies.unauthorized())
    refused = hfasr_command("transcribe", "--base-url", asr_server.url, "--dialect", "hf", clip, HF_TOKEN="hf_secret")
    assert refused.returncode == 1
    assert b"HFASR_TOKEN" in refused.stderr
    assert b"token=" not in refused.stderr
    done = hfasr_command("transcribe", "--base-url", asr_server.url, "--dialect", "hf", clip, HFASR_TOKEN="key-1")
    assert (done.returncode, lines(done.stdout)) == (0, ["red boat"])
    assert [request.headers.get("authorization") for request in asr_server.requests] == [None, "Bearer key-1"]


def test_json_errors_are_nothing_but_json(clip: Path, asr_server: FakeASRServer) -> None:
    """Nothing that is logged gets between the lines of JSON."""
    asr_server.script(replies.forbidden())
    done = hfasr_command("transcribe", "--json-errors", "--fallback", "pocketsphinx", clip, server=asr_server)
    records = [json.loads(line) for line in lines(done.stderr)]
    assert [record["warning"].startswith("pocketsphinx answered in ") for record in records] == [True]


def test_offline() -> None:
    """The offline engine needs no server, no token and no network."""
    done = hfasr_command("transcribe", "--backend", "pocketsphinx", SPEECH)
    assert (done.returncode, lines(done.stdout)) == (0, ["the weather will be fine in the morning"])


def test_local_only(clip: Path, asr_server: FakeASRServer) -> None:
    """--local-only leaves servers out; where no engine is left, it is a matter of usage."""
    refused = hfasr_command("transcribe", "--local-only", clip, server=asr_server)
    assert refused.returncode == 2
    (line,) = lines(refused.stderr)
    assert line.startswith(
        "hfasr: --local-only leaves no route, since servers are left out: choose --backend transformers"
    )
    done = hfasr_command("transcribe", "--local-only", "--fallback", "pocketsphinx", SPEECH, server=asr_server)
    assert (done.returncode, done.stderr) == (0, b"")
    assert lines(done.stdout) == ["the weather will be fine in the morning"]
    assert asr_server.requests == []


def test_fallback_is_one_line(asr_server: FakeASRServer) -> None:
    """An input that another engine answered is told in one line: the route, its status and error, and the times."""
    asr_server.script(replies.forbidden())
    done = hfasr_command("transcribe", "--fallback", "pocketsphinx", SPEECH, server=asr_server)
    assert done.returncode == 0
    (line,) = lines(done.stderr)
    told = r"pocketsphinx answered in \d+\.\d\d s( \(loading \d+\.\d\d s\))? after hf-inference failed \(403 PermissionDeniedError; \d"
    assert re.search(told, line), line


def say_foreign(audio: Audio, options: TranscribeOptions) -> Transcript:
    return Transcript("naïve 漢字 🎙")


def test_cp1252_console(clip: Path) -> None:
    """A console that cannot show a character shows its escape; the run goes on."""
    with FakeASRServer(say_foreign) as server:
        done = hfasr_command("transcribe", clip, server=server, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("cp1252").rstrip() == "naïve \\u6f22\\u5b57 \\U0001f399"


def test_files_are_utf8_on_every_console(clip: Path, tmp_path: Path) -> None:
    """A file is UTF-8 whatever the console speaks."""
    with FakeASRServer(say_foreign) as server:
        done = hfasr_command(
            "transcribe", "-o", tmp_path / "out", clip, server=server, PYTHONIOENCODING="cp1252", PYTHONUTF8="0"
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "clip.txt").read_bytes() == "naïve 漢字 🎙\n".encode()


def test_help_and_version_on_cp1252() -> None:
    """Help and version print on a console of one byte a character."""
    for arguments in (["--help"], ["transcribe", "--help"], ["--version"]):
        done = hfasr_command(*arguments, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a closed pipe in other ways")
def test_closed_pipe_is_quiet(clip: Path, asr_server: FakeASRServer) -> None:
    """Whoever reads standard output may leave: no traceback follows."""
    environment = {**os.environ, "HFASR_ROUTER_URL": asr_server.router_url, "HF_TOKEN_PATH": os.devnull}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "transcribe", str(clip), str(clip)],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells and pipes")


def from_shell(script: str, *arguments: str | Path, server: FakeASRServer) -> subprocess.CompletedProcess[bytes]:
    """Run *script*, in which ``"$@"`` is the command with *arguments*."""
    environment = {**os.environ, "HFASR_ROUTER_URL": server.router_url, "HF_TOKEN_PATH": os.devnull}
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-c", MAIN, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )


@posix
@pytest.mark.parametrize(
    ("script", "audio", "status", "out", "err"),
    [
        ('"$@" >&-', None, 1, [], "hfasr: standard output is closed; leave it open, or add --output-dir"),
        ('"$@" <&-', "-", 1, [], "hfasr: -: standard input is closed; name a file, or pipe audio into the command"),
        ('"$@" 2>&-', None, 0, ["red boat"], None),
        ('"$@" 2>&-', "absent.wav", 1, [], None),
    ],
)
def test_closed_streams(
    script: str,
    audio: str | None,
    status: int,
    out: list[str],
    err: str | None,
    clip: Path,
    asr_server: FakeASRServer,
) -> None:
    """A stream that is closed is named where it is needed, and not missed where it is not."""
    done = from_shell(script, "transcribe", audio or clip, server=asr_server)
    assert (done.returncode, lines(done.stdout), lines(done.stderr)) == (status, out, [err] if err else [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk(clip: Path, asr_server: FakeASRServer) -> None:
    """A full standard output is one line with its remedy, and the inputs that are left are not paid for."""
    done = from_shell('"$@" >/dev/full', "transcribe", "-j", "1", *[clip] * 40, server=asr_server)
    assert (done.returncode, lines(done.stderr)) == (
        1,
        [
            "hfasr: cannot write to standard output: No space left on device; send it elsewhere, or add --output-dir",
        ],
    )
    assert 1 <= len(asr_server.requests) < 40


@posix
@pytest.mark.parametrize("by", ["/dev/stdin", "fifo"])
def test_pipes_by_path(by: str, clip: Path, tmp_path: Path, asr_server: FakeASRServer) -> None:
    """A pipe that is named by its path is read like standard input."""
    fifo = tmp_path / "fifo"
    script = (
        f'cat "{clip}" | "$@"' if by == "/dev/stdin" else f'mkfifo "{fifo}" && {{ cat "{clip}" >"{fifo}" & "$@"; }}'
    )
    done = from_shell(script, "transcribe", by if by == "/dev/stdin" else fifo, server=asr_server)
    assert (done.returncode, lines(done.stdout), done.stderr) == (0, ["red boat"], b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c(clip: Path, asr_server: FakeASRServer) -> None:
    """Ctrl-C in the middle of a request ends the command at once, with one line and status 130."""
    asr_server.script(replies.Hang())
    environment = {**os.environ, "HFASR_ROUTER_URL": asr_server.router_url}
    with subprocess.Popen(
        [sys.executable, "-c", WITH_SIGINT + MAIN, "transcribe", str(clip)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        wait_until(lambda: len(asr_server.requests) == 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, lines(err)) == (130, b"", ["hfasr: interrupted"])


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_completion_script() -> None:
    """The shell's completion script is there."""
    done = hfasr_command(_HFASR_COMPLETE="source_bash")
    assert b"complete -o default -F _hfasr_completion hfasr" in done.stdout


def test_without_the_extra() -> None:
    """Without the extra's packages one line names the command that installs them, with status 2."""
    hide = "import sys; sys.modules['typer'] = None; from hfasr.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = lines(done.stderr)
    assert 'pip install "hfasr[cli]"' in line


def test_entry_point() -> None:
    """The console script is the one that these tests run."""
    from importlib.metadata import entry_points

    (script,) = (point for point in entry_points(group="console_scripts") if point.name == "hfasr")
    assert script.load() is hfasr.cli.main
