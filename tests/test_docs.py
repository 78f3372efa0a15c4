"""What README and docs say is true: their code runs, their tables are complete, their comparisons are shown."""

from __future__ import annotations

import inspect
import io
import os
import re
import runpy
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import soundfile
from huggingface_hub.errors import HfHubHTTPError

import hfasr
from hfasr import ASRClient
from hfasr.testing import FakeASRServer, ToneSpeech, replies
from tests.recordings import WORDS, write_recordings
from tests.stand_ins import stand_ins

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^( *)```([^`\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TABS = re.compile(r'^=== "([\w ]+)"\n\n    ```python\n(.*?)^    ```$', re.MULTILINE | re.DOTALL)
SNIPPET = re.compile(  # of an example; ruff formats what is called python, and knows no snippets
    r'^```\{\.python title="(examples/(\w+\.py))"\}\n--8<-- "\1:(\w+)"\n```$', re.MULTILINE
)


def blocks(language: str) -> list[Any]:
    """Give every fenced block of a language as a parameter, named by its page and line; not those in tabs."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            source = textwrap.dedent(match[3])
            if match[2] == language and not match[1]:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(source, id=f"{page.stem}-{line}"))
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[FakeASRServer]:
    with FakeASRServer() as server:
        yield server


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


@pytest.fixture
def folder(recordings: Path, tmp_path: Path) -> Path:
    for path in recordings.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    pytest.importorskip("transformers", reason="the extra transformers is not installed")
    with stand_ins(tmp_path_factory.mktemp("models")) as environment:
        yield environment


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give what a block needs to find the models that it names: nothing, where it names no engine for them."""
    text = next(
        request.node.callspec.params[name] for name in ("source", "line") if name in request.node.callspec.params
    )
    environment: dict[str, str] = request.getfixturevalue("models") if "transformers" in text else {}
    return environment


def run(
    arguments: list[str], folder: Path, server: FakeASRServer, hub: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={
            **os.environ,
            **hub,
            "HFASR_ROUTER_URL": server.router_url,
            "HF_TOKEN": "hf_test_of_documentation",
            "PYTHONIOENCODING": "utf-8",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else Ray writes one into the home folder
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )


QUIET = {  # what other libraries warn of in their own calls
    "import ray": "ignore:`use_:DeprecationWarning",
    "AsyncInferenceClient": "ignore:Use 'content=:DeprecationWarning",
}


def run_block(source: str, folder: Path, server: FakeASRServer, hub: dict[str, str]) -> str:
    """Run a block as its reader would, and return what it prints."""
    source = source.replace("http://localhost:8000", server.url)  # the reader's own server
    script = folder / "test_block.py"
    script.write_text(source, encoding="utf-8")
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in source else []
    runner += ["--hfasr-record=new"] if "hfasr_cassette" in source else []  # as its reader has done before
    quiet = [part for name, rule in QUIET.items() if name in source for part in ("-W", rule)]
    done = run([sys.executable, "-W", "error", *quiet, *runner, str(script)], folder, server, hub)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("source", blocks("python"))
def test_python_block(source: str, folder: Path, server: FakeASRServer, hub: dict[str, str]) -> None:
    """Each block of Python runs as it stands, without a warning; one of tests passes; texts are those in comments."""
    printed = run_block(source, folder, server, hub)
    assert printed.count(f"{WORDS}\n") >= source.count(f")  # {WORDS}\n")


def test_an_interrupted_batch_goes_on(tmp_path: Path) -> None:
    """The program for a million files sends, after Ctrl-C, only what is missing, and each file has its text."""
    if sys.platform == "win32":
        pytest.skip("there is no SIGINT for one process")
    program = FENCE.search((ROOT / "docs" / "howto" / "million_files.md").read_text(encoding="utf-8"))
    assert program is not None
    (tmp_path / "batch.py").write_text(program[3], encoding="utf-8")
    said = ToneSpeech().say("red boat")
    for number in range(60):
        soundfile.write(tmp_path / f"{number}.flac", said[: len(said) - number], 16_000)  # no two alike
    with FakeASRServer(delay=0.2) as server:
        command = [sys.executable, "-W", "error", "batch.py"]
        environment = {**os.environ, "HFASR_ROUTER_URL": server.router_url, "HF_TOKEN": "hf_test_of_documentation"}
        first = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, encoding="utf-8")
        until = time.monotonic() + 60
        while not (n_done := len(list(tmp_path.glob("*.json")))) and time.monotonic() < until:
            time.sleep(0.01)
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=60)
        assert (first.returncode, told.splitlines()[-1]) == (1, "interrupted; run it again to go on")
        n_sent = len(server.requests)
        assert 0 < n_done < 60
        done = run([*command], tmp_path, server, {})
        assert done.returncode == 0, done.stderr
        assert len(server.requests) - n_sent <= 60 - n_done
    assert len(list(tmp_path.glob("*.json"))) == 60


