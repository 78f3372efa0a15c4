"""Models whose settings ask for memory or time without end, or lead to other weights: refused, in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hfasr
from hfasr.backends.transformers import Transformers
from tests import tiny

TinyModel = Callable[..., Path]


@pytest.fixture
def folder(tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A tiny CTC model's folder, which the test may change."""
    return Path(shutil.copytree(tiny_model(tiny.tiny_ctc), tmp_path / "model"))


def set_feature(folder: Path, **changes: Any) -> None:
    """Change settings of the feature extractor, wherever this version of transformers keeps them."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = folder / name
        if path.exists():
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings.get("feature_extractor", settings).update(changes)
            path.write_text(json.dumps(settings), encoding="utf-8")


def refused(folder: Path, message: str) -> None:
    """See that loading ends in a BackendLoadError with *message*."""
    with pytest.raises(hfasr.BackendLoadError, match=message) as caught:
        Transformers(str(folder)).preload()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [1_000_000_000, 2, 0, -1, None, "fast", 1e9])
def test_sampling_rate(rate: Any, folder: Path) -> None:
    """A rate at which no speech is sampled is refused: ten seconds at a gigahertz would fill the memory."""
    set_feature(folder, sampling_rate=rate)
    refused(folder, "sampling rate|sampling_rate|preprocessor")


def test_whisper_window(tiny_model: TinyModel, tmp_path: Path) -> None:
    """A Whisper to whose window of a day every clip would be padded is refused."""
    folder = Path(shutil.copytree(tiny_model(tiny.tiny_whisper), tmp_path / "model"))
    set_feature(folder, chunk_length=86_400, n_samples=86_400 * 16_000)
    refused(folder, "other windows than 30 s")


def test_endless_windows(folder: Path) -> None:
    """Strides that are in no weight's shape and would make the windows of a long clip endless are refused."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["conv_stride"] = [500, *config["conv_stride"][1:]]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    refused(folder, "cannot run a model of the type 'wav2vec2'")


def test_other_weights(folder: Path) -> None:
    """Weights that config.json names, past those that were looked at, are not loaded."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": "evil.bin"}), encoding="utf-8")
    refused(folder, "transformers_weights")


def test_second_model(folder: Path) -> None:
    """A processor that would load a model of its own is refused."""
    path = folder / "processor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "audio_tokenizer": {"audio_tokenizer_name_or_path": "/evil"}}))
    refused(folder, "audio_tokenizer")
