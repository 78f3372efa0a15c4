"""What each refusal means: which error, what may mend it, and which parameter is at fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfasr import (
    APIStatusError,
    AudioTooLongError,
    AuthenticationError,
    BadRequestError,
    EndpointGoneError,
    HfasrError,
    ModelLoadingError,
    ModelNotHostedError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from hfasr._hosted.dialect import Failure, Fix, Server
from hfasr._hosted.failures import diagnose
from hfasr._hosted.servers import endpoint_server, openai_server, router_server
from hfasr.wire import Response

MODEL = "openai/whisper-large-v3"
ROUTER = router_server("https://router.huggingface.co", "hf-inference", MODEL)
HF_ENDPOINT = endpoint_server("https://x.us-east-1.aws.endpoints.huggingface.cloud", MODEL)
OWN_TOOLKIT = endpoint_server("http://localhost:8000", MODEL)
OWN_OPENAI = openai_server("http://localhost:8000", MODEL)


def read(status: int, body: Any, server: Server = ROUTER, **headers: str) -> Failure:
    """Diagnose a reply; a string is sent as it is, anything else as JSON."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return diagnose(Response(status, named, content), server, wall=0.0, duration=12.5)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "Invalid username or password."}, AuthenticationError),
        (401, {"error": "Invalid credentials in Authorization header"}, AuthenticationError),
        (401, "<!doctype html><html><body>401</body></html>", AuthenticationError),
        (402, {"error": "You have depleted your monthly included credits. Purchase pre-paid credits"}, PaymentRequiredError),
        (402, {"error": "You have reached the free monthly usage limit for groq"}, PaymentRequiredError),
        (402, {"title": "Billing required", "detail": "You need to set up billing", "status": 402}, PaymentRequiredError),
        (
            403,
            {
                "error": "This authentication method does not have sufficient permissions to call Inference "
                "Providers on behalf of user X"
            },
            PermissionDeniedError,
        ),
        (404, "Not Found", ModelNotHostedError),
        (404, {"error": "Model this-model-does-not-exist-123 does not exist"}, NotFoundError),
        (404, "<html>nginx</html>", NotFoundError),
        (400, {"error": "Model not supported by provider hf-inference"}, ModelNotHostedError),
        (400, {"error": "Model not supported by provider together"}, ModelNotHostedError),
        (408, "", ServerError),
        (
            410,
            {"error": "https://api-inference.huggingface.co/ is no longer supported. Please use https://router.huggingface.co/ instead"},
            EndpointGoneError,
        ),
        (418, "", APIStatusError),
        (422, {"error": "Input validation error", "error_type": "validation"}, BadRequestError),
        (429, {"error": "Rate limit reached. Please log in or use a HF access token"}, RateLimitError),
        (429, {"error": "Please log in or use a HF access token"}, RateLimitError),
        (500, "", ServerError),
        (502, "<html>502</html>", ServerError),
        (504, "", ServerError),
        (599, "", ServerError),
    ],
)  # fmt: skip
def test_statuses(status: int, body: Any, kind: type[HfasrError]) -> None:
    """A refusal that no other form of the request mends is this error, and nothing is tried anew."""
    failure = read(status, body)
    assert type(failure.error) is kind
    assert (failure.fix, failure.parameters) == (None, ())
    assert isinstance(failure.error, APIStatusError)
    assert failure.error.status_code == status
    assert failure.error.maybe_billed is (status in {502, 504})


def test_too_large() -> None:
    """A 413 asks for fewer bytes."""
    failure = read(413, "Payload Too Large")
    assert type(failure.error) is PayloadTooLargeError
    assert failure.fix is Fix.SHRINK


@pytest.mark.parametrize("server", [ROUTER, OWN_TOOLKIT, OWN_OPENAI, HF_ENDPOINT], ids=lambda server: server.name)
@pytest.mark.parametrize("seconds", [20.0, 22.307266235351562, 1809.18])
def test_loading(server: Server, seconds: float) -> None:
    """The recorded reply of a loading model is understood from every server, with its estimate."""
    body = {"error": "Model espnet/kan-bayashi_ljspeech_vits is currently loading", "estimated_time": seconds}
    error = read(503, body, server).error
    assert isinstance(error, ModelLoadingError)
    assert error.estimated_time == seconds


