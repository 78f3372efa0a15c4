"""Refusals, to the last field: what they are about, which error they become, and how long they ask to wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfasr import (
    AudioTooLongError,
    BadRequestError,
    ModelLoadingError,
    ModelNotHostedError,
    RateLimitError,
    ServerError,
)
from hfasr._hosted.complaints import Complaint, read_complaint
from hfasr._hosted.dialect import Fix
from hfasr._hosted.failures import diagnose
from hfasr._hosted.servers import endpoint_server, openai_server, router_server
from hfasr._hosted.waits import asked_wait, quota
from tests.hosted.reply_kit import reply

ROUTER = router_server("https://router.huggingface.co", "hf-inference", "org/name")
OWN_TOOLKIT = endpoint_server("http://localhost:8000", None)
OWN_OPENAI = openai_server("http://localhost:8000", None)
NOW = 1_700_000_000.0


# Complaints


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"error": {"param": "language"}, "detail": [{"loc": ["body", "task"]}]}, Complaint(Fix.PARAMETER, ("language",))),
        ({"error": {"param": None}, "detail": [{"loc": ["body", "task"]}]}, Complaint(Fix.PARAMETER, ("task",))),
        ({"error": {}, "detail": [{"loc": ["task"]}]}, Complaint(Fix.PARAMETER, ("task",))),
        ({"error": "no", "detail": [{"loc": ["body", "task", "top_k[]"]}]}, Complaint(Fix.PARAMETER, ("top_k",))),
        ({"detail": []}, Complaint()),
        ({"detail": ["task"]}, Complaint()),
        ({"detail": {"loc": ["task"]}}, Complaint()),
        ({"detail": [{"loc": []}]}, Complaint()),
        ({"detail": [{"loc": "task"}]}, Complaint()),
        ({"detail": [{"loc": ["body", 3]}]}, Complaint()),
        ({"error": {"param": 3}}, Complaint()),
        ({"error": {"param": "Lang"}}, Complaint(Fix.PARAMETER, ("language",))),
        ({"error": {"param": "initial_prompt"}}, Complaint(Fix.PARAMETER, ("prompt",))),
        ({"error": {"param": "prompt_ids"}}, Complaint(Fix.PARAMETER, ("prompt",))),
        ({"error": {"param": "return_timestamps"}}, Complaint(Fix.TIMESTAMPS)),
        ({"error": {"param": "response_format"}}, Complaint(Fix.TIMESTAMPS)),
        ({"error": {"param": "timestamp_granularities[]"}}, Complaint(Fix.TIMESTAMPS)),
        ({"error": {"param": "file"}}, Complaint()),
        # Where the field names nothing of ours the words are read, and the first pattern that finds a name.
        ({"error": {"param": "model", "message": "Unknown parameter: top_k"}}, Complaint(Fix.PARAMETER, ("top_k",))),
        ({"error": "invalid value for 'model'; unknown parameter: 'top_k'"}, Complaint(Fix.PARAMETER, ("top_k",))),
        ({"error": "cannot specify `task` or `language`"}, Complaint(Fix.PARAMETER, ("task", "language"))),
        ({"error": "task is not supported"}, Complaint(Fix.PARAMETER, ("task",))),
        (["unknown parameter: top_k"], Complaint(Fix.PARAMETER, ("top_k",))),
        ({"error": "audio_too_long, unknown parameter: top_k"}, Complaint(Fix.PARAMETER, ("top_k",))),
        ({"error": "audio_too_long without timestamps"}, Complaint(too_long=True)),
    ],
)  # fmt: skip
def test_what_a_complaint_is_about(body: Any, complaint: Complaint) -> None:
    """A parameter is known by the field that names it, else by the words, and by its name here."""
    assert read_complaint(reply(body, 400)) == complaint
    if complaint == Complaint():
        assert read_complaint(reply(body, 415)) == Complaint(Fix.BODY)


# Failures


def test_what_a_loading_model_says() -> None:
    """An error of a model that loads has all that the reply tells, and its words to 200 characters."""
    said = "loading " * 30
    response = reply({"error": said, "estimated_time": 7}, 503, retry_after="9", x_request_id="r1")
    error = diagnose(response, OWN_TOOLKIT, wall=NOW, duration=1.0).error
    assert isinstance(error, ModelLoadingError)
    assert str(error) == (
        f"http://localhost:8000 is still loading its model: {said[:200]}; "
        "call wait_until_ready() first, or raise RetryPolicy(loading_timeout=)"
    )
    assert (error.status_code, error.estimated_time, error.request_id, error.retry_after) == (503, 7.0, "r1", 9.0)
    assert error.body == response.content.decode()
    bare = diagnose(reply({"estimated_time": 0}, 503), ROUTER, wall=NOW, duration=1.0).error
    assert isinstance(bare, ModelLoadingError)
    assert (bare.estimated_time, bare.request_id, bare.retry_after) == (0.0, None, None)
    for unclear in ({"estimated_time": "soon"}, [{"estimated_time": 3}], {"estimated_time": -1}):
        assert type(diagnose(reply(unclear, 503), ROUTER, wall=NOW, duration=1.0).error) is ServerError


@pytest.mark.parametrize(
    ("status", "loads"), [(500, False), (502, False), (503, True), (504, False), (429, False), (400, False)]
)
def test_only_a_503_is_a_model_that_loads(status: int, loads: bool) -> None:
    """The words alone are not enough."""
    error = diagnose(reply({"error": "Model x is currently loading"}, status), ROUTER, wall=NOW, duration=None).error
    assert isinstance(error, ModelLoadingError) is loads


@pytest.mark.parametrize(
    ("status", "hosted"), [(400, False), (404, False), (403, True), (410, True), (422, True), (500, True)]
)
def test_which_status_says_that_a_model_is_not_hosted(status: int, hosted: bool) -> None:
    """A 400 and a 404 that say so do, and nothing is tried anew."""
    failure = diagnose(reply({"error": "No such model"}, status, x_request_id="r1"), ROUTER, wall=NOW, duration=None)
    assert isinstance(failure.error, ModelNotHostedError) is not hosted
    assert (failure.fix, failure.parameters) == (None, ())
    assert getattr(failure.error, "request_id", None) == "r1"


def test_what_an_error_says_and_holds() -> None:
    """The words are cut at 280 characters, and all that the reply tells is kept; dates are read by our clock."""
    said = "no luck, " * 40
    date = "Tue, 14 Nov 2023 22:13:50 GMT"  # 30 s from now
    error = diagnose(reply({"error": said}, 429, retry_after=date), OWN_OPENAI, wall=NOW, duration=None).error
    assert isinstance(error, RateLimitError)
    assert str(error) == (
        f"http://localhost:8000 answered 429: {said[:280]}; "
        "it asks to wait 30 s: lower the request rate, or set a fallback="
    )
    assert (error.status_code, error.retry_after, error.request_id, error.maybe_billed) == (429, 30.0, None, False)
    assert error.body == json.dumps({"error": said})
    for status, body in (
        (500, {"error": "no"}),
        (400, {"error": "no"}),
        (503, {"error": "no"}),
        (404, {"error": "Not found"}),
    ):
        failed = diagnose(reply(body, status, retry_after=date), ROUTER, wall=NOW, duration=None).error
        assert getattr(failed, "retry_after", None) == 30.0
        assert "asks to wait" not in str(failed)
    loading = diagnose(reply({"error": "it is loading"}, 503, retry_after=date), ROUTER, wall=NOW, duration=None).error
    assert getattr(loading, "retry_after", None) == 30.0


def test_an_error_in_which_form() -> None:
    """What may mend a refusal goes with the error, whose status is the reply's."""
    for status in (400, 415, 422):
        failure = diagnose(reply({"error": "Malformed soundfile"}, status), ROUTER, wall=NOW, duration=None)
        assert (type(failure.error), failure.fix, failure.parameters) == (BadRequestError, Fix.DECODE, ())
        assert getattr(failure.error, "status_code", None) == status
        named = diagnose(reply({"error": {"param": "task"}}, status), ROUTER, wall=NOW, duration=None)
        assert (named.fix, named.parameters) == (Fix.PARAMETER, ("task",))
    too_large = diagnose(reply(b"", 413, retry_after="3"), ROUTER, wall=NOW, duration=None)
    assert (too_large.fix, getattr(too_large.error, "retry_after", None)) == (Fix.SHRINK, 3.0)


