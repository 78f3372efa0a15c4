from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

import hfasr.testing
from tests.testing.cassette_kit import entries

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech


def test_the_fixtures_are_there(asr_server: FakeASRServer, tone_speech: ToneSpeech, fake_backend: FakeBackend) -> None:
    """Each gives what its name says, ready to use; no conftest defines them."""
    assert httpx.get(f"{asr_server.url}/health", trust_env=False).text == "Ok"
    assert tone_speech.sampling_rate == 16_000
    assert fake_backend.name == "fake"


def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    """Loading it imports no numpy, no server and no HTTP library: every pytest run on the machine loads it."""
    code = "import sys, hfasr.testing.plugin as p; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    heavy = "{'numpy', 'soundfile', 'soxr', 'av', 'httpx', 'tenacity', 'huggingface_hub', 'anyio'}"
    code = code.replace("{heavy}", heavy)
    env_free = [sys.executable, "-I", "-c", code]
    assert subprocess.run(env_free, capture_output=True, text=True, check=True, encoding="utf-8").stdout == "[]\n"


def test_every_name_is_there() -> None:
    """Everything that the package names can be had, and is listed; anything else is an AttributeError."""
    names = hfasr.testing.__all__
    assert len(set(names)) == len(names)
    assert dir(hfasr.testing) == sorted(names)
    for name in names:
        assert getattr(hfasr.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = hfasr.testing.Nothing


TESTS = """
import os
import pytest
from hfasr import ASRClient, Audio
from hfasr.testing import ToneSpeech

def transcribe(words):
    with ASRClient(router_url=os.environ["SERVER"]) as asr:
        return asr.transcribe(Audio(ToneSpeech().say(words), 16_000)).text

def test_one(hfasr_cassette):
    assert transcribe("red boat") == "red boat"

@pytest.mark.parametrize("words", ["green/river", "green_river", "apple" + 200 * " "], ids=str)
def test_names(hfasr_cassette, words):
    assert transcribe(words.replace("/", " ").replace("_", " ")) == words.replace("/", " ").replace("_", " ").strip()

class TestGroup:
    @pytest.mark.hfasr_cassette("shared/one.json")
    def test_marked(self, hfasr_cassette):
        assert transcribe("leaf") == "leaf"
"""

HANDLED = """
import contextlib
from hfasr import ASRClient

def test_handled(hfasr_cassette, tone_speech):
    from hfasr import Audio
    with ASRClient() as asr, contextlib.suppress(Exception):
        asr.transcribe(Audio(tone_speech.say("red"), 16_000))

def test_unused(hfasr_cassette):
    pass
"""


def run(folder: Path, *arguments: str, server: str = "http://127.0.0.1:9") -> str:
    """Run pytest in *folder* as a user would, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *arguments],
        cwd=folder,
        env={**os.environ, "SERVER": server, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout + done.stderr


def test_recorded_with_an_option_and_replayed_without(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """`--hfasr-record=new` records each test into a file of its own, and then no server is needed."""
    (tmp_path / "test_mine.py").write_text(TESTS, encoding="utf-8")
    assert "5 passed" in run(tmp_path, "--hfasr-record=new", server=asr_server.router_url)
    assert len(asr_server.requests) == 5
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json"))
    assert "cassettes/test_mine/test_one.json" in files
    assert "cassettes/test_mine/test_names[green_river].json" in files
    assert "shared/one.json" in files
    assert len(files) == 5
    assert max(len(file.rpartition("/")[2]) for file in files) < 128
    assert "5 passed" in run(tmp_path)


@pytest.mark.slow
def test_tests_that_share_a_file_are_recorded_anew_together(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """`--hfasr-record=all` replaces a shared file once: what the first test recorded is there after the second one."""
    marked = '    @pytest.mark.hfasr_cassette("shared/one.json")\n'
    tests = (
        TESTS
        + f"""
{marked}    def test_marked_too(self, hfasr_cassette):
        assert transcribe("river") == "river"
"""
    )
    (tmp_path / "test_mine.py").write_text(tests, encoding="utf-8")
    file = tmp_path / "shared" / "one.json"
    file.parent.mkdir()
    file.write_text('{"hfasr_cassette": 1, "recordings": []}', encoding="utf-8")
    for _ in range(2):
        assert "2 passed" in run(tmp_path, "-k", "marked", "--hfasr-record=all", server=asr_server.router_url)
        assert len(entries(file)) == 2
    assert "2 passed" in run(tmp_path, "-k", "marked")


def test_a_miss_fails_the_test_that_handled_it(tmp_path: Path) -> None:
    """A test whose code swallows the error fails all the same, once, and one that asks nothing passes without a file."""
    (tmp_path / "test_mine.py").write_text(HANDLED, encoding="utf-8")
    told = run(tmp_path)
    assert "1 failed, 1 passed" in told
    assert "NotRecordedError: there is no recording in test_handled.json" in told
    assert "--hfasr-record=new" in told
    assert not (tmp_path / "cassettes").exists()
