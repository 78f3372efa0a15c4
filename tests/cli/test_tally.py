"""The numbers of a batch, in one line."""

from __future__ import annotations

from pathlib import Path

import hfasr
from hfasr.cli.tally import Tally


def test_summary() -> None:
    """The line counts what failed by kind, the commonest first, each with its first file, and says how to go on."""
    tally = Tally(Path("j"))
    for _ in range(988):
        tally.done()
    for number in range(5):
        tally.failed(f"{number}.wav", hfasr.RateLimitError("too many requests", status_code=429))
    for number in range(7):
        tally.failed(f"a/{number}.flac", hfasr.AudioDecodeError(f"{number}.flac is damaged"))
    assert tally.summary() == (
        "12 of 1,000 files failed: 7 AudioDecodeError (first: a/0.flac: is damaged), "
        "5 RateLimitError (first: 0.wav: too many requests); run again with --resume to try those that may work"
    )


def test_summary_without_a_journal() -> None:
    """Nothing can be resumed where nothing is kept."""
    tally = Tally(None)
    tally.failed("a.wav", ValueError("no"))
    assert tally.summary() == "1 of 1 file failed: 1 ValueError (a.wav: no)"


def test_summary_stays_one_line() -> None:
    """Many kinds, long names and messages of many lines make no page."""
    tally = Tally(None)
    for number in range(20):
        tally.failed("x\n" * 300, type(f"Kind{number:02}Error", (ValueError,), {})("what\n" * 300))
    summary = tally.summary()
    assert "\n" not in summary
    assert len(summary) < 1_200
    assert summary.endswith(", 15 of other kinds")


def test_so_far() -> None:
    """What is done and how to go on is told for a batch that ended early."""
    tally = Tally(Path("j"))
    tally.done()
    assert tally.so_far() == "1 file is done, and kept in j; run again with --resume to go on"
    assert Tally(None).so_far() == "0 files are done; add --journal FILE to be able to go on where a run has stopped"
