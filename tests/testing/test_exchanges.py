"""One answer as JSON, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfasr import APIConnectionError, APIResponseError, APIStatusError, APITimeoutError
from hfasr.testing._exchanges import answer, failure, is_timeout, replayed
from hfasr.testing._secrets import Secrets
from hfasr.wire import Response

URL = "https://server.example/base/run"
WALL = 1_700_000_000.0


def kept(status: int = 200, headers: dict[str, str] | None = None, content: bytes = b"") -> dict[str, Any]:
    return answer(Response(status, headers or {}, content), url=URL, wall=WALL, secrets=Secrets())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"text": "a", "chunks": [{"timestamp": [0.1, null]}]}',
        b"[1e400, NaN, true]",
        '{"text": "ü \\ud83d"}'.encode(),
        b"plain",
        b'"a string"',
        b"12",
        b"\xff\x00",
        b"[" * 50_000,
        b'{"n": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_what_is_played_says_what_was_answered(content: bytes) -> None:
    """Bodies of any kind come back, those of JSON with the same value, and survive being written as JSON."""
    again = replayed(json.loads(json.dumps(kept(content=content))))
    try:
        same = repr(json.loads(again.content)) == repr(json.loads(content))
    except (ValueError, RecursionError):
        same = again.content == content
    assert same
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "played"),
    [
        ("retry-after", "7", "7"),
        ("retry-after", "7.5, 9", "7.5, 9"),
        ("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT", "60"),  # 1,700,000,060
        ("retry-after", "soon", "soon"),
        ("retry-after-ms", "1500", "1500"),
        ("ratelimit", '"api";r=0;t=55', '"api";r=0;t=55'),
        ("x-ratelimit-reset", "20", "20"),
        ("x-ratelimit-reset", "1700000060", "60"),
        ("x-ratelimit-reset", "1600000000", "0"),
        ("ratelimit-reset", "later", "later"),
        ("ratelimit-reset", "inf", "inf"),
        ("content-type", "text/html", "text/html"),
        ("location", "/other?token=x#y", "/other"),
        ("location", "https://server.example:443", "/"),
        ("location", "https://elsewhere.example/name", "https://another-server.invalid/"),
        ("location", "https://[", "https://another-server.invalid/"),
        ("location", "", "https://another-server.invalid/"),
        ("date", "Tue, 14 Nov 2023 22:14:20 GMT", None),
        ("x-request-id", "Root=1-67dd", None),
        ("set-cookie", "a=b", None),
    ],
)
def test_headers(name: str, value: str, played: str | None) -> None:
    """What hfasr looks at is kept, with times from now on and places without hosts; the rest is not."""
    assert kept(429, {name: value}).get("headers", {}).get(name) == played


def test_failures() -> None:
    """A failure comes back as what it was, with its fields, and without the server's name; others are not the server's."""
    for error in (
        APIConnectionError("the connection to server.example:8000 failed", permanent=True),
        APITimeoutError("server.example:8000 did not answer in time", maybe_billed=True),
        APIResponseError("the reply of server.example:8000 was cut off", status_code=206),
    ):
        told = failure(error, host="server.example:8000")
        assert told is not None
        assert "example" not in json.dumps(told)
        assert is_timeout(told) == isinstance(error, APITimeoutError)
        with pytest.raises(type(error), match="the server") as caught:
            replayed(told)
        assert {**vars(caught.value)} == {**vars(error)}
    assert failure(APIStatusError("no", status_code=400), host="x") is None
    assert failure(APIConnectionError("no"), host="")["message"] == "no"  # type: ignore[index]  # it is one
