"""Answers of any shape and any status, parsed and through a whole call: a sound transcript or one of our errors."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hfasr import APIError, APIResponseError, APIStatusError, AudioTooLongError, HfasrError, RetryPolicy, Transcript
from hfasr._core import gates
from hfasr._hosted.dialect import Ask, Dialect, Fix, Form, Server
from hfasr._hosted.failures import diagnose
from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.probe import read_probe
from hfasr._hosted.replies import error_text, json_of
from hfasr.testing import FakeASRServer, FakeClock, Reply
from hfasr.wire import Response
from tests.colours import Session

if TYPE_CHECKING:
    from hfasr.types import Timestamps

N_EXAMPLES = 2_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 100
SERVERS = [
    Server("http://x/", "openai/whisper-tiny", "x"),
    Server("http://x/", None, "x", endpoint=True, scales="if silent"),
    Server("http://x/", "m", "x", endpoint=True, scales="always"),
]
DIALECTS: list[Dialect] = [HFDialect(), OpenAIDialect()]
CLIP_S = 0.9  # three words of tone speech
KEYS = st.sampled_from(
    [
        *("text", "chunks", "segments", "words", "word", "timestamp", "start", "end", "confidence", "probability", "score"),
        *("language", "duration", "error", "detail", "message", "msg", "loc", "param", "title", "estimated_time", "type"),
    ]
)  # fmt: skip
TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        *(
            "",
            " ",
            "hello there",
            "is loading",
            "Model not supported by provider x",
            "CTC can either predict",
            "\ud800",
        ),
        *("unexpected keyword argument 'task'", "malformed", "audio too long", "\x1b[31mred\x1b[0m", "a\nb\u2028c"),
    ]
)
NUMBERS = st.integers(-3, 3) | st.floats() | st.sampled_from([10**30, -(10**30), 10**4000, 1e308, 0.1, 9e8])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=5),
    max_leaves=15,
)
HF_ANSWER = {
    "text": " a man said",
    "chunks": [
        {"timestamp": [0.0, 0.4], "text": " a man", "speaker": None},
        {"timestamp": [0.4, None], "text": " said"},
    ],
    "language": "en",
}
OPENAI_ANSWER = {
    "task": "transcribe",
    "language": "english",
    "duration": 0.9,
    "text": "a man said",
    "segments": [{"id": 0, "start": 0.0, "end": 0.8, "text": " a man said", "avg_logprob": -0.2, "tokens": [1, 2]}],
    "words": [
        {"word": "a", "start": 0.0, "end": 0.1, "probability": 0.5},
        {"word": "man", "start": 0.1, "end": 0.4},
        {"word": "said", "start": 0.4, "end": 0.8},
    ],
}
REFUSALS = [
    {"error": "Model x is currently loading", "estimated_time": 20.0},
    {"error": ["Error in `inputs`: Malformed soundfile"], "warnings": []},
    {"error": {"message": "Invalid value for 'language'.", "type": "invalid_request_error", "param": "language"}},
    {"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]},
    {"title": "Billing required", "detail": "Set up billing", "status": 402},
]


def encoded(value: Any) -> bytes:
    """Write *value* as Python's JSON does: NaN, lone surrogates and all; huge numbers too."""
    return json.dumps(_spelled(value)).replace('"<huge>"', "1" + "0" * 4_400).encode()


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spelled(inner) for inner in value]
    return "<huge>" if isinstance(value, int) and abs(value) >= 10**4000 else value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside *value*."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in inside for place in places(inner, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, answers: list[Any]) -> Any:
    """Give one of *answers* with one to three of its values exchanged, taken out or doubled."""
    answer = copy.deepcopy(draw(st.sampled_from(answers)))
    for _ in range(draw(st.integers(1, 3))):
        ways = [place for place in places(answer) if place]
        if not ways:
            return answer
        *way, last = draw(st.sampled_from(ways))
        holder = answer
        for key in way:
            holder = holder[key]
        kind = draw(st.sampled_from(["exchange", "exchange", "take out", "double"]))
        if kind == "take out":
            del holder[last]
        elif kind == "double" and isinstance(holder, list):
            holder.append(holder[last])
        else:
            holder[last] = draw(JSON)
    return answer


