"""
The pytest plugin: fixtures for tests of code that uses hfasr, there as soon as hfasr is installed.

Example:
    A test of a function of your own that takes a server's address::

        def test_my_transcriber(asr_server, tone_speech, tmp_path):
            path = tmp_path / "clip.wav"
            soundfile.write(path, tone_speech.say("red boat"), tone_speech.sampling_rate)
            assert my_transcriber(path, base_url=asr_server.url) == "red boat"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .backend import FakeBackend
    from .clock import FakeClock
    from .server import FakeASRServer
    from .tones import ToneSpeech


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
