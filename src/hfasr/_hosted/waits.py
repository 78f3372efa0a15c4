"""
How long a server asks to wait.

Sources: ``Retry-After`` in seconds or as a date, RFC 9110 sections 10.2.3 and 5.6.7; ``RateLimit``, of
draft-ietf-httpapi-ratelimit-headers-08 and later (Hugging Face's form ``"api";r=0;t=55``, only meaningful
with nothing remaining) and of its version 07 (``limit=9, remaining=0, reset=55``), both lists of RFC 9651;
the older ``RateLimit-Reset``; ``retry-after-ms`` as OpenAI's servers send it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["asked_wait", "quota"]

_ITEM = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+")++')  # of a list; a quoted name may hold commas
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_PARAMETER = re.compile(r"; *(\w+)=(\d{1,15})(?= *(?:;|$))", re.ASCII)
_MEMBER = re.compile(r"\s*(\w+)=(\d{1,15})\s*", re.ASCII)
_SECONDS = re.compile(r"0*(\d{1,12}(?:\.\d{1,9})?)", re.ASCII)
_MAX_WAIT_S = 10**9  # some 30 years: larger numbers are no times
_MIN_TIME_OF_DAY = 10**8  # in 1973; as a wait some 3 years
_MAX_TIME_OF_DAY = 10**10  # in 2286
_MAX_CHARS = 2_000  # of a header that is taken apart: patterns are searched in what any server sends
_FAR_YEARS = 50  # a date with a year of two digits lies no further ahead


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
    asked = _retry_after(headers, wall)
    if asked is not None:
        return asked
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
    left = _ratelimit(headers.get("ratelimit", ""))
    if left is not None:
        return left
    for prefix in ("", "x-"):
        remaining = _number(headers.get(f"{prefix}ratelimit-remaining"))
        reset = _number(headers.get(f"{prefix}ratelimit-reset"), most=_MAX_TIME_OF_DAY)
        if remaining is not None and reset is not None:
            is_wait = reset < _MIN_TIME_OF_DAY
            return int(remaining), reset if is_wait else max(0.0, reset - wall)
    return None


def _retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    value = headers.get("retry-after", "").strip(" \t")
    if not value:
        return None
    found = [_number(part) for part in value.split(",")]  # a proxy may have added a line of its own
    waits = [wait for wait in found if wait is not None]
    return max(waits) if len(waits) == len(found) else _until(value, headers.get("date"), wall)


def _number(value: str | None, *, most: float = _MAX_WAIT_S) -> float | None:
    found = _SECONDS.fullmatch(value.strip(" \t")) if value is not None else None
    number = float(found[1]) if found else None
    return number if number is not None and number <= most else None


def _ratelimit(value: str) -> tuple[int, float] | None:
    quotas = []
    members: dict[str, str] = {}
    for item in _ITEM.findall(value[:_MAX_CHARS]):
        plain = _MEMBER.fullmatch(item)
        if plain:
            members[plain[1]] = plain[2]
        else:
            parameters = dict(_PARAMETER.findall(_QUOTED.sub("", item)))
            quotas.append((parameters.get("r"), parameters.get("t")))
    quotas.append((members.get("remaining"), members.get("reset")))
    told = [(int(remaining), float(reset)) for remaining, reset in quotas if remaining and reset]
    return min(
        (quota for quota in told if quota[1] <= _MAX_WAIT_S), key=lambda quota: (quota[0], -quota[1]), default=None
    )


def _until(date: str, server_now: str | None, wall: float) -> float | None:
    then = _stamp(date, wall)
    if then is None:
        return None
    # The server's own clock, where it tells it: ours may differ by minutes.
    now = _stamp(server_now, wall) if server_now else None
    wait = max(0.0, then - (wall if now is None else now))
    return wait if wait <= _MAX_WAIT_S else None


def _stamp(date: str, wall: float) -> float | None:
    """Return the seconds since 1970 at *date*, in any of HTTP's three forms; ``None`` for what is none."""
    from datetime import UTC, datetime
    from email.utils import parsedate_tz  # 20 ms to import, and rarely needed

    try:
        parsed = parsedate_tz(date[:_MAX_CHARS])
        if parsed is None:
            return None
        year, month, day, hour, minute, second, *_, offset = parsed
        if year < 2000 and str(year) not in date:  # RFC 9110 5.6.7: of two digits, and not of the last century yet
            this_year = datetime.fromtimestamp(wall, UTC).year
            year += 100 if year + 100 <= this_year + _FAR_YEARS else 0
        leap = second == 60
        moment = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)  # asctime's names no zone
        return moment.timestamp() + leap - (offset or 0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
