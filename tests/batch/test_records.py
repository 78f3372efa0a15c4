"""Errors as dictionaries and back, which of them are for good, and names of inputs."""

from __future__ import annotations

import inspect
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hfasr import errors
from hfasr._batch import records
from hfasr._batch.records import audio_name, error_from_dict, error_to_dict, is_permanent
from hfasr.audio.files import file_name, open_path
from hfasr.errors import (
    AllRoutesFailedError,
    APIConnectionError,
    AudioNotFoundError,
    AuthenticationError,
    BackendError,
    BadRequestError,
    DeadlineExceededError,
    EmptyAudioError,
    HfasrError,
    JournalError,
    ModelLoadingError,
    ServerError,
)
from hfasr.types import Attempt

ATTEMPT = Attempt("hf-inference", 500, "ServerError", "id-1", 0.25, 0.5, 0.0)
SKIPPED = Attempt("pocketsphinx", None, "skipped", None, 0.25, 0.0, 0.0)
FIELDS = {
    "maybe_billed": True,
    "permanent": True,
    "status_code": 418,
    "request_id": "id-2",
    "retry_after": 7.5,
    "body": "no tea",
    "estimated_time": 20.0,
}
CLASSES = [getattr(errors, name) for name in errors.__all__]
PERMANENT = [
    "AudioDecodeError",
    "AudioError",
    "AudioTooLongError",
    "BadRequestError",
    "EmptyAudioError",
    "EndpointGoneError",
    "InvalidOptionError",
    "PayloadTooLargeError",
    "TypeError",
    "UnsupportedAudioError",
]


def made(cls: type[HfasrError], message: str = "what; do this", **extra: Any) -> HfasrError:
    """Make an error of any class, with every field that it has."""
    fields: dict[str, Any] = {name: FIELDS[name] for name in inspect.signature(cls).parameters if name in FIELDS}
    return cls(message, **fields, **extra)


def there_and_back(error: Exception) -> Exception:
    return error_from_dict(json.loads(json.dumps(error_to_dict(error))))


def facts(error: BaseException) -> dict[str, Any]:
    state = {name: value for name, value in vars(error).items() if name not in {"errors", "unwritten"}}
    return {"type": type(error), "text": str(error), **state}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_comes_back(cls: type[HfasrError]) -> None:
    """Each public class keeps its type, message, attempts and fields, and can cross processes afterwards."""
    error = made(cls, attempts=[ATTEMPT, SKIPPED])
    back = there_and_back(error)
    assert facts(back) == facts(error)
    assert facts(pickle.loads(pickle.dumps(back))) == facts(error)


def test_fields_are_really_there() -> None:
    """What the test above compares holds the fields of the deepest class."""
    back = there_and_back(made(ModelLoadingError))
    assert isinstance(back, ModelLoadingError)
    assert (back.status_code, back.request_id, back.retry_after, back.body) == (418, "id-2", 7.5, "no tea")
    assert back.estimated_time == 20.0


def test_type_error() -> None:
    """The error of an input that is no audio stays a TypeError."""
    back = there_and_back(TypeError("int is no audio"))
    assert type(back) is TypeError
    assert str(back) == "int is no audio"


def test_cause_and_routes_come_back() -> None:
    """The cause, where it is ours, and the errors of all routes with theirs come back."""
    late = DeadlineExceededError("late")
    late.__cause__ = made(ServerError)
    other = APIConnectionError("down")
    other.__cause__ = OSError("refused")
    back = there_and_back(AllRoutesFailedError("all", errors=[late, other], attempts=[ATTEMPT]))
    assert isinstance(back, AllRoutesFailedError)
    assert [type(one) for one in back.errors] == [DeadlineExceededError, APIConnectionError]
    assert facts(back.errors[0].__cause__ or back) == facts(late.__cause__)
    assert back.errors[1].__cause__ is None


def test_circle_of_causes_ends() -> None:
    """Errors that are each other's cause are written down all the same."""
    one, other = HfasrError("one"), HfasrError("other")
    one.__cause__, other.__cause__ = other, one
    assert str(there_and_back(one)) == "one"


def test_others_errors_take_our_nearest_class() -> None:
    """A class of somebody else's comes back as the public one above it; what is none of ours is named."""

    class TheirError(BackendError):
        def __init__(self) -> None:
            super().__init__("it fell over", attempts=[ATTEMPT])

    assert facts(there_and_back(TheirError())) == facts(BackendError("it fell over", attempts=[ATTEMPT]))
    back = there_and_back(ZeroDivisionError("by hf_abcdefghijkl"))
    assert facts(back) == facts(HfasrError("ZeroDivisionError: by hf_***"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "FutureError", "message": "new", "attempts": [], "warp": 9}, "new"),
        ({"type": "ServerError", "message": "no status"}, "no status"),
        ({"type": "HfasrError", "message": "odd", "attempts": [{"route": "x"}]}, "odd"),
        ({"type": "HfasrError", "message": "odd", "attempts": 3}, "odd"),
        ({"type": [], "message": "odd"}, "odd"),
        ({}, "an error that this version of hfasr cannot read"),
        ("text", "an error that this version of hfasr cannot read"),
    ],
)
def test_unreadable_errors_are_still_errors(data: Any, message: str) -> None:
    """What a newer version wrote, or was damaged, becomes a plain error with its message."""
    assert facts(error_from_dict(data)) == facts(HfasrError(message))


def test_newer_fields_are_passed_over() -> None:
    """Fields and attempts' fields that are not known here do not spoil the rest."""
    data = error_to_dict(made(ServerError, attempts=[ATTEMPT]))
    data["attempts"][0]["colour"] = "red"
    assert facts(error_from_dict({**data, "colour": "red"})) == facts(made(ServerError, attempts=[ATTEMPT]))


