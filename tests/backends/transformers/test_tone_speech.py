"""A model that truly transcribes, through the public API: the words and times that come back are those that were said."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hfasr import ASRClient, Audio, Transcript
from tests.backends.transformers.kit import FRAME_S, engine
from tests.tones import RATE, random_sentence, tone_track

if TYPE_CHECKING:
    from tests.colours import Session

Samples = npt.NDArray[np.float32]

FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "mp3": "MPEG_LAYER_III"}


@dataclass(frozen=True)
class Said:
    """Tone speech, its text, and when each word begins and ends, seconds."""

    waveform: Samples
    text: str
    times: tuple[tuple[float, float], ...]

    @property
    def duration(self) -> float:
        return len(self.waveform) / RATE

    def write(self, file: Path) -> Path:
        suffix = file.suffix[1:]
        soundfile.write(file, self.waveform, RATE, format=suffix.upper(), subtype=FORMATS[suffix])
        return file


@functools.cache
def say(n_words: int, seed: int = 0) -> Said:
    text = random_sentence(np.random.default_rng(seed), words=(n_words, n_words + 1))
    waveform, heard = tone_track(text, seed=seed)
    # The last word that a sample belongs to: spaces sound between words, letters inside them.
    is_letter = (heard != " ") & (heard != "")
    starts, ends, n = [], [], 0
    places = np.flatnonzero(is_letter)
    spaces = np.cumsum(heard == " ")[places]
    for _ in text.split():
        first = places[n]
        n = int(np.searchsorted(spaces, spaces[n], side="right"))
        starts.append(first / RATE)
        ends.append((places[n - 1] + 1) / RATE)
    return Said(waveform, text, tuple(zip(starts, ends, strict=True)))


def check(transcript: Transcript, said: Said, *, shift: float = 0.0) -> None:
    """See that *transcript* has every word of *said*, at its time."""
    assert jiwer.wer(said.text, transcript.text) == 0
    assert transcript.text == said.text
    assert [word.word for word in transcript.words] == said.text.split()
    found = np.array([(word.start, word.end) for word in transcript.words], np.float64)
    np.testing.assert_allclose(found, np.array(said.times), atol=FRAME_S + shift)
    assert all(0.5 < (word.confidence or 0) <= 1 for word in transcript.words)


@pytest.fixture(scope="module")
def asr(tone_model: Path) -> Iterator[ASRClient]:
    """A client that runs the trained model here."""
    with ASRClient(str(tone_model), backend="transformers", local_only=True) as client:
        yield client


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats(suffix: str, asr: ASRClient, tmp_path: Path) -> None:
    """Every word is right from each kind of file, and at its time to one frame."""
    said = say(6)
    transcript = asr.transcribe(said.write(tmp_path / f"clip.{suffix}"), return_timestamps="word")
    # libsndfile leaves the decoder's delay of up to 1105 samples at the beginning of MP3.
    check(transcript, said, shift=1_105 / RATE if suffix == "mp3" else 0.0)
    assert transcript.duration == pytest.approx(said.duration, abs=0.15)
    assert transcript.provenance is not None
    assert (transcript.provenance.backend, transcript.provenance.audio_sha256 is None) == ("transformers", False)


def test_another_rate(asr: ASRClient, tmp_path: Path) -> None:
    """Stereo at 44.1 kHz is heard as well as what the model wants."""
    import soxr

    said = say(6, seed=1)
    resampled = soxr.resample(said.waveform, RATE, 44_100)
    soundfile.write(tmp_path / "clip.flac", np.stack([resampled, resampled], axis=1), 44_100)
    check(asr.transcribe(tmp_path / "clip.flac", return_timestamps="word"), said)


def test_colours(session: Callable[..., Session], tone_model: Path, tmp_path: Path) -> None:
    """Sync, and async on asyncio and trio, hear the same."""
    said = say(4, seed=2)
    client = session(str(tone_model), backend="transformers")
    check(client.transcribe(said.write(tmp_path / "clip.flac"), return_timestamps="word"), said)


def test_threads(asr: ASRClient, tmp_path: Path) -> None:
    """Threads that share a client each get the text of their own file."""
    clips = [say(n_words, seed=n_words) for n_words in (9, 1, 5, 3, 12)]
    files = [said.write(tmp_path / f"{n}.flac") for n, said in enumerate(clips)]
    with ThreadPoolExecutor(3) as threads:
        heard = threads.map(lambda file: asr.transcribe(file, return_timestamps="word"), files)
        for transcript, said in zip(heard, clips, strict=True):
            check(transcript, said)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batches(batch_size: int, tone_model: Path) -> None:
    """A batch of mixed lengths, one beyond 40 s among them, has the words, times and confidences of each clip alone."""
    clips = [say(n_words, seed=n_words) for n_words in (9, 1, 75, 3, 12)]
    model = engine(tone_model, batch_size=batch_size)
    audios = [Audio(said.waveform, RATE) for said in clips]
    together = model.transcribe(audios, {"return_timestamps": "word"})
    for transcript, said, audio in zip(together, clips, audios, strict=True):
        check(transcript, said)
        (alone,) = model.transcribe([audio], {"return_timestamps": "word"})
        assert transcript.text == alone.text
        assert [(w.start, w.end) for w in transcript.words] == [(w.start, w.end) for w in alone.words]
        sure, sure_alone = (np.array([w.confidence for w in one.words], np.float64) for one in (transcript, alone))
        np.testing.assert_allclose(sure, sure_alone, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bfloat16(batch_size: int, tone_model: Path) -> None:
    """In bfloat16, too, every word is right and at its time, in clips of any length, alone and in a batch."""
    clips = [say(n_words, seed=n_words) for n_words in (9, 1, 75, 3, 12)]
    model = engine(tone_model, dtype="bfloat16", batch_size=batch_size)
    together = model.transcribe([Audio(said.waveform, RATE) for said in clips], {"return_timestamps": "word"})
    for transcript, said in zip(together, clips, strict=True):
        check(transcript, said)


def test_bfloat16_is_near(tone_model: Path) -> None:
    """What a model in bfloat16 holds for likely is what it does in float32, to some hundredths."""
    import torch

    samples = torch.from_numpy(say(30, seed=4).waveform)[None]
    heard = {}
    for dtype in ("float32", "bfloat16"):
        model = engine(tone_model, dtype=dtype)
        model.preload()
        assert model._loaded is not None
        checkpoint, _ = model._loaded
        with torch.inference_mode():
            logits = checkpoint.model(samples.to(checkpoint.dtypes.sums)).logits
        heard[dtype] = logits.float().log_softmax(-1)
    likely = heard["float32"] > np.log(0.01)
    off = (heard["bfloat16"] - heard["float32"])[likely].abs()
    assert 0 < float(off.max()) < 0.5
    assert float(off.square().mean().sqrt()) < 0.05
    assert torch.equal(heard["bfloat16"].argmax(-1), heard["float32"].argmax(-1)) or float(off.mean()) < 0.01


@pytest.mark.parametrize(("n_words", "seconds"), [(75, 53), (170, 120)])
def test_long(n_words: int, seconds: int, asr: ASRClient) -> None:
    """Long audio loses no word where its windows meet, and times go on across them."""
    said = say(n_words, seed=seconds)
    assert said.duration == pytest.approx(seconds, rel=0.1)
    check(asr.transcribe(Audio(said.waveform, RATE), return_timestamps="word"), said)


def test_segments(asr: ASRClient) -> None:
    """Segments hold the whole text, one after the other, inside the audio."""
    said = say(30, seed=3)
    transcript = asr.transcribe(Audio(said.waveform, RATE), return_timestamps=True)
    assert len(transcript.segments) > 1
    assert " ".join(segment.text for segment in transcript.segments) == said.text == transcript.text
    times = [time for segment in transcript.segments for time in (segment.start, segment.end or 0)]
    assert all(first <= second for first, second in pairwise(times))
    assert times[0] == pytest.approx(said.times[0][0], abs=FRAME_S + 1e-6)
    assert times[-1] == pytest.approx(said.times[-1][1], abs=FRAME_S + 1e-6)
    assert transcript.to_srt().startswith("1\n00:00:00,")