ODD_BODIES = st.sampled_from(
    [
        b"",
        b"\xef\xbb\xbf" + json.dumps(HF_ANSWER).encode(),
        json.dumps(HF_ANSWER).encode("utf-16"),
        json.dumps(HF_ANSWER).encode("utf-32-be"),
        b'{"text": "\xff\xfe"}',
        b'{"text": "a\x00b"}',
        b'{"text": "x"}\x00',
        b'{"text": "a", "text": "b", "text": 7}',
        b'{"text": "\\ud800"}',
        b'{"text": "x", "chunks": [{"text": "x", "timestamp": [NaN, -Infinity]}]}',
        b'{"text": "x", "duration": 1' + b"0" * 5_000 + b"}",
        b"[" * 100_000,
        b'{"error":' * 100_000,
        b'{"text": "x", "chunks": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"<!DOCTYPE html><html><body>502</body></html>",
        b"data: {}\n\n",
        b"null",
        b'"text"',
        b"x" * 3_000_000,
    ]
)
ANSWERS = st.one_of(mutated([HF_ANSWER, OPENAI_ANSWER]), JSON).map(encoded) | ODD_BODIES | st.binary(max_size=60)
FAILURES = st.one_of(mutated([*REFUSALS, HF_ANSWER]), JSON).map(encoded) | ODD_BODIES | st.binary(max_size=60)
TIMES: st.SearchStrategy[Timestamps] = st.sampled_from([False, True, "word"])


def check_transcript(transcript: Transcript, *, within: float | None) -> None:
    """See that *transcript* is of the documented shape, whatever was sent; *within*: seconds that no time may pass."""
    assert type(transcript.text) is str
    assert transcript.text == transcript.text.strip()
    assert transcript.language is None or (type(transcript.language) is str and transcript.language)
    for segment in transcript.segments:
        check_span(segment, within)
        assert type(segment.text) is str
        assert segment.text == segment.text.strip() != ""
        for word in segment.words:
            check_span(word, within)
            assert type(word.word) is str
            assert word.word == word.word.strip() != ""
            assert word.confidence is None or 0 <= word.confidence <= 1
        if within is not None:
            stops = segment.end if segment.end is not None else within
            assert all(segment.start <= word.start <= stops for word in segment.words)
            assert all(word.end is None or word.start <= word.end <= stops for word in segment.words)
    if within is not None:
        starts = [segment.start for segment in transcript.segments]
        assert starts == sorted(starts)
    assert pickle.loads(pickle.dumps(transcript)) == transcript
    assert Transcript.from_dict(transcript.to_dict()) == transcript
    strict = json.loads(transcript.to_json(), parse_constant=pytest.fail)
    assert Transcript.from_dict(strict) == transcript


def check_span(span: Any, within: float | None) -> None:
    """See that a time is a number, and ordered and inside where the call's guards have seen it."""
    for time in (span.start, span.end):
        assert time is None or (type(time) is float and math.isfinite(time) and time >= 0)
        if within is not None and time is not None:
            assert time <= within + 1e-6
    assert type(span.start) is float
    if within is not None and span.end is not None:
        assert span.start <= span.end


def check_error(error: HfasrError) -> None:
    """See that *error* is one line, short, names something to do, and crosses processes."""
    message = str(error)
    assert 0 < len(message) <= 500
    assert {unicodedata.category(char) for char in message}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), message)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(ANSWERS, TIMES, TIMES, st.sampled_from(DIALECTS), st.none() | st.floats(0.1, 60))
def test_any_answer(body: bytes, asked: Timestamps, sent: Timestamps, dialect: Dialect, duration: float | None) -> None:
    """A 2xx body, whatever it holds, is read into a transcript of the documented shape, or is an `APIResponseError`."""
    response = Response(200, {"content-type": "application/json"}, body)
    try:
        transcript = dialect.parse(response, Ask(return_timestamps=asked), Form("raw", sent), duration)
    except APIResponseError as error:
        check_error(error)
    else:
        check_transcript(transcript, within=None)
        assert transcript.duration == duration
        assert sent or not transcript.segments


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(
    FAILURES, st.integers(300, 599), st.sampled_from(SERVERS), st.sampled_from(["", "text/html", "\xff;;=", "x" * 999])
)
def test_any_refusal(body: bytes, status: int, server: Server, kind: str) -> None:
    """An answer outside 2xx, whatever it holds, is a typed error with a remedy, and names parameters as words."""
    response = Response(status, {"content-type": kind}, body)
    failure = diagnose(response, server, wall=0.0, duration=None)
    check_error(failure.error)
    assert isinstance(failure.error, APIStatusError) is (type(failure.error).__name__ != "AudioTooLongError")
    assert (failure.fix is Fix.PARAMETER) is bool(failure.parameters)
    assert all(type(name) is str and name for name in failure.parameters)
    assert read_probe(response) in {True, False, None}
    assert type(error_text(response)) is str


