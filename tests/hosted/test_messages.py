"""What errors say, word by word, and the bounds of what is read: a changed constant or remedy is noticed here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfasr import APIResponseError, APIStatusError, AudioTooLongError, ModelLoadingError
from hfasr._hosted.complaints import read_complaint
from hfasr._hosted.dialect import Ask, Fix, Form, Server
from hfasr._hosted.failures import diagnose
from hfasr._hosted.hf import HFDialect
from hfasr._hosted.replies import error_text, read_segments, read_words, request_id
from hfasr._hosted.servers import check_url, endpoint_server, openai_server, router_server
from hfasr.types import Segment, Word
from hfasr.wire import Response

ROUTER = router_server("https://router.huggingface.co", "hf-inference", "openai/whisper-large-v3")
HF_ENDPOINT = endpoint_server("https://x.eu.endpoints.huggingface.cloud", None)
OWN_TOOLKIT = endpoint_server("http://localhost:8000", "m/m")
OWN_OPENAI = openai_server("http://localhost:8000/v1", None)
LOG_IN = "check the token: run `hf auth login`, or set HF_TOKEN to a valid one"
BUY = "buy credits at https://huggingface.co/settings/billing, pass bill_to=, or set a fallback="
ALLOW = 'give the token the permission "Make calls to Inference Providers" at https://huggingface.co/settings/tokens'
OWN_KEY = "pass the server's key as token=; a Hugging Face token that was found is not sent there"
LATER = "try again later, or set a fallback="


def failed(status: int, body: Any = None, server: Server = ROUTER, **headers: str) -> Any:
    """Return the error that a reply leads to."""
    content = b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return diagnose(Response(status, named, content), server, wall=0.0, duration=12.5).error


@pytest.mark.parametrize("server", [ROUTER, HF_ENDPOINT, OWN_TOOLKIT, OWN_OPENAI], ids=lambda server: server.name)
@pytest.mark.parametrize(
    ("status", "remedy", "of_own_servers"),
    [
        (400, "check the request", None),
        (401, LOG_IN, OWN_KEY),
        (402, BUY, "look at the server's own billing, or set a fallback="),
        (403, ALLOW, "pass a key as token= that may do this"),
        (404, "check model= and base_url=", None),
        (408, "try again, or raise timeout=", None),
        (410, "the address is retired: leave router_url= at its default, or correct base_url=", None),
        (413, "send shorter audio", None),
        (415, "set dialect= to what the server speaks", None),
        (418, "check the request", None),
        (422, "check the request", None),
        (429, "lower the request rate, or set a fallback=", None),
        (499, "check the request", None),
        (500, LATER, None),
        (502, LATER, None),
        (504, LATER, None),
        (599, LATER, None),
    ],
)
def test_remedies(server: Server, status: int, remedy: str, of_own_servers: str | None) -> None:
    """Every status has its remedy; of a server of the caller's own, one that fits it."""
    own = server in (OWN_TOOLKIT, OWN_OPENAI)
    wanted = of_own_servers if own and of_own_servers else remedy
    assert str(failed(status, {"error": "no luck"}, server)) == f"{server.name} answered {status}: no luck; {wanted}"
    assert str(failed(status, None, server)) == f"{server.name} answered {status}: nothing more; {wanted}"


def test_what_is_said_of_models() -> None:
    """A model that is not there, still loads, or hears too little is named, and what to do."""
    gone = {"error": "Model not supported by provider x"}
    assert str(failed(400, gone)) == (
        "hf-inference answered 400: Model not supported by provider x; "
        "choose another model than openai/whisper-large-v3, or set a fallback="
    )
    assert str(failed(404, gone, OWN_OPENAI)) == (
        "http://localhost:8000/v1 answered 404: Model not supported by provider x; check base_url=, dialect= and model="
    )
    loading = failed(503, {"error": "Model m is currently loading", "estimated_time": 20})
    assert isinstance(loading, ModelLoadingError)
    assert str(loading) == (
        "hf-inference is still loading openai/whisper-large-v3: Model m is currently loading; "
        "call wait_until_ready() first, or raise RetryPolicy(loading_timeout=)"
    )
    assert str(failed(503, None, HF_ENDPOINT)).startswith(f"{HF_ENDPOINT.name} is still loading its model: 503; call")
    too_long = failed(400, {"error": "audio_too_long"})
    assert isinstance(too_long, AudioTooLongError)
    assert str(too_long) == "hf-inference says that 12.5 s of audio are too long for openai/whisper-large-v3; cut it"
    unreadable = failed(400, {"error": "Malformed soundfile"})
    assert str(unreadable).endswith("Malformed soundfile; the server cannot read this audio; check that it plays")


