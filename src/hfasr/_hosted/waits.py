"""
How long a server asks to wait.

Sources: ``Retry-After`` in seconds or as a date, RFC 9110 section 10.2.3; ``RateLimit``,
draft-ietf-httpapi-ratelimit-headers-09 (Hugging Face's form ``"api";r=0;t=55``, only meaningful
with nothing remaining) and the older ``RateLimit-Reset``; ``retry-after-ms`` as OpenAI's servers
send it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["asked_wait"]

_RATELIMIT_RESET = re.compile(r";\s*t\s*=\s*(\d{1,9})(?![\d.])")
_RATELIMIT_REMAINING = re.compile(r";\s*r\s*=\s*(\d{1,18})(?![\d.])")
_MAX_WAIT_S = 10**9  # some 30 years: larger numbers are no times


def asked_wait(headers: Mapping[str, str], wall: float) -> float | None:
    """
    Return the seconds that a reply's *headers* ask to wait, ``None`` where they do not.

    Args:
        headers: Lower-case names.

        wall: Seconds since 1970 now, for servers that send a date but no ``Date`` of their own.

    Example:
        >>> asked_wait({"retry-after": "7"}, wall=0.0)
        7.0
        >>> asked_wait({"ratelimit": '"api";r=0;t=55'}, wall=0.0)
        55.0
    """
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000
    if "retry-after" in headers:
        value = headers["retry-after"].strip()
        found = _number(value)
        return found if found is not None else _until(value, headers.get("date"), wall)
    if "ratelimit" in headers:
        return _ratelimit(headers["ratelimit"])
    if _number(headers.get("ratelimit-remaining")) == 0:
        return _number(headers.get("ratelimit-reset"))
    return None


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value.strip(), re.ASCII):
        return None
    number = float(value)
    return number if number <= _MAX_WAIT_S else None


def _ratelimit(value: str) -> float | None:
    waits = []
    for item in value.split(","):
        remaining, reset = _RATELIMIT_REMAINING.search(item), _RATELIMIT_RESET.search(item)
        if remaining and reset and int(remaining[1]) == 0:
            waits.append(float(reset[1]))
    return max(waits, default=None)


def _until(date: str, server_now: str | None, wall: float) -> float | None:
    from email.utils import parsedate_to_datetime  # 20 ms to import, and rarely needed

    def stamp(text: str) -> float | None:
        try:
            return parsedate_to_datetime(text).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None

    then = stamp(date)
    if then is None:
        return None
    # The server's own clock, where it tells it: ours may differ by minutes.
    now = stamp(server_now) if server_now else None
    wait = max(0.0, then - (wall if now is None else now))
    return wait if wait <= _MAX_WAIT_S else None
