"""Every example runs, and the example audio says what its table says."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jiwer
import numpy as np
import pytest
import soundfile

from hfasr.backends.pocketsphinx import PocketSphinx
from hfasr.testing import FakeASRServer, replies
from hfasr.types import Audio
from tests.stand_ins import COMMIT, stand_ins
from tests.tones import RATE, tone_audio

EXAMPLES = Path(__file__).parents[1] / "examples"
AUDIO = EXAMPLES / "audio"
TRAIN = AUDIO / "train.flac"
MAX_WER = 0.1


def references() -> dict[str, str]:
    with (AUDIO / "transcripts.tsv").open(encoding="utf-8", newline="") as table:
        return {row["file"]: row["reference"] for row in csv.DictReader(table, delimiter="\t")}


def run(
    script: str, *arguments: str | Path, server: FakeASRServer | None = None, models: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HFASR_"))}
    environment |= {"HF_TOKEN_PATH": os.devnull, "PYTHONIOENCODING": "utf-8", **(models or {})}
    if server is not None:
        environment["HFASR_ROUTER_URL"] = server.router_url
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def engine() -> PocketSphinx:
    return PocketSphinx()


@pytest.fixture
def server(engine: PocketSphinx) -> Iterator[FakeASRServer]:
    """A server that understands English."""
    with FakeASRServer(engine) as server:
        yield server


@pytest.fixture(scope="module")
def models(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Models of the Hub, of which facebook/wav2vec2-base-960h understands `tones`."""
    with stand_ins(tmp_path_factory.mktemp("models"), wav2vec2_base_960h=tone_model) as environment:
        yield environment


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """A file that says "bad cab fed"."""
    path = tmp_path / "tones.flac"
    soundfile.write(path, tone_audio("bad cab fed"), RATE)
    return path


def test_every_example_is_run() -> None:
    """No example is without a test in this file."""
    own_text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in own_text] == []


