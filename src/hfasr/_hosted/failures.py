"""
From a failed response to a typed error, and to what may mend it.

A 400 of Hugging Face's servers is not always the caller's fault: they answer so to their own
bugs, too. Those that another form of the request may mend are told apart in `complaints`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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

from .complaints import read_complaint
from .dialect import Failure, Fix, Server
from .replies import decode, error_text, json_of, request_id, seconds
from .servers import is_hugging_face
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
    r"(currently|is) loading|\bloading\b.{0,60}model|model .{0,120}\bloading\b|"
    r"scal(e|ing)[ -]up|initiali[sz]ing|warming up|starting up",
    re.IGNORECASE,
)
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
    407: "put the proxy's user and password into HTTP_PROXY and HTTPS_PROXY, or into http_client's proxy=",
    408: "try again, or raise timeout=",
    410: "the address is retired: leave router_url= at its default, or correct base_url=",
    413: "send shorter audio",
    415: "set dialect= to what the server speaks",
    429: "lower the request rate, or set a fallback=",
}

_REMEDIES_OF_OWN_SERVERS = {
    401: "pass the server's key as token=; a Hugging Face token that was found is not sent there",
    402: "look at the server's own billing, or set a fallback=",
    403: "pass a key as token= that may do this",
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
        other = f"choose another model than {server.runs}, or set a fallback="
        remedy = "check base_url=, dialect= and model=" if server.endpoint else other
        return Failure(_error(ModelNotHostedError, response, server, said, wall, remedy=remedy))
    if status == 413:
        return Failure(_error(PayloadTooLargeError, response, server, said, wall), Fix.SHRINK)
    if status in {400, 415, 422}:
        return _refused(response, server, said, wall, duration)
    kind = _BY_STATUS.get(status) or (ServerError if status >= 500 else APIStatusError)
    return Failure(_error(kind, response, server, said, wall))


def _refused(response: Response, server: Server, said: str, wall: float, duration: float | None) -> Failure:
    complaint = read_complaint(response)
    if complaint.too_long:
        return Failure(_too_long(server, duration))
    remedy = "the server cannot read this audio; check that it plays" if complaint.fix is Fix.DECODE else None
    error = _error(BadRequestError, response, server, said, wall, remedy=remedy)
    return Failure(error, complaint.fix, complaint.parameters)


def _error(
    kind: type[APIStatusError], response: Response, server: Server, said: str, wall: float, *, remedy: str | None = None
) -> APIStatusError:
    status, asked = response.status_code, asked_wait(response.headers, wall)
    remedy = remedy or _remedy(status, server)
    if status == 429 and asked is not None:
        remedy = f"it asks to wait {asked:g} s: {remedy}"
    return kind(
        f"{server.name} answered {status}: {said[:280] or 'nothing more'}; {remedy}",
        status_code=status,
        request_id=request_id(response),
        retry_after=asked,
        body=decode(response),
        maybe_billed=status in {502, 504},
    )


def _remedy(status: int, server: Server) -> str:
    own = server.endpoint and not is_hugging_face(server.url)
    if own and status in _REMEDIES_OF_OWN_SERVERS:
        return _REMEDIES_OF_OWN_SERVERS[status]
    return _REMEDIES.get(status) or ("try again later, or set a fallback=" if status >= 500 else "check the request")


def _is_scaling(server: Server, said: str) -> bool:
    """Whether a 503 comes from a proxy that has no server yet; the body of such a one is not documented."""
    return server.scales == "always" or (server.scales == "if silent" and not said)


def _estimate(response: Response) -> float | None:
    body = json_of(response)
    return seconds(body.get("estimated_time")) if isinstance(body, dict) else None


def _loading(response: Response, server: Server, wall: float) -> ModelLoadingError:
    said = error_text(response)
    return ModelLoadingError(
        f"{server.name} is still loading {server.runs}: {said[:200] or '503'}; call wait_until_ready() first, "
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
            f"{server.name} says that the audio is too long for {server.runs}; its length could not be read here: "
            'pip install "hfasr[av]" for that, and cut the audio'
        )
    return AudioTooLongError(
        f"{server.name} says that {duration:.1f} s of audio are too long for {server.runs}; cut it"
    )
