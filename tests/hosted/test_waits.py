"""How long servers ask to wait: seconds, dates, and whatever else a header may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr._hosted.waits import asked_wait, quota

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def http_date(seconds_ahead: float) -> str:
    """Return an HTTP date."""
    return format_datetime(datetime.fromtimestamp(NOW.timestamp() + seconds_ahead, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": http_date(30)}, 30.0),
        ({"retry-after": http_date(-30)}, 0.0),
        ({"retry-after": http_date(30), "date": http_date(10)}, 20.0),
        ({"retry-after": http_date(30), "date": "nonsense"}, 30.0),
        ({"retry-after": "Thu, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"ratelimit": '"api";r=0;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300'}, 55.0),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": '"api";r=0;t=55, "pages";r=0;t=90'}, 90.0),
        ({"ratelimit": "nonsense"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        ({"ratelimit-remaining": "599", "ratelimit-reset": "1"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 12)}, 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) - 12)}, 0.0),
    ],
)
def test_known_forms(headers: dict[str, str], wait: float | None) -> None:
    """Each form that servers use gives its seconds; anything else gives none."""
    found = asked_wait(headers, NOW.timestamp())
    assert found == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ({}, None),
        ({"ratelimit": '"api";r=3;t=55'}, (3, 55.0)),
        ({"ratelimit": '"api";r=9;t=55, "pages";r=2;t=7'}, (2, 7.0)),
        ({"ratelimit": '"api";r=0;t=5, "pages";r=0;t=7'}, (0, 7.0)),
        ({"ratelimit": '"api";r=-1;t=55'}, None),
        ({"ratelimit": '"api";r=3'}, None),
        ({"ratelimit-remaining": "599", "ratelimit-reset": "1"}, (599, 1.0)),
        ({"ratelimit-remaining": "nan", "ratelimit-reset": "1"}, None),
        ({"ratelimit-remaining": "5"}, None),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "inf"}, None),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "20"}, (5, 20.0)),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": str(int(NOW.timestamp()) + 60)}, (5, 60.0)),
    ],
)
def test_quotas(headers: dict[str, str], left: tuple[int, float] | None) -> None:
    """Requests that are left, and until when, are read from each form; of several quotas the tightest."""
    assert quota(headers, NOW.timestamp()) == left


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("retry-after", "retry-after-ms", "date", "ratelimit", "ratelimit-reset", "ratelimit-remaining"),
                *("x-ratelimit-reset", "x-ratelimit-remaining"),
            ]
        ),
        st.text(max_size=60),
    )
)
def test_any_header(headers: dict[str, str]) -> None:
    """Whatever a header holds, the answer is a finite time of 0 or more, or none."""
    found = asked_wait(headers, NOW.timestamp())
    assert found is None or 0 <= found < float("inf")
    left = quota(headers, NOW.timestamp())
    assert left is None or (left[0] >= 0 and 0 <= left[1] < float("inf"))


@given(st.integers(0, 10**6))
def test_dates_and_seconds_agree(seconds: int) -> None:
    """A date so many seconds ahead means the same as the seconds."""
    assert asked_wait({"retry-after": http_date(seconds)}, NOW.timestamp()) == pytest.approx(seconds)
    assert asked_wait({"retry-after": str(seconds)}, 0.0) == seconds
