"""The engine: what it does with a model, with the clips it is given, and with everything else in the process."""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import hfasr
from hfasr import Audio, Segment, Word
from hfasr.backends.transformers import Transformers
from hfasr.types import Backend
from tests import tiny
from tests.backends.transformers.kit import RATE, engine, hear, sound, texts

TinyModel = Callable[..., Path]

LENGTHS_S = (1.0, 3.0, 0.5, 2.0)


@pytest.fixture
def ctc(tiny_model: TinyModel) -> Path:
    """The folder of a tiny CTC model."""
    return tiny_model(tiny.tiny_ctc)


def network(model: Transformers) -> Any:
    assert model._loaded is not None
    return model._loaded[0].model


def test_protocol_loads_nothing(ctc: Path, loaded: list[Any]) -> None:
    """Its properties, its repr and a check against the protocol tell what they can without loading the model."""
    model = engine(ctc)
    assert isinstance(model, Backend)
    assert (model.name, model.sampling_rate, model.max_duration_s) == ("transformers", 16_000, None)
    assert (model.model, model.revision) == (str(ctc), None)
    assert repr(model) == f"Transformers({str(ctc)!r}, device='cpu', dtype='float32')"
    assert loaded == []


def test_repr() -> None:
    """The repr shows what is not the default, and never a token."""
    assert repr(Transformers()) == "Transformers('openai/whisper-large-v3')"
    model = Transformers("a/b", revision="main", dtype="float32", batch_size=4, token="hf_secret")
    assert repr(model) == "Transformers('a/b', revision='main', dtype='float32', batch_size=4)"


def test_preload(ctc: Path, loaded: list[Any], unplug: Callable[[], None]) -> None:
    """A model is loaded once, by preload or by the first clip."""
    unplug()
    model = engine(ctc)
    model.preload(download=False)
    model.preload()
    hear(model, sound(1.0))
    assert len(loaded) == 1


def test_properties_of_a_loaded_model(tiny_model: TinyModel) -> None:
    """A loaded model tells the longest audio that it takes."""
    model = engine(tiny_model(tiny.tiny_moonshine))
    model.preload()
    assert model.max_duration_s == 30.0


def test_close(ctc: Path, loaded: list[weakref.ref[Any]]) -> None:
    """Closing frees the model, may be done twice, and the next clip loads it again."""
    model = engine(ctc)
    before = texts(hear(model, sound(1.0)))
    model.close()
    assert loaded[0]() is None
    model.close()
    assert texts(hear(model, sound(1.0))) == before
    assert len(loaded) == 2


@pytest.mark.parametrize(
    "made",
    [(tiny.tiny_whisper,), (tiny.tiny_mms,), (tiny.tiny_moonshine,), (tiny.tiny_parakeet, "tdt")],
    ids=lambda made: made[0].__name__,
)
def test_close_frees(made: tuple[Any, ...], tiny_model: TinyModel, loaded: list[weakref.ref[Any]]) -> None:
    """What is done to a model to run it well does not keep it alive."""
    model = engine(tiny_model(*made))
    hear(model, sound(1.0), return_timestamps="word", tokens=4)
    model.close()
    gc.collect()
    assert loaded[0]() is None


def test_threads(ctc: Path, loaded: list[Any]) -> None:
    """Threads that use a new engine at once load one model, and each gets the texts of its own clips."""
    clips = [sound(seconds, seed=n) for n, seconds in enumerate(LENGTHS_S)]
    expected = [texts(hear(engine(ctc), clip)) for clip in clips]
    loaded.clear()
    model, start = engine(ctc), threading.Barrier(len(clips))

    def run(clip: Any) -> list[str]:
        start.wait()
        return texts(hear(model, clip))

    with ThreadPoolExecutor(len(clips)) as threads:
        assert list(threads.map(run, clips)) == expected
    assert len(loaded) == 1


def test_preload_while_busy(ctc: Path) -> None:
    """To preload what is loaded does not wait for a clip that is being transcribed."""
    model = engine(ctc)
    model.preload()
    original, began, go_on = network(model).forward, threading.Event(), threading.Event()

    def slow(*args: Any, **inputs: Any) -> Any:
        began.set()
        assert go_on.wait(30)
        return original(*args, **inputs)

    network(model).forward = slow
    with ThreadPoolExecutor(2) as threads:
        busy = threads.submit(hear, model, sound(1.0))
        assert began.wait(30)
        try:
            threads.submit(model.preload).result(timeout=30)
            assert not busy.done()
        finally:
            go_on.set()
        assert busy.result(timeout=30)[0].text


