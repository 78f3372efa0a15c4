"""
Taking out of errors what a server has echoed of the request.

What looks like a token, or like audio in any encoding, is left out of every message by `hfasr.errors.clean`. This
knows what the call's own token and prompt are, whatever they look like. It hides pieces of them, too: a message is
cut to its length, and a server may quote no more than the beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from urllib.parse import quote, quote_plus

from hfasr.errors import APIResponseError, APIStatusError, HfasrError

from .translate import causes

__all__ = ["Secrets"]

_TOKEN_RUN = 8
"""So many characters in a row are a piece of a token: of one drawn from 62 letters, chance has them never."""

_PROMPT_RUN = 16  # two words or three
_MIN_CHARS = 4  # what is shorter is in most sentences, and as a token only a stand-in for one
_MAX_PROMPT_CHARS = 10_000  # a model reads 224 tokens of one


class Secrets:
    """
    What of one request must not be seen.

    Args:
        token: Of any form.

        prompt: Text of the caller's.
    """

    def __init__(self, token: str | None, prompt: str | None = None) -> None:
        self._token = token or ""
        self._prompt = " ".join((prompt or "")[:_MAX_PROMPT_CHARS].split())

    @cached_property
    def _masks(self) -> tuple[_Mask, ...]:  # only where something fails, since to make that of a prompt takes 10 ms
        wanted = (self._token, _TOKEN_RUN, "***"), (self._prompt, _PROMPT_RUN, "…")
        return tuple(_Mask(secret, length, mark) for secret, length, mark in wanted if len(secret) >= _MIN_CHARS)

    def out_of(self, text: str) -> str:
        """Return *text* without them."""
        for mask in self._masks:
            text = mask.out_of(text)
        return text

    def out_of_id(self, found: str | None) -> str | None:
        """The same for a server's id of a request, of which each answer has one: most are seen at once to be none."""
        pieces = chain(_pieces(self._token, _TOKEN_RUN), _pieces(self._prompt, _PROMPT_RUN))
        if found is not None and any(piece in found for piece in pieces):
            return self.out_of(found)
        return found

    def out_of_error(self, error: HfasrError) -> None:
        """Take them out of *error*; what led to it is forgotten from the first one on that tells them."""
        error.args = tuple(self.out_of(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, APIStatusError | APIResponseError):
            error.body = self.out_of(error.body)
            error.request_id = None if error.request_id is None else self.out_of(error.request_id)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if isinstance(cause, HfasrError):
            self.out_of_error(cause)
        elif cause is not None and any(self._tells(one) for one in causes(cause)):
            error.__cause__ = error.__context__ = None

    def _tells(self, error: BaseException) -> bool:
        text = f"{error} {error.args}"
        return self.out_of(text) != text


class _Mask:
    """
    Hides one secret: each run of a text that is in it, of *length* characters at least.

    One that is shorter itself is hidden as a whole, where it stands alone: as a part of a word it is no secret.
    """

    def __init__(self, secret: str, length: int, mark: str) -> None:
        self._length = length
        self._mark = mark
        forms = _forms(secret)
        short = sorted((form for form in forms if len(form) < length), key=len, reverse=True)
        self._short = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, short))})(?!\w)") if short else None
        self._runs = {form[i : i + length] for form in forms for i in range(len(form) - length + 1)}

    def out_of(self, text: str) -> str:
        if self._short is not None:
            text = self._short.sub(self._mark, text)
        return self._without_runs(text) if self._runs else text

    def _without_runs(self, text: str) -> str:
        runs, length = self._runs, self._length
        kept: list[str] = []
        i = 0
        for found in range(len(text) - length + 1):
            if found < i or text[found : found + length] not in runs:
                continue
            end = found + length
            while end < len(text) and text[end - length + 1 : end + 1] in runs:
                end += 1
            kept += text[i:found], self._mark
            i = end
        return "".join((*kept, text[i:]))


def _pieces(secret: str, length: int) -> Iterator[str]:
    """Give pieces of *secret* of which every run of it of *length* characters holds one, and so does the whole."""
    if len(secret) >= length:
        half = length // 2
        yield from (secret[i : i + half] for i in range(0, len(secret) - half + 1, half))
    elif len(secret) >= _MIN_CHARS:
        yield secret


def _forms(secret: str) -> set[str]:
    """Return *secret* as it is, in JSON, and in a URL."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
