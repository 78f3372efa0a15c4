"""One answer of a server, or why there was none, as JSON that a person can read; and back."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from hfasr._hosted.servers import origin
from hfasr._hosted.waits import asked_wait
from hfasr.errors import APIConnectionError, APIResponseError, APITimeoutError, without_audio
from hfasr.wire import Response

from ._secrets import HIDDEN

if TYPE_CHECKING:
    from hfasr.errors import HfasrError

    from ._secrets import Secrets

__all__ = ["answer", "failure", "is_timeout", "replayed"]

_KEPT = (
    "content-type",
    "x-error-message",
    "retry-after-ms",
    "ratelimit",
    "ratelimit-remaining",
    "x-ratelimit-remaining",
)
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{200,}")  # base64 or hex: no word of any language is so long
_N_LETTERS = 16  # hex has so many
_N_SAMPLES = 20  # or bytes, as numbers
_ELSEWHERE = "https://another-server.invalid/"
_TIME_OF_DAY = 10**8  # seconds since 1970, and no wait: `hfasr._hosted.waits`
_FAILURES = {kind.__name__: kind for kind in (APIConnectionError, APITimeoutError, APIResponseError)}
_FIELDS = ("status_code", "permanent", "maybe_billed")


def answer(response: Response, *, url: str, wall: float, secrets: Secrets) -> dict[str, Any]:
    """
    Return what is kept of *response*.

    Args:
        response: From *url*.

        url: What was asked.

        wall: Seconds since 1970, now: a date to wait for becomes the seconds until then.

        secrets: What is left out.
    """
    kept: dict[str, Any] = {"status": response.status_code}
    headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
    failed = response.status_code >= 400
    headers = _without_audio(headers, failed=failed)
    headers.update(_times(response.headers, wall))
    if "location" in response.headers:
        headers["location"] = _place(url, response.headers["location"])
    if headers:
        kept["headers"] = headers
    kept.update(_body(response.content, secrets, failed=failed))
    return kept


def failure(error: HfasrError, *, host: str) -> dict[str, Any] | None:
    """Return what is kept of *error*, without the name of the *host*; ``None``: it is none of the server's."""
    kind = _FAILURES.get(type(error).__name__)
    if kind is None:
        return None
    message = str(error).replace(host, "the server") if host else str(error)
    fields = {name: getattr(error, name) for name in _FIELDS if hasattr(error, name)}
    return {"error": kind.__name__, "message": message, **fields}


def is_timeout(kept: Mapping[str, Any]) -> bool:
    """Whether the time was what there was of an answer."""
    return kept.get("error") == APITimeoutError.__name__


def replayed(kept: Mapping[str, Any]) -> Response:
    """
    Return the answer that was kept.

    Raises:
        APIError: There was none, for that reason.
    """
    if "error" in kept:
        fields = {name: kept[name] for name in _FIELDS if name in kept}
        raise _FAILURES[kept["error"]](str(kept["message"]), **fields)
    if "json" in kept:
        content = json.dumps(kept["json"]).encode()
    elif "text" in kept:
        content = str(kept["text"]).encode()
    else:
        content = base64.b64decode(kept.get("base64", ""))
    return Response(int(kept["status"]), dict(kept.get("headers", {})), content)


def _times(headers: Mapping[str, str], wall: float) -> dict[str, str]:
    """Return the headers that name a time, as seconds from now: when they are played, it is another day."""
    found = {}
    value = headers.get("retry-after")
    if value is not None:
        wait = asked_wait({name: headers[name] for name in ("retry-after", "date") if name in headers}, wall)
        is_date = wait is not None and any(letter.isalpha() for letter in value)
        found["retry-after"] = str(math.ceil(wait)) if is_date and wait is not None else value
    for name in ("ratelimit-reset", "x-ratelimit-reset"):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        found[name] = str(max(0, math.ceil(seconds - wall))) if _TIME_OF_DAY <= seconds < math.inf else value
    return found


def _place(url: str, location: str) -> str:
    """Return where a redirect leads: a path of the same server, or somewhere else."""
    try:
        target = urljoin(url, location)
        same = bool(location) and origin(target) == origin(url)
    except ValueError:
        return _ELSEWHERE
    return urlsplit(target).path or "/" if same else _ELSEWHERE


def _body(content: bytes, secrets: Secrets, *, failed: bool) -> dict[str, Any]:
    if not content:
        return {}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        hidden = _without_audio(content.decode("latin-1"), failed=failed)
        return {"base64": base64.b64encode(secrets.hide_bytes(hidden.encode("latin-1"))).decode()}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if not isinstance(value, dict | list):
        return {"text": _without_audio(text, failed=failed)}
    return {"json": _without_audio(value, failed=failed)}


def _without_audio(value: Any, *, failed: bool) -> Any:
    """
    Return *value*, as of JSON, without the audio that a server echoes.

    Args:
        value: Anything that JSON carries.

        failed: Whether it tells of a failure. Else it holds what was said, which is never taken for audio.
    """
    if isinstance(value, str):
        return without_audio(value, HIDDEN) if failed else _ENCODED.sub(_hide_if_mixed, value)
    if isinstance(value, dict):
        return {_without_audio(k, failed=failed): _without_audio(v, failed=failed) for k, v in value.items()}
    if isinstance(value, list):
        if failed and len(value) >= _N_SAMPLES and all(isinstance(item, int | float) for item in value):
            return HIDDEN
        return [_without_audio(item, failed=failed) for item in value]
    return value


def _hide_if_mixed(run: re.Match[str]) -> str:
    """Leave a word alone that a model repeats: it has few letters."""
    return HIDDEN if len(set(run[0])) >= _N_LETTERS else run[0]
