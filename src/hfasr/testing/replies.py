"""
What a `FakeASRServer` can be told to answer: plain replies, faults of the socket, and the failures
that the real servers were seen to give.

Example:
    >>> from hfasr.testing import replies
    >>> replies.loading(estimated_time=0.1).status
    503
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Action",
    "Drip",
    "Hang",
    "Normal",
    "NotHTTP",
    "Reply",
    "Reset",
    "Truncated",
    "does_not_exist",
    "forbidden",
    "gone",
    "loading",
    "malformed_audio",
    "not_found",
    "not_hosted",
    "overloaded",
    "payment_required",
    "rate_limited",
    "scaling_up",
    "server_error",
    "too_large",
    "unauthorized",
]


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One answer, written out.

    Example:
        >>> Reply(200, json={"text": "hello"}).status
        200
    """

    status: int = 200
    """HTTP status, 200 to 599."""

    json: Any = None
    """Sent as JSON; ``None``: *body* is sent."""

    body: bytes | str = b""
    """Sent as it is (text as UTF-8), where there is no *json*."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to ``content-type``, ``content-length`` and ``date``, or in their place."""

    delay: float = 0.0
    """Seconds before the answer."""

    chunked: bool = False
    """Whether the body goes out as ``transfer-encoding: chunked``, without a length."""


@dataclass(frozen=True, slots=True)
class Normal:
    """The answer that the server would give anyway, later."""

    delay: float = 0.0
    """Seconds before the answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer at all; then the connection is closed."""

    seconds: float | None = None
    """How long; ``None``: until the server stops or the client leaves."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is torn down with a TCP reset."""

    when: Literal["accept", "in_request", "before_reply", "in_headers", "in_body"] = "before_reply"
    """
    ``"accept"``: as soon as it is open. ``"in_request"``: after the request's headers, before its
    body is read. ``"before_reply"``: after the whole request. ``"in_headers"``, ``"in_body"``:
    half-way through the answer's.
    """

    reply: Reply | None = None
    """The answer that is cut off; ``None``: the normal one."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """The answer ends, with a proper close, before its ``content-length``."""

    after_bytes: int = 10
    """How much of the body is sent."""

    reply: Reply | None = None
    """The answer that is cut off; ``None``: the normal one."""


@dataclass(frozen=True, slots=True)
class Drip:
    """The answer comes a few bytes at a time."""

    interval: float = 0.05
    """Seconds between two pieces."""

    n_bytes: int = 1
    """Bytes in each piece, 1 or more."""

    headers: bool = False
    """Whether the headers drip, too."""

    reply: Reply | None = None
    """The answer that drips; ``None``: the normal one."""


@dataclass(frozen=True, slots=True)
class NotHTTP:
    """Bytes that are no HTTP answer; then the connection is closed."""

    data: bytes = b"\x00\x01garbage\r\n\r\n"
    """What is sent."""


Action: TypeAlias = Reply | Normal | Hang | Reset | Truncated | Drip | NotHTTP
"""What can happen to one request."""

WHISPER = "openai/whisper-large-v3"

MALFORMED_AUDIO = (
    "Soundfile is either not in the correct format or is malformed. Ensure that the soundfile has a valid audio "
    "file extension (e.g. wav, flac or mp3) and is not corrupted. If reading from a remote URL, ensure that the URL "
    "is the full address to **download** the audio file."
)

_OF_INFERENCE = {
    "access-control-allow-credentials": "true",
    "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
}
_OF_THE_HUB = {
    "access-control-allow-origin": "*",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "strict-origin-when-cross-origin",
    "vary": "Origin",
    "x-powered-by": "huggingface-moon",
    "x-robots-tag": "none",
}

# The bodies and headers below are those of recorded exchanges with Hugging Face's servers, 2024 to
# 2026, unless the docstring says that none is known.


def loading(estimated_time: float | None = 20.0, *, model: str = WHISPER, delay: float = 0.0) -> Reply:
    """503: the model is being loaded; *estimated_time* in seconds, often wrong. It comes without ``retry-after``."""
    body: dict[str, object] = {"error": f"Model {model} is currently loading"}
    if estimated_time is not None:
        body["estimated_time"] = estimated_time
    return Reply(503, json=body, headers=_OF_INFERENCE, delay=delay)


def scaling_up() -> Reply:
    """503 of an Inference Endpoint that was scaled to zero. Its body is not documented: here it is empty."""
    return Reply(503, headers={"content-type": "text/plain; charset=utf-8"})


def overloaded() -> Reply:
    """503: too many requests for the model."""
    return Reply(503, json={"error": "overloaded"})


def rate_limited(
    *, retry_after: float | str | None = None, retry_after_ms: int | None = None, reset: int | None = None
) -> Reply:
    """
    429, with a time or without.

    Args:
        retry_after: ``retry-after``: seconds, or an HTTP date.

        retry_after_ms: ``retry-after-ms``: milliseconds.

        reset: Seconds until the window of a ``ratelimit`` header resets (IETF draft, as the Hub sends it).
    """
    headers = dict(_OF_INFERENCE)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    if retry_after_ms is not None:
        headers["retry-after-ms"] = str(retry_after_ms)
    if reset is not None:
        headers["ratelimit"] = f'"api";r=0;t={reset}'
        headers["ratelimit-policy"] = '"fixed window";"api";q=500;w=300'
    body = {"error": "Rate limit reached. Please log in or use a HF access token"}
    return Reply(429, json=body, headers=headers)


def unauthorized(*, html: bool = False) -> Reply:
    """401: no token, or a bad one. To a request whose body is binary the router answers with a page of HTML."""
    headers = {
        **_OF_THE_HUB,
        "www-authenticate": 'Bearer realm="Authentication required", charset="UTF-8"',
        "x-error-message": "Invalid username or password.",
    }
    if html:
        page = '<!doctype html>\n<html><head><meta charset="utf-8" /><title>401</title></head><body>401</body></html>\n'
        return Reply(401, body=page, headers={**headers, "content-type": "text/html; charset=utf-8"})
    body = {"error": "Invalid username or password."}
    return Reply(401, json=body, headers={**headers, "content-type": "application/json; charset=utf-8"})


def payment_required() -> Reply:
    """402: the month's credits are used up. The text is as users report it; the JSON around it is inferred."""
    text = (
        "You have depleted your monthly included credits. "
        "Purchase pre-paid credits to continue using Inference Providers."
    )
    return Reply(402, json={"error": text})


