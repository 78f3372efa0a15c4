"""
Reading what a server says against a request, for the few complaints that another form mends.

The texts are those of transformers' pipelines behind Hugging Face's toolkit, of its older
inference API, of FastAPI and of OpenAI's servers. All patterns have bounded gaps: the text is
whatever a server sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dialect import Fix
from .replies import error_text, json_of

if TYPE_CHECKING:
    from hfasr.wire import Response

__all__ = ["Complaint", "read_complaint"]

_BASE64 = re.compile(r"file name too long|base64|incorrect padding", re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"content[- ]type|unsupported media type|multipart/form-data", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"more than \d{1,9} mel input features|audio_too_long|\b(audio|clip|recording)( file)?( is| was)? too long|"
    r"\b(maximum|max)[ _]?(audio|clip)[ _](duration|length)|"
    r"\b(audio|clip|recording)\b[^.]{0,40}\b(longer than|exceeds?)\b[^.]{0,40}\b(\d|second|minute|duration|limit)",
    re.IGNORECASE,
)
_MALFORMED = re.compile(
    r"\bmalformed\b|not in the correct format|invalid file format|format is not supported|format not recogni[sz]ed|"
    r"\baudio( file| data)?( could not| cannot| can't) be (decoded|read|opened|loaded)|audio file might be corrupt|"
    r"invalid audio( file| data| format)?\b|"
    r"\b(failed|unable|could not|cannot|error)( to)? ?(decod|load|open|read)(e|ing)? (the )?audio"
    r"( file| data|[.:,;]|$)",
    re.IGNORECASE,
)
_TIMESTAMPS = re.compile(r"CTC can either predict|alignment_heads|timestamps?\b|verbose_json", re.IGNORECASE)
_PARAMETERS = (
    re.compile(r"unexpected keyword argument '(\w{1,60})'"),
    re.compile(r"`model_kwargs` are not used by the model: \[([^\]]{1,300})"),
    re.compile(r"cannot specify (`\w{1,40}`(?: or `\w{1,40}`)?)", re.IGNORECASE),
    re.compile(r"\b(?:unsupported|invalid|unknown) (language|task|prompt)\b", re.IGNORECASE),
    re.compile(r"\binvalid value (?:for|of) ['\"`]?(\w{1,60})", re.IGNORECASE),
    re.compile(
        r"\b(?:unsupported|unknown|unrecogni[sz]ed|invalid|extra|unexpected)(?: \w{1,20}){0,3} "
        r"(?:parameter|argument|field)s?(?: supplied)?:? ['\"`]?(\w{1,60})",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b['\"`]?(\w{1,60})['\"`]?:? (?:is not supported|extra inputs are not permitted|is not permitted)",
        re.IGNORECASE,
    ),
)
_QUOTED = re.compile(r"'[^']{60,}(?:'|$)|\"[^\"]{60,}(?:\"|$)")
_ALIASES = {
    "initial_prompt": "prompt",
    "lang": "language",
    "prompt_ids": "prompt",
    "response_format": "timestamps",
    "return_timestamps": "timestamps",
    "timestamp_granularities": "timestamps",
}
_NO_PARAMETERS = {"audio", "body", "endpoint", "file", "format", "inputs", "it", "model", "this", "type"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a request, in the server's words."""

    fix: Fix | None = None
    """What may mend it."""

    parameters: tuple[str, ...] = ()
    """The parameters at fault, by their names in the ask."""

    too_long: bool = False
    """Whether the audio is longer than the server takes."""


def read_complaint(response: Response) -> Complaint:
    """Understand a response with status 400, 415 or 422."""
    # What a server quotes of the request may hold any word: look at its own.
    words = _QUOTED.sub("", error_text(response))
    parameters = _named(response) or _found(words)
    if _BASE64.search(words):
        return Complaint(Fix.BODY)
    if _MALFORMED.search(words):
        return Complaint(Fix.DECODE)
    if "timestamps" in parameters:
        return Complaint(Fix.TIMESTAMPS)
    if parameters:
        return Complaint(Fix.PARAMETER, parameters)
    if _TOO_LONG.search(words):  # Whisper's complaint about its window speaks of times, too
        return Complaint(too_long=True)
    if _TIMESTAMPS.search(words):
        return Complaint(Fix.TIMESTAMPS)
    if _CONTENT_TYPE.search(words) or response.status_code == 415:
        return Complaint(Fix.BODY)
    return Complaint()


def _named(response: Response) -> tuple[str, ...]:
    """Return the parameter that OpenAI's or FastAPI's error names in a field of its own."""
    body = json_of(response)
    if not isinstance(body, dict):
        return ()
    error, detail = body.get("error"), body.get("detail")
    named: Any = error.get("param") if isinstance(error, dict) else None
    if named is None and isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        named = place[-1] if isinstance(place, list) and place else None
    return _own_names([named]) if isinstance(named, str) else ()


def _found(words: str) -> tuple[str, ...]:
    for pattern in _PARAMETERS:
        match = pattern.search(words)
        if match:
            names = _own_names(re.findall(r"\w+", re.sub(r" or ", " ", match[1])))
            if names:
                return names
    return ()


def _own_names(parameters: list[str]) -> tuple[str, ...]:
    plain = (parameter.removesuffix("[]").lower() for parameter in parameters)
    return tuple(_ALIASES.get(name, name) for name in plain if name not in _NO_PARAMETERS)