def pairs() -> list[Any]:
    """Give what two tabs show, which stand side by side, as a parameter, named by page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        tabs = list(TABS.finditer(text))
        assert len(tabs) == len([match for match in FENCE.finditer(text) if match[1]]), f"not all run: {page}"
        for theirs, ours in zip(tabs[::2], tabs[1::2], strict=True):
            assert ours[1] == "hfasr"
            sources = (textwrap.dedent(theirs[2]), textwrap.dedent(ours[2]))
            found.append(pytest.param(*sources, id=f"{page.stem}-{text.count(chr(10), 0, theirs.start()) + 1}"))
    return found


@pytest.mark.parametrize(("theirs", "ours"), pairs())
def test_pair(theirs: str, ours: str, folder: Path, server: FakeASRServer) -> None:
    """What two tabs show runs as it stands, and prints the same."""
    printed = run_block(theirs, folder, server, {})
    assert printed
    assert run_block(ours, folder, server, {}) == printed


COMMANDS = [
    pytest.param(line, id=f"{block.id}-{number}")
    for block in blocks("bash")
    for number, line in enumerate(block.values[0].splitlines())
    if line.startswith("hfasr ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, folder: Path, server: FakeASRServer, hub: dict[str, str]) -> None:
    """Each command `hfasr …` works as it stands."""
    main = "from hfasr.cli import main; main()"
    done = run([sys.executable, "-W", "error", "-c", main, *shlex.split(line)[1:]], folder, server, hub)
    assert done.returncode == 0, done.stderr


def test_options_are_up_to_date() -> None:
    """The table of docs/cli.md is the one that the command's declarations give."""
    made = runpy.run_path(str(ROOT / "docs" / "cli_reference.py"))
    assert made["page"]() == (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_argument_is_documented() -> None:
    """docs/configuration.md has a row for each argument of the clients and each option of a call."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), re.MULTILINE)
    arguments = [name for name in inspect.signature(ASRClient).parameters if name != "self"]
    assert set(arguments) | set(hfasr.TranscribeOptions.__annotations__) <= set(rows)


def test_every_fixture_is_documented() -> None:
    """docs/testing.md has a row for each fixture of the pytest plugin."""
    source = (ROOT / "src" / "hfasr" / "testing" / "plugin.py").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == re.findall(r"^@pytest\.fixture\ndef (\w+)", source, re.MULTILINE)


def test_every_extra_is_in_the_readme() -> None:
    """README's "Install" lists the extras that there are, and says that cli brings av."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} >= set(project["optional-dependencies"])
    assert "`av`" in dict(rows)["cli"]


def test_every_error_is_documented() -> None:
    """docs/failures.md names every public error."""
    page = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    errors = [name for name in hfasr.__all__ if name.endswith("Error")]
    assert [name for name in errors if not re.search(rf"\b{name}\b", page)] == []


def test_links_lead_somewhere() -> None:
    """Every relative link of the documentation leads to a file."""
    broken = [
        f"{page.name}: {target}"
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_snippets_are_of_examples() -> None:
    """What a page shows of an example is there, and is run with it."""
    tested = (ROOT / "tests" / "test_examples.py").read_text(encoding="utf-8")
    shown = [match for page in PAGES for match in SNIPPET.finditer(page.read_text(encoding="utf-8"))]
    assert len(shown) == sum(page.read_text(encoding="utf-8").count("--8<--") for page in PAGES) > 0
    for path, name, section in (match.groups() for match in shown):
        assert f"# --8<-- [start:{section}]\n" in (ROOT / path).read_text(encoding="utf-8")
        assert f'"{name}"' in tested


def test_ci_runs_the_readmes_command() -> None:
    """README has exactly one line that runs the tests, and .ci/run takes it from there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pattern = r"^python3 -m venv .* -m pytest"
    assert len(re.findall(pattern, readme, re.MULTILINE)) == 1
    assert pattern in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_version_is_in_the_changelog() -> None:
    """The version that is being made has its section."""
    assert f"## [{hfasr.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# README, "Why not huggingface_hub.InferenceClient?": one test for each row.


def flac(words: str = "red boat") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, ToneSpeech().say(words), 16_000, format="FLAC")
    return file.getvalue()


@pytest.fixture
def other() -> Iterator[tuple[FakeASRServer, huggingface_hub.InferenceClient]]:
    with FakeASRServer() as server:
        yield server, huggingface_hub.InferenceClient(model=server.url, token="hf_test_of_documentation")


Other = tuple[FakeASRServer, huggingface_hub.InferenceClient]


@pytest.mark.parametrize("reply", [replies.loading(estimated_time=0.1), replies.rate_limited(retry_after=0.1)])
def test_why_not_waits(reply: replies.Reply, other: Other, tmp_path: Path) -> None:
    """A loading model or a rate limit raises there, and is waited for here."""
    server, client = other
    path = tmp_path / "x.wav"
    soundfile.write(path, ToneSpeech().say("red boat"), 16_000)
    server.script(reply)
    with pytest.raises(HfHubHTTPError):
        client.automatic_speech_recognition(path)
    server.script(reply)
    with ASRClient(base_url=server.url) as asr:
        assert asr.transcribe(path).text == "red boat"


def test_why_not_bytes(other: Other) -> None:
    """FLAC as bytes has no content type there and is refused; here it is recognised."""
    server, client = other
    with pytest.raises(HfHubHTTPError, match="Content type"):
        client.automatic_speech_recognition(flac())
    with ASRClient(base_url=server.url) as asr:
        assert asr.transcribe(flac()).text == "red boat"


def test_why_not_files(other: Other, tmp_path: Path) -> None:
    """An open file is refused there, on the way out or by the server, and transcribed here."""
    server, client = other
    path = tmp_path / "x.flac"
    path.write_bytes(flac())
    with path.open("rb") as file, pytest.raises((ValueError, HfHubHTTPError)):
        client.automatic_speech_recognition(file)
    with path.open("rb") as file, ASRClient(base_url=server.url) as asr:
        assert asr.transcribe(file).text == "red boat"
