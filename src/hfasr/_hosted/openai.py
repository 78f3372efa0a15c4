"""
OpenAI's dialect: multipart to ``/v1/audio/transcriptions``, as vLLM, speaches, whisper.cpp,
``transformers serve`` and Hugging Face's catalogue images speak it.

Times need ``response_format=verbose_json``; ``task="translate"`` is an address of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfasr.grouping import group_words
from hfasr.types import Segment, Transcript, Word
from hfasr.wire import Request, Response

from .dialect import Ask, Failure, Fix, Form, Server
from .forms import audio_steps, times_steps, without
from .multipart import encode
from .replies import read_segments, read_words, text_of
from .servers import DEFAULT_MODEL

if TYPE_CHECKING:
    from hfasr.audio import Upload

__all__ = ["OpenAIDialect"]

_GENERATION = {"temperature"}  # the one generation setting that the protocol has a field for


class OpenAIDialect:
    """See the module."""

    name = "openai"

    accepts = frozenset({"flac", "mp3", "m4a", "mp4", "ogg", "wav", "webm"})

    def max_duration_s(self, model: str | None) -> float | None:  # noqa: ARG002  # such servers cut long audio themselves
        return None

    def first_form(self, ask: Ask) -> Form:
        dropped = set(ask.generation_parameters) - _GENERATION
        if ask.task == "translate" and ask.language is not None:
            dropped.add("language")  # that address takes none: it finds out what is spoken
        return Form("multipart", ask.return_timestamps, frozenset(dropped))

    def other_forms(self, form: Form, ask: Ask, failure: Failure) -> Iterator[Form]:
        if failure.fix is Fix.PARAMETER:
            yield from without(form, ask, set(failure.parameters))
        elif failure.fix is Fix.TIMESTAMPS:
            yield from times_steps(form, [True, False] if form.timestamps == "word" else [False])
        else:
            yield from audio_steps(form, failure)

    def build(self, server: Server, ask: Ask, form: Form, upload: Upload) -> Request:
        url = server.url
        if ask.task == "translate" and "task" not in form.dropped:
            url = f"{url.removesuffix('/transcriptions')}/translations"
        body, content_type = encode(
            _fields(server, ask, form), filename=upload.filename, content_type=upload.content_type, data=upload.data
        )
        return Request("POST", url, {"accept": "application/json", "content-type": content_type}, body)

    def parse(self, response: Response, ask: Ask, form: Form, duration: float | None) -> Transcript:  # noqa: ARG002  # the protocol's
        text, body = text_of(response)
        segments = read_segments(body.get("segments")) if form.timestamps else ()
        if form.timestamps == "word":
            words = read_words(body.get("words")) or tuple(w for s in segments for w in s.words)
            segments = _share(segments, words) if segments else group_words(words)
        else:
            segments = tuple(replace(segment, words=()) for segment in segments)
        language = body.get("language")
        return Transcript(
            text.strip(), segments, language if isinstance(language, str) and language else None, duration, raw=body
        )

    def ready_url(self, server: Server) -> str | None:
        return f"{server.url.removesuffix('/audio/transcriptions').removesuffix('/v1')}/health"


def _fields(server: Server, ask: Ask, form: Form) -> Iterator[tuple[str, str]]:
    yield "model", server.model or DEFAULT_MODEL  # the protocol requires one
    single = {"language": ask.language, "prompt": ask.prompt, **ask.generation_parameters}
    for name, value in {**single, **ask.extra_parameters}.items():
        if value is None or name in form.dropped:
            continue
        yield name, _text(value)
    yield "response_format", "verbose_json" if form.timestamps else "json"
    for granularity in ("segment", "word") if form.timestamps == "word" else ("segment",) if form.timestamps else ():
        yield "timestamp_granularities[]", granularity


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _share(segments: tuple[Segment, ...], words: tuple[Word, ...]) -> tuple[Segment, ...]:
    """Give each word to the last segment that begins no later than the word's middle."""
    groups: list[list[Word]] = [[] for _ in segments]
    index = 0
    for word in words:
        middle = word.start if word.end is None else (word.start + word.end) / 2
        while index + 1 < len(segments) and segments[index + 1].start <= middle:
            index += 1
        groups[index].append(word)
    return tuple(replace(segment, words=tuple(group)) for segment, group in zip(segments, groups, strict=True))
