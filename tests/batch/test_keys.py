"""Keys: what makes two items one, and what sets them apart."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfasr import Chunking, RetryPolicy
from hfasr._batch.keys import content_key, fingerprint, path_key, url_key
from hfasr._core.config import Config
from hfasr.testing import FakeBackend
from hfasr.types import TranscribeOptions

CHANGE: dict[str, Any] = {
    "model": "openai/whisper-tiny",
    "backend": "transformers",
    "fallback": "transformers",
    "provider": ("hf-inference", "other"),
    "base_url": "http://localhost:8000/v1",
    "dialect": "openai",
    "router_url": "http://localhost:9000",
    "upload": "flac",
    "channels": 1,
    "chunking": Chunking(chunk_length_s=20),
    "revision": "main",
    "local_only": True,
}
NO_CHANGE: dict[str, Any] = {
    "token": "hf_abcdefghijkl",
    "bill_to": "me",
    "timeout": 5.0,
    "deadline": 5.0,
    "retry": RetryPolicy(max_attempts=2),
    "allow_private_urls": True,
    "allow_paths": False,
    "on_attempt": print,
}
OPTIONS: dict[str, Any] = {
    "model": "openai/whisper-tiny",
    "language": "de",
    "task": "translate",
    "prompt": "names",
    "return_timestamps": True,
    "generation_parameters": {"num_beams": 2},
    "extra_parameters": {"x": 1},
}


def changed(name: str, value: object) -> Config:
    """Return the default settings but for one, which is not checked: some need others, or providers to come."""
    config = Config()
    object.__setattr__(config, name, (value,) if name == "fallback" else value)
    return config


def of(**options: Any) -> str:
    return fingerprint(Config(), options)  # type: ignore[arg-type]  # any option


def with_parameter(value: object) -> str:
    return of(extra_parameters={"x": value})


@pytest.mark.parametrize("name", CHANGE)
def test_settings_that_count(name: str) -> None:
    """A setting that may change a transcript changes the fingerprint."""
    assert fingerprint(changed(name, CHANGE[name]), {}) != of()


@pytest.mark.parametrize("name", NO_CHANGE)
def test_settings_that_do_not_count(name: str) -> None:
    """Tokens, payers, times, permissions and who watches leave the fingerprint as it is."""
    assert fingerprint(changed(name, NO_CHANGE[name]), {}) == of()


@pytest.mark.parametrize("name", OPTIONS)
def test_options_count(name: str) -> None:
    """Every option of a call changes the fingerprint."""
    assert of(**{name: OPTIONS[name]}) != of()


def test_every_setting_and_option_is_thought_of() -> None:
    """A setting or option that joins the API has its place here: either it counts, or it does not."""
    assert CHANGE.keys() | NO_CHANGE.keys() == {field.name for field in dataclasses.fields(Config)}
    assert OPTIONS.keys() | {"deadline", "on_chunk_error"} == TranscribeOptions.__annotations__.keys()


def test_what_is_left_out_is_the_default() -> None:
    """An option that says what goes without saying changes nothing, nor do a deadline and what a failure leads to."""
    assert of(language=None, prompt="", return_timestamps=False, extra_parameters={}, deadline=3.0) == of()
    assert of(on_chunk_error="gap") == of(on_chunk_error="raise") == of()


def test_where_audio_is_cut_counts() -> None:
    """Each way of cutting has a fingerprint of its own, however many chunks are in work at once."""
    ways = [
        Chunking(),
        Chunking(chunk_length_s=20),
        Chunking(split="vad"),
        Chunking(split="none"),
        Chunking(split="none", stride_length_s=1),
    ]
    prints = [fingerprint(Config(chunking=way), {}) for way in ways]
    assert len(set(prints)) == len(ways)
    assert [fingerprint(Config(chunking=dataclasses.replace(way, max_concurrency=3)), {}) for way in ways] == prints


def test_word_and_segment_times_differ() -> None:
    """The kinds of times are told apart."""
    assert of(return_timestamps="word") != of(return_timestamps=True)


def test_model_of_the_call_is_that_of_the_client() -> None:
    """It does not matter where a model is named."""
    assert fingerprint(Config(model="a/b"), {}) == of(model="a/b")


def test_engines_are_known_by_name_and_model() -> None:
    """An engine of the caller's own counts by its name and model, not by its identity."""

    class Named(FakeBackend):
        model = "mine"

    def of_engine(engine: FakeBackend) -> str:
        return fingerprint(Config(backend=engine), {})

    assert of_engine(FakeBackend("a")) == of_engine(FakeBackend("b"))
    assert of_engine(FakeBackend("a")) != of_engine(Named("a"))
    assert fingerprint(Config(fallback=FakeBackend("a")), {}) != fingerprint(Config(fallback=Named("a")), {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ("1", 1),
        (None, "null"),
        ([1, [2]], [1, 2]),
        ({"a": 1}, [["a", 1]]),
        ({1: 2}, {"1": 2}),
        (float("nan"), float("inf")),
        (b"a", b"b"),
        ("\ud800", "\udc00"),
        (np.arange(5_000), np.arange(5_000) % 4_000),
        ({1, 2}, {1, 3}),
    ],
)
def test_values_are_told_apart(one: object, other: object) -> None:
    """Values that differ, also those that JSON lacks or whose repr is cut, give other fingerprints."""
    assert with_parameter(one) != with_parameter(other)


