"""What is in a span, and when there is none: function by function."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from hfasr import Attempt, Provenance, RateLimitError, Transcript
from hfasr._core import telemetry
from hfasr._core.routes import HostedRoute, LocalRoute
from hfasr._version import __version__
from tests.core.spans_kit import Provider

ATTEMPT = Attempt("hf", 200, None, "r1", 0.0, 2.5, 0.5, 0.25, 3, 1)
HOSTED = HostedRoute("hf", "hf-inference", "https://a.example:8443/v1", "org/model", "auto", False, None)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return Provider().install(monkeypatch)


def start(name: str = "call", parent: Any = None, **attributes: Any) -> Any:
    return telemetry.start(name, lambda: attributes, parent)


def test_start_and_end(provider: Provider) -> None:
    """A span is hfasr's, has the attributes that are known, and lies below its parent."""
    outer = start("call", answer=1, nothing=None)
    inner = start("chunk", outer)
    telemetry.end(inner, None)
    telemetry.end(outer, None)
    chunk, call = provider.ended()
    assert (chunk.name, call.name) == ("chunk", "call")
    assert dict(call.attributes or {}) == {"answer": 1}
    assert call.parent is None
    assert chunk.parent is not None
    assert chunk.parent.span_id == outer.get_span_context().span_id
    assert call.status.status_code is StatusCode.UNSET
    scope = call.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("hfasr", __version__)


def test_no_parent_of_its_own(provider: Provider) -> None:
    """Without a parent a span lies below the caller's; `attach` makes it the one that others lie below."""
    outer = start("call")
    token = telemetry.attach(outer)
    inner = start("inner")
    telemetry.detach(token)
    beside = start("beside")
    for span in (inner, beside, outer):
        telemetry.end(span, None)
    parents = {span.name: span.parent and span.parent.span_id for span in provider.ended()}
    assert parents == {"inner": outer.get_span_context().span_id, "beside": None, "call": None}


def test_tracer_is_kept_for_its_provider(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tracer is made for each provider; another provider gets one of its own."""
    made: list[str] = []

    def counted(name: str, version: str) -> Any:
        made.append(name)
        return TracerProvider.get_tracer(provider.made, name, version)

    monkeypatch.setattr(provider.made, "get_tracer", counted)
    for _ in range(3):
        start().end()
    assert made == ["hfasr"]
    other = Provider()
    other.install(monkeypatch)
    start("other").end()
    assert [span.name for span in other.ended()] == ["other"]


@pytest.mark.parametrize("api", [None, SimpleNamespace()])
def test_not_imported(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry is not imported, or only half, nothing is made and no attribute asked for."""
    if api is None:
        monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    else:
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)
    assert telemetry.start("call", lambda: 1 / 0, None) is None  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("kind", [trace.ProxyTracerProvider, trace.NoOpTracerProvider])
