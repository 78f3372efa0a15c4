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

__all__ = ["asked_wait", "quota"]

_RATELIMIT_RESET = re.compile(r";\s*t\s*=\s*(\d{1,9})(?![\d.])")
_RATELIMIT_REMAINING = re.compile(r";\s*r\s*=\s*(\d{1,18})(?![\d.])")
_MAX_WAIT_S = 10**9  # some 30 years: larger numbers are no times
_MIN_TIME_OF_DAY = 10**8  # in 1973; as a wait some 3 years
_MAX_TIME_OF_DAY = 10**10  # in 2286


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
    left = quota(headers, wall)
    return left[1] if left is not None and left[0] == 0 else None


def quota(headers: Mapping[str, str], wall: float) -> tuple[int, float] | None:
    """
    Return how many requests are left, and the seconds until there are more; ``None`` where *headers* do not say both.

    Of several quotas it is the one that is used up first.

    Args:
        headers: Lower-case names.

        wall: Seconds since 1970 now, for servers that send a time of day.

    Example:
        >>> quota({"ratelimit": '"api";r=12;t=55'}, wall=0.0)
        (12, 55.0)
        >>> quota({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "20"}, wall=0.0)
        (3, 20.0)
    """
    if "ratelimit" in headers:
        return _ratelimit(headers["ratelimit"])
    for prefix in ("", "x-"):
        remaining = _number(headers.get(f"{prefix}ratelimit-remaining"))
        reset = _number(headers.get(f"{prefix}ratelimit-reset"), most=_MAX_TIME_OF_DAY)
        if remaining is not None and reset is not None:
            is_wait = reset < _MIN_TIME_OF_DAY
            return int(remaining), reset if is_wait else max(0.0, reset - wall)
    return None


def _number(value: str | None, *, most: float = _MAX_WAIT_S) -> float | None:
    if value is None or not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value.strip(), re.ASCII):
        return None
    number = float(value)
    return number if number <= most else None


def _ratelimit(value: str) -> tuple[int, float] | None:
    quotas = []
    for item in value.split(","):
        remaining, reset = _RATELIMIT_REMAINING.search(item), _RATELIMIT_RESET.search(item)
        if remaining and reset:
            quotas.append((int(remaining[1]), float(reset[1])))
    return min(quotas, key=lambda left: (left[0], -left[1]), default=None)


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