def test_too_long_of_unknown_length() -> None:
    """Where nobody could read the length, the error says what could, and still what to do."""
    error = diagnose(reply({"error": "audio_too_long"}, 400), OWN_TOOLKIT, wall=NOW, duration=None).error
    assert isinstance(error, AudioTooLongError)
    assert str(error) == (
        "http://localhost:8000 says that the audio is too long for its model; its length could not be read here: "
        'pip install "hfasr[av]" for that, and cut the audio'
    )


# Waits


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "1000000000"}, 1e9),
        ({"retry-after": "1000000001"}, None),
        ({"retry-after": "3, 7,5"}, 7.0),
        ({"retry-after": "3, soon"}, None),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": "Tue, 14 Nov 2023 22:13:49 GMT"}, 1.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": ""}, 30.0),
        ({"retry-after": "Sat, 24 Jul 2055 00:00:00 GMT"}, 1e9),
        ({"retry-after": "Sat, 24 Jul 2055 00:00:01 GMT"}, None),
        # All three forms of a date; zones; the 61st second; a year of two digits is at most 50 years ahead.
        ({"retry-after": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue Nov 14 22:13:50 2023"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 23:13:50 +0100"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:60 GMT"}, 40.0),
        ({"retry-after": "Tuesday, 14-Nov-73 22:13:50 GMT"}, None),
        ({"retry-after": "Tuesday, 14-Nov-74 22:13:50 GMT"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 1973 22:13:50 GMT"}, 0.0),
        ({"retry-after": "Friday, 14-Nov-53 22:13:20 GMT", "date": "Sunday, 14-Nov-73 22:13:20 GMT"}, 0.0),
        *(({name: f"{odd}7"}, None) for name in ("retry-after", "retry-after-ms") for odd in "X\v"),
        ({"ratelimit": "limit=9, remaining=0, reset=1000000000"}, 1e9),
        ({"ratelimit": "limit=9, remaining=0, reset=55"}, 55.0),
        ({"ratelimit": "limit=9, remaining=0, reset=1000000001"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "99999999"}, 99_999_999.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "100000000"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "10000000000"}, 8_300_000_000.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "10000000001"}, None),
    ],
)
def test_the_longest_waits(headers: dict[str, str], wait: float | None) -> None:
    """Numbers that are too large are no times; large ones are times of day."""
    assert asked_wait(headers, NOW) == wait


def test_the_first_header_that_says_both() -> None:
    """The new header comes before the old ones, and a quota needs both numbers."""
    old = {"ratelimit-remaining": "1", "ratelimit-reset": "2", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "4"}
    assert quota(old, NOW) == (1, 2.0)
    assert quota({**old, "ratelimit-reset": "x"}, NOW) == (3, 4.0)
    assert quota({**old, "ratelimit": '"a";r=7;t=8'}, NOW) == (7, 8.0)
    assert quota({**old, "ratelimit": '"a";r=7'}, NOW) == (1, 2.0)
