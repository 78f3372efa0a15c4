from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from hfasr import Audio, Backend, Transcript
from hfasr.testing import FakeBackend, ToneSpeech

CLIP = Audio(np.zeros(16_000, np.float32), 16_000)


def test_it_is_a_backend() -> None:
    """It has all that the protocol asks for, with the values that it was made with."""
    backend = FakeBackend(name="mine", sampling_rate=8_000, max_duration_s=30.0)
    assert isinstance(backend, Backend)
    assert (backend.name, backend.sampling_rate, backend.max_duration_s) == ("mine", 8_000, 30.0)


def test_it_says_what_it_is_told_and_remembers_the_calls() -> None:
    """Each clip gets the text; without times unless they are asked for."""
    backend = FakeBackend("hello")
    assert backend.transcribe([CLIP, CLIP], {}) == [Transcript("hello", duration=1.0)] * 2
    timed = backend.transcribe([CLIP], {"return_timestamps": True, "language": "en"})[0]
    assert [(s.start, s.end, s.text) for s in timed.segments] == [(0.0, 1.0, "hello")]
    first, second = backend.calls
    assert first.batch == (CLIP, CLIP)
    assert second.options == {"return_timestamps": True, "language": "en"}


def test_a_function_can_choose_the_text() -> None:
    """It is called with each clip."""
    backend = FakeBackend(lambda audio: f"{len(audio.waveform)} samples")
    assert backend.transcribe([CLIP], {})[0].text == "16000 samples"


def test_none_hears_tones() -> None:
    """Without a text the words in the audio come back, with their times."""
    heard = FakeBackend(None).transcribe([Audio(ToneSpeech().say("red boat"), 16_000)], {})[0]
    assert heard.text == "red boat"
    assert [word.word for word in heard.words] == ["red", "boat"]


def test_it_raises_what_it_is_told_to() -> None:
    """The error is raised each time; the calls are on record."""
    error = RuntimeError("out of memory")
    backend = FakeBackend(error=error)
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            backend.transcribe([CLIP], {})
        assert caught.value is error
    assert len(backend.calls) == 2


@pytest.mark.parametrize(
    "audio", [Audio(np.zeros(10, np.float32), 8_000), Audio(np.zeros((10, 2), np.float32), 16_000)], ids=repr
)
def test_audio_of_another_form_is_refused(audio: Audio) -> None:
    """What a real engine would get wrong is an error here: another rate, or channels."""
    with pytest.raises(ValueError, match="takes mono audio at 16000 Hz"):
        FakeBackend().transcribe([audio], {})


def test_close_ends_a_slow_call() -> None:
    """A delay lasts as long as it says, unless the engine is closed; closing twice is fine."""
    backend = FakeBackend(delay=0.1)
    began = time.monotonic()
    backend.transcribe([CLIP], {})
    assert time.monotonic() - began >= 0.1
    assert not backend.closed
    slow = FakeBackend(delay=60.0)
    running = threading.Thread(target=slow.transcribe, args=([CLIP], {}))
    running.start()
    slow.close()
    slow.close()
    running.join(timeout=5.0)
    assert not running.is_alive()
    assert slow.closed
