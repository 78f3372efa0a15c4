"""
Hugging Face's two servers for one model: the one behind the router (``hf-inference``), and the
toolkit of Inference Endpoints. They differ in what they take.

Source:
    github.com/huggingface/huggingface-inference-toolkit, ``webservice_starlette.py``, ``serialization/base.py``
    and ``handler.py`` (read 2026-11-22), and transformers' ``AutomaticSpeechRecognitionPipeline``;
    the router's headers are those of a recorded exchange of 2025-03-21.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hfasr.errors import AudioDecodeError
from hfasr.types import Audio, Segment, TranscribeOptions, Transcript

from .heard import Listener, decode
from .replies import MALFORMED_AUDIO, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._connection import RecordedRequest

__all__ = ["Model", "hub_model_info", "router_reply", "router_request_id", "toolkit_reply"]

CONTENT_TYPES = (
    *("application/json", "image/png", "image/jpeg", "image/jpg", "image/tiff", "image/bmp", "image/gif"),
    *("image/webp", "image/x-image", "audio/x-flac", "audio/flac", "audio/mpeg", "audio/x-mpeg-3", "audio/wave"),
    *("audio/wav", "audio/x-wav", "audio/ogg", "audio/x-audio", "audio/webm", "audio/webm;codecs=opus", "audio/AMR"),
    *("audio/amr", "audio/AMR-WB", "audio/AMR-WB+", "audio/m4a", "audio/x-m4a"),
)
PARAMETERS = {
    *("chunk_length_s", "stride_length_s", "ignore_warning", "decoder_kwargs", "return_timestamps"),
    *("generate_kwargs", "max_new_tokens", "batch_size", "num_workers"),
}
CTC_TIMESTAMPS = (
    "CTC can either predict character level timestamps, or word level timestamps. "
    "Set `return_timestamps='char'` or `return_timestamps='word'` as required."
)
WHISPER_CHARS = (
    "Whisper cannot return `char` timestamps, only word level or segment level timestamps. "
    "Use `return_timestamps='word'` or `return_timestamps=True` respectively."
)
TOO_MANY_FEATURES = (
    "You have passed more than 3000 mel input features (> 30 seconds) which automatically enables long-form "
    "generation which requires the model to predict timestamp tokens. Please either pass `return_timestamps=True` "
    "or make sure to pass no more than 3000 mel input features."
)
NO_WORD_TIMES = (
    "Model generation config has no `alignment_heads`, token-level timestamps not available. See "
    "https://gist.github.com/hollance/42e32852f24243b748ae6bc1f985b13a on how to add this property "
    "to the generation config."
)
TASK = "automatic-speech-recognition"
MAX_NAME, MAX_PATH = 255, 4095  # bytes that Linux takes in one part of a path, and in all of it


@dataclass(frozen=True, slots=True)
class Model:
    """How the model behind the server behaves."""

    kind: Literal["whisper", "ctc"]
    """``"whisper"`` gives segments and words, ``"ctc"`` words only."""

    max_duration_s: float | None
    """Whisper behind the router: what is longer fails as the live service does, seconds; ``None``: any length."""

    last_end_null: bool
    """Whether Whisper leaves the end of the last segment open."""


class RefusalError(Exception):
    """The server's own code failed: it answers 400 with the exception's text."""


def router_reply(request: RecordedRequest, listener: Listener, model: Model) -> Reply:
    """Answer as ``router.huggingface.co/hf-inference/models/…`` does."""
    try:
        content, parameters = _router_inputs(request)
        audio, transcript = _run(content, parameters, listener, model, limit_s=model.max_duration_s)
        request.heard = transcript.text
        body = _pipeline_output(transcript, parameters.get("return_timestamps"), model)
    except RefusalError as refusal:
        return Reply(400, json={"error": str(refusal)}, headers=_router_headers(request))
    headers = _router_headers(request)
    headers["x-compute-audio-length"] = str(len(audio.waveform) / audio.sampling_rate)
    return Reply(200, json=body, headers=headers, chunked=True)


def toolkit_reply(request: RecordedRequest, listener: Listener, model: Model) -> Reply:
    """Answer as the root of an Inference Endpoint with HF's toolkit image does."""
    try:
        content, parameters = _toolkit_inputs(request)
        _, transcript = _run(content, parameters, listener, model, limit_s=None)
        request.heard = transcript.text
        body = _pipeline_output(transcript, parameters.get("return_timestamps"), model)
        _check_accept(request)  # after the work, as the real one does
    except RefusalError as refusal:
        return Reply(400, json={"error": str(refusal)}, headers={"server": "uvicorn"})
    return Reply(200, json=body, headers={"server": "uvicorn"})