def test_what_an_error_holds() -> None:
    """Status, request id, wait and the beginning of the body are kept; a wait of a 429 is in the message."""
    error = failed(429, {"error": "slow"}, retry_after="7", x_request_id="r/1=" * 12, inference_id="no")
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.request_id, error.retry_after) == (429, "r/1=" * 12, 7.0)
    assert error.body == '{"error": "slow"}'
    assert "it asks to wait 7 s: lower the request rate" in str(error)
    assert [failed(status).maybe_billed for status in (500, 501, 502, 503, 504, 505)] == [
        *(False, False, True, False, True, False)
    ]
    assert len(failed(500, {"error": "é " * 9_000}).body or "") <= 2_000
    assert len(str(failed(500, {"error": "é " * 9_000}))) < 400


def test_request_ids() -> None:
    """The id is looked for by these names, in this order; an empty one is none."""
    names = ("x-request-id", "inference-id", "x-inference-id", "x-amzn-trace-id", "x-amz-cf-id")
    headers = {name: f"id of {name}" for name in names}
    for name in names:
        assert request_id(Response(500, headers, b"")) == f"id of {name}"
        headers[name] = ""
    assert request_id(Response(500, headers, b"")) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "a", "detail": "b", "message": "c", "title": "d"}, "a"),
        ({"error": "", "detail": "b", "message": "c", "title": "d"}, "b"),
        ({"detail": None, "message": "c", "title": "d"}, "c"),
        ({"title": "d"}, "d"),
        ({"error": [str(number) for number in range(12)]}, "0; 1; 2; 3; 4; 5; 6; 7; 8; 9"),
        ({"error": [[["a"]], [[["b"]]], [[[["c"]]]]]}, "a; b"),
        ({"error": [[[[["a"]]]], "b"]}, "b"),
        ({"error": {"message": "a", "msg": "b", "error": "c", "detail": "d"}}, "a"),
        ({"error": {"msg": "b", "error": "c", "detail": "d"}}, "b"),
        ({"error": {"error": "c", "detail": "d"}}, "c"),
        ({"error": {"detail": "d"}}, "d"),
        ({"error": {"code": 7}}, ""),
        ({"error": 7}, ""),
        ({"detail": [{"loc": ["body", 3], "msg": "a"}, {"loc": [], "msg": "b"}, {"loc": [["x"]], "msg": "c"}]}, "3: a; b; c"),
        ({"error": "x" * 1_001}, "x" * 1_000),
    ],
)  # fmt: skip
def test_error_texts(body: Any, said: str) -> None:
    """The first place that says something is read, in order, so deep and so far."""
    assert error_text(Response(500, {}, json.dumps(body).encode())) == said


def test_error_texts_that_are_no_json() -> None:
    """Of plain text the beginning is read, of a page that it is one, and of nothing what a header says."""
    assert error_text(Response(500, {}, b" " + b"x" * 2_000)) == "x" * 999
    for page in (b"<!DOCTYPE html>", b"\n<html lang=en>", b"<HTML>"):
        assert error_text(Response(500, {}, page)) == "an HTML page"
    assert error_text(Response(500, {"x-error-message": "gone"}, b" ")) == "gone"
    assert error_text(Response(500, {}, b"")) == ""


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b'{"error": "no luck"}', "application/json", "an error: no luck"),
        (b'{"text": "x", "error": "no luck"}', "application/json", "an error: no luck"),
        (b'{"text": null}', "application/json", "no transcript, but JSON with the keys text"),
        (b"<html>", "text/html", "no transcript, but an HTML page"),
        (b'[{"text": "a"}, {"text": "b"}]', None, "no transcript, but JSON that is a list"),
        (b"{}", None, "no transcript, but JSON with the keys of nothing"),
        (b"plain", None, "no transcript, but 5 bytes (no content type)"),
        (b"plain", "Text/x-log; charset=utf-8", "no transcript, but 5 bytes (Text/x-log)"),
        (b"plain", "[230, 232, 123, 2, 158, 31, 151, 54, 146]", "no transcript, but 5 bytes (no content type)"),
        (b"plain", "audio/" + "UklGRiQA" * 6, "no transcript, but 5 bytes (no content type)"),
        (b"plain", "x; " * 24, "no transcript, but 5 bytes (no content type)"),
    ],
)
def test_answers_without_a_transcript(body: bytes, kind: str | None, what: str) -> None:
    """What came instead of a transcript is said, and only of an error what it says."""
    response = Response(200, {"content-type": kind} if kind else {}, body)
    with pytest.raises(APIResponseError) as caught:
        HFDialect().parse(response, Ask(), Form("raw", False), None)
    assert str(caught.value) == (
        f"the server answered 200 with {what}; check that base_url and model are those of a speech recogniser"
    )
    assert (caught.value.status_code, caught.value.body) == (200, body.decode())


def test_one_answer_in_a_list() -> None:
    """Pipelines that take batches answer with a list of one."""
    transcript = HFDialect().parse(Response(200, {}, b'[{"text": " a "}]'), Ask(), Form("raw", False), 2.0)
    assert (transcript.text, transcript.duration, transcript.raw) == ("a", 2.0, {"text": " a "})


