"""Taking credentials out of what is written to a file, in whatever form they come back."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["HIDDEN", "Secrets", "credentials"]

HIDDEN = "***"

_LEAST_CHARS = 4  # a shorter one would be found in the middle of words
_LEAST_PACKED = 8  # of what is also looked for in base64, for the same reason

# What is a credential by its looks alone: Hugging Face's, OpenAI's, Replicate's, JSON web tokens, any header's.
_LOOKS = re.compile(
    r"\bhf_\w{8,}|\bapi_org_\w{8,}|\bsk-[\w-]{16,}|\br8_\w{16,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=\bBearer )[\w.~+/=-]{8,}|(?<=\bBasic )[\w+/=-]{16,}"
    r"|(?<=on behalf of user )[\w.-]+"  # the router's 403 names the account
)
_NAMES = re.compile(
    r"(?:^|[_.-])(?:token|secret|password|passwd|authorization|credentials?|(?:api)?[_-]?key)$", re.IGNORECASE
)


class Secrets:
    """Credentials that were seen, and how to leave them out. Safe from many threads."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._by_start: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def add(self, texts: Iterable[str]) -> None:
        """Remember *texts*; of fewer than 4 characters each is no secret."""
        with self._lock:
            new = {text for text in texts if len(text) >= _LEAST_CHARS} - self._known
            self._known |= new
            for spelling in {spelling for text in new for spelling in _spellings(text)}:
                start = spelling[:_LEAST_CHARS]
                same = {*self._by_start.get(start, ()), spelling}
                self._by_start[start] = sorted(same, key=len, reverse=True)  # a new list: others may go through the old

    def hide(self, value: Any, *, by_name: bool = False) -> Any:
        """
        Return *value*, as of JSON, without any of them.

        Args:
            value: Anything that JSON carries.

            by_name: Whether what is called a token, key or password is one: in answers it may be a part of speech.
        """
        if isinstance(value, str):
            return self._hide_text(value)
        if isinstance(value, Mapping):
            hidden = {name for name, item in value.items() if by_name and item and _NAMES.search(name)}
            return {
                self._hide_text(name): HIDDEN if name in hidden else self.hide(item, by_name=by_name)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.hide(item, by_name=by_name) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if self._hide_text(repr(value)) == repr(value) else HIDDEN
        return value

    def _hide_text(self, text: str) -> str:
        return _LOOKS.sub(HIDDEN, self._hide_known(text) if self._by_start else text)

    def _hide_known(self, text: str) -> str:
        """Look the start of each up, since a server may set a new cookie with each of thousands of answers."""
        pieces = []
        done = at = 0
        while at <= len(text) - _LEAST_CHARS:
            for spelling in self._by_start.get(text[at : at + _LEAST_CHARS], ()):
                if text.startswith(spelling, at):
                    pieces += [text[done:at], HIDDEN]
                    done = at = at + len(spelling)
                    break
            else:
                at += 1
        return "".join([*pieces, text[done:]])

    def hide_bytes(self, data: bytes) -> bytes:
        """Return *data*, which is no text, without any of them."""
        return self._hide_text(data.decode("latin-1")).encode("latin-1")


def _spellings(secret: str) -> Iterator[str]:
    """Yield how *secret* may be written: as it is, escaped, and within something that base64 packs."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield secret.encode().decode("latin-1")
    if len(secret) < _LEAST_PACKED:
        return
    data = secret.encode()
    for n_before in range(3):  # where it begins among the three bytes that become four characters
        packed = base64.b64encode(bytes(n_before) + data).decode()
        first, stop = math.ceil(n_before * 8 / 6), (n_before + len(data)) * 8 // 6  # what depends on it alone
        inner = packed[first:stop]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))
    yield data.hex()


def credentials(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what is secret in a request's *headers*, of lower-case names."""
    for name in ("authorization", "proxy-authorization"):
        scheme, _, credential = headers.get(name, "").partition(" ")
        yield credential.strip() or scheme
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                continue
            yield from (user, password)
    for name in ("cookie", "set-cookie"):
        for part in re.split(r"[;,]", headers.get(name, "")):
            yield part.partition("=")[2].strip()
    yield headers.get("x-hf-bill-to", "")  # an account's name
