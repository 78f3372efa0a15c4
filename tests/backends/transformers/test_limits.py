"""How long a text may be."""

from __future__ import annotations

import pytest

from hfasr.backends.transformers.limits import cut_warning, max_new_tokens


@pytest.mark.parametrize(("seconds", "tokens"), [(0.0, 40), (0.1, 44), (10.0, 440), (30.0, 1240)])
def test_grows_with_the_audio(seconds: float, tokens: int) -> None:
    """A short clip has room for a word, and a long one for 40 tokens a second."""
    assert max_new_tokens(seconds) == tokens


def test_warning() -> None:
    """The one warning says after how many tokens the text was cut."""
    assert cut_warning(448) == ("the model did not come to an end: its text was cut after 448 tokens",)