def test_which_errors_are_for_good() -> None:
    """These errors and no others are kept when a batch is resumed."""
    found = [cls.__name__ for cls in [*CLASSES, TypeError, ValueError, MemoryError] if is_permanent(made_any(cls))]
    assert sorted(found) == PERMANENT


def made_any(cls: type[Exception]) -> Exception:
    return made(cls) if issubclass(cls, HfasrError) else cls("what")


def test_table_names_every_error() -> None:
    """The table in the docstring speaks of each public error."""
    table = records.__doc__ or ""
    below = {"HfasrError", "APIError", "APIStatusError", "BatchAbortedError", "JournalError"}
    below |= {name for name in errors.__all__ if name.startswith("Backend")} - {"BackendError"}
    assert [name for name in errors.__all__ if f"`{name}`" not in table and name not in below] == []


@pytest.mark.parametrize(
    ("several", "attempts", "expected"),
    [
        ([EmptyAudioError("a"), made(BadRequestError)], [], True),
        ([made(BadRequestError), made(ServerError)], [], False),
        ([made(AuthenticationError)], [], False),
        ([made(BadRequestError)], [SKIPPED], False),
        ([], [], False),
    ],
)
def test_all_routes(several: list[HfasrError], attempts: list[Attempt], expected: object) -> None:
    """A failure of all routes is for good only if that of each is, and none was left out."""
    assert is_permanent(AllRoutesFailedError("all", errors=several, attempts=attempts)) is expected


def test_journals_own_error_leaves_out_its_items() -> None:
    """Items that were not written are not written within an error."""
    assert "unwritten" not in error_to_dict(JournalError("full", unwritten=[]))


class Upload(io.BytesIO):
    filename = "upload.wav"


class Named(io.BytesIO):
    def __init__(self, name: str) -> None:
        super().__init__(b"RIFF")
        self.name = name


@pytest.mark.parametrize(
    ("audio", "name"),
    [
        ("dir/a.flac", "dir/a.flac"),
        (Path("dir/a.flac"), str(Path("dir/a.flac"))),
        ("https://user:pw@example.com:8080/a.flac?sig=x#part", "https://example.com:8080/a.flac"),
        ("s3://bucket/a.flac", "s3://bucket/a.flac"),
        ("http://[bad/a?sig=x", "http://…/a"),
        ("hf://datasets/org/x@main/a.wav", "hf://datasets/org/x@main/a.wav"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("zip://in.wav::https://h/z.zip", "zip://…/z.zip"),
        ("odd?name#1;2.wav", "odd?name#1;2.wav"),
        ("C:/a?.wav", "C:/a?.wav"),
        ("x" * 501, "x" * 500),
        (b"RIFF", "bytes"),
        ("", "bytes"),
        ([b"RIFF"], "bytes"),
        (io.BytesIO(b"RIFF"), "bytes"),
        (Upload(b"RIFF"), "upload.wav"),
        ({"path": "c.wav", "bytes": b""}, "c.wav"),
        ({"array": [0.0], "sampling_rate": 16_000}, "bytes"),
    ],
)
def test_names(audio: Any, name: str) -> None:
    """A name is the path or URL, without anything secret, and never long."""
    assert audio_name(audio) == name


def test_input_that_has_no_attributes() -> None:
    """An input of somebody else's class, which raises whatever it is asked for, has a name all the same."""

    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

    assert audio_name(Hostile()) == "audio"


SECRETS = [
    "https://u:S3CR3T@h/a.wav",
    "https://S3CR3T@h/a.wav?S3CR3T",
    "https://h/a.wav;S3CR3T",
    "https://h/a.wav#S3CR3T",
    " https://h/a.wav?S3CR3T",
    "\0https://h/a.wav?S3CR3T",
    "https://u:x/S3CR3T@h/a.wav",
    "https://u:x?S3CR3T@h/a.wav",
    "https://u:1/S3CR3T@h/a.wav",
    "https://u:x::S3CR3T@h/a.wav",
    "https://u:S3CR3T",
    "https://[u:S3CR3T@h/a.wav",
    "simplecache::https://u:S3CR3T@h/a.wav?x",
    "zip://in.wav::https://u:S3CR3T@h/z.zip?S3CR3T",
    "dir/https://u:S3CR3T@h/a.wav?S3CR3T",
    "https:/u:S3CR3T@h/a.wav?S3CR3T",  # as a path object
]


@pytest.mark.parametrize("url", SECRETS)
def test_names_without_secrets(url: str) -> None:
    """No user, password, parameters, query or fragment gets into a name, however the URL is put or spelled."""
    for audio in (url, {"path": url, "bytes": None}, Path(url), Named(url)):
        assert "S3CR3T" not in audio_name(audio)
        assert audio_name(audio) != "audio"


@pytest.mark.parametrize("url", SECRETS)
def test_messages_without_secrets(url: str) -> None:
    """What is taken for a path, or is the name of other bytes, gives no secret away in the error's message."""
    with pytest.raises(AudioNotFoundError) as caught:
        open_path(url, lambda: None)
    assert "S3CR3T" not in json.dumps(error_to_dict(caught.value))
    assert "S3CR3T" not in file_name(Named(url))


def test_long_names_take_no_time() -> None:
    """A megabyte that is given as a name is looked through once, not once for each of its characters."""
    for text in ("a" * 2**20, "a:" * 2**19, "@" * 2**20, "::" * 2**19):
        assert len(audio_name(f"{text}://{text}")) <= 500
