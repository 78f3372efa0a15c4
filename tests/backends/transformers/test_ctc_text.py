"""From the best token of every frame to text and words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfasr.backends.transformers.ctc_text import Frames, spell, words_of
from tests import tiny

TinyModel = Callable[..., Path]

LATIN = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdef"]
CHINESE = ["<pad>", "<s>", "</s>", "<unk>", *"你好世界"]  # no delimiter, though the tokenizer has a name for one


def tokenizer(folder: Path, vocabulary: list[str], **settings: Any) -> Any:
    import json

    from transformers import Wav2Vec2CTCTokenizer

    file = folder / "vocab.json"
    file.write_text(json.dumps({token: n for n, token in enumerate(vocabulary)}), encoding="utf-8")
    return Wav2Vec2CTCTokenizer(str(file), **{"unk_token": "<unk>", "pad_token": "<pad>", **settings})


@pytest.fixture
def latin(tmp_path: Path) -> Any:
    """A tokenizer of letters, as Wav2Vec2's are."""
    return tokenizer(tmp_path, LATIN)


def frames(model: Any, tokens: list[str], probabilities: list[float] | None = None) -> Frames:
    ids = np.array([model.convert_tokens_to_ids(token) for token in tokens], np.int64)
    return Frames(ids, np.array(probabilities or [0.5] * len(tokens), np.float32))


def text(model: Any, tokens: list[str]) -> str:
    return spell(frames(model, tokens), model, blank=model.pad_token_id)[0]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["<pad>", "a", "a", "<pad>", "b", "b"], "ab"),
        (["a", "<pad>", "a"], "aa"),  # a blank between makes two of one
        (["a", "a", "a"], "a"),
        (["|", "a", "|", "|", "b", "|"], "a b"),
        (["<s>", "a", "<unk>", "b", "</s>"], "ab"),
        (["a", "<s>", "a"], "aa"),
        (["|", "|"], ""),
        (["<pad>"], ""),
        ([], ""),
    ],
)
def test_spell(tokens: list[str], expected: str, latin: Any) -> None:
    """Repeats become one, and blanks, delimiters and special tokens leave no trace."""
    assert text(latin, tokens) == expected


def test_delimiter_that_the_vocabulary_lacks(tmp_path: Path) -> None:
    """A vocabulary without a delimiter has no words to part, and an unknown token still stays out of the text."""
    assert text(tokenizer(tmp_path, CHINESE), ["你", "<unk>", "好"]) == "你好"


def test_special_delimiter(tmp_path: Path) -> None:
    """A delimiter that is counted among the special tokens still parts words."""
    model = tokenizer(tmp_path, LATIN, additional_special_tokens=["|"])
    assert model.convert_tokens_to_ids("|") in model.all_special_ids
    assert text(model, ["a", "|", "b"]) == "a b"


def test_blank_of_the_model(tmp_path: Path) -> None:
    """Where the tokenizer has no padding token, the model's blank is what goes."""
    model = tokenizer(tmp_path, LATIN)
    model.pad_token = None
    found, _ = spell(Frames(np.array([5, 0, 5, 6]), np.full(4, 0.5, np.float32)), model, blank=0)
    assert found == "aab"


def test_words(latin: Any) -> None:
    """A word lasts from its first letter's first frame to its last letter's last, and has the mean of the letters' best."""
    heard = frames(
        latin,
        ["<pad>", "a", "a", "<pad>", "b", "|", "|", "<pad>", "c", "c", "c", "<pad>"],
        [0.9, 0.2, 0.6, 0.9, 0.8, 0.9, 0.9, 0.9, 0.1, 0.4, 0.3, 0.9],
    )
    _, tokens = spell(heard, latin, blank=0)
    found = [(w.word, w.start, w.end, round(w.confidence or 0, 4)) for w in words_of(tokens, latin, 0.5)]
    assert found == [("ab", 0.5, 2.5, 0.7), ("c", 4.0, 5.5, 0.4)]


def test_unspaced_words(tmp_path: Path) -> None:
    """In a script without spaces each character is a word."""
    model = tokenizer(tmp_path, CHINESE)
    _, tokens = spell(frames(model, ["你", "你", "<pad>", "好"]), model, blank=0)
    assert [(w.word, w.start, w.end) for w in words_of(tokens, model, 1.0)] == [("你", 0.0, 2.0), ("好", 3.0, 4.0)]


def test_sentencepiece_words(tiny_model: TinyModel) -> None:
    """A piece that begins with ▁ begins a word."""
    from transformers import AutoProcessor

    model = AutoProcessor.from_pretrained(tiny_model(tiny.tiny_parakeet, "ctc"), local_files_only=True).tokenizer
    found, tokens = spell(frames(model, ["▁", "a", "b", "<pad>", "▁", "c"]), model, blank=model.pad_token_id)
    assert found == "ab c"
    assert [(w.word, w.start, w.end) for w in words_of(tokens, model, 1.0)] == [("ab", 0.0, 3.0), ("c", 4.0, 6.0)]


def test_no_words(latin: Any) -> None:
    """Silence has no words."""
    assert words_of([], latin, 0.02) == []
    _, tokens = spell(frames(latin, ["|", "<pad>", "|"]), latin, blank=0)
    assert words_of(tokens, latin, 0.02) == []
