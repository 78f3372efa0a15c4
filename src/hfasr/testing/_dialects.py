"""
Which dialect a path belongs to, and who may use it.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import replies
from ._hf import Model, hub_model_info, router_reply, router_request_id, toolkit_reply
from ._openai import error_reply, models_reply, openai_reply
from .replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._connection import RecordedRequest
    from .heard import Listener

__all__ = ["Dialect", "Dialects"]

Dialect: TypeAlias = Literal["hf-inference", "toolkit", "openai"]
"""``"hf-inference"``: the router. ``"toolkit"``: an Inference Endpoint's root. ``"openai"``: ``/v1/audio/…``."""

TRANSCRIBING: dict[str, Dialect] = {
    r"/hf-inference/models/[^/]+(/[^/]+)?": "hf-inference",
    r"/(predict)?": "toolkit",
    r"(/api)?/v1/audio/(transcriptions|translations)": "openai",
}


@dataclass(slots=True)
class Dialects:
    """Answers requests in those dialects that the server speaks."""

    speaks: frozenset[Dialect]
    model: Model
    listener: Listener
    token: str | None
    engine_errors: list[Exception] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def transcribes(self, request: RecordedRequest) -> bool:
        """Whether the request asks for a transcription."""
        return request.method == "POST" and self._dialect(request.path) is not None

    def reply(self, request: RecordedRequest) -> Reply:
        """Answer as the real server does."""
        dialect = self._dialect(request.path)
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return _unauthorized(request, dialect)
        if dialect == "openai":
            return self._guarded(openai_reply, request, lambda text: error_reply(500, text))
        if dialect == "hf-inference" and request.method == "POST":
            return self._guarded(lambda r, ear: router_reply(r, ear, self.model), request, _bad_request)
        if dialect == "toolkit" and request.method == "POST":
            return self._guarded(lambda r, ear: toolkit_reply(r, ear, self.model), request, _bad_request)
        return self._other(request, dialect)

    def with_request_id(self, request: RecordedRequest, reply: Reply) -> Reply:
        """Add an ``x-request-id``, which the router puts on every answer, failures included."""
        known = any(name.lower() == "x-request-id" for name in reply.headers)
        if known or self._dialect(request.path) != "hf-inference":
            return reply
        return replace(reply, headers={**reply.headers, "x-request-id": router_request_id(request)})

    def _dialect(self, path: str) -> Dialect | None:
        for pattern, dialect in TRANSCRIBING.items():
            if dialect in self.speaks and re.fullmatch(pattern, path):
                return dialect
        return None

    def _other(self, request: RecordedRequest, dialect: Dialect | None) -> Reply:
        text = {"content-type": "text/plain; charset=utf-8"}
        if request.method == "GET":
            if "toolkit" in self.speaks and request.path in ("/", "/health"):
                return Reply(200, body="Ok", headers=text)
            if "openai" in self.speaks and re.fullmatch(r"(/api)?/v1/models", request.path):
                return models_reply()
            if "hf-inference" in self.speaks and request.path.startswith("/api/models/"):
                return hub_model_info(request)
        if dialect is not None:
            return Reply(405, body="Method Not Allowed", headers={**text, "allow": "POST"})
        return replies.not_found()

    def _guarded(
        self,
        answer: Callable[[RecordedRequest, Listener], Reply],
        request: RecordedRequest,
        failed: Callable[[str], Reply],
    ) -> Reply:
        try:
            return answer(request, self.listener)
        except Exception as error:  # noqa: BLE001  # kept for the test to see; the client gets what a real server gives
            with self._lock:
                self.engine_errors.append(error)
            return failed(str(error))


def _bad_request(text: str) -> Reply:
    return Reply(400, json={"error": text})  # HF's toolkit answers 400 to its own failures, too


def _unauthorized(request: RecordedRequest, dialect: Dialect | None) -> Reply:
    sent = request.headers.get("authorization")
    if dialect == "openai":
        return error_reply(401, "Incorrect API key provided.", code="invalid_api_key")
    is_json = request.headers.get("content-type", "").startswith("application/json")
    if is_json and sent is not None:
        return Reply(401, json={"error": "Invalid credentials in Authorization header"})
    return replies.unauthorized(html=not is_json and request.method == "POST")