def hub_model_info(request: RecordedRequest) -> Reply:
    """
    Answer as ``huggingface.co/api/models/…`` does.

    That is the task and more; or, with ``?expand=inferenceProviderMapping``, who serves the model, and no more.
    """
    model_id = request.path.removeprefix("/api/models/")
    digest = hashlib.sha256(model_id.encode()).hexdigest()
    body: dict[str, Any] = {"_id": digest[:24], "id": model_id}
    if request.query.get("expand") == "inferenceProviderMapping":
        served = {"status": "live", "providerId": model_id, "task": TASK}
        body["inferenceProviderMapping"] = {"hf-inference": served}
    else:
        author = {"author": model_id.partition("/")[0]} if "/" in model_id else {}
        body |= {"private": False, "pipeline_tag": TASK, "library_name": "transformers", "tags": ["transformers", TASK]}
        body |= {"modelId": model_id, **author, "sha": digest[:40], "gated": False, "disabled": False}
    headers = {
        "access-control-allow-origin": "https://huggingface.co",
        "content-type": "application/json; charset=utf-8",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "strict-origin-when-cross-origin",
        "vary": "Origin",
        "x-powered-by": "huggingface-moon",
        "x-request-id": router_request_id(request),
    }
    return Reply(200, json=body, headers=headers)


def _unsupported(what: str, table: str) -> str:
    pad = "\n" + 16 * " "  # the real message is an indented string of several lines
    return f"{pad}{what} not supported.{pad}Supported {table} types are:{pad}{', '.join(CONTENT_TYPES)}\n{12 * ' '}"


def _router_inputs(request: RecordedRequest) -> tuple[object, dict[str, Any]]:
    sent = request.headers.get("content-type", "")
    kind = sent.split(";")[0].strip().lower()
    if not kind:
        raise RefusalError("No content type provided and no default one configured.")
    if kind == "application/json":
        return _json_inputs(request)  # its base64 is never decoded
    if kind == "application/octet-stream" or kind in {known.lower() for known in CONTENT_TYPES}:
        return request.body, _query_parameters(request)
    raise RefusalError(_unsupported(f'Content type "{sent}"', "content"))


def _toolkit_inputs(request: RecordedRequest) -> tuple[object, dict[str, Any]]:
    kind = request.headers.get("content-type")
    if kind not in CONTENT_TYPES:
        raise RefusalError(_unsupported(f'Content type "{kind}"', "content"))
    if kind != "application/json":
        return request.body, _query_parameters(request)
    content, parameters = _json_inputs(request)
    if isinstance(content, str) and "parameters" in json.loads(request.body):
        return _base64_audio(content), parameters
    return content, parameters


def _check_accept(request: RecordedRequest) -> None:
    accept = request.headers.get("accept", "*/*")
    if accept not in {"*/*", "application/json"}:
        raise RefusalError(_unsupported(f'Accept type "{accept}"', "accept"))


def _query_parameters(request: RecordedRequest) -> dict[str, Any]:
    words: dict[str, Any] = {"true": True, "false": False}
    return {name: int(value) if value.isnumeric() else words.get(value, value) for name, value in request.query.items()}


def _json_inputs(request: RecordedRequest) -> tuple[object, dict[str, Any]]:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise RefusalError(str(error)) from None
    if not isinstance(body, dict) or "inputs" not in body:
        raise RefusalError(f"Body needs to provide a inputs key, received: {json.dumps(body)}")
    parameters = body.get("parameters", _query_parameters(request)) or {}
    return body["inputs"], dict(parameters)


