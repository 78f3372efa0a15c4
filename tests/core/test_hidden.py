"""Taking a token and a prompt out of texts and errors: which pieces of them are hidden, and which are none."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from hfasr import APIConnectionError, APIResponseError, APIStatusError, ServerError
from hfasr._core import hidden
from hfasr._core.hidden import Secrets

TOKEN = "abcdefghijkl"
PROMPT = "the quick brown fox jumps over"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("abcdefghijkl", "***"),
        ("xabcdefghijklx", "x***x"),
        ("abcdefgh", "***"),
        ("abcdefg", "abcdefg"),
        ("efghijkl", "***"),
        ("cdefghijk", "***"),
        ("fghijkl", "fghijkl"),
        ("abcdefgh abcdefgh", "*** ***"),
        ("abcdefghabcdefgh", "******"),
        ("abcdefghefghijkl", "******"),
        ("abcdefghi-bcdefghijk", "***-***"),
        ("a abcdefgh b efghijkl c", "a *** b *** c"),
        ("ABCDEFGHIJKL", "ABCDEFGHIJKL"),
        ("", ""),
    ],
)
def test_pieces_of_a_token(said: str, shown: str) -> None:
    """Eight characters of it in a row are hidden, and whatever more of it follows them; seven are not."""
    assert Secrets(TOKEN).out_of(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (PROMPT, "…"),
        ("a the quick brown b", "a …b"),
        ("the quick brown", "the quick brown"),
        ("the quick brown ", "…"),
        ("fox jumps over!", "fox jumps over!"),
        ("n fox jumps over!", "…!"),
    ],
)
def test_pieces_of_a_prompt(said: str, shown: str) -> None:
    """Sixteen characters of it in a row are hidden, and fifteen are not."""
    assert Secrets(None, PROMPT).out_of(said) == shown


def test_both() -> None:
    """Each is hidden behind its own mark."""
    assert Secrets(TOKEN, PROMPT).out_of(f"{PROMPT}: {TOKEN}") == "…: ***"
    assert Secrets(None).out_of(f"{PROMPT}: {TOKEN}") == f"{PROMPT}: {TOKEN}"


def test_white_space_of_a_prompt() -> None:
    """A prompt is known by its words, however they are spaced."""
    assert Secrets(None, "  the quick\n\tbrown fox ").out_of("said: the quick brown fox") == "said: …"


@pytest.mark.parametrize(("n_before", "is_hidden"), [(9_984, True), (9_985, False)])
def test_long_prompt(n_before: int, is_hidden: bool) -> None:
    """Of a long prompt the first 10,000 characters count."""
    prompt = "x" * n_before + "0123456789abcdef"
    assert (Secrets(None, prompt).out_of("0123456789abcdef") == "…") is is_hidden


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("abc", "abc", "abc"),
        ("abcd", "abcd", "***"),
        ("abcd", "an abcd, (abcd)", "an ***, (***)"),
        ("abcd", "abcde xabcd abcd1 1abcd abcd_", "abcde xabcd abcd1 1abcd abcd_"),
        ("abcdefg", "-abcdefg-", "-***-"),
        ("abcdefg", "abcdef", "abcdef"),
        ("ab.d", "abcd ab.d", "abcd ***"),
        ('ab"d', 'ab"d ab\\"d ab%22d', "*** *** ***"),
        ("ab d", "ab d ab%20d ab+d", "*** *** ***"),
        ("abc\\", "abc\\ abc\\\\ abc%5C", "*** *** ***"),
        ("äbcd", "äbcd \\u00e4bcd %C3%A4bcd", "*** *** ***"),
    ],
)
def test_short_secrets(secret: str, said: str, shown: str) -> None:
    """One of four characters or more is hidden where it stands alone, in each of its forms, and in no other word."""
    assert Secrets(secret).out_of(said) == shown


@pytest.mark.parametrize("said", ['Qui\u00f1\u00f3n \\n/b & "c"', "a/b&c=d e+f ~x", '"Qui\u00f1\u00f3n" x'])
@pytest.mark.parametrize(
    "form",
    [
        lambda s: s,
        lambda s: json.dumps(s)[1:-1],
        lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
        lambda s: quote(s, safe=""),
        quote_plus,
    ],
)
def test_forms(said: str, form: Callable[[str], str]) -> None:
    """It is hidden as it is, as JSON has it, and as a URL has it, and nothing of the text around it is."""
    assert Secrets(said).out_of(f"no: {form(said)}; try") == "no: ***; try"


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (None, None),
        ("", ""),
        ("Root=1-6921c9e1", "Root=1-6921c9e1"),
        (TOKEN, "***"),
        ("id-abcdefgh", "id-***"),
        ("id-the quick brown fox", "id-…"),
        ("abcdefg-fghijkl", "abcdefg-fghijkl"),
    ],
)
def test_ids(found: str | None, shown: str | None) -> None:
    """An id is cleaned as any text."""
    assert Secrets(TOKEN, PROMPT).out_of_id(found) == shown


@pytest.mark.parametrize("n_characters", [8, 9, 13, 15, 16, 17, 26])
@pytest.mark.parametrize("length", [8, 9, 15, 16, 17, 26])
def test_every_piece_in_an_id(n_characters: int, length: int) -> None:
    """A piece of eight characters of a token, or sixteen of a prompt, is seen in an id wherever it begins."""
    secret = string.ascii_lowercase[:n_characters]
    for i in range(n_characters - length + 1):
        found = f"1{secret[i : i + length]}2"
        assert Secrets(secret).out_of_id(found) == "1***2"
        assert Secrets(None, secret).out_of_id(found) == ("1…2" if length >= 16 else found)


@pytest.mark.parametrize("secret", ["", "abc", "abcd", "abcdefg"])
def test_short_secrets_in_an_id(secret: str) -> None:
    """A short secret is hidden where it stands alone, if it is one at all."""
    for secrets, mark in ((Secrets(secret), "***"), (Secrets(None, secret), "…")):
        assert secrets.out_of_id(f"id-{secret}") == f"id-{mark if len(secret) >= 4 else secret}"
        assert secrets.out_of_id(f"id{secret}") == f"id{secret}"


def test_most_ids_are_not_looked_at_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made of a prompt for an id that holds no piece of it, not even where it shares a letter."""
    monkeypatch.setattr(hidden, "_Mask", None)
    assert Secrets("a" * 8 + "-", "b" * 16 + "1").out_of_id("Root=1-a-b") == "Root=1-a-b"


