"""
What the journal writes of an item: its name, and its error, which comes back as what it was.

Some errors are for good: to try again later cannot help, so a resumed batch keeps them. An error of the
model's or the server's place is not, however final it looks: tomorrow the disk, the account, the catalogue
or the installation may be another, and the item is not at fault.

| error | for good | since |
|---|---|---|
| `AudioError`, `AudioDecodeError`, `UnsupportedAudioError`, `EmptyAudioError` | yes | the bytes stay what they are |
| `AudioTooLongError`, `PayloadTooLargeError` | yes | so does the length, and another route is another key |
| `AudioNotFoundError`, `AudioURLError` | no | the file or page may appear |
| `TypeError`, `InvalidOptionError` | yes | the same input and options fail alike |
| `BadRequestError` | yes | the same request is refused alike |
| `EndpointGoneError` | yes | 410 says that it is retired for good |
| `NotFoundError`, `ModelNotHostedError` | no | a model may be hosted tomorrow |
| `AuthenticationError`, `PaymentRequiredError`, `PermissionDeniedError` | no | another token, more credits |
| `RateLimitError`, `ServerError`, `ModelLoadingError`, `APIResponseError` | no | servers are mended |
| `APIConnectionError`, `APITimeoutError` | no | and so are networks and certificates |
| `BackendError` and below | no | memory is freed, packages are installed |
| `DeadlineExceededError`, `BatchError` and below | no | the next run has its own time and disk |
| `AllRoutesFailedError` | where each of its errors is | and no route was skipped |
| anything else | no | nothing is known of it |
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfasr import errors
from hfasr.audio.files import without_secrets
from hfasr.errors import (
    AllRoutesFailedError,
    AudioError,
    AudioNotFoundError,
    AudioURLError,
    BadRequestError,
    EndpointGoneError,
    HfasrError,
    InvalidOptionError,
    PayloadTooLargeError,
    clean,
)
from hfasr.types import Attempt

if TYPE_CHECKING:
    from hfasr.types import AudioInput

__all__ = ["MAX_NAME_CHARS", "audio_name", "error_from_dict", "error_to_dict", "is_permanent"]

MAX_NAME_CHARS = 500
"""Longest name of an input in the journal, where it is for people to read."""

_PERMANENT = (AudioError, TypeError, InvalidOptionError, BadRequestError, PayloadTooLargeError, EndpointGoneError)
_PASSING = (AudioNotFoundError, AudioURLError)  # among those
_TYPES: dict[str, type[HfasrError]] = {name: getattr(errors, name) for name in errors.__all__}
_NOT_KEPT = {"self", "message", "attempts", "errors", "unwritten"}  # parameters: seen to apart, or never written
_FIELDS = {  # what the constructor of each takes, and keeps under the same name
    name: [field for field in inspect.signature(cls.__init__).parameters if field not in _NOT_KEPT]
    for name, cls in _TYPES.items()
}
_MAX_DEPTH = 8  # of errors within errors: no real one has over two, and a damaged one may be a circle
_ATTEMPT_FIELDS = frozenset(field.name for field in dataclasses.fields(Attempt))


def is_permanent(error: Exception) -> bool:
    """
    Whether trying again later cannot help, by the table above.

    Example:
        >>> is_permanent(errors.EmptyAudioError("no bytes")), is_permanent(errors.APITimeoutError("too slow"))
        (True, False)
    """
    if isinstance(error, AllRoutesFailedError):
        skipped = any(attempt.error == "skipped" for attempt in error.attempts)
        return bool(error.errors) and not skipped and all(is_permanent(one) for one in error.errors)
    return isinstance(error, _PERMANENT) and not isinstance(error, _PASSING)


def error_to_dict(error: Exception) -> dict[str, Any]:
    """
    Return *error* as plain dictionaries and lists, fit for JSON.

    Of a class that is not public, the nearest one above it that is; what is none of ours becomes an
    `HfasrError` that names it, but for a ``TypeError``.

    Example:
        >>> error_to_dict(errors.ServerError("down", status_code=500))["status_code"]
        500
    """
    return _to_dict(error, _MAX_DEPTH)


def error_from_dict(data: Mapping[str, Any]) -> Exception:
    """
    Undo `error_to_dict`. Never fails: what cannot be understood becomes an `HfasrError` with the message.

    Example:
        >>> error_from_dict({"type": "ErrorOfTheFuture", "message": "too late"})
        HfasrError('too late')
    """
    try:
        return _from_dict(data)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        message = data.get("message") if isinstance(data, Mapping) else None
        return HfasrError(str(message or "an error that this version of hfasr cannot read"))


def audio_name(audio: AudioInput) -> str:
    """
    Return a readable name of an input: a path, or a URL without secrets; ``"bytes"`` where it has none.

    Never fails: an input whose attributes raise is called ``"audio"``.

    Example:
        >>> audio_name("https://user:secret@example.com/a.flac?token=secret"), audio_name(b"RIFF")
        ('https://example.com/a.flac', 'bytes')
    """
    try:
        given: Any = audio
        if isinstance(given, Mapping):
            given = given.get("path")
        elif not isinstance(given, str | os.PathLike):
            given = getattr(given, "filename", None) or getattr(given, "name", None)  # of uploads and open files
        name = os.fsdecode(given) if isinstance(given, str | os.PathLike) else ""
        return without_secrets(name)[:MAX_NAME_CHARS] or "bytes"
    except Exception:  # noqa: BLE001  # properties of a caller's own class
        return "audio"


def _to_dict(error: BaseException, depth: int) -> dict[str, Any]:
    if isinstance(error, TypeError):
        return {"type": "TypeError", "message": clean(_said(error))}
    if not isinstance(error, HfasrError):
        return {"type": "HfasrError", "message": clean(f"{type(error).__name__}: {_said(error)}"), "attempts": []}
    cls = next(one for one in type(error).__mro__ if _TYPES.get(one.__name__) is one)
    data: dict[str, Any] = {"type": cls.__name__, "message": str(error)}
    data.update({name: getattr(error, name, None) for name in _FIELDS[cls.__name__]})
    data["attempts"] = [dataclasses.asdict(attempt) for attempt in error.attempts]
    if depth > 0:
        if isinstance(error, AllRoutesFailedError):
            data["errors"] = [_to_dict(one, depth - 1) for one in error.errors]
        if isinstance(error.__cause__, HfasrError):
            data["cause"] = _to_dict(error.__cause__, depth - 1)
    return data


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # the message of somebody else's error
        return "no message"


def _from_dict(data: Mapping[str, Any]) -> Exception:
    message = data["message"]
    if data["type"] == "TypeError":
        return TypeError(message)
    cls = _TYPES.get(data["type"], HfasrError)
    fields = {name: data[name] for name in _FIELDS[cls.__name__] if name in data}
    fields["attempts"] = [
        Attempt(**{name: value for name, value in attempt.items() if name in _ATTEMPT_FIELDS})
        for attempt in data.get("attempts") or ()
    ]
    if issubclass(cls, AllRoutesFailedError):
        fields["errors"] = [error_from_dict(one) for one in data.get("errors") or ()]
    error = cls(message, **fields)
    if data.get("cause") is not None:
        error.__cause__ = error_from_dict(data["cause"])
    return error
