"""Many inputs at once: the library's batch, fed from the shell's words and written down as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfasr.errors import (
    AuthenticationError,
    BackendNotFoundError,
    BackendNotInstalledError,
    BatchAbortedError,
    JournalError,
    clean,
)

from .console import OutputError, StdoutError, beside_bar
from .feed import CountedFeed, Feed
from .inputs import are_several, find, kind_of
from .report import describe

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hfasr import ASRClient, BatchItem
    from hfasr.types import TranscribeOptions

    from .inputs import Found
    from .outputs import Output
    from .report import Report
    from .tally import Tally
    from .walking import Failed

__all__ = ["JOURNAL_FILE", "check_journal", "concerns_all", "run_many"]

JOURNAL_FILE = ".hfasr-journal.jsonl"
"""The journal of an output folder."""

_MAX_REASON_CHARS = 250  # a message has 500, and what to do stands at its end


def check_journal(journal: Path | None, *, resume: bool) -> None:
    """
    See that nothing is done again or left out by surprise.

    Raises:
        JournalError: *journal* is there already, and *resume* was not asked for.
    """
    if journal is not None and not resume and journal.exists():
        raise JournalError(f"{journal} is there from an earlier run; add --resume to go on with it, or delete it")


def concerns_all(error: BaseException) -> bool:
    """Whether *error* would come again for every other input, and nothing was sent: a matter of usage."""
    if isinstance(error, AuthenticationError):
        return not error.attempts  # no token was found
    return isinstance(error, (BackendNotFoundError, BackendNotInstalledError))


def run_many(
    asr: ASRClient,
    inputs: Sequence[str],
    *,
    batch: Mapping[str, Any],
    call: TranscribeOptions,
    output: Output,
    report: Report,
    tally: Tally,
) -> None:
    """
    Transcribe all that *inputs* stand for, and write down and count what came of each.

    Args:
        asr: The client.

        inputs: Files, URLs, ``"-"``, folders, patterns and manifests.

        batch: Arguments of `ASRClient.transcribe_many`; *progress* may be ``None``: on a terminal.

        call: Options of each call.

        output: Takes the transcripts.

        report: Takes everything else.

        tally: Counts.

    Raises:
        BatchAbortedError: Every further file would fail alike. The message says what is done and how to go on.
        JournalError: The journal cannot be used or written; the same.
        HfasrError: The batch could not begin.
        StdoutError: Standard output takes nothing more.
        BrokenPipeError: Nobody reads it any more.
    """
    shows_bar = report.shows_progress(batch["progress"] if are_several(inputs) else False)
    counted = all(kind_of(name) == "one" for name in inputs)
    feed = CountedFeed(find(inputs), len(inputs)) if counted else Feed(find(inputs))
    settings: dict[str, Any] = {**batch, "progress": shows_bar, **call}
    settle = _Settling(output, report, tally)
    try:
        with (
            beside_bar(is_shown=shows_bar),
            asr.transcribe_many(feed, **settings) as items,
        ):
            for item in items:
                settle.missing(feed.failed)
                settle.item(feed.take(item), item)
        settle.missing(feed.failed)
        output.finish()
    except BatchAbortedError as error:
        cause = error.__cause__ or error
        if concerns_all(cause) and not tally.n_done:
            raise cause from None
        why = clean(describe(cause), limit=_MAX_REASON_CHARS)
        raise BatchAbortedError(
            f"stopped, since every further file would fail alike: {why}; {tally.so_far()}", attempts=error.attempts
        ) from cause
    except JournalError as error:
        for item in error.unwritten:
            settle.item(feed.take(item), item)
        if not tally.n_done and not error.unwritten:
            raise
        raise JournalError(f"{clean(describe(error), limit=_MAX_REASON_CHARS)}; {tally.so_far()}") from error


class _Settling:
    """What is done with a finished item."""

    def __init__(self, output: Output, report: Report, tally: Tally) -> None:
        self._output = output
        self._report = report
        self._tally = tally

    def missing(self, failed: deque[Failed]) -> None:
        """Tell of what could not be looked at, so far."""
        while failed:
            name, error = failed.popleft()
            self._failed(name, error)
            self._write_failure(name, {}, error)

    def item(self, found: Found, item: BatchItem) -> None:
        """Write down what came of an input."""
        if item.transcript is None:
            error = item.error or ValueError("nothing came of it")
            self._failed(found.name, error)
            self._write_failure(found.name, found.extra, error)
            return
        if not item.resumed:
            self._report.explain(found.name, item.transcript)
        try:
            self._output.write(found, item.transcript, again=item.resumed)
        except (BrokenPipeError, StdoutError):
            raise
        except (OutputError, ValueError) as error:
            self._failed(found.name, error)
        else:
            self._tally.done()

    def _failed(self, name: str, error: Exception) -> None:
        self._report.failure(name, error)
        self._tally.failed(name, error)

    def _write_failure(self, name: str, extra: Mapping[str, Any], error: Exception) -> None:
        try:
            self._output.fail(name, extra, error)
        except StdoutError:
            raise
        except OutputError as full:  # the input was counted already
            self._report.failure(name, full)
