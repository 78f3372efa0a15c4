"""Reading what servers answer: JSON that may be anything, and the messages in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hfasr.errors import APIResponseError, clean
from hfasr.types import Segment, Word

if TYPE_CHECKING:
    from hfasr.wire import Response

__all__ = ["decode", "error_text", "json_of", "read_segments", "read_words", "request_id", "text_of"]


_MAX_JSON_VALUES = 500_000  # ten hours of words with their times; an empty list, of three bytes, takes up 64
_PLAIN_ID = re.compile(r"[\w.:=;,+/-]{1,99}", re.ASCII)
_MEDIA_TYPE = re.compile(r"[a-z]{1,12}/[\w.+-]{1,30}(?![^;\s])", re.ASCII | re.IGNORECASE)  # else it may be an echo
_MAX_TEXT_CHARS = 1_000_000  # 18 hours at 150 words a minute; what reads texts for repetitions takes 13 s for as much
_MAX_ERROR_CHARS = 1_000  # servers echo whole requests, and patterns are searched in this
_MAX_DEPTH = 64  # documented answers have 5; what is nested deeper can be read, but not copied or pickled


def decode(response: Response, limit: int = 20_000) -> str:
    """Return the start of the body as text, whatever it is."""
    return response.content[:limit].decode("utf-8", errors="replace")


def json_of(response: Response) -> Any:
    """Return the body as JSON, ``None`` where it is not, would fill the memory, or is nested beyond reason."""
    if _is_bomb(response.content):
        return None
    try:
        value = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    n_opened = response.content.count(b"[") + response.content.count(b"{")
    return None if n_opened > _MAX_DEPTH and _is_deep(value) else value


def _is_deep(value: Any) -> bool:
    level: list[Any] = [[value]]
    for _ in range(_MAX_DEPTH + 1):
        inside = (inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _is_bomb(content: bytes) -> bool:
    """Whether, as JSON, it is more values than any transcript is."""
    return len(content) > _MAX_JSON_VALUES and sum(map(content.count, (b",", b"[", b"{"))) > _MAX_JSON_VALUES


def request_id(response: Response) -> str | None:
    """Return the server's id of the request, by the names that the field uses."""
    for name in ("x-request-id", "inference-id", "x-inference-id", "x-amzn-trace-id", "x-amz-cf-id"):
        value = response.headers.get(name)
        if value:
            return value if _PLAIN_ID.fullmatch(value) else clean(value, limit=200)
    return None


def error_text(response: Response) -> str:
    """
    Return what the server says is wrong.

    Understood are ``{"error": "…" | ["…"] | {"message": "…"}}`` (Hugging Face, OpenAI),
    ``{"detail": "…" | [{"loc": …, "msg": …}]}`` (FastAPI), ``{"message": "…"}``, and plain text; of
    an HTML page only that it is one.
    """
    body = json_of(response)
    if isinstance(body, dict):
        for key in ("error", "detail", "message", "title"):
            if body.get(key):
                return "; ".join(_strings(body[key]))[:_MAX_ERROR_CHARS]
    text = decode(response, _MAX_ERROR_CHARS).strip()
    if text[:15].lower().startswith(("<!doctype", "<html")):
        return "an HTML page"
    return text or response.headers.get("x-error-message", "")


def _strings(value: Any, depth: int = 0) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif depth > 3:
        return
    elif isinstance(value, list):
        for item in value[:10]:
            yield from _strings(item, depth + 1)
    elif isinstance(value, dict):
        found = next((value[key] for key in ("message", "msg", "error", "detail") if value.get(key)), None)
        place = value.get("loc")
        if isinstance(place, list) and place and isinstance(place[-1], str | int):
            yield f"{place[-1]}: {'; '.join(_strings(found, depth + 1))}"
        else:
            yield from _strings(found, depth + 1)


def text_of(response: Response) -> tuple[str, dict[str, Any]]:
    """
    Return the text of a 2xx *response* and the whole answer.

    Raises:
        APIResponseError: No JSON object with a ``text``, or one of more values or characters than any transcript has.
    """
    if _is_bomb(response.content):
        raise _too_much(response, f"over {_MAX_JSON_VALUES} values")
    body = json_of(response)
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("text"), str) and not body.get("error"):
        if len(body["text"]) > _MAX_TEXT_CHARS:
            raise _too_much(response, f"{len(body['text'])} characters")
        return body["text"], body
    what = _instead(response, body)
    raise APIResponseError(
        f"the server answered {response.status_code} with {what[:300]}; "
        "check that base_url and model are those of a speech recogniser",
        status_code=response.status_code,
        request_id=request_id(response),
        body=decode(response),
    )


def _instead(response: Response, body: Any) -> str:
    """Say what came in place of a transcript, quoting nothing but an error: it may be one, in another shape."""
    if isinstance(body, dict):
        if body.get("error"):
            return f"an error: {error_text(response)}"
        return f"no transcript, but JSON with the keys {', '.join(sorted(body)) or 'of nothing'}"
    if body is not None:
        return f"no transcript, but JSON that is a {type(body).__name__}"
    if error_text(response) == "an HTML page":
        return "no transcript, but an HTML page"
    kind = _MEDIA_TYPE.match(response.headers.get("content-type", ""))
    return f"no transcript, but {len(response.content)} bytes ({kind[0] if kind else 'no content type'})"


def _too_much(response: Response, what: str) -> APIResponseError:
    return APIResponseError(
        f"the server answered {response.status_code} with {what}, which is no transcript; "
        "check that base_url and model are those of a speech recogniser",
        status_code=response.status_code,
        request_id=request_id(response),
    )


def seconds(value: Any) -> float | None:
    """Return a time as a finite `float` of 0 or more, ``None`` where it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def read_words(items: Any) -> tuple[Word, ...]:
    """
    Return timed words from ``[{"word" | "text", "start", "end"}]`` or ``[{"text", "timestamp"}]``.

    Times are the server's own, however odd: the call's guards judge and mend them.
    """
    words = []
    for text, start, end, item in _timed(items):
        score = next((item[key] for key in ("confidence", "probability", "score") if key in item), None)
        confidence = seconds(score)
        words.append(Word(start, end, text, confidence if confidence is not None and confidence <= 1 else None))
    return tuple(words)


def read_segments(items: Any) -> tuple[Segment, ...]:
    """Return segments from ``[{"text", "start", "end"}]`` or ``[{"text", "timestamp"}]``; see `read_words`."""
    return tuple(Segment(start, end, text, read_words(item.get("words"))) for text, start, end, item in _timed(items))


def _timed(items: Any) -> Iterable[tuple[str, float, float | None, dict[str, Any]]]:
    reached = 0.0
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        text = item.get("word", item.get("text"))
        pair = item.get("timestamp")
        start, end = (
            (item.get("start"), item.get("end")) if not isinstance(pair, list | tuple) else [*pair, None, None][:2]
        )
        begin, finish = seconds(start), seconds(end)
        if isinstance(text, str) and text.strip():
            begin = reached if begin is None else begin  # without a start of its own it follows the one before
            reached = begin if finish is None else finish
            yield text.strip(), begin, finish, item
