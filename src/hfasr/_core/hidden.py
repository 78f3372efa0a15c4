"""
Taking out of errors what a server has echoed of the request.

What looks like a token, or like audio in any encoding, is left out of every message by `hfasr.errors.clean`. This
knows what the call's own token and prompt are, whatever they look like. It hides pieces of them, too: a message is
cut to its length, and a server may quote no more than the beginning.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from hfasr.errors import APIResponseError, APIStatusError, HfasrError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Secrets"]

_TOKEN_RUN = 8
"""So many characters in a row are a piece of a token: of one drawn from 62 letters, chance has them never."""

_PROMPT_RUN = 16  # two words or three
_MAX_PROMPT_CHARS = 10_000  # a model reads 224 tokens of one


class Secrets:
    """
    What of one request must not be seen.

    Args:
        token: Of any form.

        prompt: Text of the caller's.
    """

    def __init__(self, token: str | None, prompt: str | None = None) -> None:
        self._token = token
        self._prompt = " ".join((prompt or "")[:_MAX_PROMPT_CHARS].split())

    def out_of(self, text: str) -> str:
        """Return *text* without them."""
        if self._token:
            for form in _forms(self._token):
                text = _without_runs(text, form, _TOKEN_RUN, "***")
        if len(self._prompt) > 3:  # a shorter one is in most sentences
            for form in _forms(self._prompt):
                text = _without_runs(text, form, _PROMPT_RUN, "…")
        return text

    def out_of_id(self, found: str | None) -> str | None:
        """The same for a server's id of a request, of which each answer has one: most are seen at once to be none."""
        if found is None or not any(
            secret[i : i + length] in found
            for secret, length in ((self._token or "", _TOKEN_RUN), (self._prompt, _PROMPT_RUN))
            for i in range(0, len(secret), length)
        ):
            return found
        return self.out_of(found)

    def out_of_error(self, error: HfasrError) -> None:
        """Take them out of *error*; what led to it is forgotten from the first one on that tells them."""
        error.args = tuple(self.out_of(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, APIStatusError | APIResponseError):
            error.body = self.out_of(error.body)
            error.request_id = None if error.request_id is None else self.out_of(error.request_id)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if isinstance(cause, HfasrError):
            self.out_of_error(cause)
        elif cause is not None and any(self._tells(one) for one in _chain(cause)):
            error.__cause__ = error.__context__ = None

    def _tells(self, error: BaseException) -> bool:
        text = f"{error} {error.args}"
        return self.out_of(text) != text


def _forms(secret: str) -> set[str]:
    """Return *secret* as it is, in JSON, and in a URL."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _without_runs(text: str, secret: str, length: int, mark: str) -> str:
    """Replace each run of *text* that is in *secret*, of *length* characters at least, or all of a shorter one."""
    if len(secret) <= length:
        return text.replace(secret, mark)
    runs = {secret[i : i + length] for i in range(len(secret) - length + 1)}
    kept: list[str] = []
    i = 0
    while i < len(text):
        if text[i : i + length] in runs:
            end = i + length
            while end < len(text) and text[end - length + 1 : end + 1] in runs:
                end += 1
            kept.append(mark)
            i = end
        else:
            kept.append(text[i])
            i += 1
    return "".join(kept)
