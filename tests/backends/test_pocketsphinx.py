"""The offline engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Unpack

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

import hfasr
from hfasr import backends
from hfasr.backends.pocketsphinx import PocketSphinx
from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

RATE = 16_000
EXAMPLES = Path(__file__).parents[2] / "examples" / "audio"
JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def engine() -> PocketSphinx:
    return PocketSphinx()


def audio(path: Path) -> Audio:
    samples, rate = soundfile.read(path, always_2d=True, dtype="float32")
    return Audio(soxr.resample(samples.mean(axis=1), rate, RATE).astype(np.float32), RATE)


def of(samples: npt.NDArray[np.float64]) -> Audio:
    return Audio(samples.astype(np.float32), RATE)


def transcribe(engine: Backend, sound: Audio, **options: Unpack[TranscribeOptions]) -> Transcript:
    (transcript,) = engine.transcribe([sound], options)
    return transcript


@pytest.fixture(scope="module")
def speech() -> Audio:
    return audio(min(EXAMPLES.glob("*.flac")))


def test_is_a_backend(engine: PocketSphinx) -> None:
    """The engine has the shape of the public protocol."""
    assert isinstance(engine, Backend)


@pytest.mark.slow
@pytest.mark.shared
def test_real_speech_twice(engine: PocketSphinx, shared: Path) -> None:
    """Real speech is understood within the bound, and the second time exactly as the first."""
    sound = audio(shared / "audio" / "jfk.flac")
    first, second = engine.transcribe([sound, sound], {})
    assert jiwer.wer(JFK, first.text) <= 0.25
    assert first == second


def test_no_times_unless_asked(engine: PocketSphinx, speech: Audio) -> None:
    """Without return_timestamps there is text only, with the language and the duration."""
    said = transcribe(engine, speech)
    assert said.text
    assert said.segments == ()
    assert said.language == "en"
    assert said.duration == pytest.approx(len(speech.waveform) / RATE)
    assert said.warnings == ()


def test_segments(engine: PocketSphinx, speech: Audio) -> None:
    """return_timestamps=True gives segments that hold the text, without words."""
    said = transcribe(engine, speech, return_timestamps=True)
    assert " ".join(segment.text for segment in said.segments) == said.text
    assert said.words == ()


def test_words(engine: PocketSphinx, speech: Audio) -> None:
    """return_timestamps="word" gives words in order, inside the audio, with their probability and without marks."""
    said = transcribe(engine, speech, return_timestamps="word")
    assert " ".join(word.word for word in said.words) == said.text
    assert not set(said.text) & set("<>[]()+0123456789")
    starts = [word.start for word in said.words]
    assert starts == sorted(starts)
    for word in said.words:
        assert word.end is not None
        assert 0 <= word.start < word.end <= len(speech.waveform) / RATE
        assert word.confidence is not None
        assert 0 <= word.confidence <= 1


def test_pause_parts_segments(engine: PocketSphinx, speech: Audio) -> None:
    """A second of quiet between two utterances parts them, at the right time."""
    quiet = np.random.default_rng(0).normal(0, 1e-4, RATE)
    twice = of(np.concatenate([speech.waveform, quiet, speech.waveform]))
    said = transcribe(engine, twice, return_timestamps=True)
    again = (len(speech.waveform) + RATE) / RATE
    assert any(abs(segment.start - again) < 0.7 for segment in said.segments[1:])


@pytest.mark.parametrize("n_samples", [0, 1, 160, 5 * RATE])
def test_silence(engine: PocketSphinx, n_samples: int) -> None:
    """Nothing, 10 ms and digital silence are an empty text, not an error and not an invented word."""
    said = transcribe(engine, of(np.zeros(n_samples)), return_timestamps="word")
    assert (said.text, said.segments) == ("", ())


@pytest.mark.parametrize("n_samples", [1, 160, RATE])
def test_noise(engine: PocketSphinx, n_samples: int) -> None:
    """Faint noise, however short, is an empty text."""
    assert transcribe(engine, of(np.random.default_rng(1).normal(0, 1e-3, n_samples))).text == ""


def test_loud_input_does_not_wrap(engine: PocketSphinx, speech: Audio) -> None:
    """Samples above full scale are clipped; wrapped round they would be noise."""
    loud = of(speech.waveform.astype(np.float64) * 1.2 / np.abs(speech.waveform).max())
    assert jiwer.wer(transcribe(engine, speech).text, transcribe(engine, loud).text) <= 0.34


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"language": "fr"}, "language='fr'"),
        ({"task": "translate"}, "translate"),
        ({"prompt": "Ada"}, "prompt"),
        ({"generation_parameters": {"num_beams": 5}}, "generation_parameters"),
        ({"extra_parameters": {"x": 1}}, "extra_parameters"),
    ],
)
def test_what_it_cannot_do_it_says(engine: PocketSphinx, options: TranscribeOptions, warning: str) -> None:
    """An option that the engine has no use for is named in the warnings."""
    (said,) = transcribe(engine, of(np.zeros(160)), **options).warnings
    assert warning in said


@pytest.mark.parametrize("language", ["en", "en-US", "EN_gb", "eng", None])
def test_english_needs_no_warning(engine: PocketSphinx, language: str | None) -> None:
    """Every way to say English is honoured."""
    assert transcribe(engine, of(np.zeros(160)), language=language, task="transcribe").warnings == ()


@pytest.mark.parametrize("sound", [Audio(np.zeros(80, np.float32), 8_000), Audio(np.zeros((80, 2), np.float32), RATE)])
def test_wrong_shape(engine: PocketSphinx, sound: Audio) -> None:
    """Another rate or a second channel is refused, never transcribed at the wrong speed."""
    with pytest.raises(hfasr.AudioError, match="16000 Hz"):
        engine.transcribe([sound], {})


def test_threads_take_turns(engine: PocketSphinx, speech: Audio) -> None:
    """Two threads on one engine hear what one does."""
    alone = transcribe(engine, speech)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: transcribe(engine, speech), range(2)))
    assert both == [alone, alone]


def test_close_and_use_again(speech: Audio) -> None:
    """close may be called twice, and the next use loads the model again."""
    engine = PocketSphinx("en-us")
    before = transcribe(engine, speech)
    engine.close()
    engine.close()
    engine.preload()
    assert transcribe(engine, speech) == before


def test_prints_nothing(speech: Audio, capfd: pytest.CaptureFixture[str]) -> None:
    """The C library's own log goes nowhere."""
    transcribe(PocketSphinx(), speech)
    assert capfd.readouterr() == ("", "")


