"""
Hugging Face's own dialect: hf-inference behind the router, and toolkit endpoints.

Two bodies. Raw: the audio as it is, flat parameters in the query string. JSON: the audio as
base64 in ``inputs`` beside ``parameters``, which alone can carry nested generation settings, and
which hf-inference refuses today ("File name too long"). Toolkit servers decode the base64 only
where ``parameters`` is present, even empty. Language and task are generation settings here: as
parameters of their own the server's pipeline refuses them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hfasr.grouping import group_words
from hfasr.types import Transcript
from hfasr.wire import Request, Response

from .dialect import Ask, Failure, Fix, Form, Server
from .forms import audio_steps, times_steps, without
from .replies import read_segments, read_words, text_of

if TYPE_CHECKING:
    from hfasr.audio import Upload

__all__ = ["HFDialect"]

WHISPER_WINDOW_S = 30.0  # its encoder takes 3,000 mel frames of 10 ms; arXiv:2212.04356, section 2.2


class HFDialect:
    """See the module."""

    name = "hf"

    # The toolkit opens whatever ffmpeg does; what has no content type of its own goes as audio/x-audio.
    accepts = frozenset(
        [
            "flac",
            "wav",
            "mp3",
            "mp2",
            "ogg",
            "webm",
            "m4a",
            "mp4",
            "mov",
            "3gp",
            "mkv",
            "amr",
            "aac",
            "ac3",
            "dts",
            "wma",
            "avi",
            "flv",
            "ts",
            "mpg",
            "ogv",
        ]
    )

    def max_duration_s(self, model: str | None) -> float | None:
        return WHISPER_WINDOW_S if model is not None and "whisper" in model.lower() else None

    def first_form(self, ask: Ask) -> Form:
        nested = ask.language or ask.task or ask.generation_parameters or not _flat(ask.extra_parameters)
        # No pipeline parameter carries a prompt as text.
        dropped = frozenset({"prompt"} if ask.prompt is not None else ())
        return Form("json" if nested else "raw", ask.return_timestamps, dropped)

    def other_forms(self, form: Form, ask: Ask, failure: Failure) -> Iterator[Form]:
        if failure.fix is Fix.BODY:
            if form.body == "json":
                nested = {name for name in ask.names() if not _is_flat(name, ask)}
                yield replace(form, body="raw", dropped=form.dropped | nested)
            else:
                yield replace(form, body="json")
        elif failure.fix is Fix.PARAMETER:
            named = set(failure.parameters)
            if named & {"generate_kwargs", "generation_parameters"}:
                named |= {"language", "task", *ask.generation_parameters}
            yield from without(form, ask, named)
        elif failure.fix is Fix.TIMESTAMPS:
            # A CTC model wants "word" for True, a Whisper without alignment heads True for "word".
            yield from times_steps(form, ["word" if form.timestamps is True else True, False])
        else:
            yield from audio_steps(form, failure)

    def build(self, server: Server, ask: Ask, form: Form, upload: Upload) -> Request:
        headers = {"accept": "application/json"}
        flat, generation = _parameters(ask, form)
        if form.body == "raw":
            query = {name: json.dumps(value) if not isinstance(value, str) else value for name, value in flat.items()}
            url = f"{server.url}?{urlencode(query)}" if query else server.url
            return Request("POST", url, {**headers, "content-type": upload.content_type}, upload.data)
        parameters = {**flat, **({"generation_parameters": generation} if generation else {})}
        # base64 needs no escaping: joining the JSON around it spares json.dumps' copies of the audio.
        audio, settings = base64.b64encode(upload.data), json.dumps(parameters).encode()
        body = b"".join((b'{"inputs": "', audio, b'", "parameters": ', settings, b"}"))
        return Request("POST", server.url, {**headers, "content-type": "application/json"}, body)

    def parse(self, response: Response, ask: Ask, form: Form, duration: float | None) -> Transcript:
        text, body = text_of(response)
        if form.timestamps == "word":
            segments = group_words(read_words(body.get("chunks")))
            if ask.return_timestamps is True:
                segments = tuple(replace(segment, words=()) for segment in segments)
        else:
            segments = read_segments(body.get("chunks")) if form.timestamps else ()
        language = body.get("language")
        return Transcript(
            text.strip(), segments, language if isinstance(language, str) and language else None, duration, raw=body
        )

    def ready_url(self, server: Server) -> str | None:
        return f"{server.url.rstrip('/').removesuffix('/predict')}/health" if server.endpoint else None


def _flat(parameters: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str | int | float | bool) for value in parameters.values())


def _is_flat(name: str, ask: Ask) -> bool:
    return name in ask.extra_parameters and _flat({name: ask.extra_parameters[name]})


def _parameters(ask: Ask, form: Form) -> tuple[dict[str, Any], dict[str, Any]]:
    flat = {name: value for name, value in ask.extra_parameters.items() if name not in form.dropped}
    if form.timestamps:
        flat["return_timestamps"] = form.timestamps
    generation = {"language": ask.language, "task": ask.task, **ask.generation_parameters}
    return flat, {name: value for name, value in generation.items() if value is not None and name not in form.dropped}