def _base64_audio(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise RefusalError(f"'inputs' could not be decoded as base64 ({error}).") from None


def _run(
    content: object, parameters: dict[str, Any], listener: Listener, model: Model, *, limit_s: float | None
) -> tuple[Audio, Transcript]:
    """Do what transformers' pipeline does with the inputs, in its order: parameters, decoding, model."""
    options = _checked_options(parameters, model)
    if isinstance(content, str):
        raise RefusalError(_opened_as_path(content))
    if not isinstance(content, bytes):
        raise RefusalError(f"We expect a numpy ndarray or torch tensor as input, got `{type(content)}`")
    try:
        audio = decode(content)
    except AudioDecodeError:
        raise RefusalError(MALFORMED_AUDIO) from None
    duration = len(audio.waveform) / audio.sampling_rate
    if model.kind == "whisper" and limit_s is not None and duration > limit_s:
        raise RefusalError(TOO_MANY_FEATURES)
    return audio, listener.hear(audio, options)


def _checked_options(parameters: dict[str, Any], model: Model) -> TranscribeOptions:
    if "generation_parameters" in parameters:
        parameters["generate_kwargs"] = parameters.pop("generation_parameters")
    for name in parameters:
        if name not in PARAMETERS:
            raise RefusalError(
                f"AutomaticSpeechRecognitionPipeline._sanitize_parameters() got an unexpected keyword argument '{name}'"
            )
    timestamps = parameters.get("return_timestamps")
    if model.kind == "ctc" and timestamps is not None and timestamps not in ("char", "word"):
        raise RefusalError(CTC_TIMESTAMPS)
    if model.kind == "whisper" and timestamps == "char":
        raise RefusalError(WHISPER_CHARS)
    generation: Mapping[str, Any] = parameters.get("generate_kwargs") or {}
    return TranscribeOptions(
        language=generation.get("language"),
        task=generation.get("task"),
        return_timestamps=timestamps if timestamps in (True, "word") else False,
        generation_parameters=generation,
    )


def _opened_as_path(content: str) -> str:
    """Say what happens to a server that opens its input as a file: the error quotes all of it."""
    too_long = len(content) > MAX_PATH or any(len(part) > MAX_NAME for part in content.split("/"))
    reason = "[Errno 36] File name too long" if too_long else "[Errno 2] No such file or directory"
    return f"{reason}: '{content}'"


def _pipeline_output(transcript: Transcript, timestamps: object, model: Model) -> dict[str, Any]:
    space = " " if model.kind == "whisper" else ""  # Whisper's tokens begin with their space
    body: dict[str, Any] = {"text": space + transcript.text}
    if not timestamps:
        return body
    if timestamps is True:
        segments = transcript.segments or (Segment(0.0, transcript.duration, transcript.text),)
        chunks = [{"timestamp": [s.start, s.end], "text": space + s.text} for s in segments]
        if model.last_end_null:
            chunks[-1]["timestamp"] = [segments[-1].start, None]
    elif timestamps == "word":
        if transcript.text and not transcript.words:
            raise RefusalError(NO_WORD_TIMES)
        chunks = [{"timestamp": [w.start, w.end], "text": space + w.word} for w in transcript.words]
    else:
        raise RefusalError(f"FakeASRServer gives no times for return_timestamps={timestamps!r}")
    body["chunks"] = chunks
    return body


def router_request_id(request: RecordedRequest) -> str:
    """Return the router's id for a request: its own, and behind it what the client sent as ``X-Amzn-Trace-Id``."""
    trace = request.headers.get("x-amzn-trace-id")
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}" + (f";{trace}" if trace else "")


def _router_headers(request: RecordedRequest) -> dict[str, str]:
    model_id = request.path.partition("/models/")[2]
    return {
        "access-control-allow-credentials": "true",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "x-compute-type, x-compute-time",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "strict-origin-when-cross-origin",
        "server": "uvicorn",
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "x-compute-time": f"{time.monotonic() - request.received_at:.3f}",
        "x-compute-type": "cpu",
        "x-inference-id": secrets.token_urlsafe(16)[:21],
        "x-powered-by": "huggingface-moon",
        "x-request-id": router_request_id(request),
        "x-robots-tag": "none",
        "x-sha": hashlib.sha256(model_id.encode()).hexdigest()[:40],
    }