def test_errors() -> None:
    """Message, body and id of an error are cleaned, and nothing else of it is changed."""
    for kind in (APIStatusError, APIResponseError):
        error: Any = kind(f"no {TOKEN}", status_code=400, body=f"<{TOKEN}>", request_id=f"r-{TOKEN}", maybe_billed=True)
        Secrets(TOKEN).out_of_error(error)
        assert (str(error), error.body, error.request_id) == ("no ***", "<***>", "r-***")
        assert (error.status_code, error.maybe_billed) == (400, True)
        bare: Any = kind("no", status_code=400)
        Secrets(TOKEN).out_of_error(bare)
        assert (str(bare), bare.body, bare.request_id) == ("no", "", None)


def test_arguments_that_are_no_text() -> None:
    """They stay as they are."""
    error = APIConnectionError("no")
    error.args = (f"no {TOKEN}", 5, None, TOKEN)
    Secrets(TOKEN).out_of_error(error)
    assert error.args == ("no ***", 5, None, "***")


def led_to(cause: BaseException, *, context: bool = False, suppressed: bool = False) -> APIConnectionError:
    error = APIConnectionError("it failed")
    if context:
        error.__context__ = cause
    else:
        error.__cause__ = cause
    error.__suppress_context__ = suppressed
    return error


@pytest.mark.parametrize("context", [True, False])
def test_what_led_to_it(context: bool) -> None:
    """An error of ours is cleaned and kept; another is forgotten where it, or what led to it, tells the secret."""
    ours = led_to(ServerError(f"no {TOKEN}", status_code=500), context=context)
    Secrets(TOKEN).out_of_error(ours)
    assert str(ours.__context__ if context else ours.__cause__) == "no ***"
    for cause, is_kept in (
        (OSError("reset"), True),
        (OSError(f"reset {TOKEN}"), False),
        (OSError(5, "reset", TOKEN), False),
        (chained(OSError("reset"), OSError("pipe")), True),
        (chained(OSError("reset"), OSError(TOKEN)), False),
    ):
        error = led_to(cause, context=context)
        Secrets(TOKEN).out_of_error(error)
        left = error.__context__ if context else error.__cause__
        assert left is (cause if is_kept else None)


def chained(error: OSError, cause: OSError) -> OSError:
    error.__cause__ = cause
    return error


def test_arguments_that_tell() -> None:
    """An error tells also what it does not say, but holds."""

    class QuietError(Exception):
        def __str__(self) -> str:
            return "quiet"

    error = led_to(QuietError(TOKEN))
    Secrets(TOKEN).out_of_error(error)
    assert error.__cause__ is None


def test_context_that_nobody_sees() -> None:
    """A context that is suppressed is not looked at."""
    context = ServerError(f"no {TOKEN}", status_code=500)
    error = led_to(context, context=True, suppressed=True)
    Secrets(TOKEN).out_of_error(error)
    assert str(context) == f"no {TOKEN}"


def test_cause_and_context_are_both_forgotten() -> None:
    """Where the cause tells, the context is forgotten with it."""
    error = led_to(OSError(TOKEN))
    error.__context__ = OSError("other")
    Secrets(TOKEN).out_of_error(error)
    assert error.__cause__ is None
    assert error.__context__ is None