@pytest.mark.parametrize(
    ("body", "server", "kind"),
    [
        ("", ROUTER, ServerError),
        ("", OWN_OPENAI, ServerError),
        ("", OWN_TOOLKIT, ModelLoadingError),
        ("", HF_ENDPOINT, ModelLoadingError),
        ({"error": "overloaded"}, ROUTER, ServerError),
        ({"error": "overloaded"}, OWN_TOOLKIT, ServerError),
        ({"error": "overloaded"}, OWN_OPENAI, ServerError),
        ({"error": "overloaded"}, HF_ENDPOINT, ModelLoadingError),
        ("Service Temporarily Unavailable", ROUTER, ServerError),
        ("<html><head><title>503 Service Temporarily Unavailable</title></head></html>", ROUTER, ServerError),
    ],
)
def test_unavailable(body: Any, server: Server, kind: type[HfasrError]) -> None:
    """
    A 503 that does not say so means loading only where the server may have been scaled to zero.

    Hugging Face's own endpoints are behind a proxy that says 503 for that alone; a toolkit server
    may be, where it says nothing.
    """
    assert type(read(503, body, server).error) is kind


def test_headers_are_read() -> None:
    """The error holds the request's id and the time that the server asks for."""
    error = read(429, {"error": "slow down"}, x_request_id="Root=1-abc", retry_after="7").error
    assert isinstance(error, RateLimitError)
    assert (error.request_id, error.retry_after) == ("Root=1-abc", 7.0)


MALFORMED = (
    "Soundfile is either not in the correct format or is malformed. Ensure that the soundfile has a valid audio "
    "file extension (e.g. wav, flac or mp3) and is not corrupted. If reading from a remote URL, ensure that the URL "
    "is the full address to **download** the audio file."
)
CTC = (
    "CTC can either predict character level timestamps, or word level timestamps. Set `return_timestamps='char'` "
    "or `return_timestamps='word'` as required."
)
HEADS = (
    "Model generation config has no `alignment_heads`, token-level timestamps not available. See "
    "https://gist.github.com/hollance/42e32852f24243b748ae6bc1f985b13a on how to add this property to the generation config."
)
ENGLISH_ONLY = (
    "Cannot specify `task` or `language` for an English-only model. If the model is intended to be multilingual, "
    "pass `is_multilingual=True` to generate, or update the generation config."
)
ASKED = {"message": "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3']", "param": None, "code": None}
VERBOSE = {
    "message": "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text' instead.",
    "param": "response_format",
    "code": "unsupported_value",
}


