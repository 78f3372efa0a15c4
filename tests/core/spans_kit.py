"""Spans that are kept when they have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from typing import Self

    import pytest


class Provider:
    """Gives spans, and keeps those that have ended."""

    def __init__(self, **settings: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.made = TracerProvider(shutdown_on_exit=False, **settings)
        self.made.add_span_processor(SimpleSpanProcessor(self.exporter))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Make it the one that OpenTelemetry knows, during a test."""
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: self.made)
        return self

    def ended(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def last(self) -> ReadableSpan:
        return self.ended()[-1]
