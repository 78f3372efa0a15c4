"""Replies of any shape: a transcript or a typed error, and never another exception."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr import APIResponseError, HfasrError, Segment
from hfasr._hosted.dialect import Ask, Dialect, Form, Server
from hfasr._hosted.failures import diagnose
from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.probe import read_probe
from hfasr._hosted.replies import error_text
from hfasr.wire import Response

SERVER = Server("http://x/", "openai/whisper-tiny", "x", endpoint=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["text", "chunks", "segments", "words", "word", "timestamp", "start", "end", "error", "detail", "message", "language", "estimated_time", "loc"]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
DIALECTS: list[Dialect] = [HFDialect(), OpenAIDialect()]


def parse(dialect: Dialect, body: Any, timestamps: Any = True, duration: float | None = 9.0) -> Any:
    """Parse *body* as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dialect.parse(
        Response(200, {}, content), Ask(return_timestamps=timestamps), Form("raw", timestamps), duration
    )


@given(BODIES, st.sampled_from([False, True, "word"]), st.sampled_from(DIALECTS))
def test_any_answer(body: bytes, timestamps: Any, dialect: Dialect) -> None:
    """Any 2xx body becomes a transcript with sane times, or an APIResponseError."""
    try:
        transcript = parse(dialect, body, timestamps)
    except APIResponseError:
        return
    assert isinstance(transcript.text, str)
    for span in (*transcript.segments, *transcript.words):
        assert math.isfinite(span.start)
        assert span.start >= 0
        assert span.end is None or math.isfinite(span.end)


@given(
    BODIES, st.sampled_from([300, 400, 401, 402, 403, 404, 408, 410, 413, 415, 418, 422, 429, 500, 502, 503, 504, 599])
)
def test_any_failure(body: bytes, status: int) -> None:
    """Any failed body becomes a typed error with a short message of one line, without control characters."""
    failure = diagnose(Response(status, {}, body), SERVER, wall=0.0, duration=None)
    assert isinstance(failure.error, HfasrError)
    assert len(str(failure.error)) <= 500
    assert {unicodedata.category(char) for char in str(failure.error)}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    read_probe(Response(status, {}, body))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": "plain"}, "plain"),
        ({"error": ["Error in `inputs`: Malformed soundfile"]}, "Error in `inputs`: Malformed soundfile"),
        ({"error": {"message": "as OpenAI says it", "param": None}}, "as OpenAI says it"),
        ({"detail": "as fal says it"}, "as fal says it"),
        ({"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]}, "file: Field required"),
        (
            {"title": "Billing required", "detail": "You need to set up billing", "status": 402},
            "You need to set up billing",
        ),
        (b"<!doctype html><html><h1>502</h1>", "an HTML page"),
        (b"Not Found", "Not Found"),
        (b"", ""),
    ],
)
def test_error_texts(body: Any, text: str) -> None:
    """Every known place of an error's text is read."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert error_text(Response(400, {}, content)) == text


def test_recorded_answers() -> None:
    """The recorded answers of the router are read as they were meant."""
    plain = parse(HFDialect(), {"text": "a man said to the universe sir i exist"}, timestamps=False)
    assert plain.text == "a man said to the universe sir i exist"
    timed = parse(
        HFDialect(),
        {
            "text": " A man said to the universe, Sir, I exist.",
            "chunks": [
                {"timestamp": [0.0, 4.08], "text": " A man said to the universe, Sir, I exist.", "speaker": None}
            ],
        },
    )
    assert timed.segments == (Segment(0.0, 4.08, "A man said to the universe, Sir, I exist."),)


def test_open_end() -> None:
    """An end that the server left open stays open; a start that it left out is the end of what came before."""
    body = {"text": "x", "chunks": [{"timestamp": [1.0, None], "text": "x"}, {"timestamp": [None, 3.0], "text": "y"}]}
    first, second = parse(HFDialect(), body).segments
    assert (first.start, first.end) == (1.0, None)
    assert (second.start, second.end) == (1.0, 3.0)


def test_words_are_shared_among_segments() -> None:
    """OpenAI's flat list of words goes to the segments in whose time they lie."""
    body = {
        "text": "one two three",
        "segments": [{"start": 0, "end": 2, "text": "one two"}, {"start": 2, "end": 4, "text": "three"}],
        "words": [
            {"word": "one", "start": 0, "end": 1},
            {"word": "two", "start": 1, "end": 2.1},
            {"word": "three", "start": 2, "end": 3},
        ],
    }
    segments = parse(OpenAIDialect(), body, "word").segments
    assert [[w.word for w in s.words] for s in segments] == [["one", "two"], ["three"]]


@pytest.mark.parametrize("status", [400, 500])
def test_hostile_error_text_is_read_in_time(status: int) -> None:
    """Megabytes that are made to slow a pattern down are understood at once."""
    import time

    for piece in ("fail ", "unable to load ", "'", "invalid ", "x" * 50 + " ", "model loading "):
        body = json.dumps({"error": piece * (2_000_000 // len(piece))}).encode()
        began = time.perf_counter()
        diagnose(Response(status, {}, body), SERVER, wall=0.0, duration=None)
        assert time.perf_counter() - began < 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_empty_language_is_none(dialect: Dialect) -> None:
    """A server that names no language has found none."""
    assert parse(dialect, {"text": "a man said", "language": ""}).language is None
