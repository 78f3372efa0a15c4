"""What the engine hears is what ``transformers.pipeline`` hears, where that works at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from hfasr.backends.transformers import Transformers
from tests import tiny
from tests.backends.transformers.kit import FRAME_S, RATE, Pipeline, Samples, engine, hear, sound, texts, words
from tests.tones import random_sentence, tone_audio

TinyModel = Callable[..., Path]
Both = tuple[Transformers, Pipeline]
Models = Callable[[str], Both]
Timed = tuple[str, float, float]

TOKENS = 24  # of a random model each window's text is as long as it may be
LENGTHS_S = (2.3, 0.4, 5.0, 1.1, 2.3)


def ctc_of_letters(folder: Path, family: str, **config: Any) -> Path:
    """A tiny CTC model that never says a special token, which the pipeline would count to its words."""
    import torch
    from transformers import AutoModelForCTC

    tiny.tiny_ctc(folder, family, **config)
    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.bias[1:4] -= 100.0
    model.save_pretrained(folder)
    return folder


def moving_tdt(folder: Path, **settings: Any) -> Path:
    """A tiny TDT model that leaves each frame once it has said something, as trained ones do."""
    import torch
    from transformers import ParakeetForTDT

    tiny.tiny_parakeet(folder, "tdt", **settings)
    model = ParakeetForTDT.from_pretrained(folder)
    with torch.no_grad():
        model.joint.head.bias[-len(model.config.durations)] -= 100.0  # no time at all
    model.save_pretrained(folder)
    return folder


GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False}  # as in wav2vec2-base and hubert-base
FRONT_ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", {}),
    "wav2vec2-group-norm": ("wav2vec2", GROUP_NORM),
    "hubert": ("hubert", {}),
    "hubert-group-norm": ("hubert", GROUP_NORM),
    "wavlm": ("wavlm", {}),
}
CTC: dict[str, tuple[Callable[..., Path], tuple[str, ...], dict[str, Any]]] = {
    name: (tiny.tiny_ctc, (family,), config) for name, (family, config) in FRONT_ENDS.items()
}
LETTERS: dict[str, tuple[Callable[..., Path], tuple[str, ...], dict[str, Any]]] = {
    f"{name}-letters": (ctc_of_letters, (family,), config) for name, (family, config) in FRONT_ENDS.items()
}
WHISPERS: dict[str, tuple[Callable[..., Path], tuple[str, ...], dict[str, Any]]] = {
    "whisper": (tiny.tiny_whisper, (), {}),
    "whisper.en": (tiny.tiny_whisper, (), {"languages": ()}),
}
GENERATING: dict[str, tuple[Callable[..., Path], tuple[str, ...], dict[str, Any]]] = {
    "moonshine": (tiny.tiny_moonshine, (), {}),
    "speech2text": (tiny.tiny_speech2text, (), {}),
    **WHISPERS,
}
PARAKEETS: dict[str, tuple[Callable[..., Path], tuple[str, ...], dict[str, Any]]] = {
    "parakeet-ctc": (tiny.tiny_parakeet, ("ctc",), {"seed": 2}),  # one that says spaces
    "parakeet-tdt": (moving_tdt, (), {"seed": 6}),
    "parakeet-tdt-that-stays": (tiny.tiny_parakeet, ("tdt",), {"seed": 1}),
}
ALL = CTC | GENERATING | PARAKEETS


@pytest.fixture(scope="module")
def models(tiny_model: TinyModel) -> Models:
    """Give the engine and the pipeline of a model by its name in the tables above, both made once."""
    made: dict[str, Both] = {}

    def make(name: str) -> Both:
        if name not in made:
            factory, arguments, settings = (ALL | LETTERS)[name]
            folder = tiny_model(factory, *arguments, **settings)
            made[name] = engine(folder, batch_size=3), Pipeline(folder, tokens=TOKENS if name in GENERATING else None)
        return made[name]

    return make


def clips() -> list[Samples]:
    """Sounds of mixed lengths."""
    return [sound(seconds, seed=n) for n, seconds in enumerate(LENGTHS_S)]


def options(name: str) -> dict[str, Any]:
    """What makes both sides stop at the same length."""
    return {"tokens": TOKENS} if name in GENERATING else {}


@pytest.mark.parametrize("name", ALL)
def test_text(name: str, models: Models) -> None:
    """Each clip alone gives the pipeline's text; a batch of mixed lengths gives the same, in its order."""
    ours, pipeline = models(name)
    expected = [pipeline.text(clip) for clip in clips()]
    assert len(set(expected)) == len(expected)  # else a mix-up would not show
    assert [hear(ours, clip, **options(name))[0].text for clip in clips()] == expected
    assert texts(hear(ours, *clips(), **options(name))) == expected


