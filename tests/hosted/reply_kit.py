"""Replies as a server sends them, for tests of what is read of them."""

from __future__ import annotations

import json
from typing import Any

from hfasr.wire import Response

__all__ = ["reply"]


def reply(body: Any, status: int = 200, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
