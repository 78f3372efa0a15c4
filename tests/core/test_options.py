"""The options of one call: what is refused with which words, and what goes on to servers and engines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from hfasr._core.options import check_options, engine_options, to_ask
from hfasr._hosted.dialect import Ask

if TYPE_CHECKING:
    from hfasr import TranscribeOptions

KNOWN = (
    "model, language, task, prompt, return_timestamps, deadline, generation_parameters, extra_parameters, "
    "on_chunk_error"
)
OWN = ": transcribe() has options of its own for that"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"langauge": "en"}, TypeError, "transcribe() has no option 'langauge'; did you mean 'language'?"),
        ({"xyz": 1}, TypeError, f"transcribe() has no option 'xyz'; it knows {KNOWN}"),
        ({"model": 1}, TypeError, "model must be a string or None, not int"),
        ({"language": b"en"}, TypeError, "language must be a string or None, not bytes"),
        ({"prompt": ["a"]}, TypeError, "prompt must be a string or None, not list"),
        ({"model": ""}, ValueError, "model must not be empty; leave it out for the default"),
        ({"language": ""}, ValueError, "language must not be empty; leave it out for the default"),
        ({"task": "dance"}, ValueError, 'task must be "transcribe" or "translate", not \'dance\''),
        (
            {"task": "d" * 60},
            ValueError,
            f'task must be "transcribe" or "translate", not \'{"d" * 49}',
        ),
        ({"return_timestamps": 1}, ValueError, 'return_timestamps must be False, True or "word", not 1'),
        ({"return_timestamps": None}, ValueError, 'return_timestamps must be False, True or "word", not None'),
        (
            {"return_timestamps": "c" * 60},
            ValueError,
            f'return_timestamps must be False, True or "word", not \'{"c" * 49}',
        ),
        ({"on_chunk_error": "skip"}, ValueError, 'on_chunk_error must be "raise" or "gap", not \'skip\''),
        ({"on_chunk_error": None}, ValueError, 'on_chunk_error must be "raise" or "gap", not None'),
        ({"deadline": "soon"}, TypeError, "deadline must be a number of seconds, not str"),
        ({"deadline": 0}, ValueError, "deadline must be seconds above 0, not 0"),
        (
            {"generation_parameters": [1]},
            TypeError,
            "generation_parameters must be a dictionary with string keys, not list",
        ),
        (
            {"extra_parameters": {"a": 1, 2: 3}},
            TypeError,
            "extra_parameters must be a dictionary with string keys, not dict",
        ),
        (
            {"extra_parameters": {"task": 1, "seed": 1, "file": 1}},
            ValueError,
            f"extra_parameters must not hold file, task{OWN}",
        ),
    ],
)
def test_what_is_refused(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    """An option that is none, or makes no sense, is refused with its name and what it may be."""
    with pytest.raises(kind) as caught:
        check_options(options)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["inputs", "timestamp_granularities[]", "response_format", "generation_parameters"])
def test_what_extra_parameters_must_not_hold(name: str) -> None:
    """What hfasr itself puts into a request is not passed twice."""
    with pytest.raises(ValueError, match="extra_parameters must not hold ") as caught:
        check_options({"extra_parameters": {name: 1}})
    assert str(caught.value) == f"extra_parameters must not hold {name}{OWN}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict.fromkeys(["model", "language", "task", "prompt", "deadline", "generation_parameters", "extra_parameters"]),
        {"prompt": "", "return_timestamps": False, "on_chunk_error": "gap"},
        {"task": "translate", "return_timestamps": "word", "deadline": 0.5, "on_chunk_error": "raise"},
        {"generation_parameters": MappingProxyType({"task": 1}), "extra_parameters": {}, "return_timestamps": True},
    ],
)
def test_what_is_taken(options: Mapping[str, Any]) -> None:
    """All that transcribe knows is taken, and whatever may be left out as None as well."""
    check_options(options)


def test_ask() -> None:
    """A server is asked for what was given, its dictionaries copied; what was not given is not asked for."""
    parameters = {"num_beams": 2}
    ask = to_ask(
        {
            "model": "org/a",
            "language": "de",
            "task": "translate",
            "prompt": "Käse",
            "return_timestamps": "word",
            "deadline": 3.0,
            "generation_parameters": MappingProxyType(parameters),
            "extra_parameters": {"seed": 1},
        }
    )
    assert ask == Ask("de", "translate", "Käse", "word", {"num_beams": 2}, {"seed": 1})
    parameters["num_beams"] = 3
    assert ask.generation_parameters == {"num_beams": 2}
    assert to_ask({}) == Ask(None, None, None, False, {}, {})
    assert to_ask({"prompt": "", "generation_parameters": None, "extra_parameters": None}) == Ask()


@pytest.mark.parametrize("name", ["generation_parameters", "extra_parameters"])
def test_parameters_that_json_cannot_carry(name: str) -> None:
    """They are named, with what is wrong."""
    options: Any = {name: {"a": {1}}}
    with pytest.raises(TypeError) as caught:
        to_ask(options)
    assert str(caught.value) == f"{name} holds what JSON cannot carry: Object of type set is not JSON serializable"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["language", "prompt", "generation_parameters", "extra_parameters"])
def test_text_that_utf_8_cannot_carry(name: str) -> None:
    """It is named, with what is wrong."""
    options: Any = {name: {"a": "\ud800"} if name.endswith("parameters") else "\ud800"}
    with pytest.raises(ValueError, match="holds what JSON cannot carry") as caught:
        to_ask(options)
    position = 7 if name.endswith("parameters") else 1
    assert str(caught.value) == (
        f"{name} holds what JSON cannot carry: 'utf-8' codec can't encode character '\\ud800' in position {position}: "
        "surrogates not allowed"
    )
    assert caught.value.__suppress_context__


def test_what_holds_itself() -> None:
    """A dictionary within itself is refused."""
    loop: dict[str, Any] = {}
    loop["x"] = loop
    with pytest.raises(ValueError, match="extra_parameters holds what JSON cannot carry: Circular reference detected"):
        to_ask({"extra_parameters": loop})


def test_engine_options() -> None:
    """An engine is not told its model, nor what is hfasr's to see to; the caller's dictionary stays as it was."""
    options: TranscribeOptions = {
        "model": "org/a",
        "deadline": 3.0,
        "on_chunk_error": "gap",
        "language": "de",
        "prompt": None,
    }
    before = dict(options)
    assert engine_options(options) == {"language": "de", "prompt": None}
    assert options == before
    assert engine_options({}) == {}
