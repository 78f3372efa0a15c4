"""The forms of one request: which are tried after which refusal, what is learned, and what comes of the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hfasr import (
    APIResponseError,
    AudioDecodeError,
    AudioTooLongError,
    BadRequestError,
    HfasrError,
    PayloadTooLargeError,
    Transcript,
)
from hfasr._core.routes import DIALECTS, HostedRoute
from hfasr._hosted.dialect import Ask, Failure, Form
from hfasr._hosted.hf import HFDialect
from hfasr.wire import Response
from tests.core.hosted_kit import MALFORMED, NO_BODY, NO_TIMES, OK, SIZES, TOO_LARGE, URL, Case, Sound


def test_what_is_learned() -> None:
    """A form that mended a refusal is what the next call begins with, with the audio as it is at first."""
    case = Case(MALFORMED, NO_TIMES, OK, ask=Ask(return_timestamps=True))
    case.run()
    assert case.types == ["audio/first", "audio/flac", "audio/flac"]
    learned = case.shared.learned_form(case.server, case.ask)
    assert learned == Form("raw", "word")
    after = Case(OK, ask=case.ask, shared=case.shared)
    after.run()
    assert after.types == ["audio/first"]
    assert after.net.asked[0].url.endswith("?return_timestamps=word")


def test_one_attempt_for_all_forms() -> None:
    """Another form is sent at once, without a pause, and is no attempt of the policy's; the first one has its error."""
    case = Case(NO_TIMES, OK, ask=Ask(return_timestamps=True), max_attempts=1)
    case.run()
    assert (case.clock.sleeps, case.errors) == ([], ["BadRequestError", None])
    assert case.shared.learned_form(case.server, case.ask) == Form("raw", "word")


def test_the_same_bytes_in_another_form() -> None:
    """Audio is encoded anew only where the form says so."""
    case = Case(NO_TIMES, OK, ask=Ask(return_timestamps=True))
    case.run()
    assert [asked[0] for asked in case.sound.asked] == ["first"]
    case = Case(MALFORMED, OK, route=HostedRoute("ours", "p", URL, "a/whisper", "hf", False, None))
    answer = case.run()
    assert case.sound.asked == [("first", HFDialect.accepts, 30.0), ("flac", HFDialect.accepts, 30.0)]
    assert answer.upload.format == "flac"


def test_damaged_for_good() -> None:
    """Audio that is refused after it was decoded here is damaged, for every route."""
    case = Case(MALFORMED, MALFORMED, OK)
    with pytest.raises(BadRequestError):
        case.run()
    assert case.call.audio_refused is True
    assert case.types == ["audio/first", "audio/flac"]


def test_refused_for_something_else() -> None:
    """A refusal of anything else says nothing against the audio."""
    case = Case(MALFORMED, Response(400, {}, b'{"error": "no"}'))
    with pytest.raises(BadRequestError):
        case.run()
    assert case.call.audio_refused is False


def test_cannot_be_decoded_here() -> None:
    """What cannot be encoded anew either is the server's refusal, with what failed here as its cause."""
    case = Case(MALFORMED, OK, sound=Sound(fails="flac"))
    with pytest.raises(BadRequestError) as caught:
        case.run()
    assert isinstance(caught.value.__cause__, AudioDecodeError)
    assert case.call.audio_refused is True
    assert len(case.net.asked) == 1


@pytest.mark.parametrize(("opus", "is_sent"), [(99, True), (100, False), (101, False)])
def test_only_what_is_smaller(opus: int, is_sent: bool) -> None:
    """After a refusal for its size only what is smaller is sent."""
    case = Case(TOO_LARGE, OK, sound=Sound({**SIZES, "opus": opus}))
    if is_sent:
        assert case.run().upload.format == "opus"
    else:
        with pytest.raises(PayloadTooLargeError):
            case.run()
    assert len(case.net.asked) == 1 + is_sent


def test_larger_is_fine_for_another_reason() -> None:
    """Where the size was not the matter, decoded audio may be larger."""
    case = Case(MALFORMED, OK, sound=Sound({**SIZES, "flac": 400}))
    assert len(case.run().upload.data) == 400


@pytest.mark.parametrize(("shorter", "learned"), [(20.0, 20.0), (None, None)])
def test_too_long(shorter: float | None, learned: float | None) -> None:
    """What the audio says of a refusal for its length is learned for that server."""
    case = Case(Response(400, {}, b'{"error": "audio too long"}'), sound=Sound(shorter=shorter))
    with pytest.raises(AudioTooLongError) as caught:
        case.run()
    assert case.sound.refused == [caught.value]
    assert "7.5" in str(caught.value)
    assert case.shared.longest_s(case.server, case.clock.now()) == learned


class Steps(HFDialect):
    """Has these kinds of audio to offer after each refusal."""

    def __init__(self, *steps: Any) -> None:
        self._steps = steps

    def other_forms(self, form: Form, ask: Ask, failure: Failure) -> Iterator[Form]:
        return (replace(form, upload=step) for step in self._steps)


