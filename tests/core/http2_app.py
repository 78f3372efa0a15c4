"""A speech recogniser for any ASGI server; it tells what it was asked in which version of HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import soundfile

from hfasr import Audio
from hfasr.testing import ToneSpeech

asked: list[tuple[str, str, list[Any]]] = []
"""HTTP version, path, and the client's address, of each request for a transcript."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    if scope["method"] in {"GET", "DELETE"}:
        await send({"type": "http.response.body", "body": json.dumps(asked).encode()})
        if scope["method"] == "DELETE":
            asked.clear()
        return
    asked.append((scope["http_version"], scope["path"], list(scope["client"])))
    if scope["path"] == "/silent":
        await receive()  # until the client leaves
    elif scope["path"] == "/endless":
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": b" " * 65_536, "more_body": True})
    else:
        await asyncio.sleep(0.05)  # so that requests overlap
        samples, rate = soundfile.read(io.BytesIO(body), dtype="float32")
        text = ToneSpeech().hear(Audio(samples, rate)).text
        await send({"type": "http.response.body", "body": json.dumps({"text": text}).encode()})
