"""The options of one call, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from hfasr._hosted.dialect import Ask
from hfasr.types import OnChunkError, Task, TranscribeOptions

from .config import seconds_above_0

__all__ = ["check_options", "engine_options", "to_ask"]

_OWN_OPTIONS = frozenset(
    [
        "file",
        "generation_parameters",
        "inputs",
        "language",
        "model",
        "prompt",
        "response_format",
        "return_timestamps",
        "task",
        "timestamp_granularities",
        "timestamp_granularities[]",
    ]
)
_NAMES = tuple(TranscribeOptions.__annotations__)
_TASKS = (None, *get_args(Task))
_ON_CHUNK_ERROR = get_args(OnChunkError)


def check_options(options: Mapping[str, Any]) -> None:
    """
    See that *options* are ones that `transcribe` knows, with values of the right kind.

    Raises:
        TypeError: An unknown name, or a value of the wrong type.
        ValueError: A value that is out of range.
    """
    for name in options:
        if name not in _NAMES:
            import difflib

            close = difflib.get_close_matches(name, _NAMES, 1)
            raise TypeError(
                f"transcribe() has no option {name!r}; "
                + (f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(_NAMES)}")
            )
    for name in ("model", "language", "prompt"):
        value = options.get(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a string or None, not {type(value).__name__}")
        if value == "" and name != "prompt":
            raise ValueError(f"{name} must not be empty; leave it out for the default")
    if options.get("task") not in _TASKS:
        raise ValueError(f'task must be "transcribe" or "translate", not {options["task"]!r:.50}')
    if not _is_timestamps(options.get("return_timestamps", False)):
        raise ValueError(f'return_timestamps must be False, True or "word", not {options["return_timestamps"]!r:.50}')
    if options.get("on_chunk_error", "raise") not in _ON_CHUNK_ERROR:
        raise ValueError(f'on_chunk_error must be "raise" or "gap", not {options["on_chunk_error"]!r:.50}')
    if options.get("deadline") is not None:
        seconds_above_0("deadline", options["deadline"])
    for name in ("generation_parameters", "extra_parameters"):
        value = options.get(name)
        if value is not None and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
            raise TypeError(f"{name} must be a dictionary with string keys, not {type(value).__name__}")
    taken = _OWN_OPTIONS & set(options.get("extra_parameters") or ())
    if taken:
        raise ValueError(
            f"extra_parameters must not hold {', '.join(sorted(taken))}: transcribe() has options of its own for that"
        )


def _check_wire(name: str, value: object) -> None:
    """See that a server can be sent *value*."""
    import json

    try:
        json.dumps(value, ensure_ascii=False).encode()
    except TypeError as error:
        raise TypeError(f"{name} holds what JSON cannot carry: {error}") from None
    except ValueError as error:
        raise ValueError(f"{name} holds what JSON cannot carry: {str(error)[:100]}") from None


def _is_timestamps(value: object) -> bool:
    return isinstance(value, bool) or value == "word"


def to_ask(options: TranscribeOptions) -> Ask:
    """
    Return what a server is asked for.

    Raises:
        TypeError: A value that JSON cannot carry.
        ValueError: Text that UTF-8 cannot carry.
    """
    for name in ("language", "prompt", "generation_parameters", "extra_parameters"):
        value = options.get(name)
        if value is not None:
            _check_wire(name, dict(value) if isinstance(value, Mapping) else value)
    timestamps: bool | Literal["word"] = options.get("return_timestamps", False)
    return Ask(
        language=options.get("language"),
        task=options.get("task"),
        prompt=options.get("prompt") or None,
        return_timestamps=timestamps,
        generation_parameters=dict(options.get("generation_parameters") or {}),
        extra_parameters=dict(options.get("extra_parameters") or {}),
    )


def engine_options(options: TranscribeOptions) -> TranscribeOptions:
    """Return what an engine is asked for: not the model, which it has, nor what is ours to see to."""
    wanted: TranscribeOptions = options.copy()
    wanted.pop("model", None)
    wanted.pop("deadline", None)
    wanted.pop("on_chunk_error", None)
    return wanted