def test_no_form_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that was refused is not sent again, not even the first one."""
    monkeypatch.setitem(DIALECTS, "hf", Steps("first"))
    case = Case(NO_TIMES, OK)
    with pytest.raises(BadRequestError):
        case.run()
    assert len(case.net.asked) == 1


def test_next_form_that_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one form is no smaller, the next one may be."""
    monkeypatch.setitem(DIALECTS, "hf", Steps("opus", "flac"))
    case = Case(TOO_LARGE, OK, sound=Sound({**SIZES, "opus": 400}))
    assert case.run().upload.format == "flac"
    assert [asked[0] for asked in case.sound.asked] == ["first", "opus", "flac"]


class Endless(HFDialect):
    """Has another form after each refusal, with one more parameter left out."""

    def other_forms(self, form: Form, ask: Ask, failure: Failure) -> Iterator[Form]:
        yield form
        yield replace(form, dropped=form.dropped | {f"p{len(form.dropped)}"})


def test_against_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve forms are tried, each once, whatever a dialect makes up."""
    monkeypatch.setitem(DIALECTS, "hf", Endless())
    case = Case(*[NO_TIMES] * 99)
    with pytest.raises(BadRequestError):
        case.run()
    assert len(case.net.asked) == 12


# The answer


@pytest.mark.parametrize(("status", "is_answer"), [(199, False), (200, True), (299, True), (300, False)])
def test_status_of_an_answer(status: int, is_answer: bool) -> None:
    """Each 2xx is an answer, and nothing else is."""
    case = Case(replace(OK, status_code=status), max_attempts=1)
    if is_answer:
        assert case.run().transcript.text == "hi"
    else:
        with pytest.raises(HfasrError, match=f"answered {status}"):
            case.run()


def test_answer_of_no_shape() -> None:
    """An answer that cannot be read is an attempt that failed, and is tried again."""
    case = Case(Response(200, {}, b"[]"), OK)
    case.run()
    assert case.errors == ["APIResponseError", None]
    case = Case(Response(299, {}, b"[]"), max_attempts=1)
    with pytest.raises(APIResponseError) as caught:
        case.run()
    assert caught.value.status_code == 299


@pytest.mark.parametrize(("n_bytes", "n_offloaded"), [(65_536, 0), (65_537, 1)])
def test_large_answer(monkeypatch: pytest.MonkeyPatch, n_bytes: int, n_offloaded: int) -> None:
    """A large answer is parsed in a thread; up to 64 KiB that would cost more than it spares."""
    case = Case(Response(200, {}, json.dumps({"text": "x" * (n_bytes - 12)}).encode()))
    offloaded: list[Any] = []

    async def offload(work: Any) -> Any:
        offloaded.append(work)
        return work()

    monkeypatch.setattr(case.call.io, "offload", offload)
    assert len(case.run().transcript.text) == n_bytes - 12
    assert len(offloaded) == n_offloaded


CHUNKS = '{"text": "hi", "chunks": [{"text": "hi", "timestamp": [0, 1]}]}'


@pytest.mark.parametrize(
    ("asked", "answer", "warnings"),
    [
        (False, '{"text": "hi"}', ()),
        (True, '{"text": "hi"}', ("https://h.example gave no times",)),
        ("word", '{"text": "hi"}', ("https://h.example gave no times",)),
        (True, '{"text": ""}', ()),
        (True, CHUNKS, ()),
        ("word", CHUNKS, ()),
    ],
)
def test_missing_times(asked: Any, answer: str, warnings: tuple[str, ...]) -> None:
    """Times that were asked for and did not come are a warning, where there is text to have them."""
    assert (
        Case(Response(200, {}, answer.encode()), ask=Ask(return_timestamps=asked)).run().transcript.warnings == warnings
    )


def test_missing_words() -> None:
    """Segments in place of words are another."""
    refused = Response(400, {}, b'{"error": "no alignment_heads, token-level timestamps not available"}')
    case = Case(refused, Response(200, {}, CHUNKS.encode()), ask=Ask(return_timestamps="word"))
    assert case.run().transcript.warnings == ("https://h.example gave no word times, only segments'",)


def test_warnings_in_order() -> None:
    """What was left out is told by name, in order, after the dialect's own warnings."""

    class Warns(HFDialect):
        def parse(self, response: Response, ask: Ask, form: Form, duration: float | None) -> Transcript:
            return Transcript("hi", warnings=("first",))

    case = Case(NO_BODY, OK, ask=Ask(task="translate", language="de", prompt="p", return_timestamps=True))
    case.route = replace(case.route, name="ours")
    DIALECTS["hf"], before = Warns(), DIALECTS["hf"]
    try:
        warnings = case.run().transcript.warnings
    finally:
        DIALECTS["hf"] = before
    left_out = [f"https://h.example cannot take {name}; it was left out" for name in ("language", "prompt", "task")]
    assert warnings == ("first", *left_out, "https://h.example gave no times")