@pytest.mark.parametrize("name", LETTERS)
def test_words_of_ctc(name: str, models: Models) -> None:
    """Words and their times agree to a frame, alone and in a batch."""
    ours, pipeline = models(name)
    for clip, transcript in zip(clips(), hear(ours, *clips(), return_timestamps="word"), strict=True):
        same(words(transcript), words(hear(ours, clip, return_timestamps="word")[0]))
        same(words(transcript), pipeline.words(clip))


def test_words_of_parakeet_ctc(models: Models) -> None:
    """Word times are those of the model's own frames, which the pipeline cannot give for this model."""
    ours, pipeline = models("parakeet-ctc")
    transcripts = hear(ours, *clips(), return_timestamps="word")
    for clip, transcript in zip(clips(), transcripts, strict=True):
        best = pipeline.model(**pipeline.features(clip)).logits.argmax(-1)[0].tolist()
        runs = [(token, len(list(run))) for token, run in itertools.groupby(best)]
        same(words(transcript), clamped(sentence_pieces(pipeline, runs), len(clip) / RATE))
    assert any(len(transcript.words) > 1 for transcript in transcripts)


def test_words_of_a_transducer(models: Models) -> None:
    """Word times follow from the durations that the model gives its tokens."""
    ours, pipeline = models("parakeet-tdt")
    transcripts = hear(ours, *clips(), return_timestamps="word")
    for clip, transcript in zip(clips(), transcripts, strict=True):
        answer = pipeline.model.generate(**pipeline.features(clip), max_new_tokens=99, return_dict_in_generate=True)
        steps = zip(answer.sequences[0].tolist(), answer.durations[0].tolist(), strict=True)
        same(words(transcript), clamped(sentence_pieces(pipeline, steps), len(clip) / RATE))
    assert sum(bool(transcript.words) for transcript in transcripts) > 2


@pytest.mark.parametrize("name", WHISPERS)
@pytest.mark.parametrize("seconds", [3.0, 20.0, 29.99, 30.0])
def test_times_of_whisper(name: str, seconds: float, models: Models) -> None:
    """Segments and words of a window begin and end where the pipeline has them, but inside the audio."""
    ours, pipeline = models(name)
    clip = sound(seconds, seed=1)
    for timestamps in (True, "word"):
        transcript = hear(ours, clip, return_timestamps=timestamps, **options(name))[0]
        answer = pipeline(clip, return_timestamps=timestamps)
        assert transcript.text == answer["text"].strip()
        times = [(chunk["text"], *chunk["timestamp"]) for chunk in answer["chunks"]]
        found = words(transcript) if timestamps == "word" else segments(transcript)
        same_joined(found, times, seconds)


@pytest.mark.parametrize("name", WHISPERS)
def test_long_whisper(name: str, models: Models) -> None:
    """A file of several windows has the pipeline's text; its times are those of ``generate``, alone and in a batch."""
    ours, pipeline = models(name)
    long, other = sound(70.0), sound(41.0, seed=2)
    assert hear(ours, long, **options(name))[0].text == pipeline.text(long, return_timestamps=True)
    batch = hear(ours, long, sound(3.0), other, return_timestamps="word", **options(name))
    for clip, transcript in ((long, batch[0]), (other, batch[2])):
        assert transcript.text == pipeline.text(clip, return_timestamps="word")
        expected = generated(pipeline, clip)
        spoken = [part for part in expected if part[0].strip()]
        same(segments(transcript), clamped(spoken, len(clip) / RATE))
        assert segments(transcript) == segments(hear(ours, clip, return_timestamps=True, **options(name))[0])
        assert max(word.start for word in transcript.words) > 30.0  # counted from the file's start
    assert segments(batch[1]) == segments(hear(ours, sound(3.0), return_timestamps="word", **options(name))[0])


