"""Waits by properties: what the standards say is read exactly, and nothing that a server sends does harm."""

from __future__ import annotations

import calendar
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from hfasr import RateLimitError, RetryPolicy
from hfasr._core import gates
from hfasr._hosted.waits import asked_wait, quota
from hfasr.testing import FakeASRServer, FakeClock, Reply
from tests.colours import Session

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
WALL = NOW.timestamp()
MOST_S = 10**9
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEADERS = (
    *("retry-after", "retry-after-ms", "date", "ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-reset"),
    *("ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-remaining"),
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def dates(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    """Give whole seconds of Greenwich's time, often near the clock of these tests."""
    whole = st.integers(int(first.timestamp()), int(last.timestamp()))
    near = st.integers(int(WALL) - 10**6, int(WALL) + 10**6)
    return (whole | near).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


moments = dates(EPOCH, END)


def imf_fixdate(moment: datetime) -> str:
    """Write *moment* as RFC 9110 5.6.7 wants dates written, word by word."""
    day, month = DAYS[moment.weekday()][:3], MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def rfc850_date(moment: datetime) -> str:
    """Write *moment* in the first of the two obsolete forms, its year in two digits."""
    month = MONTHS[moment.month - 1]
    return f"{DAYS[moment.weekday()]}, {moment.day:02}-{month}-{moment.year % 100:02} {moment:%H:%M:%S} GMT"


def asctime_date(moment: datetime) -> str:
    """Write *moment* in the second of the two obsolete forms, as C's ``asctime`` does."""
    day, month = DAYS[moment.weekday()][:3], MONTHS[moment.month - 1]
    return f"{day} {month} {moment.day:2} {moment:%H:%M:%S} {moment.year:04}"


def until(moment: datetime, now: float = WALL) -> float | None:
    """Return the wait until *moment*, counted from the calendar alone."""
    wait = max(0.0, calendar.timegm(moment.utctimetuple()) - now)
    return wait if wait <= MOST_S else None


@pytest.fixture(params=["UTC0", "EST5EDT", "NPT-5:45"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run in this zone of the machine: HTTP's times are of Greenwich wherever the client stands."""
    if not hasattr(time, "tzset"):
        pytest.skip("zones cannot be set here")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


IN_ZONES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@IN_ZONES
@given(moments, st.sampled_from([imf_fixdate, asctime_date]))
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), imf_fixdate)
@example(NOW + timedelta(seconds=MOST_S), imf_fixdate)
@example(NOW + timedelta(seconds=MOST_S + 1), imf_fixdate)
def test_dates(zone: str, moment: datetime, write: Callable[[datetime], str]) -> None:
    """A date is the wait until then, past ones none, and one beyond 30 years is no time; in every zone."""
    assert asked_wait({"retry-after": write(moment)}, WALL) == until(moment)


@IN_ZONES
@given(dates(datetime(1977, 1, 1, tzinfo=UTC), datetime(2076, 12, 31, tzinfo=UTC)))
@example(datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC))
@example(datetime(2070, 1, 1, tzinfo=UTC))
def test_dates_with_a_year_of_two_digits(zone: str, moment: datetime) -> None:
    """Of two digits the year is the one that lies at most 50 years ahead, as RFC 9110 says."""
    assert asked_wait({"retry-after": rfc850_date(moment)}, WALL) == until(moment)


@given(moments, moments)
def test_dates_are_read_by_the_server_s_own_clock(then: datetime, now: datetime) -> None:
    """Where the server tells its own time, that is what a date counts from."""
    headers = {"retry-after": imf_fixdate(then), "date": imf_fixdate(now)}
    assert asked_wait(headers, WALL) == until(then, calendar.timegm(now.utctimetuple()))


def test_leap_seconds() -> None:
    """The 61st second of a minute, which HTTP's grammar allows, is the first of the next."""
    assert asked_wait({"retry-after": "Sun, 22 Nov 2026 12:00:60 GMT"}, WALL) == 60.0
    assert asked_wait({"retry-after": "Sun, 22 Nov 2026 12:00:61 GMT"}, WALL) is None


@given(st.integers(0, 10**13), st.integers(0, 30), st.sampled_from(["", " ", "\t "]))
@example(MOST_S, 0, "")
@example(MOST_S + 1, 0, "")
def test_seconds(seconds: int, zeros: int, space: str) -> None:
    """Any number of digits is read, also behind zeros; more than 30 years are no wait."""
    written = f"{space}{'0' * zeros}{seconds}{space}"
    assert asked_wait({"retry-after": written}, WALL) == (float(seconds) if seconds <= MOST_S else None)
    assert asked_wait({"retry-after-ms": written}, WALL) == (seconds / 1000 if seconds <= MOST_S else None)


@given(st.lists(st.integers(0, MOST_S), min_size=1, max_size=4))
def test_several_lines_of_seconds(waits: list[int]) -> None:
    """Where a proxy has added its own wait to the server's, the longest counts; HTTP joins the lines by commas."""
    assert asked_wait({"retry-after": ", ".join(map(str, waits))}, WALL) == max(waits)


@pytest.mark.parametrize("odd", ["5, soon", "5, -1", "5,", ",", "٣", "３", "²", "1_0", "+5", "5s", "1e3", "nan", "inf", "0x5", "5.", ".5"])  # fmt: skip
def test_no_seconds(odd: str) -> None:
    """What only looks like a number, to Python or to people, is none."""
    assert asked_wait({"retry-after": odd}, WALL) is None
    assert asked_wait({"retry-after-ms": odd}, WALL) is None


numbers = st.integers(0, 10**12)
names = st.text(string.printable[:95], max_size=12)
extras = st.sampled_from(["", ";pk=:cHsdsRa894==:", "; w=60", ';x="a,b;r=0;t=9"', ";q=500", ";flag"])
quotas = st.tuples(names, st.none() | numbers, st.none() | numbers, extras, st.booleans())


def quoted(name: str) -> str:
    """Write *name* as a string of RFC 9651."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.lists(quotas, max_size=4))
@example([("a,b;r=0;t=5", 3, 7, "", False)])
def test_ratelimit_lists(items: list[tuple[str, int | None, int | None, str, bool]]) -> None:
    """Every version since 08 is read: items in any order and number, names that hold anything, further parameters."""
    written, told = [], []
    for name, remaining, reset, extra, turned in items:
        parts = [f";r={remaining}" if remaining is not None else "", f";t={reset}" if reset is not None else ""]
        written.append(quoted(name) + extra + "".join(reversed(parts) if turned else parts))
        if remaining is not None and reset is not None and reset <= MOST_S:
            told.append((remaining, float(reset)))
    least = min((remaining for remaining, _ in told), default=None)
    expected = None if least is None else (least, max(reset for remaining, reset in told if remaining == least))
    assert quota({"ratelimit": ", ".join(written)}, WALL) == expected
    assert asked_wait({"ratelimit": ", ".join(written)}, WALL) == (expected[1] if expected and not least else None)


@given(numbers, numbers, st.permutations(["limit", "remaining", "reset"]), st.sampled_from([",", ", ", " , "]))
def test_ratelimit_dictionary(remaining: int, reset: int, order: list[str], comma: str) -> None:
    """Version 07 wrote one dictionary, in any order."""
    values = {"limit": 100, "remaining": remaining, "reset": reset}
    headers = {"ratelimit": comma.join(f"{name}={values[name]}" for name in order)}
    assert quota(headers, WALL) == ((remaining, float(reset)) if reset <= MOST_S else None)


@given(st.integers(0, MOST_S), st.integers(0, 10**8 - 1), st.sampled_from(["", "x-"]))
def test_ratelimit_headers_of_their_own(remaining: int, reset: int, prefix: str) -> None:
    """Versions up to 06, and what came before them, have a header for each number."""
    headers = {f"{prefix}ratelimit-remaining": str(remaining), f"{prefix}ratelimit-reset": str(reset)}
    assert quota(headers, WALL) == (remaining, float(reset))
    assert quota({**headers, "ratelimit": "limit=100"}, WALL) == (remaining, float(reset))


@pytest.mark.parametrize(
    ("reset", "wait"),
    [(10**8 - 1, 10**8 - 1), (10**8, 0), (WALL + 60, 60), (10**10, 10**10 - WALL), (10**10 + 1, None)],
)
def test_reset_as_a_time_of_day(reset: float, wait: float | None) -> None:
    """A number too large for a wait is a time of day; one too large for that is nothing."""
    found = quota({"x-ratelimit-remaining": "5", "x-ratelimit-reset": f"{reset:.0f}"}, WALL)
    assert found == (None if wait is None else (5, float(wait)))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_most_exact_header_counts(milliseconds: int, seconds: int, left: int, old: int) -> None:
    """Milliseconds come before seconds, these before a quota, and a new quota before an old one."""
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(old)}
    assert asked_wait(headers, WALL) == old
    headers["ratelimit"] = f'"api";r=0;t={left}'
    assert asked_wait(headers, WALL) == left
    headers["retry-after"] = str(seconds)
    assert asked_wait(headers, WALL) == seconds
    headers["retry-after-ms"] = str(milliseconds)
    assert asked_wait(headers, WALL) == milliseconds / 1000


pieces = st.sampled_from(
    [
        *(
            "0",
            "7",
            "-1",
            "1e9",
            "nan",
            "inf",
            "٣",
            '"api"',
            ";r=0",
            ";t=55",
            "t=",
            "remaining=0",
            "reset=5",
            ",",
            ", ",
        ),
        *("Sun, ", "22 Nov 2026 ", "31 Feb 2026 ", "12:00:00", "99:99:99", " GMT", " +9999", " -2359", "9" * 400, '"'),
        *("\\", "Sunday, 22-Nov-26 ", "Sun Nov 22 ", "0000", "9999 ", "\x00", "\ud800", "\xa0", ":", "-", "=", ";"),
    ]
)
header_texts = st.text(max_size=60) | st.lists(pieces, max_size=10).map("".join)


@given(st.dictionaries(st.sampled_from(HEADERS), header_texts), st.floats(0, 4e9))
def test_any_headers(headers: dict[str, str], wall: float) -> None:
    """Whatever several headers hold, alone and together, the answer is a finite time of 0 or more, or none."""
    found = asked_wait(headers, wall)
    assert found is None or 0 <= found <= MOST_S
    left = quota(headers, wall)
    assert left is None or (type(left[0]) is int and left[0] >= 0 and 0 <= left[1] <= 10**10)


@pytest.mark.parametrize("piece", ['"', '"\\', '\\"', ";", ",", "0", "9", ":", "; ", " ", "a,", ";t=1", "Jan ", "-", "\u0663"])  # fmt: skip
@pytest.mark.parametrize("name", HEADERS)
def test_long_headers_cost_little(name: str, piece: str) -> None:
    """A header as long as HTTP libraries let through is read at once, whatever it is made of."""
    headers = {"ratelimit-remaining": "0", "x-ratelimit-remaining": "0", name: piece * (100_000 // len(piece))}
    began = time.process_time()
    asked_wait(headers, WALL)
    quota(headers, WALL)
    assert time.process_time() - began < 2


on_the_wire = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
sensible = st.integers(0, 200).map(str) | moments.map(imf_fixdate) | st.integers(0, 200).map(lambda n: f'"a";r=0;t={n}')


def test_any_headers_of_a_429(colour: str, asr_server: FakeASRServer, wav: bytes) -> None:
    """Whatever a 429 says: waited is exactly what it asks for, else a back-off; what is too long is raised at once."""
    policy = RetryPolicy(max_attempts=2, breaker_threshold=None)

    @settings(max_examples=25, deadline=None)
    @given(st.dictionaries(st.sampled_from(HEADERS), on_the_wire | sensible | header_texts, max_size=4))
    @example({"retry-after": "5", "ratelimit": '"a";r=0;t=1000'})
    @example({"retry-after": "soon", "ratelimit": '"a";r=0;t=55'})
    @example({"retry-after": "120"})
    @example({"retry-after": "121"})
    def check(headers: dict[str, str]) -> None:
        sent = {name: value.encode("latin-1", "ignore").decode("latin-1").strip() for name, value in headers.items()}
        assume(all(char.isprintable() for value in sent.values() for char in value))
        said = {"date": imf_fixdate(NOW), **sent}
        wait = asked_wait(said, WALL)
        gates.reset()
        clock.sleeps.clear()
        clock._now = 0.0
        n_before = len(asr_server.requests)
        asr_server.script(Reply(429, json={"error": "slow down"}, headers=said))
        error: RateLimitError | None = None
        try:
            assert asr.transcribe(wav).text == "red boat green"
        except RateLimitError as raised:
            error = raised
        if wait is None or wait <= policy.max_retry_after:
            assert error is None
            assert clock.sleeps == [0.5 if wait is None else wait]
            assert len(asr_server.requests) - n_before == 2
        else:
            assert error is not None
            assert error.retry_after == wait
            assert str(error) == (
                f"hf-inference answered 429: slow down; it asks to wait {wait:g} s: lower the request rate, "
                "or set a fallback="
            )
            assert clock.sleeps == []
            assert len(asr_server.requests) - n_before == 1

    clock = FakeClock(wall=WALL)
    asr = Session(colour, router_url=asr_server.router_url, retry=policy, clock=clock)
    try:
        check()
    finally:
        asr.close()
