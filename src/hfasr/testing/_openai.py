"""
OpenAI's endpoint for transcription, as Whisper images of Inference Endpoints and many local servers speak it.

Source:
    platform.openai.com/docs/api-reference/audio; the literal error texts are those that users of
    the service quote in public issues (openai-python #333, subtitleedit #11151).
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hfasr.errors import AudioDecodeError
from hfasr.types import Segment, TranscribeOptions, Transcript

from .heard import Listener, decode
from .replies import WHISPER, Reply

if TYPE_CHECKING:
    from ._connection import RecordedRequest

__all__ = ["error_reply", "is_task", "models_reply", "openai_reply"]

TASKS = ("transcriptions", "translations")
SUFFIXES = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
LANGUAGE_NAMES = {"de": "german", "en": "english", "es": "spanish", "fr": "french"}  # verbose_json spells them out


@dataclass(slots=True)
class Form:
    """The parts of a multipart body."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None
    file: bytes | None = None

    def last(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[-1]


class RefusalError(Exception):
    """A 400 with the parameter at fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def is_task(path: str) -> bool:
    """Whether *path* ends in one of the two endpoints."""
    return path.endswith(tuple(f"/audio/{task}" for task in TASKS))


def error_reply(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Reply:
    """Return an error in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply(status, json={"error": error})


def models_reply() -> Reply:
    """Answer ``GET /v1/models``."""
    return Reply(200, json={"object": "list", "data": [{"id": WHISPER, "object": "model", "owned_by": "openai"}]})


def openai_reply(request: RecordedRequest, listener: Listener) -> Reply:
    """Answer ``POST /v1/audio/transcriptions`` or ``/v1/audio/translations``."""
    if request.method != "POST":
        return error_reply(405, f"Not allowed to {request.method} on {request.path}")
    task = request.path.rpartition("/")[2]
    try:
        form = _form(request)
        response_format, granularities = _checked_formats(form)
        transcript = _heard(form, task, granularities, listener)
    except RefusalError as refusal:
        return error_reply(400, str(refusal), param=refusal.param, code=refusal.code)
    request.heard = transcript.text
    if response_format == "json":
        return Reply(200, json={"text": transcript.text})
    if response_format == "verbose_json":
        return Reply(200, json=_verbose(transcript, granularities, task, form))
    text = {"text": lambda: transcript.text + "\n", "srt": transcript.to_srt, "vtt": transcript.to_vtt}
    return Reply(200, body=text[response_format](), headers={"content-type": "text/plain; charset=utf-8"})


def _checked_formats(form: Form) -> tuple[str, list[str]]:
    response_format = form.last("response_format", "json")
    if response_format not in FORMATS:
        raise RefusalError(f"response_format must be one of {', '.join(FORMATS)}", "response_format")
    granularities = form.fields.get("timestamp_granularities[]", [])
    if granularities and response_format != "verbose_json":
        raise RefusalError(
            "`response_format` must be `verbose_json` if `timestamp_granularities[]` is provided",
            "timestamp_granularities[]",
        )
    unknown = set(granularities) - {"segment", "word"}
    if unknown:
        raise RefusalError(
            f"timestamp_granularities[] must be segment or word, not {sorted(unknown)}", "timestamp_granularities[]"
        )
    return response_format, granularities or ["segment"]


def _heard(form: Form, task: str, granularities: list[str], listener: Listener) -> Transcript:
    if form.file is None:
        raise RefusalError("you must provide a file", "file")
    if not form.last("model"):
        raise RefusalError("you must provide a model parameter", "model")
    suffix = (form.filename or "").lower().rpartition(".")[2]
    if suffix not in SUFFIXES:
        raise RefusalError(f"Invalid file format. Supported formats: {list(SUFFIXES)}")
    try:
        audio = decode(form.file)
    except AudioDecodeError:
        raise RefusalError("Audio file might be corrupted or unsupported", "file", "invalid_value") from None
    options = TranscribeOptions(
        model=form.last("model"),
        language=form.last("language") or None,
        task="translate" if task == "translations" else "transcribe",
        prompt=form.last("prompt") or None,
        return_timestamps="word" if "word" in granularities else True,
    )
    return listener.hear(audio, options)


def _form(request: RecordedRequest) -> Form:
    found = re.fullmatch(r'multipart/form-data;.*?boundary="?([^";]+)"?.*', request.headers.get("content-type", ""))
    if found is None:
        raise RefusalError("Content-Type must be multipart/form-data with a boundary")
    form = Form()
    parts = (b"\r\n" + request.body).split(b"\r\n--" + found[1].encode("latin-1"))
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        names = dict(re.findall(r'\b(name|filename)="((?:[^"\\]|\\.)*)"', head.decode("utf-8", "replace")))
        if "filename" in names:
            form.filename, form.file = names["filename"], content
        elif "name" in names:
            form.fields.setdefault(names["name"], []).append(content.decode("utf-8", "replace"))
    return form


def _verbose(transcript: Transcript, granularities: list[str], task: str, form: Form) -> dict[str, Any]:
    language = transcript.language or form.last("language") or "en"
    body: dict[str, Any] = {
        "task": "translate" if task == "translations" else "transcribe",
        "language": LANGUAGE_NAMES.get(language, language),
        "duration": transcript.duration,
        "text": transcript.text,
    }
    if "segment" in granularities:
        segments = transcript.segments or (Segment(0.0, transcript.duration, transcript.text),)
        temperature = float(form.last("temperature") or 0)
        body["segments"] = [_segment(i, segment, temperature) for i, segment in enumerate(segments)]
    if "word" in granularities:
        body["words"] = [{"word": w.word, "start": w.start, "end": w.end} for w in transcript.words]
    return body


def _segment(number: int, segment: Segment, temperature: float) -> dict[str, Any]:
    text = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": f" {segment.text}",
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": 0.0,  # the engine is sure of what it heard
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "no_speech_prob": 0.0,
    }
