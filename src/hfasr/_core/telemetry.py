"""
Spans of OpenTelemetry: around each call and each chunk of it, and one for each attempt. The one place that knows of it.

Where nobody in the process has imported OpenTelemetry, nobody has said where spans go. So it is never imported here
first, and without it, or without a provider, a call pays for a look into `sys.modules`.

A span holds no content: nothing of the audio, the text, the prompt, what a file is called or where it lies, and no
message of an error, since servers echo what they were sent. `docs/operations.md` lists what it does hold.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from hfasr._hosted.servers import origin
from hfasr._version import __version__

from .routes import HostedRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from hfasr.types import Attempt, Transcript

    from .routes import Route

__all__ = ["UNFINISHED", "attach", "describe", "detach", "end", "model_attributes", "record_attempt", "start"]

UNFINISHED = frozenset(["skipped", "cancelled"])
"""In `Attempt.error`, of what did not fail."""

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_MAX_MODEL_CHARS = 200

_last: tuple[object, Tracer] | None = None  # making a tracer costs more than a span


def _tracer() -> Tracer | None:
    """Return what makes spans, ``None`` where nobody wants any."""
    global _last  # noqa: PLW0603  # one value, replaced in one step
    api = sys.modules.get("opentelemetry.trace")
    if api is None or not hasattr(api, "get_tracer_provider"):  # another thread is importing it just now
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    known = _last
    if known is None or known[0] is not provider:
        _last = known = (provider, provider.get_tracer("hfasr", __version__))
    return known[1]


def start(name: str, attributes: Callable[[], Mapping[str, Any]], parent: Span | None) -> Span | None:
    """Begin a span below *parent*, or else below the caller's; ``None`` where nobody wants any."""
    tracer = _tracer()
    if tracer is None:
        return None
    return tracer.start_span(name, None if parent is None else _below(parent), attributes=_without_none(attributes()))


def attach(span: Span) -> Token[Context]:
    """Make *span* the one that what follows here belongs to, up to `detach`."""
    from opentelemetry import context

    return context.attach(_below(span))


def detach(token: Token[Context]) -> None:
    """Undo `attach`, in the same thread or task."""
    from opentelemetry import context

    context.detach(token)


def end(span: Span, error: BaseException | None) -> None:
    """End *span*. What was given up did not fail."""
    if error is not None:
        _fail(span, type(error).__name__ if isinstance(error, Exception) else "cancelled")
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            span.set_attribute("http.response.status_code", status)
    span.end()


def describe(span: Span, transcript: Transcript) -> None:
    """Say how *transcript* came about, and nothing of what it says."""
    origin = transcript.provenance
    if origin is None or not span.is_recording():
        return
    found = {
        "gen_ai.provider.name": origin.provider or origin.backend,
        "gen_ai.response.model": _model(origin.model),
        "hfasr.audio.duration": origin.audio_duration,
        "hfasr.upload.bytes": origin.uploaded_bytes,
        "hfasr.upload.format": origin.upload_format,
        "hfasr.chunks": origin.chunks,
        "hfasr.attempts": len(origin.attempts),
        "hfasr.fallback": origin.fallback_reason is not None,
        "hfasr.warnings": len(transcript.warnings),
    }
    span.set_attributes(_without_none(found))


def record_attempt(parent: Span, attempt: Attempt, route: Route | None, ended_ns: int) -> None:
    """Make the span of *attempt*, which ended so many nanoseconds after 1970."""
    tracer = _tracer()
    if tracer is None or not parent.is_recording():
        return
    from opentelemetry.trace import SpanKind

    is_hosted = isinstance(route, HostedRoute)
    attributes = {
        "hfasr.route": attempt.route,
        "http.response.status_code": attempt.status,
        "hfasr.request_id": attempt.request_id,
        "hfasr.waited": attempt.waited,
        "hfasr.loading": attempt.loading,
        "hfasr.chunk": attempt.chunk,
        "hfasr.channel": attempt.channel,
        **(model_attributes(route) if route is not None else {}),
    }
    if isinstance(route, HostedRoute):
        _, attributes["server.address"], attributes["server.port"] = origin(route.base_url)
    span = tracer.start_span(
        f"attempt {attempt.route}",
        _below(parent),
        kind=SpanKind.CLIENT if is_hosted else SpanKind.INTERNAL,
        attributes=_without_none(attributes),
        start_time=ended_ns - int(attempt.duration * 1e9),
    )
    if attempt.error is not None:
        _fail(span, attempt.error)
    span.end(ended_ns)


def model_attributes(route: Route) -> dict[str, Any]:
    """Return what is asked of *route*."""
    return {"gen_ai.operation.name": "transcribe", "gen_ai.request.model": _model(route.model)}


def _below(span: Span) -> Context:
    from opentelemetry import trace

    return trace.set_span_in_context(span)


def _fail(span: Span, name: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", name)
    if name not in UNFINISHED:
        span.set_status(Status(StatusCode.ERROR, name))


def _model(name: str | None) -> str | None:
    """Return a model's name where it can be one of the Hub: a folder's says where it lies."""
    return name if name is not None and len(name) <= _MAX_MODEL_CHARS and _HUB_ID.fullmatch(name) else None


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
