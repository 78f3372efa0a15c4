"""What the two dialects put on the wire, and what they try next."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from hfasr import BadRequestError, Segment, Word
from hfasr._hosted.dialect import Ask, Dialect, Failure, Fix, Form
from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.servers import endpoint_server, openai_server, router_server
from hfasr.audio import Upload
from hfasr.wire import Request, Response

HF, OPENAI = HFDialect(), OpenAIDialect()
ROUTER = router_server("https://router.huggingface.co", "hf-inference", "org/name")
ROUTER_URL = "https://router.huggingface.co/hf-inference/models/org/name"
ENDPOINT = endpoint_server("http://localhost:8000", None)
SERVER = openai_server("http://localhost:8000", "org/name")
DATA = b"audio\r\n--hfasr\r\n\x00\xff"
UPLOAD = Upload(DATA, "audio/flac", "audio.flac", "flac", original=False, duration=1.0)
EVERYTHING = Ask(
    "de", "transcribe", "a prompt", True, {"num_beams": 2, "temperature": 0.2}, {"flag": True, "list": [1]}
)


def hf_query(request: Request) -> list[tuple[str, str]]:
    """Return the query of a request to the router."""
    address, _, query = request.url.partition("?")
    assert address == ROUTER_URL
    return parse_qsl(query, keep_blank_values=True)


# Hugging Face's dialect


@pytest.mark.parametrize(
    ("ask", "form"),
    [
        (Ask(), Form("raw", False)),
        (Ask(return_timestamps=True), Form("raw", True)),
        (Ask(return_timestamps="word"), Form("raw", "word")),
        (Ask(extra_parameters={"a": 1, "b": "x", "c": True, "d": 0.5}), Form("raw", False)),
        (Ask(extra_parameters={"a": [1]}), Form("json", False)),
        (Ask(extra_parameters={"a": None}), Form("json", False)),
        (Ask(language="de"), Form("json", False)),
        (Ask(task="translate"), Form("json", False)),
        (Ask(generation_parameters={"num_beams": 2}), Form("json", False)),
        (Ask(prompt="x"), Form("raw", False, frozenset({"prompt"}))),
    ],
)
def test_hf_first_form(ask: Ask, form: Form) -> None:
    """Raw audio goes out where the query can carry what is asked; a prompt can go nowhere."""
    assert HF.first_form(ask) == form


def test_hf_raw() -> None:
    """Raw: the audio's very bytes, its content type, the one "accept" that the toolkit takes, and no query."""
    request = HF.build(ROUTER, Ask(), Form("raw", False), UPLOAD)
    assert (request.method, request.url, request.content) == ("POST", ROUTER_URL, DATA)
    assert request.headers == {"accept": "application/json", "content-type": "audio/flac"}


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "true"), (False, "false"), (3, "3"), (-1.5, "-1.5"), ("a b&c=ü", "a b&c=ü"), ("", ""), ("true", "true")],
)
def test_hf_query_values(value: Any, written: str) -> None:
    """Values are written as the toolkit reads them back: JSON's words for truth and numbers, text as it is."""
    request = HF.build(ROUTER, Ask(extra_parameters={"a&b": value}), Form("raw", False), UPLOAD)
    assert hf_query(request) == [("a&b", written)]


@pytest.mark.parametrize(("timestamps", "written"), [(True, "true"), ("word", "word")])
def test_hf_query_times(timestamps: Any, written: str) -> None:
    """The form decides which times are asked for, not the ask; what was dropped stays away."""
    ask = Ask(return_timestamps=True, extra_parameters={"flag": True, "other": 1})
    request = HF.build(ROUTER, ask, Form("raw", timestamps, frozenset({"flag"})), UPLOAD)
    assert hf_query(request) == [("other", "1"), ("return_timestamps", written)]


