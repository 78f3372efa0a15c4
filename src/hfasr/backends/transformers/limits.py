"""How long a text may be, so that a model that repeats itself comes to an end."""

from __future__ import annotations

__all__ = ["cut_warning", "max_new_tokens"]

TOKENS_PER_S = 40
"""
More than any speech has: at most 8 syllables a second, and 5 tokens for one in the scripts that are
written byte by byte.
"""

LEAST_TOKENS = 40


def max_new_tokens(seconds: float) -> int:
    """Return how many tokens *seconds* of audio can have at most."""
    return LEAST_TOKENS + int(TOKENS_PER_S * seconds)


def cut_warning(limit: int) -> tuple[str, ...]:
    """Return the warning for a text that ended only because it was *limit* tokens long."""
    return (f"the model did not come to an end: its text was cut after {limit} tokens",)
