from __future__ import annotations

from typing import Any

import pytest

from hfasr import InvalidOptionError
from hfasr.backends.transformers.asked import Asked, generation_settings, refusals

KNOWN = {
    "max_new_tokens": None,
    "max_length": 448,
    "num_beams": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "do_sample": False,
}


def settings(whisper: bool = False, **parameters: Any) -> tuple[dict[str, Any], list[str]]:
    asked = Asked(generation=parameters)
    return generation_settings(asked, KNOWN, whisper=whisper), asked.warnings


def test_greedy() -> None:
    """Without a word from the caller one hypothesis is followed."""
    assert settings() == ({"num_beams": 1}, [])
    assert settings(num_beams=3, top_p=0.5) == ({"num_beams": 3, "top_p": 0.5}, [])


@pytest.mark.parametrize("name", ["numbeams", "return_timestamps", "language", "output_scores", "no_speech_threshold"])
def test_unknown(name: str) -> None:
    """A name that is none, is an option of the call, or is another model's, is not used, and that is said."""
    parameters: dict[str, Any] = {name: 1}
    found, warnings = settings(**parameters)
    assert found == {"num_beams": 1}
    assert warnings == [f"transformers: generation_parameters[{name!r}] is not known here; it was not used"]


def test_whispers_own() -> None:
    """Whisper knows names that others do not, and takes several temperatures."""
    found, warnings = settings(whisper=True, no_speech_threshold=0.6, temperature=[0, 0.4])
    assert found == {"num_beams": 1, "no_speech_threshold": 0.6, "temperature": (0, 0.4)}
    assert warnings == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 0},
        {"num_beams": True},
        {"num_beams": "2"},
        {"max_new_tokens": -1},
        {"max_length": 1.5},
        {"temperature": -0.1},
        {"temperature": []},
        {"temperature": [0.0, "hot"]},
        {"temperature": float("nan")},
        {"top_p": "high"},
        {"top_p": [0.5]},
        {"top_p": float("inf")},
    ],
    ids=repr,
)
def test_impossible(wrong: dict[str, Any]) -> None:
    """A value that cannot be is named before the model is asked."""
    with pytest.raises(InvalidOptionError, match=rf"^generation_parameters: {next(iter(wrong))} must be "):
        settings(**wrong)


def test_refusals() -> None:
    """What ``generate`` says about values is the caller's fault where the caller gave some, else ours."""
    with (
        pytest.raises(InvalidOptionError, match=r"were refused: no such strategy$"),
        refusals(Asked(generation={"a": 1})),
    ):
        raise ValueError("no such strategy")
    with pytest.raises(ValueError, match=r"^a bug$") as caught, refusals(Asked()):
        raise ValueError("a bug")
    assert not isinstance(caught.value, InvalidOptionError)


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("Mr Quilter", "Mr Quilter"),
        ("<|translate|>Mr<|fr|> Quilter<|endoftext|>", "Mr  Quilter"),
        ("<|a<|translate|>b|>", "<|a b|>"),
        (" <|0.00|> ", None),
        ("", None),
        (None, None),
    ],
)
def test_prompt(prompt: str | None, left: str | None) -> None:
    """A prompt is text: what the tokenizer would take for a command is no part of it."""
    assert Asked.of({"prompt": prompt}).prompt == left


def test_of() -> None:
    """What is for servers is not used here; the caller's own dictionary is not kept."""
    parameters = {"num_beams": 2}
    asked = Asked.of({"generation_parameters": parameters, "extra_parameters": {"a": 1}, "return_timestamps": "word"})
    assert asked.generation == parameters
    assert asked.generation is not parameters
    assert asked.timestamps == "word"
    assert asked.warnings == [
        "transformers: extra_parameters is for servers; use generation_parameters; it was not used"
    ]
