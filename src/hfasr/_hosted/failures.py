"""
From a failed response to a typed error, and to what may mend it.

The texts are those of Hugging Face's toolkit, its inference API, FastAPI and OpenAI's servers.
A 400 of Hugging Face's servers is not always the caller's fault: they answer so to their own
bugs, too. Hence the patterns, which look for the few that another form of the request mends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hfasr.errors import (
    APIStatusError,
    AudioTooLongError,
    AuthenticationError,
    BadRequestError,
    EndpointGoneError,
    ModelLoadingError,
    ModelNotHostedError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)

from .dialect import Failure, Fix, Server
from .replies import decode, error_text, json_of, request_id, seconds
from .waits import asked_wait

if TYPE_CHECKING:
    from hfasr.wire import Response

__all__ = ["diagnose"]

_NOT_HOSTED = re.compile(
    r"not supported by provider|^not found$|\bis not (deployed|hosted)|no such model|"
    r"^model '?[\w./-]+'? (is |was )?not (found|available)",
    re.IGNORECASE,
)
_LOADING = re.compile(
    r"(currently|is) loading|\bloading\b.*model|model .*\bloading\b|"
    r"scal(e|ing)[ -]up|initiali[sz]ing|warming up|starting up",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"more than \d+ mel input features|audio_too_long|audio (is |file is )?too long|"
    r"(maximum|max)[ _](audio|clip)?[ _]?(duration|length)|longer than \d+",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"file name too long|base64|incorrect padding", re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"content[- ]type|unsupported media type|multipart/form-data", re.IGNORECASE)
_MALFORMED = re.compile(
    r"malformed|not in the correct format|invalid file format|could not be decoded|(fail|error|unable|could not)\w* .*"
    r"(decod|load|open|read)\w* .*audio|format not recogni[sz]ed|corrupt|invalid audio|audio file might be",
    re.IGNORECASE,
)
_TIMESTAMPS = re.compile(
    r"CTC can either predict|alignment_heads|timestamp|verbose_json|response_format", re.IGNORECASE
)
_EXPLICIT_PARAMETER = (
    re.compile(r"unexpected keyword argument '(\w+)'"),
    re.compile(r"`model_kwargs` are not used by the model: \['(\w+)'"),
)
_LOOSE_PARAMETER = (
    re.compile(
        r"(?:unsupported|unknown|unrecogni[sz]ed|invalid|extra)"
        r"[^'\"`]{0,40}(?:parameter|argument|field)s?:? ['\"`]?(\w+)",
        re.IGNORECASE,
    ),
    re.compile(
        r"['\"`]?(\w+)['\"`]?:? (?:is not supported|extra inputs are not permitted|not permitted)", re.IGNORECASE
    ),
)
_QUOTED = re.compile(r"'[^']{60,}('|$)|\"[^\"]{60,}(\"|$)")
_ALIASES = {
    "initial_prompt": "prompt",
    "lang": "language",
    "prompt_ids": "prompt",
    "response_format": "timestamps",
    "return_timestamps": "timestamps",
    "timestamp_granularities": "timestamps",
}

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,
    410: EndpointGoneError,
    413: PayloadTooLargeError,
    415: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}

_REMEDIES = {
    401: "check the token: run `hf auth login`, or set HF_TOKEN to a valid one",
    402: "buy credits at https://huggingface.co/settings/billing, pass bill_to=, or set a fallback=",
    403: 'give the token the permission "Make calls to Inference Providers" at https://huggingface.co/settings/tokens',
    404: "check model= and base_url=",
    408: "try again, or raise timeout=",
    410: "the address is retired: leave router_url= at its default, or correct base_url=",
    413: "send shorter audio",
    415: "set dialect= to what the server speaks",
    429: "lower the request rate, or set a fallback=",
}


def diagnose(response: Response, server: Server, *, wall: float, duration: float | None) -> Failure:
    """
    Say what a response outside 2xx means.

    Args:
        response: The response.

        server: Who gave it.

        wall: Seconds since 1970 now, to read dates in headers.

        duration: Of the audio in seconds, where known.
    """
    status, said = response.status_code, error_text(response)
    if status == 503 and (_is_scaling(server, said) or _LOADING.search(said) or _estimate(response) is not None):
        return Failure(_loading(response, server, wall))
    if status in {400, 404} and _NOT_HOSTED.search(said):
        return Failure(
            _error(
                ModelNotHostedError,
                response,
                server,
                said,
                wall,
                remedy=f"choose another model than {server.model}, or set a fallback=",
            )
        )
    if status == 413:
        return Failure(_error(PayloadTooLargeError, response, server, said, wall), Fix.SHRINK)
    if status in {400, 415, 422}:
        return _refused(response, server, said, wall, duration)
    kind = _BY_STATUS.get(status) or (ServerError if status >= 500 else APIStatusError)
    return Failure(_error(kind, response, server, said, wall))


def _refused(response: Response, server: Server, said: str, wall: float, duration: float | None) -> Failure:
    if _TOO_LONG.search(said):
        return Failure(_too_long(server, duration))
    # What a server quotes of the request may hold any of the words below: look at its own.
    words = _QUOTED.sub("", said)
    error = _error(BadRequestError, response, server, said, wall)
    parameter = _named(response) or _found(_EXPLICIT_PARAMETER, words)
    if _BASE64.search(words) or (_CONTENT_TYPE.search(words) and not parameter):
        return Failure(error, Fix.BODY)
    if parameter is None and _MALFORMED.search(words):
        remedy = "the server cannot read this audio; check that it plays"
        return Failure(_error(BadRequestError, response, server, said, wall, remedy=remedy), Fix.DECODE)
    if parameter == "timestamps" or (parameter is None and _TIMESTAMPS.search(words)):
        return Failure(error, Fix.TIMESTAMPS)
    parameter = parameter or _found(_LOOSE_PARAMETER, words)
    if parameter:
        return Failure(error, Fix.PARAMETER, parameter)
    return Failure(error, Fix.BODY if response.status_code == 415 else None)


def _named(response: Response) -> str | None:
    """Return the parameter that OpenAI's or FastAPI's error names in a field of its own."""
    body = json_of(response)
    if not isinstance(body, dict):
        return None
    error, detail = body.get("error"), body.get("detail")
    named: Any = error.get("param") if isinstance(error, dict) else None
    if named is None and isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        named = place[-1] if isinstance(place, list) and place else None
    return _own_name(named) if isinstance(named, str) else None


def _found(patterns: tuple[re.Pattern[str], ...], words: str) -> str | None:
    match = next((match for pattern in patterns if (match := pattern.search(words))), None)
    return _own_name(match[1]) if match else None


def _own_name(parameter: str) -> str | None:
    parameter = parameter.removesuffix("[]")
    return None if parameter in {"file", "model", "inputs", "body", "format"} else _ALIASES.get(parameter, parameter)


def _error(
    kind: type[APIStatusError], response: Response, server: Server, said: str, wall: float, *, remedy: str | None = None
) -> APIStatusError:
    status = response.status_code
    remedy = (
        remedy
        or _REMEDIES.get(status)
        or ("try again later, or set a fallback=" if status >= 500 else "check the request")
    )
    return kind(
        f"{server.name} answered {status}: {said[:280] or 'nothing more'}; {remedy}",
        status_code=status,
        request_id=request_id(response),
        retry_after=asked_wait(response.headers, wall),
        body=decode(response),
        maybe_billed=status in {502, 504},
    )


def _is_scaling(server: Server, said: str) -> bool:
    """The body of a scaled-to-zero endpoint's 503 is not documented; a proxy with nothing to say has no server yet."""
    return server.always_scaling or (server.endpoint and not said)


def _estimate(response: Response) -> float | None:
    body = json_of(response)
    return seconds(body.get("estimated_time")) if isinstance(body, dict) else None


def _loading(response: Response, server: Server, wall: float) -> ModelLoadingError:
    said = error_text(response)
    return ModelLoadingError(
        f"{server.name} is still loading {server.model}: {said[:200] or '503'}; call wait_until_ready() first, "
        "or raise RetryPolicy(loading_timeout=)",
        status_code=response.status_code,
        estimated_time=_estimate(response),
        request_id=request_id(response),
        retry_after=asked_wait(response.headers, wall),
        body=decode(response),
    )


def _too_long(server: Server, duration: float | None) -> AudioTooLongError:
    if duration is None:
        return AudioTooLongError(
            f"{server.name} says that the audio is too long for {server.model}; its length could not be read here: "
            'pip install "hfasr[av]" for that, and cut the audio'
        )
    return AudioTooLongError(
        f"{server.name} says that {duration:.1f} s of audio are too long for {server.model}; cut it"
    )