@pytest.mark.parametrize(
    "opening", ['{"error":', '{"detail":[{"loc":[', "[", '{"text":"x","chunks":[', '{"error":[{"msg":[']
)
def test_any_depth(opening: str) -> None:
    """However deep an answer is nested, it is understood or refused; and what is understood can be pickled."""
    closing = "".join({"{": "}", "[": "]"}.get(char, "") for char in reversed(opening))
    own = sum(char in "[{" for char in opening)
    for depth in (1, 2, 50, 64 - own, 65 - own, *range(900, 1_100, 9), 5_000, 100_000):
        body = f"{opening}{'[' * depth}{']' * depth}{closing}".encode()
        assert (json_of(Response(200, {}, body)) is not None) is (own + depth <= 64)
        for dialect in DIALECTS:
            response = Response(200, {}, body)
            if opening.startswith('{"text') and own + depth <= 64:
                transcript = dialect.parse(response, Ask(return_timestamps=True), Form("raw", True), 1.0)
                assert pickle.loads(pickle.dumps(transcript)).raw == transcript.raw
            else:
                with pytest.raises(APIResponseError):
                    dialect.parse(response, Ask(return_timestamps=True), Form("raw", True), 1.0)
        for status in (400, 422, 500, 503):
            check_error(diagnose(Response(status, {}, body), SERVERS[0], wall=0.0, duration=None).error)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.sampled_from('[]{}"\\ax\n'), max_size=30), min_size=1, max_size=5))
def test_brackets_in_texts_are_no_depth(texts: list[str]) -> None:
    """What is said may hold any number of brackets and quotes."""
    chunks = [{"text": f"{text}x", "timestamp": [0.0, 1.0]} for text in texts * 70]
    for encoding in ("utf-8", "utf-16"):
        body = json.dumps({"text": "x", "chunks": chunks}).encode(encoding)
        assert json_of(Response(200, {}, body)) == {"text": "x", "chunks": chunks}


CONTENT_TYPES = st.sampled_from(
    ["application/json", "text/html", "application/octet-stream", "application/json; charset=utf-16", "x", ""]
)


def test_any_answer_to_a_call(colour: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """Through a whole call, too: a transcript whose times lie in order within the audio, or an `APIError`."""

    @settings(max_examples=N_EXAMPLES, deadline=None)
    @given(
        ANSWERS | FAILURES,
        st.one_of(st.just(200), st.integers(200, 599)),
        CONTENT_TYPES,
        TIMES,
        st.sampled_from(["hf", "openai"]),
    )
    @example(json.dumps(HF_ANSWER).encode(), 200, "application/json", "word", "hf")
    @example(json.dumps(OPENAI_ANSWER).encode(), 200, "application/json", "word", "openai")
    def check(body: bytes, status: int, kind: str, times: Timestamps, dialect: str) -> None:
        gates.reset()
        asr_server._script.clear()  # of the answers that the example before did not ask for
        asr_server.script(*[Reply(status, body=body, headers={"content-type": kind})] * 4)
        failed: HfasrError | None = None
        try:
            transcript = asr[dialect].transcribe(wav, return_timestamps=times)
        except HfasrError as error:
            check_error(error)
            failed = error
        if failed is not None:
            assert isinstance(failed, APIError | AudioTooLongError)
            assert 1 <= len(failed.attempts) <= 4
        else:
            assert 200 <= status < 300
            check_transcript(transcript, within=transcript.duration)
            assert transcript.duration == pytest.approx(CLIP_S)
            assert times or not transcript.segments

    once = RetryPolicy(max_attempts=1, loading_timeout=0, breaker_threshold=None)
    asr = {
        dialect: Session(colour, base_url=url, dialect=dialect, retry=once, clock=FakeClock())
        for dialect, url in (("hf", asr_server.url), ("openai", asr_server.openai_url))
    }
    try:
        check()
    finally:
        for one in asr.values():
            one.close()