@pytest.mark.parametrize(
    "made", [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_moonshine,)], ids=lambda made: made[0].__name__
)
def test_nothing_to_hear(made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """No samples, 10 ms and silence are empty transcripts, without a model's inventions, among others in a batch."""
    model = engine(tiny_model(*made), batch_size=3)
    spoken, short = sound(1.0), sound(0.01)
    none, silent = np.zeros(0, np.float32), np.zeros(2 * RATE, np.float32)
    heard = hear(model, none, spoken, short, silent, tokens=4)
    assert texts(heard)[0::2] == ["", ""]
    assert heard[3].text == ""
    assert heard[1].text == hear(model, spoken, tokens=4)[0].text != ""
    assert [transcript.duration for transcript in heard] == [0.0, 1.0, 0.01, 2.0]
    assert all(not heard[n].segments for n in (0, 2, 3))


def test_empty_batch(ctc: Path) -> None:
    """No clips are no transcripts."""
    assert hear(engine(ctc)) == []


@pytest.mark.parametrize(
    ("waveform", "rate"),
    [(np.zeros(8_000, np.float32), 8_000), (np.zeros((2, 16_000), np.float32), RATE), (np.float32(0.5), RATE)],
)
def test_unfit_audio(waveform: Any, rate: int, ctc: Path) -> None:
    """Another rate or shape than the model's is refused, however good the other clips are."""
    model = engine(ctc)
    with pytest.raises(hfasr.AudioError, match=r"takes mono samples at 16000 Hz, not shape .*; let a client convert"):
        model.transcribe([Audio(sound(1.0), RATE), _unchecked(waveform, rate)], {})


def _unchecked(waveform: Any, rate: int) -> Audio:
    audio = object.__new__(Audio)
    object.__setattr__(audio, "waveform", np.asarray(waveform))
    object.__setattr__(audio, "sampling_rate", rate)
    return audio


@pytest.mark.parametrize(
    "made",
    [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_moonshine,), (tiny.tiny_parakeet, "tdt")],
    ids=lambda made: made[0].__name__,
)
def test_audio_is_not_written_to(made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """The caller's samples stay as they were, read-only ones are taken, and so are every second ones."""
    model = engine(tiny_model(*made), batch_size=2)
    writeable, strided = np.array(sound(1.0)), np.repeat(sound(0.5), 2)[::2]
    heard = hear(model, writeable, sound(1.0), strided, tokens=4)
    assert np.array_equal(writeable, sound(1.0))
    assert heard[0].text == heard[1].text
    assert heard[2].text == hear(model, sound(0.5), tokens=4)[0].text


def test_order(ctc: Path) -> None:
    """A batch of many lengths comes back in its own order."""
    clips = [sound(0.3 + 0.37 * (5 * n % 7), seed=n) for n in range(7)]
    model = engine(ctc, batch_size=3)
    heard = hear(model, *clips)
    assert texts(heard) == [hear(model, clip)[0].text for clip in clips]
    assert [transcript.duration for transcript in heard] == [len(clip) / RATE for clip in clips]
    assert len(set(texts(heard))) == len(clips)


def test_warnings_once(ctc: Path) -> None:
    """Each transcript says once what was not used, also those with nothing to hear, and the next call starts anew."""
    model = engine(ctc, batch_size=2)
    heard = hear(model, sound(1.0), sound(2.0), np.zeros(0, np.float32), prompt="a", language="fr")
    for transcript in heard:
        assert len(transcript.warnings) == len(set(transcript.warnings)) == 2
    assert hear(model, sound(1.0))[0].warnings == ()


@pytest.mark.parametrize(
    "made", [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_parakeet, "tdt")], ids=lambda made: made[0].__name__
)
def test_plain_results(made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """Times and confidences are plain floats, and a result crosses processes unchanged."""
    (transcript,) = hear(engine(tiny_model(*made)), sound(3.0), return_timestamps="word", tokens=12)
    assert transcript.words
    spans: tuple[Segment | Word, ...] = (*transcript.segments, *transcript.words)
    numbers = [number for span in spans for number in (span.start, span.end)]
    numbers += [transcript.duration, *(word.confidence for word in transcript.words)]
    assert {type(number) for number in numbers} <= {float, type(None)}
    assert pickle.loads(pickle.dumps(transcript)) == transcript
    assert hfasr.Transcript.from_dict(transcript.to_dict()) == transcript


def _settings() -> dict[str, Any]:
    from transformers.utils import logging

    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "seed": torch.initial_seed(),
        "verbosity": logging.get_verbosity(),
        "bars": logging.is_progress_bar_enabled(),
        "warnings": warnings.showwarning,
    }


@pytest.mark.parametrize(
    "made", [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_moonshine,)], ids=lambda made: made[0].__name__
)
def test_settings_of_the_process(
    made: tuple[Any, ...], tiny_model: TinyModel, capfd: pytest.CaptureFixture[str]
) -> None:
    """Loading and transcribing change no setting of the process, and write nothing."""
    folder = tiny_model(*made)
    transformers.logging.get_verbosity()  # it sets itself up at the first use
    capfd.readouterr()
    before = _settings()
    with contextlib.closing(engine(folder)) as model:
        hear(model, sound(1.0), sound(2.0), tokens=4, return_timestamps="word")
        assert _settings() == before
    assert _settings() == before
    assert capfd.readouterr() == ("", "")