def test_nobody_listens(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that throws spans away gets none."""
    monkeypatch.setattr(trace, "get_tracer_provider", kind)
    assert telemetry.start("call", lambda: 1 / 0, None) is None  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        (ValueError("secret"), "ValueError", StatusCode.ERROR),
        (KeyboardInterrupt(), "cancelled", StatusCode.UNSET),
    ],
)
def test_end_with_an_error(error: BaseException, name: str, code: StatusCode, provider: Provider) -> None:
    """An error is told by its name alone; what was given up did not fail."""
    telemetry.end(start(), error)
    span = provider.last()
    assert dict(span.attributes or {}) == {"error.type": name}
    assert (span.status.status_code, span.status.description) == (code, name if code is StatusCode.ERROR else None)


def test_end_with_a_status(provider: Provider) -> None:
    """A server's error has its status."""
    telemetry.end(start(), RateLimitError("no", status_code=429))
    assert dict(provider.last().attributes or {}) == {"error.type": "RateLimitError", "http.response.status_code": 429}
    odd: Any = ValueError("no")
    odd.status_code = "429"
    telemetry.end(start(), odd)
    assert dict(provider.last().attributes or {}) == {"error.type": "ValueError"}


def transcript(**settings: Any) -> Transcript:
    known: dict[str, Any] = {
        "backend": "hosted",
        "provider": None,
        "model": None,
        "audio_sha256": "",
        "audio_duration": None,
        "uploaded_bytes": None,
        "upload_format": None,
        "attempts": (ATTEMPT, ATTEMPT),
    }
    return Transcript("words", provenance=Provenance(**{**known, **settings}), warnings=("one",))


def test_describe(provider: Provider) -> None:
    """A transcript is told by where it came from and how, and by no word of it."""
    span = start()
    whole = transcript(
        provider="hf-inference",
        model="org/model",
        audio_duration=3.5,
        uploaded_bytes=99,
        upload_format="flac",
        chunks=2,
        fallback_reason="it failed",
    )
    telemetry.describe(span, whole)
    telemetry.end(span, None)
    assert dict(provider.last().attributes or {}) == {
        "gen_ai.provider.name": "hf-inference",
        "gen_ai.response.model": "org/model",
        "hfasr.audio.duration": 3.5,
        "hfasr.upload.bytes": 99,
        "hfasr.upload.format": "flac",
        "hfasr.chunks": 2,
        "hfasr.attempts": 2,
        "hfasr.fallback": True,
        "hfasr.warnings": 1,
    }
    span = start()
    telemetry.describe(span, transcript(model="/home/me/model"))
    telemetry.end(span, None)
    said = dict(provider.last().attributes or {})
    assert said["gen_ai.provider.name"] == "hosted"
    assert "gen_ai.response.model" not in said
    assert said["hfasr.fallback"] is False


class Deaf:
    """A span that records nothing."""

    def is_recording(self) -> bool:
        return False


def test_nothing_to_describe(provider: Provider) -> None:
    """Where nothing is known, or a span records nothing, nothing is said."""
    span = start()
    telemetry.describe(span, Transcript("words"))
    deaf: Any = Deaf()
    telemetry.describe(deaf, transcript())
    telemetry.record_attempt(deaf, ATTEMPT, HOSTED, 5)
    telemetry.end(span, None)
    assert dict(provider.last().attributes or {}) == {}
    assert len(provider.ended()) == 1


def test_attempt_on_a_server(provider: Provider) -> None:
    """An attempt is a span of its own below the call's, with its times, its route and its server."""
    parent = start()
    telemetry.record_attempt(parent, ATTEMPT, HOSTED, 10_000_000_000)
    span = provider.last()
    assert (span.name, span.kind) == ("attempt hf", SpanKind.CLIENT)
    assert (span.start_time, span.end_time) == (7_500_000_000, 10_000_000_000)
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "hfasr.route": "hf",
        "http.response.status_code": 200,
        "hfasr.request_id": "r1",
        "hfasr.waited": 0.5,
        "hfasr.loading": 0.25,
        "hfasr.chunk": 3,
        "hfasr.channel": 1,
        "gen_ai.operation.name": "transcribe",
        "gen_ai.request.model": "org/model",
        "server.address": "a.example",
        "server.port": 8443,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [("ValueError", StatusCode.ERROR), ("skipped", StatusCode.UNSET), ("cancelled", StatusCode.UNSET)],
)
@pytest.mark.parametrize("route", [LocalRoute("engine", None, None), None])
def test_attempt_here(route: LocalRoute | None, error: str, code: StatusCode, provider: Provider) -> None:
    """An attempt on this machine has no server; one that was skipped or given up did not fail."""
    telemetry.record_attempt(start(), Attempt("engine", None, error, None, 0.0, 0.0, 0.0), route, 5)
    span = provider.last()
    assert span.kind == SpanKind.INTERNAL
    assert (span.status.status_code, span.status.description) == (code, error if code is StatusCode.ERROR else None)
    assert dict(span.attributes or {}) == {
        "hfasr.route": "engine",
        "hfasr.waited": 0.0,
        "hfasr.loading": 0.0,
        "error.type": error,
        **({} if route is None else {"gen_ai.operation.name": "transcribe"}),
    }


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("org/model", True),
        ("model-1.0_a", True),
        ("a" * 200, True),
        ("a" * 201, False),
        ("/org/model", False),
        ("org/model/x", False),
        ("./model", False),
        ("C:\\model", False),
        ("mödel", False),
        ("", False),
        (None, False),
    ],
)
def test_model_names(model: str | None, told: bool) -> None:
    """A model is named where it can be one of the Hub: a folder says where it lies."""
    attributes = telemetry.model_attributes(LocalRoute("engine", model, None))
    assert attributes == {"gen_ai.operation.name": "transcribe", "gen_ai.request.model": model if told else None}
