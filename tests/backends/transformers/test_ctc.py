"""CTC models whose frames are not those of plain Wav2Vec2."""

from __future__ import annotations

import json
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from tests.backends.transformers.kit import RATE, engine, hear, sound, texts, words

TinyModel = Callable[..., Path]

ADAPTER = {"add_adapter": True, "num_adapter_layers": 2, "output_hidden_size": 32}  # each halves the frames


def tiny_bert(folder: Path, *, adapter: bool) -> Path:
    """A Wav2Vec2-BERT, which takes spectra of 10 ms, two to a frame."""
    import torch
    import transformers as t

    vocabulary = tiny.SPECIAL + tiny.LETTERS
    torch.manual_seed(0)
    features = t.SeamlessM4TFeatureExtractor(feature_size=80)
    t.Wav2Vec2BertProcessor(features, tiny._ctc_processor(vocabulary).tokenizer).save_pretrained(folder)
    config = t.Wav2Vec2BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        feature_projection_input_dim=160, pad_token_id=0, max_source_positions=64, initializer_range=0.3,
        **(ADAPTER if adapter else {}),
    )  # fmt: skip
    t.Wav2Vec2BertForCTC(config).eval().save_pretrained(folder)
    return folder


MODELS: dict[str, tuple[Callable[..., Path], dict[str, Any]]] = {
    "wav2vec2": (tiny.tiny_ctc, ADAPTER),
    "wav2vec2-bert": (tiny_bert, {"adapter": False}),
    "wav2vec2-bert-adapter": (tiny_bert, {"adapter": True}),
}


@pytest.mark.parametrize("name", MODELS)
def test_adapters_over_time(name: str, tiny_model: TinyModel) -> None:
    """A model with further convolutions over time has its words all over the clip, alone and in a batch."""
    factory, settings = MODELS[name]
    model = engine(tiny_model(factory, **settings), batch_size=3)
    clips = [sound(seconds, seed=n) for n, seconds in enumerate((1.0, 3.0, 2.2))]
    together = hear(model, *clips, return_timestamps="word")
    for clip, transcript in zip(clips, together, strict=True):
        (alone,) = hear(model, clip, return_timestamps="word")
        assert words(transcript) == words(alone)
        assert transcript.text == alone.text
        last = transcript.words[-1].end
        assert last == pytest.approx(len(clip) / RATE, abs=0.3)  # what is random speaks to the end


KINDS: dict[str, tuple[Callable[..., Path], tuple[Any, ...], dict[str, Any]]] = {
    **{name: (factory, (), settings) for name, (factory, settings) in MODELS.items()},
    **{f"plain-{family}": (tiny.tiny_ctc, (family,), {}) for family in ("wav2vec2", "hubert", "wavlm")},
    "group-norm": (tiny.tiny_ctc, (), {"feat_extract_norm": "group", "do_stable_layer_norm": False}),
    "mms": (tiny.tiny_mms, (), {}),
    "parakeet": (tiny.tiny_parakeet, ("ctc",), {"seed": 2}),
}


@pytest.mark.parametrize("name", KINDS)
def test_bfloat16(name: str, tiny_model: TinyModel) -> None:
    """Every kind of CTC model says in bfloat16, alone and in a batch, what it says in float32, but for some letters."""
    factory, arguments, settings = KINDS[name]
    folder = tiny_model(factory, *arguments, **settings)
    clips = [sound(seconds, seed=n) for n, seconds in enumerate((3.0, 0.1, 45.0, 2.2))]
    expected = hear(engine(folder), *clips, return_timestamps="word")
    for batch_size in (1, 3):
        found = hear(engine(folder, dtype="bfloat16", batch_size=batch_size), *clips, return_timestamps="word")
        for ours, theirs in zip(found, expected, strict=True):
            assert SequenceMatcher(None, ours.text, theirs.text, autojunk=False).ratio() >= 0.85
        assert found[2].words[-1].end == pytest.approx(expected[2].words[-1].end, abs=0.5)


@pytest.mark.parametrize("name", MODELS)
def test_adapters_over_long_time(name: str, tiny_model: TinyModel) -> None:
    """Where windows meet, such a model's frames still join, and the last word is at the end."""
    factory, settings = MODELS[name]
    clip = sound(53.0)
    (transcript,) = hear(engine(tiny_model(factory, **settings)), clip, return_timestamps="word")
    times = [word.start for word in transcript.words]
    assert times == sorted(times)
    assert transcript.words[-1].end == pytest.approx(53.0, abs=0.5)


def test_read_only_samples_as_they_are(tiny_model: TinyModel, tmp_path: Path) -> None:
    """Samples that may not be written to are taken also by an extractor that passes them on unchanged."""
    import shutil

    folder = Path(shutil.copytree(tiny_model(tiny.tiny_ctc), tmp_path / "raw"))
    file = folder / "processor_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["feature_extractor"]["do_normalize"] = False
    file.write_text(json.dumps(config), encoding="utf-8")
    clips = [sound(1.0), sound(2.0)]
    assert not clips[0].flags.writeable
    model = engine(folder, batch_size=2)
    assert all(texts(hear(model, *clips)))
    assert texts(hear(model, *clips)) == texts(hear(model, *(np.array(clip) for clip in clips)))
