"""One input after the other, whatever happens to the one before."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hfasr._core.story import answered
from hfasr.errors import AuthenticationError, BackendNotFoundError, BackendNotInstalledError

from .console import StdoutError, discard
from .inputs import opened
from .outputs import FolderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hfasr import ASRClient
    from hfasr.types import TranscribeOptions, Transcript

    from .outputs import Output
    from .report import Report

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # 130: 128 + SIGINT, as shells have it


def run(
    inputs: Sequence[str],
    client: Mapping[str, Any],
    call: TranscribeOptions,
    output: Output,
    report: Report,
    *,
    engine: Mapping[str, Any],
) -> int:
    """
    Transcribe *inputs* and return the exit status.

    Args:
        inputs: Paths, URLs, or ``"-"`` for standard input.

        client: Arguments of `hfasr.ASRClient`.

        call: Options of each call.

        output: Takes the transcripts.

        report: Takes everything else.

        engine: Options of the local engine that the client's *backend* names; empty: none.
    """
    try:
        with ExitStack() as stack:
            try:
                asr = _client(client, engine, stack)
            except Exception as error:  # noqa: BLE001 # reported: nothing can be done without a client
                report.failure(None, error)
                return USAGE
            output.prepare()
            done = [_one(asr, index, inputs, call=call, output=output, report=report) for index in range(len(inputs))]
    except KeyboardInterrupt as error:
        report.failure(None, error)
        return INTERRUPTED
    except (AuthenticationError, BackendNotFoundError, BackendNotInstalledError, FolderError) as error:
        report.failure(None, error)
        return USAGE
    except StdoutError as error:
        discard(sys.stdout)
        report.failure(None, error)
        return SOME_FAILED
    except BrokenPipeError:
        discard(sys.stdout)
        return SOME_FAILED
    return DONE if all(done) else SOME_FAILED


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


def _one(
    asr: ASRClient, index: int, inputs: Sequence[str], *, call: TranscribeOptions, output: Output, report: Report
) -> bool:
    name = inputs[index]
    try:
        with report.progress(name, index + 1, len(inputs)), opened(name) as audio:
            transcript = asr.transcribe(audio, **call)
        _explain(name, transcript, report)
        output.write(index, name, transcript)
    except Exception as error:  # reported: one bad input never ends the run
        if _concerns_all(error):
            raise
        report.failure(name, error)
        return False
    return True


def _concerns_all(error: Exception) -> bool:
    """Whether *error* would come again for every other input: told once, it ends the run."""
    if isinstance(error, AuthenticationError):
        return not error.attempts  # no token was found, so nothing was sent
    return isinstance(error, (BackendNotFoundError, BackendNotInstalledError, BrokenPipeError, StdoutError))


def _explain(name: str, transcript: Transcript, report: Report) -> None:
    for warning in transcript.warnings:
        report.warning(name, warning)
    origin = transcript.provenance
    if origin is not None and origin.fallback_reason is not None:
        report.warning(name, answered(origin))
