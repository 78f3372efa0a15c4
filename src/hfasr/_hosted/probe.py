"""
Telling the two dialects apart with one cheap request.

An empty form is posted to the address of OpenAI's transcriptions. Toolkit servers know no such
path (404); servers of Hugging Face's older community image take any path, and complain with an
``error`` that is a string; OpenAI-style servers complain about the missing file, with an
``error`` that is an object or FastAPI's ``detail``. No audio is sent, so nothing is billed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hfasr.wire import Request, Response

from .replies import json_of

__all__ = ["openai_probe", "read_probe"]

_EMPTY_FORM = b"--hfasr--\r\n"
_PATH = "/audio/transcriptions"


def openai_probe(base_url: str) -> Iterator[tuple[Request | None, str | None]]:
    """
    Yield what to ask, and the prefix of the path that a yes means.

    ``None`` for the request: the address itself tells that it is OpenAI's.
    """
    if base_url.endswith(_PATH) or re.search(r"/v[0-9]+$", base_url):
        yield None, None
        return
    headers = {"content-type": "multipart/form-data; boundary=hfasr", "accept": "application/json"}
    # vLLM's images on Inference Endpoints answer under /api/v1.
    for prefix in ("/v1", "/api/v1"):
        yield Request("POST", f"{base_url}{prefix}{_PATH}", headers, _EMPTY_FORM), prefix


def read_probe(response: Response) -> bool | None:
    """Return whether the server speaks OpenAI's dialect; ``None``: it said neither yes nor no."""
    status = response.status_code
    if status in {404, 405}:
        return False
    if status in {400, 415, 422}:
        body = json_of(response)
        return isinstance(body, dict) and (isinstance(body.get("error"), dict) or "detail" in body)
    return True if 200 <= status < 300 else None