@pytest.mark.parametrize(
    ("ask", "form", "parameters"),
    [
        (Ask(), Form("json", False), {}),
        (Ask(return_timestamps=True), Form("json", True), {"return_timestamps": True}),
        (
            EVERYTHING,
            Form("json", "word", frozenset({"prompt"})),
            {
                "flag": True,
                "list": [1],
                "return_timestamps": "word",
                "generation_parameters": {
                    "language": "de",
                    "task": "transcribe",
                    "num_beams": 2,
                    "temperature": 0.2,
                },
            },
        ),
        (
            EVERYTHING,
            Form("json", False, frozenset({"prompt", "language", "num_beams", "list"})),
            {"flag": True, "generation_parameters": {"task": "transcribe", "temperature": 0.2}},
        ),
        (Ask(language="de"), Form("json", False, frozenset({"language"})), {}),
    ],
)
def test_hf_json(ask: Ask, form: Form, parameters: dict[str, Any]) -> None:
    """JSON: base64 beside "parameters", which must be there even where it is empty; no query."""
    request = HF.build(ROUTER, ask, form, UPLOAD)
    assert (request.method, request.url) == ("POST", ROUTER_URL)
    assert request.headers == {"accept": "application/json", "content-type": "application/json"}
    body = json.loads(request.content)
    assert base64.b64decode(body.pop("inputs"), validate=True) == DATA
    assert body == {"parameters": parameters}


def test_hf_whisper_window() -> None:
    """A Whisper takes 30 s at once; of other models, and unknown ones, no limit is known."""
    assert HF.max_duration_s("openai/Whisper-tiny") == 30.0
    assert HF.max_duration_s("facebook/wav2vec2-base-960h") is None
    assert HF.max_duration_s(None) is None
    assert OPENAI.max_duration_s("openai/whisper-tiny") is None


# OpenAI's dialect


def openai_body(ask: Ask, form: Form, server: Any = SERVER) -> tuple[str, list[tuple[str, str]]]:
    """Return the address and the fields of a request, after a look at all of its other bytes."""
    request = OPENAI.build(server, ask, form, UPLOAD)
    kind, _, boundary = request.headers["content-type"].partition("; boundary=")
    assert (request.method, kind, request.headers["accept"]) == ("POST", "multipart/form-data", "application/json")
    mark = b"--" + boundary.encode()
    head, *parts = request.content.split(b"\r\n" + mark)
    assert head == (
        mark + b'\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\n'
        b"Content-Type: audio/flac\r\n\r\n" + DATA
    )
    assert parts.pop() == b"--\r\n"
    fields = []
    for part in parts:
        before, name, after = part.split(b'"', 2)
        assert before == b"\r\nContent-Disposition: form-data; name="
        assert after.startswith(b"\r\n\r\n")
        fields.append((name.decode(), after[4:].decode()))
    return request.url, fields


@pytest.mark.parametrize(
    ("ask", "form", "fields"),
    [
        (Ask(), Form("multipart", False), [("model", "org/name"), ("response_format", "json")]),
        (
            Ask(return_timestamps=True),
            Form("multipart", True),
            [("model", "org/name"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "segment")],
        ),
        (
            EVERYTHING,
            Form("multipart", "word", frozenset({"num_beams"})),
            [
                ("model", "org/name"),
                ("language", "de"),
                ("prompt", "a prompt"),
                ("temperature", "0.2"),
                ("flag", "true"),
                ("list", "[1]"),
                ("response_format", "verbose_json"),
                ("timestamp_granularities[]", "segment"),
                ("timestamp_granularities[]", "word"),
            ],
        ),
        (
            replace(EVERYTHING, return_timestamps=False, extra_parameters={"none": None}),
            Form("multipart", False, frozenset({"num_beams", "language", "prompt"})),
            [("model", "org/name"), ("temperature", "0.2"), ("response_format", "json")],
        ),
    ],
)
def test_openai_fields(ask: Ask, form: Form, fields: list[tuple[str, str]]) -> None:
    """The file comes first, with the name that our own table gives it; then the fields, in order, as text."""
    assert openai_body(ask, form) == ("http://localhost:8000/v1/audio/transcriptions", fields)


def test_openai_needs_a_model() -> None:
    """The protocol requires a model: without one the default is named."""
    _, fields = openai_body(Ask(), Form("multipart", False), openai_server("http://localhost:8000", None))
    assert fields[0] == ("model", "openai/whisper-large-v3")