def forbidden(*, user: str = "someone") -> Reply:
    """403: the token lacks the permission to call Inference Providers."""
    text = (
        "This authentication method does not have sufficient permissions to call Inference Providers "
        f"on behalf of user {user}"
    )
    return Reply(403, json={"error": text})


def not_hosted(*, provider: str = "hf-inference") -> Reply:
    """400: the provider does not serve the model."""
    return Reply(400, json={"error": f"Model not supported by provider {provider}"})


def does_not_exist(*, model: str = WHISPER) -> Reply:
    """404: no such model."""
    return Reply(404, json={"error": f"Model {model} does not exist"})


def not_found() -> Reply:
    """404 as plain text: what the router says of a model that is not deployed, and HF's toolkit of an unknown path."""
    return Reply(404, body="Not Found", headers={"content-type": "text/plain; charset=utf-8"})


def gone() -> Reply:
    """410: the old address of the API."""
    text = (
        "https://api-inference.huggingface.co/ is no longer supported. "
        "Please use https://router.huggingface.co/ instead"
    )
    return Reply(410, json={"error": text})


def too_large() -> Reply:
    """413. No recording of the router's is known; this is its reason phrase alone."""
    return Reply(413, body="Payload Too Large", headers={"content-type": "text/plain; charset=utf-8"})


def malformed_audio() -> Reply:
    """400: the server cannot decode the audio."""
    return Reply(400, json={"error": MALFORMED_AUDIO})


def server_error(status: int = 500) -> Reply:
    """500, 502 or 504, as a proxy words it: a page of HTML with the status."""
    page = f"<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1></body>\r\n</html>\r\n"
    return Reply(status, body=page, headers={"content-type": "text/html"})