def test_order_does_not_count() -> None:
    """Dictionaries are equal in any order."""
    assert with_parameter({"a": 1, "b": 2}) == with_parameter({"b": 2, "a": 1})


def test_fingerprint_is_that_of_other_processes() -> None:
    """The fingerprint does not depend on the process, not even where a set's order does."""
    code = (
        "from hfasr._batch.keys import *; from hfasr._core.config import Config; "
        "print(fingerprint(Config(), {'extra_parameters': {'x': set('abcdefgh')}}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in "12"
    }
    assert found == {with_parameter(set("abcdefgh"))}


def test_form_of_keys() -> None:
    """A key is 32 hex digits, and the kinds of keys never meet."""
    keys = {content_key("a", "f"), url_key("a", "f"), content_key("f", "a"), url_key("", "fa")}
    assert len(keys) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_path_in_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative and an absolute path, as string or object, are one file."""
    (tmp_path / "a.wav").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    assert path_key("a.wav", "f") == path_key(tmp_path / "a.wav", "f") is not None


def test_path_key_sees_changes(tmp_path: Path) -> None:
    """Another size, time, name or fingerprint is another item."""
    file = tmp_path / "a.wav"
    file.write_bytes(b"abc")
    os.utime(file, ns=(0, 10**18))
    keys = [path_key(file, "f"), path_key(file, "g")]
    os.utime(file, ns=(0, 10**18 + 1_000_000_000))
    keys.append(path_key(file, "f"))
    file.write_bytes(b"abcd")
    os.utime(file, ns=(0, 10**18))
    keys.append(path_key(file, "f"))
    file.rename(tmp_path / "b.wav")
    keys.append(path_key(tmp_path / "b.wav", "f"))
    assert len(set(keys)) == len(keys)
    assert None not in keys


@pytest.mark.parametrize("name", ["missing.wav", "nul\0.wav", ".", ""])
def test_path_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What is no file, or cannot be looked at, has no key, and is simply tried."""
    monkeypatch.chdir(tmp_path)
    assert path_key(name, "f") is None


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Names with bytes that are not UTF-8, and with newlines, have keys of their own."""
    names = [os.fsencode(tmp_path) + rest for rest in (b"/\xff.wav", b"/\xfe.wav", b"/a\nb.wav", "/ü.wav".encode())]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(b"abc")
        os.utime(name, ns=(0, 0))
    keys = {path_key(os.fsdecode(name), "f") for name in names}
    assert len(keys) == 4
    assert None not in keys