def test_openai_translation() -> None:
    """Translation has an address of its own, which takes no language; without the task it is a transcription."""
    ask = Ask(language="de", task="translate", prompt="x")
    form = OPENAI.first_form(ask)
    assert form.dropped == {"language"}
    url, fields = openai_body(ask, form)
    assert url == "http://localhost:8000/v1/audio/translations"
    assert fields == [("model", "org/name"), ("prompt", "x"), ("response_format", "json")]
    url, _ = openai_body(ask, replace(form, dropped=frozenset({"task"})))
    assert url == "http://localhost:8000/v1/audio/transcriptions"


@pytest.mark.parametrize(
    ("ask", "form"),
    [
        (Ask(), Form("multipart", False)),
        (Ask(language="de", task="transcribe", prompt="x"), Form("multipart", False)),
        (EVERYTHING, Form("multipart", True, frozenset({"num_beams"}))),
        (Ask(generation_parameters={"temperature": 0.5, "top_k": 3}), Form("multipart", False, frozenset({"top_k"}))),
        (Ask(return_timestamps="word"), Form("multipart", "word")),
    ],
)
def test_openai_first_form(ask: Ask, form: Form) -> None:
    """Of generation settings, the protocol has a field for the temperature alone."""
    assert OPENAI.first_form(ask) == form


# What is tried next

RAW, JSON, MULTIPART = Form("raw", False), Form("json", False), Form("multipart", False)


def tried(dialect: Dialect, form: Form, ask: Ask, fix: Fix | None, *parameters: str) -> list[Form]:
    """Return the forms that follow a failure."""
    failure = Failure(BadRequestError("no", status_code=400), fix, parameters)
    return list(dialect.other_forms(form, ask, failure))


def test_other_body() -> None:
    """JSON follows raw; raw follows JSON, without what a query cannot carry. Multipart has no other body."""
    assert tried(HF, RAW, Ask(), Fix.BODY) == [JSON]
    nested = frozenset({"language", "task", "prompt", "num_beams", "temperature", "list"})
    assert tried(HF, JSON, EVERYTHING, Fix.BODY) == [Form("raw", False, nested)]
    assert tried(HF, replace(JSON, dropped=frozenset({"flag"})), Ask(language="de"), Fix.BODY) == [
        Form("raw", False, frozenset({"flag", "language"}))
    ]
    assert tried(OPENAI, MULTIPART, EVERYTHING, Fix.BODY) == []


@pytest.mark.parametrize(("dialect", "form"), [(HF, JSON), (OPENAI, MULTIPART)])
def test_without_a_parameter(dialect: Dialect, form: Form) -> None:
    """Named parameters are left out together, where they were asked for and not left out before."""
    assert tried(dialect, form, EVERYTHING, Fix.PARAMETER, "language") == [
        replace(form, dropped=frozenset({"language"}))
    ]
    both = frozenset({"language", "task"})
    assert tried(dialect, form, EVERYTHING, Fix.PARAMETER, "task", "language", "nothing") == [
        replace(form, dropped=both)
    ]
    gone = replace(form, dropped=frozenset({"language"}))
    assert tried(dialect, gone, EVERYTHING, Fix.PARAMETER, "task", "language") == [replace(form, dropped=both)]
    assert tried(dialect, gone, EVERYTHING, Fix.PARAMETER, "language") == []
    assert tried(dialect, form, Ask(), Fix.PARAMETER, "language") == []
    assert tried(dialect, form, EVERYTHING, Fix.PARAMETER, "nothing") == []


@pytest.mark.parametrize("name", ["generate_kwargs", "generation_parameters"])
def test_without_generation_settings(name: str) -> None:
    """A server that takes no generation settings at all gets none of them."""
    dropped = frozenset({"language", "task", "num_beams", "temperature"})
    assert tried(HF, JSON, EVERYTHING, Fix.PARAMETER, name) == [replace(JSON, dropped=dropped)]