def test_times_and_confidences() -> None:
    """Times are numbers from 0 to 30 years, confidences from 0 to 1; anything else is not known."""
    items = [
        {"word": " a ", "start": 0, "end": 1, "confidence": 1.0},
        {"text": "b", "start": -0.1, "end": 1e9, "probability": 1.1},
        {"text": "c", "timestamp": [True, "2"], "score": 0},
        {"text": "d", "timestamp": (), "confidence": None, "score": 0.5},
        {"word": "e", "start": 2.5, "end": 999_999_999},
        {"word": 7}, {"word": " "}, {}, None, "x",
    ]  # fmt: skip
    assert read_words(items) == (
        Word(0.0, 1.0, "a", 1.0),
        Word(1.0, None, "b", None),
        Word(1.0, None, "c", 0.0),
        Word(1.0, None, "d", None),
        Word(2.5, 999_999_999.0, "e", None),
    )
    assert read_segments([{"text": "a", "start": 1, "end": 2, "words": items[:1]}]) == (
        Segment(1.0, 2.0, "a", (Word(0.0, 1.0, "a", 1.0),)),
    )
    assert read_words({"word": "a"}) == ()
    assert read_segments("a") == ()


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        *((text, Fix.BODY) for text in ("File name too long", "not BASE64", "Incorrect padding", "bad content type", "bad content-type")),
        *((text, Fix.BODY) for text in ("Unsupported Media Type", "must be multipart/form-data")),
        *((text, Fix.DECODE) for text in ("it is malformed", "not in the correct format", "Invalid file format", "format is not supported")),
        *((text, Fix.DECODE) for text in ("Format not recognised", "format not recognized", "audio could not be decoded", "audio file cannot be read")),
        *((text, Fix.DECODE) for text in ("audio data can't be opened", "audio could not be loaded", "Audio file might be corrupt", "invalid audio data")),
        *((text, Fix.DECODE) for text in ("failed to decode audio", "unable to load the audio file", "could not open audio.", "error reading audio:", "cannot read audio")),
        *((text, Fix.TIMESTAMPS) for text in ("CTC can either predict x", "no alignment_heads", "no timestamps", "a timestamp", "not verbose_json")),
        *((text, None) for text in ("malformedness", "failed to load audio weights", "timestamping", "the content is a type", "no luck")),
    ],
)  # fmt: skip
def test_every_complaint(said: str, fix: Fix | None) -> None:
    """Every wording that is known is understood, and what only resembles it is not."""
    assert read_complaint(Response(400, {}, json.dumps({"error": said}).encode())).fix is fix


@pytest.mark.parametrize(
    "said",
    [
        *("more than 3000 mel input features", "audio_too_long", "audio too long", "clip is too long", "recording was too long"),
        *("audio file is too long", "maximum audio duration", "max clip length", "max_audio_length", "audio longer than 30"),
        *("the clip of you exceeds a second", "recording exceed the limit", "audio is longer than one minute", "audio exceeds the duration"),
    ],
)  # fmt: skip
def test_every_complaint_of_length(said: str) -> None:
    """So do the wordings for audio that is too long."""
    assert read_complaint(Response(400, {}, json.dumps({"error": said}).encode())).too_long


@pytest.mark.parametrize(
    "said", ["the prompt exceeds a limit", "audio. It is longer than 30", "too long", "audio exceeds all"]
)
def test_other_lengths(said: str) -> None:
    """What is not about the audio's length is not."""
    assert not read_complaint(Response(400, {}, json.dumps({"error": said}).encode())).too_long


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (3, 'base_url is not a URL; write it like "https://host/path"'),
        ("host", 'base_url must begin with http:// or https:// and name a host, like "https://host/path"'),
        ("http://a:b@host", "base_url holds a user name or password; pass a credential as token= instead"),
        ("http://host?a=b", "base_url must not hold a query or fragment; use extra_parameters= for parameters"),
    ],
)
def test_refused_urls(url: Any, message: str) -> None:
    """A URL that is refused is so for a reason, and with a remedy."""
    with pytest.raises(ValueError, match="base_url") as caught:
        check_url(url, "base_url")
    assert str(caught.value) == message


@pytest.mark.parametrize("model", ["a" * 97, "a/../b", "a/b/c", "/a", "a b", "ä", "-a", "", "a/"])
def test_refused_models(model: str) -> None:
    """What is no id of the Hub is not sent to it."""
    with pytest.raises(ValueError, match="Hub model id") as caught:
        router_server("https://r", "p", model)
    assert str(caught.value) == (
        f"{model!r} is not a Hub model id like 'openai/whisper-large-v3'; "
        "for a folder on this machine choose a local backend="
    )
    assert router_server("https://r", "p", "a" * 96).url == f"https://r/p/models/{'a' * 96}"
    assert router_server("https://r", "p", "A_b-1.c/D") == Server("https://r/p/models/A_b-1.c/D", "A_b-1.c/D", "p")
