"""
Test code that transcribes, without network, token or model.

    python -m pytest examples/testing_your_code.py

The fixtures come with hfasr: a server that decodes the audio it gets, and speech that it understands. What a real
server answers can be recorded once, and replayed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hfasr import ASRClient, Audio, RateLimitError, RetryPolicy
from hfasr.testing import record, replay, replies

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.testing import FakeASRServer, ToneSpeech


def count_words(asr: ASRClient, sound: Audio) -> int:
    """The code under test."""
    return len(asr.transcribe(sound).text.split())


@pytest.fixture
def sound(tone_speech: ToneSpeech) -> Audio:
    """Three words."""
    return Audio(tone_speech.say("red boat river"), tone_speech.sampling_rate)


def test_words_are_counted(asr_server: FakeASRServer, sound: Audio) -> None:
    """Three spoken words are three."""
    with ASRClient(router_url=asr_server.router_url) as asr:
        assert count_words(asr, sound) == 3


def test_a_loading_model_is_waited_for(asr_server: FakeASRServer, sound: Audio) -> None:
    """A model that loads for a moment changes nothing."""
    asr_server.script(replies.loading(estimated_time=0.1))
    with ASRClient(router_url=asr_server.router_url) as asr:
        assert count_words(asr, sound) == 3
    assert len(asr_server.requests) == 2


def test_a_long_rate_limit_is_the_callers_to_handle(asr_server: FakeASRServer, sound: Audio) -> None:
    """A server that asks for an hour is not waited for."""
    asr_server.script(replies.rate_limited(retry_after=3600))
    impatient = RetryPolicy(max_retry_after=60)
    with ASRClient(router_url=asr_server.router_url, retry=impatient) as asr, pytest.raises(RateLimitError) as caught:
        count_words(asr, sound)
    assert caught.value.retry_after == 3600


def test_what_was_recorded_needs_no_server(asr_server: FakeASRServer, sound: Audio, tmp_path: Path) -> None:
    """What one server has answered is answered again, without it; of a real one, commit the file."""
    with record(tmp_path / "three_words.json"), ASRClient(router_url=asr_server.router_url) as asr:
        assert count_words(asr, sound) == 3
    asr_server.stop()
    with replay(tmp_path / "three_words.json"), ASRClient() as asr:
        assert count_words(asr, sound) == 3


if __name__ == "__main__":
    print("usage: python -m pytest examples/testing_your_code.py", file=sys.stderr)
    sys.exit(2)
