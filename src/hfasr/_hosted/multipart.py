"""Multipart form bodies (RFC 7578), built in one piece."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

__all__ = ["encode"]


def encode(fields: Iterable[tuple[str, str]], *, filename: str, content_type: str, data: bytes) -> tuple[bytes, str]:
    """
    Return the body and its content type: a ``file`` part first, then *fields*, in order.

    Servers sniff the audio's format from *filename*, so it comes from our own table, never from
    the caller's path.
    """
    boundary = f"hfasr-{secrets.token_hex(16)}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(filename)}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n".encode(),
        data,
    ]
    for name, value in fields:
        parts.append(
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}'.encode()
        )
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