def test_corpus_with_ray_has_a_test() -> None:
    """The example for Ray, which takes long to start, is run by a test of its own."""
    name = (EXAMPLES / "corpus_with_ray.py").name
    assert name in (Path(__file__).parent / "integrations" / "test_example.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({path.name for path in EXAMPLES.glob("*.py")} - {"make_audio.py"}))
def test_usage(name: str) -> None:
    """An example without its arguments says in one line what they are, with status 2."""
    done = run(name)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("usage: python ")
    assert f"examples/{name}" in line


def test_table_lists_the_audio() -> None:
    """The table names exactly the files that are there, and together they are small."""
    files = sorted(AUDIO.glob("*.flac"))
    assert sorted(references()) == [path.name for path in files]
    assert sum(path.stat().st_size for path in files) < 500_000


@pytest.mark.parametrize("name", sorted(references()))
def test_audio_says_its_reference(name: str, engine: PocketSphinx) -> None:
    """The offline engine understands each file nearly word for word."""
    samples, sampling_rate = soundfile.read(AUDIO / name, dtype="float32")
    (transcript,) = engine.transcribe([Audio(samples, sampling_rate)], {})
    assert jiwer.wer(references()[name], transcript.text) <= MAX_WER


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_make_audio(tmp_path: Path) -> None:
    """The script makes the very speech that is there."""
    done = run("make_audio.py", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in references():
        made, made_rate = soundfile.read(tmp_path / name, dtype="int16")
        kept, kept_rate = soundfile.read(AUDIO / name, dtype="int16")
        assert made_rate == kept_rate
        # Other machines may round a sample otherwise.
        assert len(made) == len(kept)
        assert np.abs(made.astype(int) - kept).max() <= 2


def test_quickstart(server: FakeASRServer) -> None:
    """quickstart.py prints each text and where it came from; a missing file is told and does not end it."""
    done = run("quickstart.py", TRAIN, "absent.flac", AUDIO / "window.flac", server=server)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        references()["train.flac"],
        references()["window.flac"],
    ]
    assert "openai/whisper-large-v3 at hf-inference" in done.stdout
    assert "AudioNotFoundError" in done.stderr


def test_async_client(server: FakeASRServer) -> None:
    """async_client.py prints all texts in order."""
    paths = sorted(AUDIO.glob("*.flac"))
    done = run("async_client.py", *paths, server=server)
    assert done.stdout.splitlines() == [f"{path}: {references()[path.name]}" for path in paths], done.stderr


def test_failover(server: FakeASRServer) -> None:
    """failover.py answers from the engine on this machine when the server is down, and says so."""
    server.script(replies.server_error(), replies.server_error())
    done = run("failover.py", TRAIN, server=server)
    assert done.stdout.strip() == references()["train.flac"]
    assert "answered by pocketsphinx" in done.stderr


def test_failover_to_a_model_of_the_hub(server: FakeASRServer, models: dict[str, str], tones: Path) -> None:
    """failover.py stands in with another engine where one is named, its model fetched before the deadline counts."""
    server.script(replies.server_error(), replies.server_error())
    done = run("failover.py", tones, "transformers:facebook/wav2vec2-base-960h", server=server, models=models)
    assert done.stdout.strip() == "bad cab fed", done.stderr
    assert "answered by transformers" in done.stderr


def test_on_this_machine(models: dict[str, str], tones: Path) -> None:
    """on_this_machine.py prints the text, each word with its time and confidence, and which commit ran."""
    done = run("on_this_machine.py", tones, "facebook/wav2vec2-base-960h", models=models)
    assert done.returncode == 0, done.stderr
    text, *words = done.stdout.splitlines()
    assert text == "bad cab fed"
    assert [line.split()[-1] for line in words] == text.split()
    assert all(line.split()[3].endswith("%") for line in words)
    assert f"facebook/wav2vec2-base-960h at {COMMIT}" in done.stderr


@pytest.mark.parametrize("dialect", ["hf", "openai"])
def test_own_server(dialect: str, server: FakeASRServer) -> None:
    """own_server.py works with a server of either protocol, and prints times."""
    done = run("own_server.py", server.url if dialect == "hf" else server.openai_url, TRAIN)
    assert done.returncode == 0, done.stderr
    assert " ".join(line.partition("] ")[2] for line in done.stdout.splitlines()) == references()["train.flac"]
    assert done.stdout.startswith("[0.")


@pytest.mark.parametrize("name", ["testing_your_code.py", "testing_service.py"])
def test_suites(name: str) -> None:
    """An example that is a suite of tests passes, as its readers would run it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES / name],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= (EXAMPLES / name).read_text(encoding="utf-8").count("\ndef test_") > 0
    assert "skipped" not in done.stdout


@pytest.fixture
def service(server: FakeASRServer) -> Iterator[httpx.Client]:
    """service.py, served by uvicorn in a process of its own."""
    environment = {**os.environ, "HFASR_ROUTER_URL": server.router_url, "HF_TOKEN": "", "HF_TOKEN_PATH": os.devnull}
    command: list[str | Path] = [sys.executable, "-W", "error", EXAMPLES / "service.py", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", env=environment) as process:
        assert process.stderr is not None
        told = iter(process.stderr.readline, "")
        url = next(match[1] for line in told if (match := re.search(r"running on (http://\S+)", line)))
        reader = threading.Thread(target=process.stderr.read)  # so that it never waits for us to read
        reader.start()
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield client
        process.terminate()
        reader.join()
    assert process.returncode in {0, -signal.SIGTERM, 1}  # uvicorn's way, the signal's, Windows'


def test_service(service: httpx.Client) -> None:
    """service.py transcribes what is uploaded, and says what is wrong with the rest."""
    assert service.get("/health").json() == {"status": "ok"}
    answer = service.post("/transcribe", files={"file": TRAIN.read_bytes()})
    assert answer.json()["text"] == references()["train.flac"]
    assert service.post("/transcribe", files={"file": b"<html>no audio</html>"}).status_code == 415
    assert service.post("/transcribe?language=../..", files={"file": TRAIN.read_bytes()}).status_code == 422


def test_service_stops_when_nobody_waits(service: httpx.Client, server: FakeASRServer) -> None:
    """A caller who hangs up is not worked for any more: the request to the model's server is cut off."""
    server.script(replies.Hang())
    request = service.build_request("POST", "/transcribe", files={"file": TRAIN.read_bytes()})
    lines = [f"POST {request.url.raw_path.decode()} HTTP/1.1", *(f"{k}: {v}" for k, v in request.headers.items())]
    with socket.create_connection((request.url.host, request.url.port or 80), timeout=60) as caller:
        caller.sendall("\r\n".join([*lines, "", ""]).encode() + request.read())
        wait_until(lambda: bool(server.requests))
        assert server.connections.open == 1
    wait_until(lambda: server.connections.open == 0)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what comes at once on an idle machine, and within 50 s on a busy one."""
    until = time.monotonic() + 50  # less than the client's own timeout of 60 s, which must not be what ends it
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("backend", [None, "pocketsphinx"])
def test_live_captions(backend: str | None, server: FakeASRServer) -> None:
    """live_captions.py prints each phrase while the file is being played, and how late each was."""
    began = time.monotonic()
    done = run("live_captions.py", TRAIN, *([backend] if backend else []), server=server)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    text = " ".join(line.partition(" s  ")[2] for line in done.stdout.splitlines())
    assert jiwer.wer(references()["train.flac"], text) <= MAX_WER
    delays = [float(line.split()[0]) for line in done.stderr.splitlines()]
    assert len(delays) == len(done.stdout.splitlines())
    assert min(delays) > 0
    assert took > soundfile.info(TRAIN).duration  # no faster than it is spoken


def test_hub_page(server: FakeASRServer) -> None:
    """hub_page.py does what the Hub's page does: it waits out a loading model and prints {"text": ...}."""
    server.script(replies.loading(estimated_time=0.1), replies.loading(estimated_time=0.1))
    done = run("hub_page.py", TRAIN, "facebook/wav2vec2-base-960h", server=server)
    assert json.loads(done.stdout) == {"text": references()["train.flac"]}, done.stderr
    assert [request.path for request in server.requests] == ["/hf-inference/models/facebook/wav2vec2-base-960h"] * 3
    assert [line.split(",")[0].split(": ")[1] for line in done.stderr.splitlines()] == [
        "status 503",
        "status 503",
        "status 200",
    ]


def test_hub_page_on_your_own(models: dict[str, str], tones: Path) -> None:
    """hub_page.py --here runs the model on this machine and prints {"text": ...} as the page does."""
    done = run("hub_page.py", "--here", tones, "facebook/wav2vec2-base-960h", models=models)
    assert json.loads(done.stdout) == {"text": "bad cab fed"}, done.stderr