@pytest.mark.parametrize(
    ("body", "fix", "parameters"),
    [
        # Audio that the server cannot read.
        ({"error": MALFORMED}, Fix.DECODE, ()),
        ({"error": ["Error in `inputs`: Malformed soundfile"]}, Fix.DECODE, ()),
        ({"error": "Malformed soundfile"}, Fix.DECODE, ()),
        ({"error": ASKED}, Fix.DECODE, ()),
        ({"error": {"message": "Audio file might be corrupted or unsupported", "param": "file"}}, Fix.DECODE, ()),
        # Bodies that it does not take.
        (
            {"error": 'Content type "None" not supported. Supported content types are: audio/x-flac, audio/flac, audio/wav'},
            Fix.BODY,
            (),
        ),
        ({"error": "No content type provided and no default one configured."}, Fix.BODY, ()),
        ({"error": f"[Errno 36] File name too long: '{'AAAAGGZ0eXBtcDQy' * 200}'"}, Fix.BODY, ()),
        ({"error": "[Errno 36] File name too long: 'AAAAGGZ0eXBtcDQy'"}, Fix.BODY, ()),
        ({"error": "Incorrect padding"}, Fix.BODY, ()),
        # Times that the model cannot give.
        ({"error": CTC}, Fix.TIMESTAMPS, ()),
        ({"error": HEADS}, Fix.TIMESTAMPS, ()),
        ({"error": VERBOSE}, Fix.TIMESTAMPS, ()),
        ({"error": {"message": "no", "param": "timestamp_granularities[]"}}, Fix.TIMESTAMPS, ()),
        # Parameters that it does not take, or not with this value.
        (
            {"error": "AutomaticSpeechRecognitionPipeline._sanitize_parameters() got an unexpected keyword argument 'task'"},
            Fix.PARAMETER,
            ("task",),
        ),
        ({"error": "generate() got an unexpected keyword argument 'max_length'"}, Fix.PARAMETER, ("max_length",)),
        (
            {
                "error": "The following `model_kwargs` are not used by the model: ['language', 'num_beems'] (note: typos "
                "in the generate arguments will also show up in this list)"
            },
            Fix.PARAMETER,
            ("language", "num_beems"),
        ),
        ({"error": ENGLISH_ONLY}, Fix.PARAMETER, ("task", "language")),
        ({"error": "Unsupported language: xx. Language should be one of: ['english', 'chinese']."}, Fix.PARAMETER, ("language",)),
        ({"error": {"message": "Invalid value for 'language': 'xx'.", "param": None}}, Fix.PARAMETER, ("language",)),
        ({"error": {"message": "Not that one.", "param": "language"}}, Fix.PARAMETER, ("language",)),
        ({"error": {"message": "Unrecognized request argument supplied: foo", "param": None}}, Fix.PARAMETER, ("foo",)),
        ({"error": {"message": "Unknown parameter: 'foo'.", "param": "foo"}}, Fix.PARAMETER, ("foo",)),
        ({"error": "unknown parameter: lang"}, Fix.PARAMETER, ("language",)),
        ({"detail": [{"loc": ["body", "prompt"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]}, Fix.PARAMETER, ("prompt",)),
        ({"detail": [{"loc": ["body", "language"], "msg": "Input should be 'en'", "type": "enum"}]}, Fix.PARAMETER, ("language",)),
        # Anything else: nothing to change.
        ({"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]}, None, ()),
        ({"error": {"message": "you must provide a model parameter", "param": "model"}}, None, ()),
        ({"error": "CUDA out of memory. Tried to allocate 20.00 MiB"}, None, ()),
        ({"error": "CUDA error: file could not be opened for audio"}, None, ()),
        ({"error": "Failed to load audio model weights"}, None, ()),
        ({"error": "Both `max_new_tokens` (=448) and `max_length`(=20) seem to have been set."}, None, ()),
        ({"error": "The prompt is longer than 224 tokens"}, None, ()),
        ({"error": "stack expects each tensor to be equal size, but got [80, 3000] at entry 0"}, None, ()),
        ({"error": f"it broke on '{'malformed base64 content-type timestamps ' * 3}'"}, None, ()),
        ("", None, ()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 422])
def test_complaints(status: int, body: Any, fix: Fix | None, parameters: tuple[str, ...]) -> None:
    """Each complaint leads to the one change that may mend it, and to none where it is not about the request."""
    failure = read(status, body)
    assert type(failure.error) is BadRequestError
    assert (failure.fix, failure.parameters) == (fix, parameters)


@pytest.mark.parametrize("body", ["", "Unsupported Media Type", {"error": "Content-Type must be multipart/form-data"}])
def test_unsupported_media_type(body: Any) -> None:
    """A 415 is about the body, whatever it says."""
    failure = read(415, body)
    assert type(failure.error) is BadRequestError
    assert failure.fix is Fix.BODY


MEL = (
    "You have passed more than 3000 mel input features (> 30 seconds) which automatically enables long-form generation "
    "which requires the model to predict timestamp tokens. Please either pass `return_timestamps=True` or make sure to "
    "pass no more than 3000 mel input features."
)


@pytest.mark.parametrize(
    "body",
    [
        {"error": MEL},
        {"error": {"message": "Audio file is too long", "code": "audio_too_long"}},
        {"error": "audio_too_long"},
        {"error": {"message": "Maximum clip duration (30s) exceeded.", "type": "BadRequestError"}},
    ],
)
def test_too_long(body: Any) -> None:
    """Audio that is longer than the server takes is an error of the audio, which names its length."""
    failure = read(400, body)
    assert type(failure.error) is AudioTooLongError
    assert "12.5 s" in str(failure.error)
    assert failure.fix is None


def test_too_long_of_unknown_length() -> None:
    """Where nobody here could read the length, the error names what can."""
    failure = diagnose(Response(400, {}, json.dumps({"error": MEL}).encode()), ROUTER, wall=0.0, duration=None)
    assert type(failure.error) is AudioTooLongError
    assert "hfasr[av]" in str(failure.error)


@pytest.mark.parametrize(
    ("server", "status", "remedy"),
    [
        (ROUTER, 401, "hf auth login"),
        (endpoint_server("https://x.eu.aws.endpoints.huggingface.cloud", None), 401, "hf auth login"),
        (endpoint_server("http://localhost:8000", None), 401, "token="),
        (openai_server("http://localhost:8000/v1", None), 401, "token="),
        (openai_server("http://localhost:8000/v1", None), 404, "check base_url="),
        (ROUTER, 404, "choose another model"),
    ],
)
def test_remedies_fit_the_server(server: Server, status: int, remedy: str) -> None:
    """What to do depends on whose server it is."""
    failure = diagnose(Response(status, {}, b"Not Found"), server, wall=0.0, duration=None)
    assert remedy in str(failure.error)


def test_rate_limit_names_the_wait() -> None:
    """A message about too many requests says how long the server asks to wait."""
    failure = diagnose(Response(429, {"retry-after": "3600"}, b"slow down"), ROUTER, wall=0.0, duration=None)
    assert "3600 s" in str(failure.error)