def test_other_model() -> None:
    """A model that it does not have is refused at once."""
    with pytest.raises(hfasr.BackendLoadError, match="'openai/whisper-tiny'"):
        backends.load("pocketsphinx", "openai/whisper-tiny")


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error is the very command that installs it."""
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(hfasr.BackendNotInstalledError, match=r'pip install "hfasr\[offline\]"') as caught:
        backends.load("pocketsphinx")
    assert isinstance(caught.value, ImportError)


class Broken:
    """A decoder that fails at one step."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __getattr__(self, name: str) -> Callable[..., None]:
        def act(*args: object, **kwargs: object) -> None:
            if name == self.step:
                raise RuntimeError(f"{name} failed")

        return act


@pytest.mark.parametrize("step", ["start_utt", "process_raw", "end_utt"])
def test_engine_failure(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure inside the engine is ours to name, and the next call begins with a fresh decoder."""
    engine = PocketSphinx()
    made: list[Broken] = []

    def make(**settings: object) -> Broken:
        made.append(Broken(step))
        return made[-1]

    monkeypatch.setattr(engine._module, "Decoder", make)
    for _ in range(2):
        with pytest.raises(hfasr.BackendError, match=f"{step} failed"):
            transcribe(engine, of(np.ones(160)))
    assert len(made) == 2


def test_model_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged installation says how to mend it."""
    engine = PocketSphinx()

    def fail(**settings: object) -> None:
        raise RuntimeError("Failed to initialize PocketSphinx")

    monkeypatch.setattr(engine._module, "Decoder", fail)
    with pytest.raises(hfasr.BackendLoadError, match="reinstall"):
        engine.preload()
