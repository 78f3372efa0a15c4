"""One input or many, and what the exit status says of it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hfasr.errors import (
    AudioNotFoundError,
    AuthenticationError,
    BackendNotFoundError,
    BackendNotInstalledError,
    BatchAbortedError,
    BatchError,
)

from .console import OutputError, StdoutError, check_stdout, discard
from .inputs import Found, are_several, find, opened
from .many import check_journal, concerns_all, run_many
from .outputs import FolderError
from .streaming import print_segments
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hfasr import ASRClient
    from hfasr.types import TranscribeOptions

    from .outputs import Output
    from .report import Report
    from .segments import Segments

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # 130: 128 + SIGINT, as shells have it


def run(
    inputs: Sequence[str],
    client: Mapping[str, Any],
    call: TranscribeOptions,
    output: Output,
    report: Report,
    *,
    engine: Mapping[str, Any],
    batch: Mapping[str, Any] | None,
    resume: bool = False,
) -> int:
    """
    Transcribe *inputs* and return the exit status.

    Args:
        inputs: Paths, URLs, ``"-"`` for standard input, folders, patterns, manifests.

        client: Arguments of `hfasr.ASRClient`.

        call: Options of each call.

        output: Takes the transcripts.

        report: Takes everything else.

        engine: Options of the local engine that the client's *backend* names; empty: none.

        batch: Arguments of `ASRClient.transcribe_many`; ``None``: there is one input, and one call.

        resume: Whether the batch's journal may be there already.
    """
    tally = Tally(batch["journal"] if batch is not None else None)

    def work(asr: ASRClient, stack: ExitStack) -> None:
        if batch is not None:
            check_journal(batch["journal"], resume=resume)
        output.prepare()
        stack.enter_context(output)
        if batch is None:
            _run_one(asr, inputs, call=call, output=output, report=report, tally=tally)
        else:
            run_many(asr, inputs, batch=batch, call=call, output=output, report=report, tally=tally)
        if tally.n_failed and are_several(inputs):
            report.summary(tally.summary())

    return run_client(work, client, report, engine=engine, tally=tally, is_batch=batch is not None)


def run_stream(
    name: str,
    client: Mapping[str, Any],
    call: TranscribeOptions,
    segments: Segments,
    report: Report,
    *,
    engine: Mapping[str, Any],
) -> int:
    """
    Print the segments of the input *name* as they are done, and return the exit status.

    Args:
        name: A path, a URL, or ``"-"`` for standard input.

        client: Arguments of `hfasr.ASRClient`.

        call: Options of the call.

        segments: Takes what is said.

        report: Takes everything else.

        engine: As for `run`.
    """
    tally = Tally(None)

    def work(asr: ASRClient, _stack: ExitStack) -> None:
        check_stdout()
        try:
            with opened(name) as audio:
                print_segments(
                    asr, audio, name=name, is_live=False, call=call, segments=segments, report=report, tally=tally
                )
        except AudioNotFoundError as error:  # the pipe's
            report.failure(name, error)
            tally.failed(name, error)

    return run_client(work, client, report, engine=engine, tally=tally, is_batch=False)


def run_client(
    work: Callable[[ASRClient, ExitStack], None],
    client: Mapping[str, Any],
    report: Report,
    *,
    engine: Mapping[str, Any],
    tally: Tally,
    is_batch: bool,
) -> int:
    """
    Do *work* with a client, and return the exit status.

    Args:
        work: Gets the client, and a stack for what is to be closed at the end.

        client: Arguments of `hfasr.ASRClient`.

        report: Is told what ended the work.

        engine: Options of the local engine that the client's *backend* names; empty: none.

        tally: What *work* counts in.

        is_batch: Whether what is done so far is worth telling.
    """
    try:
        with ExitStack() as stack:
            try:
                asr = _client(client, engine, stack)
            except Exception as error:  # noqa: BLE001 # reported: nothing can be done without a client
                report.failure(None, error)
                return USAGE
            work(asr, stack)
    except KeyboardInterrupt:
        report.failure(None, KeyboardInterrupt(*([tally.so_far()] if is_batch else [])))
        return INTERRUPTED
    except (AuthenticationError, BackendNotFoundError, BackendNotInstalledError, FolderError) as error:
        report.failure(None, error)
        return USAGE
    except BatchError as error:
        report.failure(None, error)
        began = tally.n_done or isinstance(error, BatchAbortedError)
        return SOME_FAILED if began else USAGE  # a journal or cache that cannot be used
    except BrokenPipeError:
        discard(sys.stdout)
        return SOME_FAILED
    except OutputError as error:
        if isinstance(error, StdoutError):
            discard(sys.stdout)
        report.failure(None, error)
        return SOME_FAILED
    except AudioNotFoundError as error:  # the microphone's
        report.failure(None, error)
        return SOME_FAILED
    return SOME_FAILED if tally.n_failed else DONE


def _client(settings: Mapping[str, Any], engine: Mapping[str, Any], stack: ExitStack) -> ASRClient:
    """Make the client, and first its engine where that has options of its own; *stack* closes both."""
    from hfasr import ASRClient  # here, because the help and shell completion need no client

    if engine:
        from hfasr.backends import load

        name, _, own_model = settings["backend"].partition(":")
        revision = {} if settings["revision"] is None else {"revision": settings["revision"]}
        backend = stack.enter_context(load(name, own_model or settings["model"], **engine, **revision))
        settings = {**settings, "backend": backend, "revision": None}  # which is the engine's now
    return stack.enter_context(ASRClient(**settings))


def _run_one(
    asr: ASRClient, inputs: Sequence[str], *, call: TranscribeOptions, output: Output, report: Report, tally: Tally
) -> None:
    """Transcribe the only input, in this very thread: reading standard input must end at Ctrl-C."""
    name = inputs[0]
    found = next(find(inputs))
    assert isinstance(found, Found)  # it was named by itself
    try:
        with report.progress(name), opened(name) as audio:
            transcript = asr.transcribe(audio, **call)
        report.explain(name, transcript)
        output.write(found, transcript)
    except Exception as error:  # reported
        if concerns_all(error) or isinstance(error, (BrokenPipeError, StdoutError)):
            raise
        report.failure(name, error)
        tally.failed(name, error)
        output.fail(name, {}, error)
    output.finish()
