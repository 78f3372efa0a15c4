"""Many inputs at once: the library's batch, fed from the shell's words and written down as it goes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hfasr.audio import MAX_INPUT_BYTES
from hfasr.errors import (
    AudioNotFoundError,
    AudioTooLongError,
    AuthenticationError,
    BackendNotFoundError,
    BackendNotInstalledError,
    BatchAbortedError,
    BatchError,
    JournalError,
)

from .console import OutputError, StdoutError, beside_bar, reason
from .inputs import Found, are_several, find, kind_of, opened
from .report import describe
from .walking import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from hfasr import ASRClient, BatchItem
    from hfasr.types import AudioInput, TranscribeOptions

    from .outputs import Output
    from .report import Report
    from .tally import Tally

__all__ = ["JOURNAL_FILE", "StoppedError", "check_journal", "concerns_all", "run_many"]

JOURNAL_FILE = ".hfasr-journal.jsonl"
"""The journal of an output folder."""


_READ_BYTES = 2**20


class StoppedError(BatchError):
    """A batch ended early; the message says what is done and how to go on."""


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


class _Feed:
    """
    What the library reads, in a thread of its own: audio, and beside it what each came from.

    Args:
        found: Inputs, and what could not be looked at.
    """

    def __init__(self, found: Iterable[Found | Failed]) -> None:
        self._found = found
        self._under_way: dict[int, Found] = {}
        self.failed: deque[Failed] = deque()

    def __iter__(self) -> Iterator[AudioInput]:
        n = 0
        for one in self._found:
            if isinstance(one, Failed):
                self.failed.append(one)
                continue
            try:
                audio = _audio(one)
            except Exception as error:  # noqa: BLE001  # one pipe that cannot be read is one that failed
                self.failed.append(Failed(one.name, error))
                continue
            self._under_way[n] = one
            n += 1
            yield audio

    def take(self, item: BatchItem) -> Found:
        """Return what *item* came from, once."""
        return self._under_way.pop(item.index)


class _CountedFeed(_Feed):
    """The same, of which it is known how many there are."""

    def __init__(self, found: Iterable[Found | Failed], n: int) -> None:
        super().__init__(found)
        self._n = n

    def __len__(self) -> int:
        return self._n


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
        StoppedError: The batch cannot go on. What was done stays done.
        HfasrError: It could not begin.
        StdoutError: Standard output takes nothing more.
        BrokenPipeError: Nobody reads it any more.
    """
    shows_bar = report.shows_progress(batch["progress"] if are_several(inputs) else False)
    counted = all(kind_of(name) == "one" for name in inputs)
    feed = _CountedFeed(find(inputs), len(inputs)) if counted else _Feed(find(inputs))
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
        why = f"stopped, since every further file would fail alike: {describe(cause)}"
        raise StoppedError(f"{why}; {tally.so_far()}") from cause
    except JournalError as error:
        for item in error.unwritten:
            settle.item(feed.take(item), item)
        if not tally.n_done and not error.unwritten:
            raise
        raise StoppedError(f"{describe(error)}; {tally.so_far()}") from error


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


def _audio(found: Found) -> AudioInput:
    """Return what the library is to be given: of standard input and pipes the bytes, read here and now."""
    with opened(found.audio) as audio:
        return found.audio if audio is found.audio else _read(audio)  # type: ignore[arg-type]  # a file by now


def _read(pipe: IO[bytes]) -> bytes:
    """
    Read a pipe to its end, in the thread that feeds the batch.

    Without the buffer, whose lock would be missed at the process's end where Ctrl-C left the thread behind.
    """
    raw: Any = getattr(pipe, "raw", pipe)
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := raw.read(_READ_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_INPUT_BYTES:
                raise AudioTooLongError(f"the pipe gives more than {MAX_INPUT_BYTES} bytes; save it in a file first")
    except OSError as error:
        raise AudioNotFoundError(f"the pipe cannot be read: {reason(error)}; name a file") from error
    return b"".join(pieces)