@pytest.mark.parametrize("name", ["wav2vec2-letters", "hubert-group-norm-letters", "wavlm-letters"])
def test_long_ctc(name: str, models: Models) -> None:
    """A file of several windows has the text and the times of the pipeline's windows."""
    ours, pipeline = models(name)
    for seconds in (53.0, 100.0):
        clip = sound(seconds)
        window = {"chunk_length_s": 40, "stride_length_s": 5}
        transcript = hear(ours, clip, return_timestamps="word")[0]
        assert transcript.text == pipeline.text(clip, **window)
        same(words(transcript), pipeline.words(clip, **window))


@pytest.mark.slow
def test_windows_join(tone_model: Path) -> None:
    """A trained model's text of a long file is what was said, and what the pipeline hears in the whole at once."""
    rng = np.random.default_rng(5)
    said = " ".join(random_sentence(rng) for _ in range(80))
    clip = tone_audio(said)
    assert len(clip) > 90 * RATE
    ours, pipeline = engine(tone_model), Pipeline(tone_model)
    transcript = hear(ours, clip, return_timestamps="word")[0]
    assert transcript.text == pipeline.text(clip)
    assert jiwer.wer(said, transcript.text) == 0
    same(words(transcript), pipeline.words(clip))


def sentence_pieces(pipeline: Pipeline, steps: Any) -> list[Timed]:
    """Return the words of tokens that begin with ``▁``, each token given with its number of frames."""
    found: list[list[Any]] = []
    frame = 0
    for token, n_frames in steps:
        piece: str = pipeline.tokenizer.convert_ids_to_tokens(token)
        times = [frame * 4 * FRAME_S, (frame + n_frames) * 4 * FRAME_S]  # 80 ms a frame
        frame += n_frames
        if piece in pipeline.tokenizer.all_special_tokens:
            continue
        if not found or piece.startswith("▁"):
            found.append(["", *times])
        found[-1] = [found[-1][0] + piece.strip("▁"), found[-1][1], times[1]]
    return [(word, start, end) for word, start, end in found if word]


def generated(pipeline: Pipeline, clip: Samples) -> list[Timed]:
    """Return the segments that ``generate`` itself gives."""
    features = pipeline.features(clip, truncation=False, padding="longest", return_attention_mask=True)
    answer = pipeline.model.generate(
        **features, return_timestamps=True, return_segments=True, num_beams=1, max_new_tokens=TOKENS
    )
    decode = pipeline.tokenizer.decode
    return [
        (decode(part["tokens"], skip_special_tokens=True).strip(), float(part["start"]), float(part["end"]))
        for part in answer["segments"][0]
    ]


def segments(transcript: Any) -> list[tuple[str, float, float | None]]:
    return [(segment.text, segment.start, segment.end) for segment in transcript.segments]


def clamped(timed: Sequence[Timed], seconds: float) -> list[Timed]:
    """Return *timed* inside the audio."""
    return [(text, min(start, seconds), min(end, seconds)) for text, start, end in timed]


def same(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """Check that the texts are equal, and the times to a frame."""
    assert [text for text, *_ in ours] == [text for text, *_ in theirs]
    np.testing.assert_allclose([times for _, *times in ours], [times for _, *times in theirs], atol=FRAME_S + 1e-6)


def same_joined(ours: Sequence[Any], theirs: Sequence[Any], seconds: float) -> None:
    """
    Check the same, inside the audio, where one of theirs may be several of ours.

    The pipeline joins a segment of no length with the next one, and words across segments; where a
    window ends inside a segment it takes the next one's start for its end, and starts that one late;
    the last end may be unknown to it.
    """
    left = list(ours)
    start_counts = True
    for text, start, end in theirs:
        wanted = text.replace(" ", "")
        parts: list[Any] = []
        while sum(len(part[0].replace(" ", "")) for part in parts) < len(wanted):
            parts.append(left.pop(0))
        if parts:
            joined = ("".join(part[0] for part in parts).replace(" ", ""), parts[0][1], parts[-1][2])
            begun = start if start_counts else joined[1]
            same([joined], clamped([(wanted, begun, joined[2] if end is None else end)], seconds))
        start_counts = end is None or end >= start
    assert not left
