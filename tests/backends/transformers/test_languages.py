from __future__ import annotations

import pytest

from hfasr.backends.transformers.languages import three_letters, two_letters


@pytest.mark.parametrize(
    ("given", "short", "long"),
    [
        ("de", "de", "deu"),
        ("deu", "de", "deu"),
        ("ger", "de", "deu"),  # the bibliographic code of ISO 639-2
        ("DE", "de", "deu"),
        ("pt-BR", "pt", "por"),
        ("pt_BR", "pt", "por"),
        ("zh", "zh", "cmn"),
        ("zh-Hant-TW", "zh", "cmn"),
        ("yue", "yue", "yue"),
        ("haw", "haw", "haw"),
        ("kab", "kab", "kab"),
        ("iw", "he", "heb"),  # withdrawn in 1989, and still about
        ("Not a language", "not a language", "not a language"),
        ("", "", ""),
    ],
)
def test_codes(given: str, short: str, long: str) -> None:
    """A language is found by any of its codes; what is no code stays as it is."""
    assert (two_letters(given), three_letters(given)) == (short, long)
