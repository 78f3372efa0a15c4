"""`hfasr listen` with a microphone; a stand-in behaves as sounddevice documents its streams."""

from __future__ import annotations

import _thread
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from hfasr.cli.app import app
from hfasr.testing import FakeASRServer, ToneSpeech
from tests.test_microphone import Card, PortAudioError

SPEECH = ToneSpeech().say_at([(0.5, "red"), (3.0, "boat")], duration=60.0)
DEVICES = [
    {"name": "speakers", "max_input_channels": 0},
    {"name": "built-in", "max_input_channels": 2},
    {"name": "headset", "max_input_channels": 1},
]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    module: Any = Card()
    module.sound = (SPEECH * 32767).astype("<i2").tobytes()
    module.faster = 10.0
    module.default = types.SimpleNamespace(device=(1, 0))
    module.query_devices = lambda: DEVICES
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    yield module
    assert all(stream.is_closed for stream in module.streams if module.refuses is None)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["listen", *arguments])


def press_ctrl_c_when(condition: Any) -> None:
    def wait() -> None:
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            if condition():
                _thread.interrupt_main()
                return
            time.sleep(0.02)

    threading.Thread(target=wait, daemon=True).start()


def test_phrases_until_ctrl_c(card: Card, asr_server: FakeASRServer) -> None:
    """The microphone is transcribed phrase by phrase until Ctrl-C, which is status 130, and closed then."""
    press_ctrl_c_when(lambda: len(asr_server.requests) == 2)
    result = invoke("--router-url", asr_server.router_url, "--microphone", "built-in")
    assert (result.exit_code, result.stdout) == (130, "red\nboat\n")
    assert result.stderr == "hfasr: interrupted\n"
    assert card.streams[0].rate == 16_000


def test_phrases_have_times(card: Card, asr_server: FakeASRServer) -> None:
    """Formats with times ask for those of the model by themselves, and count from the beginning of the recording."""
    press_ctrl_c_when(lambda: len(asr_server.requests) == 2)
    result = invoke("--router-url", asr_server.router_url, "-f", "tsv")
    rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert [row[2] for row in rows] == ["red", "boat"]
    assert [int(row[0]) for row in rows] == pytest.approx([500, 3_000], abs=10)


def test_microphone_that_is_gone(card: Card, asr_server: FakeASRServer) -> None:
    """A microphone that is pulled out is told after what was said, with status 1."""
    card.breaks_after = 20
    result = invoke("--router-url", asr_server.router_url)
    assert (result.exit_code, result.stdout) == (1, "red\n")
    assert result.stderr == "hfasr: microphone: the microphone gives no more sound; check that it is plugged in\n"


def test_no_such_microphone(card: Card, asr_server: FakeASRServer) -> None:
    """A microphone that is not there is one line that says where to look."""
    result = invoke("--router-url", asr_server.router_url, "--microphone", "7")
    assert result.exit_code == 1
    assert result.stderr == (
        "hfasr: the microphone '7' cannot be opened at 16000 Hz (No input device matching 7); "
        "hfasr listen --list-devices shows them\n"
    )
    assert asr_server.requests == []


def test_list_devices(card: Card) -> None:
    """--list-devices shows what can be recorded from, by number, and which is the default."""
    result = invoke("--list-devices")
    assert (result.exit_code, result.stdout) == (0, "  1  built-in (default)\n  2  headset\n")


def test_no_devices(card: Any) -> None:
    """Where there is no microphone, or no sound at all, that is one line with status 1."""
    card.query_devices = lambda: DEVICES[:1]
    result = invoke("--list-devices")
    assert (result.exit_code, result.stderr) == (1, "hfasr: there is no microphone; plug one in\n")

    def refuse() -> None:
        raise PortAudioError("Error initializing PortAudio")

    card.query_devices = refuse
    result = invoke("--list-devices")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize("arguments", [[], ["--list-devices"]])
def test_without_the_extra(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sounddevice one line names the extra, with status 2."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = invoke(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert 'pip install "hfasr[mic]"' in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pcm", "16000", "--microphone", "1"], "leave out one"),
        (["--pcm", "10"], "--pcm"),
        (["--pause", "0"], "--pause"),
        (["--format", "json"], "json"),
        (["--stride-length", "2"], "--stride-length goes with --split none"),
    ],
)
def test_usage_is_2(arguments: list[str], message: str) -> None:
    """What cannot be meant is refused with status 2."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
