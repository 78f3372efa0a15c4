"""
Which addresses there are: the router's, an endpoint's, an OpenAI-style server's; and who may see
a token.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import quote, urlsplit

from .dialect import Server

__all__ = [
    "DEFAULT_MODEL",
    "ROUTER_URL",
    "check_url",
    "endpoint_server",
    "is_hugging_face",
    "openai_server",
    "origin",
    "router_server",
]

ROUTER_URL = "https://router.huggingface.co"
DEFAULT_MODEL = "openai/whisper-large-v3"

_MODEL_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_HUGGING_FACE = ("huggingface.co", "endpoints.huggingface.cloud")


def check_url(url: str, name: str) -> str:
    """
    Return *url* without a trailing slash.

    Raises:
        ValueError: It is not an absolute http(s) URL, or holds credentials, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f'{name} is not a URL; write it like "https://host/path"') from None
    if parts.scheme not in {"http", "https"} or not host or re.search(r"[\s\x00-\x1f\\]", url):
        raise ValueError(f'{name} must begin with http:// or https:// and name a host, like "https://host/path"')
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} holds a user name or password; pass a credential as token= instead")
    if parts.query or parts.fragment:
        raise ValueError(f"{name} must not hold a query or fragment; use extra_parameters= for parameters")
    return url.rstrip("/")


@functools.lru_cache(maxsize=256)  # asked several times a request, which took a tenth of the time before it is sent
def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port, which together decide who is the same server."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)


def is_hugging_face(url: str) -> bool:
    """Whether *url* is Hugging Face's own, over TLS: the only place for a token that was found, not passed."""
    scheme, host, _ = origin(url)
    return scheme == "https" and any(host == own or host.endswith(f".{own}") for own in _HUGGING_FACE)


@functools.lru_cache(maxsize=256)
def router_server(router_url: str, provider: str, model: str) -> Server:
    """
    Return *provider*'s server for *model* behind the router.

    Raises:
        ValueError: *model* is not a Hub id.
    """
    if not _MODEL_ID.fullmatch(model) or ".." in model or len(model) > 96:
        raise ValueError(
            f"{model[:100]!r} is not a Hub model id like 'openai/whisper-large-v3'; "
            "for a folder on this machine choose a local backend="
        )
    return Server(f"{router_url}/{provider}/models/{quote(model, safe='/')}", model, provider)


def endpoint_server(base_url: str, model: str | None) -> Server:
    """Return a toolkit server: audio is posted to its root."""
    url = base_url if urlsplit(base_url).path else f"{base_url}/"
    return Server(url, model, base_url, endpoint=True, scales="always" if _is_endpoint(base_url) else "if silent")


def openai_server(base_url: str, model: str | None, *, prefix: str | None = None) -> Server:
    """
    Return an OpenAI-style server.

    *base_url* may be the root, end in ``/v1``, or be the whole address of transcriptions.
    *prefix* overrides what is put between the root and ``/audio/transcriptions``.
    """
    path = "/audio/transcriptions"
    if base_url.endswith(path):
        url = base_url
    elif prefix is not None:
        url = f"{base_url}{prefix}{path}"
    else:
        url = f"{base_url}{'' if re.search(r'/v[0-9]+$', base_url) else '/v1'}{path}"
    return Server(url, model, base_url, endpoint=True, scales="always" if _is_endpoint(base_url) else "no")


def _is_endpoint(base_url: str) -> bool:
    host = origin(base_url)[1]
    return host.endswith(".endpoints.huggingface.cloud")
