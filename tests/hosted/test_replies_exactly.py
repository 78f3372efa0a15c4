"""What replies hold, to the last field, and the very borders of what is read of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfasr import APIResponseError
from hfasr._hosted.dialect import Ask, Dialect, Form
from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.replies import decode, error_text, json_of, read_segments, read_words, request_id, seconds, text_of
from hfasr.types import Segment, Transcript, Word
from hfasr.wire import Response
from tests.hosted.reply_kit import reply

HF, OPENAI = HFDialect(), OpenAIDialect()


# The dialects' transcripts


def parsed(dialect: Dialect, body: Any, asked: Any, sent: Any, duration: float | None = 9.0) -> Transcript:
    return dialect.parse(reply(body), Ask(return_timestamps=asked), Form("raw", sent), duration)


def test_hf_transcripts() -> None:
    """Chunks are segments, or words that are grouped; words that were not asked for are left out."""
    chunks = [{"text": " one ", "timestamp": [0, 1]}, {"text": "two", "timestamp": [1.1, 2]}]
    body = {"text": " one two ", "chunks": chunks, "language": "en"}
    words = (Word(0.0, 1.0, "one"), Word(1.1, 2.0, "two"))
    assert parsed(HF, body, True, True) == Transcript(
        "one two", (Segment(0.0, 1.0, "one"), Segment(1.1, 2.0, "two")), "en", 9.0, raw=body
    )
    assert parsed(HF, body, True, True).raw == body
    assert parsed(HF, body, "word", "word").segments == (Segment(0.0, 2.0, "one two", words),)
    assert parsed(HF, body, True, "word").segments == (Segment(0.0, 2.0, "one two"),)
    assert parsed(HF, body, "word", "word", None) == Transcript(
        "one two", (Segment(0.0, 2.0, "one two", words),), "en", None, raw=body
    )
    assert parsed(HF, body, False, False).segments == ()
    assert parsed(HF, body, True, False).segments == ()
    for language in (None, "", 3, ["en"]):
        assert parsed(HF, {"text": "a", "language": language}, False, False).language is None


def test_openai_transcripts() -> None:
    """Words are a list of their own or the segments'; those that were not asked for are left out."""
    word, segment = {"word": "one", "start": 0, "end": 1}, {"text": " one", "start": 0, "end": 1.5}
    plain = Segment(0.0, 1.5, "one")
    full = Segment(0.0, 1.5, "one", (Word(0.0, 1.0, "one"),))
    body: dict[str, Any] = {"text": " one ", "segments": [segment], "words": [word], "language": "en"}
    assert parsed(OPENAI, body, True, True) == Transcript("one", (plain,), "en", 9.0, raw=body)
    assert parsed(OPENAI, body, "word", "word").segments == (full,)
    assert parsed(OPENAI, body, True, True).raw == body
    inside = {"text": "one", "segments": [{**segment, "words": [word]}]}
    assert parsed(OPENAI, inside, "word", "word").segments == (full,)
    assert parsed(OPENAI, inside, True, True).segments == (plain,)
    assert parsed(OPENAI, {"text": "one", "words": [word]}, "word", "word").segments == (
        Segment(0.0, 1.0, "one", (Word(0.0, 1.0, "one"),)),
    )
    assert parsed(OPENAI, {"text": "one", "segments": [segment]}, "word", "word").segments == (plain,)
    three: dict[str, Any] = {"text": "x", "segments": [{"text": "x", "start": i, "end": i + 1} for i in range(3)]}
    three["words"] = [{**word, "start": 1.1, "end": 1.5}, {**word, "start": 1.2, "end": 1.6}]
    assert [len(one.words) for one in parsed(OPENAI, three, "word", "word").segments] == [0, 2, 0]
    assert parsed(OPENAI, body, True, False).segments == ()
    assert parsed(OPENAI, body, False, False, None) == Transcript("one", (), "en", None, raw=body)
    for language in (None, "", 3, ["en"]):
        assert parsed(OPENAI, {"text": "a", "language": language}, False, False).language is None


# Any reply


@pytest.mark.parametrize(
    ("n_chars", "error"),
    [(1_000_000, None), (1_000_001, "the server answered 200 with 1000001 characters, which is no transcript; ")],
)
def test_the_longest_text(n_chars: int, error: str | None) -> None:
    """A million characters are a transcript, and more are none."""
    response = reply({"text": "a" * n_chars}, x_request_id="r1")
    if error is None:
        assert text_of(response)[0] == "a" * n_chars
        return
    with pytest.raises(APIResponseError) as caught:
        text_of(response)
    assert str(caught.value) == f"{error}check that base_url and model are those of a speech recogniser"
    assert (caught.value.status_code, caught.value.request_id, caught.value.body) == (200, "r1", "")


def test_the_most_values() -> None:
    """Half a million values may be a transcript, and more are not even read."""
    some, more = (b'{"text": "a", "x": [' + b"0," * (n - 4) + b"0]}" for n in (500_001, 500_002))
    assert text_of(reply(some))[0] == "a"
    assert json_of(reply(more)) is None
    with pytest.raises(APIResponseError) as caught:
        text_of(reply(more, 201, x_request_id="r1"))
    assert str(caught.value) == (
        "the server answered 201 with over 500000 values, which is no transcript; "
        "check that base_url and model are those of a speech recogniser"
    )
    assert (caught.value.status_code, caught.value.request_id) == (201, "r1")


