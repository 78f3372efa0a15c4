from __future__ import annotations

import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from hfasr import Audio, TranscribeOptions, Transcript
from hfasr.errors import AudioDecodeError
from hfasr.testing import FakeBackend, ToneSpeech
from hfasr.testing.heard import Listener, decode

if TYPE_CHECKING:
    from .conftest import Encode


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("FLAC", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)
def test_decode_gives_mono_float32_at_the_files_rate(encode: Encode, container: str, subtype: str) -> None:
    """Shape, type and rate are those of the file, and the words are in it."""
    audio = decode(encode("red boat", container, subtype, 48_000, 2))
    assert (audio.waveform.ndim, audio.waveform.dtype.name, audio.sampling_rate) == (1, "float32", 48_000)
    assert ToneSpeech().hear(audio).text == "red boat"


def test_channels_are_averaged() -> None:
    """As with ffmpeg, opposite phases cancel and one silent channel halves the level."""
    tone = ToneSpeech().say("red")
    for other, factor in ((-tone, 0.0), (0 * tone, 0.5)):
        file = io.BytesIO()
        soundfile.write(file, np.stack([tone, other], axis=1), 16_000, format="WAV", subtype="FLOAT")
        assert decode(file.getvalue()).waveform == pytest.approx(tone * factor, abs=1e-6)


@pytest.mark.parametrize("body", [b"", b"<!doctype html>", b"OggS" + bytes(100), b"\x00" * 10_000, b"#!AMR\n"])
def test_what_is_not_audio_is_refused(body: bytes) -> None:
    """Nothing, text and broken files are errors, never silence."""
    with pytest.raises(AudioDecodeError):
        decode(body)


def test_a_file_without_samples_is_refused() -> None:
    """A header alone is no audio."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(0), 16_000, format="WAV")
    with pytest.raises(AudioDecodeError, match="no samples"):
        decode(file.getvalue())


def test_without_pyav_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyAV is missing, that is named as the cause."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioDecodeError, match="PyAV is not installed"):
        decode(b"\x1aE\xdf\xa3")


def test_a_backend_is_called_by_one_thread_at_a_time(encode: Encode) -> None:
    """Engines need not be thread-safe: calls come one after the other, resampled to the engine's rate."""
    busy = threading.Semaphore(1)

    class Alone(FakeBackend):
        def transcribe(self, batch: Any, options: TranscribeOptions) -> list[Transcript]:
            assert busy.acquire(blocking=False)
            time.sleep(0.02)
            heard = super().transcribe(batch, options)
            busy.release()
            return heard

    backend = Alone(None, sampling_rate=8_000)
    listener = Listener(backend)
    audio = decode(encode("red", sampling_rate=44_100))
    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(lambda _: listener.hear(audio, {}).text, range(4)))
    assert heard == ["red"] * 4
    assert {call.batch[0].sampling_rate for call in backend.calls} == {8_000}


def test_without_an_engine_tones_are_heard() -> None:
    """The default hears what ToneSpeech says."""
    assert Listener().hear(Audio(ToneSpeech().say("key"), 16_000), {}).text == "key"