def test_other_times() -> None:
    """The nearest times come first, none at all last; where none were asked for there is nothing to try."""

    def times(dialect: Dialect, timestamps: Any) -> list[Any]:
        form = Form("raw", timestamps)
        forms = tried(dialect, form, Ask(return_timestamps=timestamps), Fix.TIMESTAMPS)
        assert all(replace(other, timestamps=timestamps) == form for other in forms)
        return [other.timestamps for other in forms]

    assert [times(HF, asked) for asked in (True, "word", False)] == [["word", False], [True, False], []]
    assert [times(OPENAI, asked) for asked in (True, "word", False)] == [[False], [True, False], []]


@pytest.mark.parametrize(("dialect", "form"), [(HF, RAW), (OPENAI, MULTIPART)])
def test_other_audio(dialect: Dialect, form: Form) -> None:
    """Audio that cannot be read is decoded once; audio that is too large is sent as small as speech goes, once."""

    def next_uploads(upload: Any, fix: Fix | None) -> list[str]:
        return [other.upload for other in tried(dialect, replace(form, upload=upload), Ask(), fix)]

    assert [next_uploads(upload, Fix.DECODE) for upload in ("first", "flac", "opus")] == [["flac"], [], []]
    assert [next_uploads(upload, Fix.SHRINK) for upload in ("first", "flac", "opus")] == [["opus"], ["opus"], []]
    assert next_uploads("first", None) == []


def test_ready_urls() -> None:
    """A server of one's own tells at /health whether it is up; the router has no such address."""
    assert HF.ready_url(ROUTER) is None
    assert HF.ready_url(ENDPOINT) == "http://localhost:8000/health"
    assert HF.ready_url(endpoint_server("http://localhost:8000/predict", None)) == "http://localhost:8000/health"
    assert OPENAI.ready_url(SERVER) == "http://localhost:8000/health"


# Words and segments


def shared(segments: list[tuple[float, float]], words: list[tuple[float, float | None]]) -> list[list[float]]:
    """Return the words that each segment got, by their starts."""
    body = {
        "text": "x",
        "segments": [{"start": start, "end": end, "text": "s"} for start, end in segments],
        "words": [{"word": "w", "start": start, "end": end} for start, end in words],
    }
    response = Response(200, {}, json.dumps(body).encode())
    transcript = OPENAI.parse(response, Ask(return_timestamps="word"), Form("multipart", "word"), None)
    return [[word.start for word in segment.words] for segment in transcript.segments]


@pytest.mark.parametrize(
    ("segments", "words", "starts"),
    [
        ([(0, 2), (2, 4)], [(0, 1), (1, 2), (2, 3)], [[0, 1], [2]]),
        ([(0, 2), (2, 4)], [(1.7, 2.1)], [[1.7], []]),  # most of it lies in the first
        ([(0, 2), (2, 4)], [(1.7, 2.5)], [[], [1.7]]),  # most of it lies in the second
        ([(0, 2), (2, 4)], [(1.5, 2.5)], [[], [1.5]]),  # its middle is where the second begins
        ([(0, 2), (2, 4)], [(1.5, None), (2, None)], [[1.5], [2]]),
        ([(1, 2), (3, 4)], [(0, 0.5), (2.2, 2.4), (9, 9.5)], [[0, 2.2], [9]]),
        ([(0, 1), (1, 2), (2, 3)], [(0, 0.5), (2.1, 2.5)], [[0], [], [2.1]]),
        ([(0, 1), (1, 2)], [], [[], []]),
    ],
)
def test_words_are_shared(
    segments: list[tuple[float, float]], words: list[tuple[float, float | None]], starts: list[list[float]]
) -> None:
    """Each word goes, once, to the last segment that begins no later than the word's middle."""
    assert shared(segments, words) == starts


def test_words_alone_make_segments() -> None:
    """A server that gives words and no segments still gives segments here."""
    body = b'{"text": "hi", "words": [{"word": " hi ", "start": 0.5, "end": 1}]}'
    transcript = OPENAI.parse(Response(200, {}, body), Ask(return_timestamps="word"), Form("multipart", "word"), None)
    assert transcript.segments == (Segment(0.5, 1.0, "hi", (Word(0.5, 1.0, "hi"),)),)
