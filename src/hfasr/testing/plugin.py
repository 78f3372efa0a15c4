"""
The pytest plugin: fixtures for tests of code that uses hfasr, there as soon as hfasr is installed.

Example:
    A test of a function of your own that takes a server's address::

        def test_my_transcriber(asr_server, tone_speech, tmp_path):
            path = tmp_path / "clip.wav"
            soundfile.write(path, tone_speech.say("red boat"), tone_speech.sampling_rate)
            assert my_transcriber(path, base_url=asr_server.url) == "red boat"

    One that is answered as the real server has answered when ``pytest --hfasr-record=new`` was run::

        def test_my_transcriber_for_real(hfasr_cassette):
            assert my_transcriber("tests/boat.flac") == "A red boat."
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .backend import FakeBackend
    from .cassette import Cassette
    from .clock import FakeClock
    from .server import FakeASRServer
    from .tones import ToneSpeech

_MODES = ("none", "new", "all")
_FIXTURE = "hfasr_cassette"
_REPLACED = pytest.StashKey[set["Path"]]()
_MAX_NAME_CHARS = 100  # some file systems end at 143


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--hfasr-record``."""
    parser.getgroup("hfasr").addoption(
        "--hfasr-record",
        choices=_MODES,
        default="none",
        help="what tests with the fixture hfasr_cassette send to real servers: nothing (the default), what was not "
        "recorded, or everything, to record it anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "hfasr_cassette(path): the fixture's file, from the test's folder, instead of one named by the test"
    )


@pytest.hookimpl(trylast=True)  # after the test itself, and only where that has passed
def pytest_runtest_call(item: pytest.Item) -> None:
    """Let a test fail that has passed though something was not recorded: the code under test has handled that."""
    cassette: Cassette | None = getattr(item, "funcargs", {}).get(_FIXTURE)
    if cassette is not None:
        cassette.check()


@pytest.fixture
def asr_server() -> Iterator[FakeASRServer]:
    """A `FakeASRServer` that listens: it hears the words of `ToneSpeech` and speaks every dialect."""
    from .server import FakeASRServer

    with FakeASRServer() as server:
        yield server


@pytest.fixture
def tone_speech() -> ToneSpeech:
    """A `ToneSpeech` at 16 kHz."""
    from .tones import ToneSpeech

    return ToneSpeech()


@pytest.fixture
def fake_backend() -> FakeBackend:
    """A `FakeBackend` that hears the words of `ToneSpeech`."""
    from .backend import FakeBackend

    return FakeBackend(None)


@pytest.fixture
def fake_clock() -> FakeClock:
    """A `FakeClock`: `FakeClock.attach` it to a client, and its pauses take no time."""
    from .clock import FakeClock

    return FakeClock()


@pytest.fixture
def hfasr_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """A `Cassette` that answers the clients of the test: ``cassettes/{module}/{test}.json`` beside the test."""
    from .cassette import Cassette

    mode: Any = request.config.getoption("--hfasr-record")
    cassette = Cassette(_path_for(request.node), mode=mode)
    replaced = request.config.stash.setdefault(_REPLACED, set())
    if cassette.path in replaced:  # by a test that shares the file
        cassette._replaces = False  # noqa: SLF001
    cassette.open()
    try:
        yield cassette
    finally:
        cassette.close()
        if cassette.n_recorded:
            replaced.add(cassette.path)


def _path_for(test: pytest.Item) -> Path:
    """Return the file for *test*: the one that its marker names, or one of its own."""
    marker = test.get_closest_marker(_FIXTURE)
    if marker is not None:
        return test.path.parent / str(marker.args[0])
    inside = test.nodeid.partition("::")[2]
    name = re.sub(r"[^\w.\[\]-]+", "_", inside.replace("::", "."), flags=re.ASCII)
    if name != inside or len(name) > _MAX_NAME_CHARS:  # two tests may be called alike by now
        name = f"{name[:_MAX_NAME_CHARS]}-{hashlib.sha256(inside.encode()).hexdigest()[:8]}"
    return test.path.parent / "cassettes" / test.path.stem / f"{name}.json"