@pytest.mark.parametrize(("depth", "is_read"), [(63, True), (64, True), (65, False), (500, False)])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_deepest_answer(depth: int, is_read: bool, opening: bytes, closing: bytes) -> None:
    """What is nested beyond 64 levels is not read; what lies side by side is."""
    assert (json_of(reply(opening * depth + b"0" + closing * depth)) is not None) is is_read
    flat = b",[0]" * 99
    beside = b"[" + opening * (depth - 1) + b"0" + closing * (depth - 1) + flat + b"]"
    assert (json_of(reply(beside)) is not None) is is_read


def test_no_transcript() -> None:
    """The error has the status, the request's id and the body; what came is said to 300 characters."""
    body = {f"k{i:02}": 1 for i in range(99)}
    what = f"no transcript, but JSON with the keys {', '.join(body)}"[:300]
    with pytest.raises(APIResponseError) as caught:
        text_of(reply(body, 206, x_request_id="r1"))
    assert str(caught.value) == (
        f"the server answered 206 with {what}; check that base_url and model are those of a speech recogniser"
    )
    assert (caught.value.status_code, caught.value.request_id) == (206, "r1")
    assert caught.value.body == json.dumps(body)
    with pytest.raises(APIResponseError, match="JSON with the keys a, b; check"):
        text_of(reply({"b": 1, "a": 2}))


def test_beginnings() -> None:
    """Of a body the first 20,000 bytes are read as text unless it is said how many, whatever they are."""
    assert decode(Response(200, {}, b"x" * 20_001)) == "x" * 20_000
    assert decode(Response(200, {}, b"ab\xffc"), 3) == "ab\ufffd"
    assert json_of(Response(200, {}, b"\xff")) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a1_.:=;,+/-", "a1_.:=;,+/-"), ("x" * 99, "x" * 99), ("two\nlines", "two lines"), (" a ", "a"), ("é", "é")],
)
def test_ids_of_requests(given: str, kept: str) -> None:
    """A plain id is kept as it is; any other becomes one line."""
    assert request_id(reply(b"", 500, x_request_id=given)) == kept
    assert len(request_id(reply(b"", 500, x_request_id="é " * 300)) or "") <= 200


@pytest.mark.parametrize(
    ("value", "read"),
    [(0, 0.0), (1.5, 1.5), (999_999_999, 999_999_999.0), (1e9, None), (-1e-9, None), (True, None), ("1", None), (None, None)],
)  # fmt: skip
def test_seconds(value: Any, read: float | None) -> None:
    """A time is a number from 0 to a thousand million seconds."""
    assert seconds(value) == read
    assert seconds(float("nan")) is None


def test_where_times_and_confidences_are() -> None:
    """Times are read from either pair of places, and confidences from the first name that is there."""
    items = [
        {"word": "a", "text": "b", "timestamp": [1, 2], "start": 3, "end": 4, "confidence": 0.1, "probability": 0.2, "score": 0.3},
        {"text": "c", "timestamp": [5], "start": 3, "end": 4, "probability": 0.2, "score": 0.3},
        {"text": "d", "timestamp": 7, "start": 8, "end": 9, "score": 1},
        {"text": "e", "start": None, "end": 10, "score": 1.001},
        {"text": "f"},
        {"word": None, "text": "g"},
    ]  # fmt: skip
    assert read_words(items) == (
        *(Word(1.0, 2.0, "a", 0.1), Word(5.0, None, "c", 0.2), Word(8.0, 9.0, "d", 1.0)),
        *(Word(9.0, 10.0, "e", None), Word(10.0, None, "f", None)),
    )
    assert read_segments(
        [{"text": " s ", "start": 1, "words": [{"word": "w", "end": 2}]}, {"text": "t", "end": 3}]
    ) == (
        Segment(1.0, None, "s", (Word(0.0, 2.0, "w"),)),
        Segment(1.0, 3.0, "t"),
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": {"msg": {"error": {"detail": "a"}}}}}, "a"),
        ({"error": {"message": {"message": {"message": {"message": ["a"]}}}}}, ""),
        ({"error": {"loc": ["body", "x"], "msg": ["a", "b"]}}, "x: a; b"),
        ({"error": {"loc": ["body", "x"]}}, "x: "),
        ({"error": {"loc": "x", "msg": "a"}}, "a"),
        ({"error": {"loc": ["x", 1.5], "msg": "a"}}, "a"),
        ({"error": [{"loc": ["x"], "msg": [["a"]]}, "b"]}, "x: a; b"),
        ({"error": [{"loc": ["x"], "msg": [[["a"]]]}, "b"]}, "x: ; b"),
        ({"error": {"loc": ["x"], "msg": [[[["a"]]]]}}, "x: "),
    ],
)
def test_where_the_words_of_an_error_are(body: Any, said: str) -> None:
    """Words are read four levels deep, behind the place that they are about."""
    assert error_text(reply(body, 500)) == said
