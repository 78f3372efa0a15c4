"""``hfasr listen``: what is said into a microphone, a line a phrase."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from hfasr.errors import AudioNotFoundError, BackendNotInstalledError
from hfasr.live import PAUSE_S

from . import options as opt  # noqa: TC001  # typer reads the annotations
from . import options_long as opt_long  # noqa: TC001  # the same
from .console import OutputError, check_stdout, write_stdout
from .report import Report
from .run import DONE, SOME_FAILED, USAGE, run_client
from .segments import Segments
from .settings import chunking_of, client_settings, engine_of, timestamps_of
from .streaming import RawPCM, first_interrupt, print_segments
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from hfasr import ASRClient
    from hfasr.live import LiveAudio
    from hfasr.types import TranscribeOptions

__all__ = ["listen"]


def listen(
    *,
    microphone: opt_long.MicrophoneOption = None,
    list_devices: opt_long.ListDevices = False,
    pcm: opt_long.Pcm = None,
    pause: opt_long.Pause = PAUSE_S,
    model: opt.Model = None,
    revision: opt.Revision = None,
    provider: opt.Provider = "auto",
    base_url: opt.BaseURL = None,
    dialect: opt.DialectOption = "auto",
    router_url: opt.RouterURL = None,
    bill_to: opt.BillTo = None,
    backend: opt.Backend = "hosted",
    device: opt.Device = None,
    dtype: opt.DtypeOption = None,
    batch_size: opt.BatchSize = None,
    fallback: opt.Fallback = None,
    local_only: opt.LocalOnly = False,
    language: opt.Language = None,
    task: opt.TaskOption = None,
    prompt: opt.Prompt = None,
    timestamps: opt.Timestamps = None,
    format: opt_long.StreamedFormatOption = "txt",  # noqa: A002 # the option's name
    chunk_length: opt_long.ChunkLength = None,
    chunk_concurrency: opt_long.ChunkConcurrency = 8,
    split: opt_long.SplitOption = "silence",
    stride_length: opt_long.StrideLength = None,
    on_chunk_error: opt_long.OnChunkErrorOption = "raise",
    deadline: opt.Deadline = None,
    timeout: opt.Timeout = 60.0,
    upload: opt.UploadOption = "auto",
    json_errors: opt.JSONErrors = False,
) -> None:
    """
    Print what is said into the microphone, each phrase as it ends, until Ctrl-C.

    Needs the extra mic, except with --pcm. After Ctrl-C what was said until then is still transcribed; a second one
    cuts that off. Exit status: 0 the input has ended, 1 it failed, 2 usage, 130 Ctrl-C.
    """
    report = Report(as_json=json_errors)
    if list_devices:
        raise typer.Exit(_list_devices(report))
    if pcm is not None and microphone is not None:
        raise typer.BadParameter("--pcm reads standard input and --microphone a device; leave out one")
    client = client_settings(
        base_url=base_url,
        router_url=router_url,
        fallback=fallback,
        model=model,
        revision=revision,
        provider=provider,
        dialect=dialect,
        bill_to=bill_to,
        backend=backend,
        local_only=local_only,
        deadline=deadline,
        timeout=timeout,
        upload=upload,
        chunking=chunking_of(chunk_length, chunk_concurrency, split, stride_length),
    )
    call: TranscribeOptions = {
        "language": language,
        "task": task,
        "prompt": prompt,
        "return_timestamps": timestamps_of(timestamps, [format]),
        "on_chunk_error": on_chunk_error,
    }
    name = "microphone" if pcm is None else "-"
    tally = Tally(None)

    def work(asr: ASRClient, stack: ExitStack) -> None:
        check_stdout()
        live, stop = _source(microphone, pcm, pause, stack)
        pressed = stack.enter_context(first_interrupt(stop))
        if report.shows_progress(None):
            report.summary("listening; Ctrl-C ends")
        print_segments(
            asr, live, name=name, is_live=True, call=call, segments=Segments(format, name), report=report, tally=tally
        )
        if pressed.is_set():
            raise KeyboardInterrupt

    engine = engine_of(backend, {"device": device, "dtype": dtype, "batch_size": batch_size})
    raise typer.Exit(run_client(work, client, report, engine=engine, tally=tally, is_batch=False))


def _source(
    microphone: str | None, pcm: int | None, pause_s: float, stack: ExitStack
) -> tuple[LiveAudio, Callable[[], None]]:
    """
    Return what to listen to, and what ends it; *stack* closes it.

    Raises:
        BackendNotInstalledError: There is no sounddevice, or no PortAudio.
        AudioNotFoundError: There is no such microphone, or no standard input.
    """
    from hfasr import LiveAudio, Microphone

    if pcm is None:
        number = int(microphone) if microphone is not None and microphone.isdecimal() else microphone
        mic = stack.enter_context(Microphone(number, pause_s=pause_s))
        return mic, mic.stop
    if sys.stdin is None:
        raise AudioNotFoundError("standard input is closed; pipe PCM into the command")
    blocks = RawPCM(sys.stdin.buffer)
    return LiveAudio(blocks, sampling_rate=pcm, pause_s=pause_s), blocks.stop


def _list_devices(report: Report) -> int:
    """Print the microphones, and return the exit status."""
    from hfasr.audio.live_recorder import input_devices

    try:
        for device in input_devices():
            write_stdout(f"{device.number:3}  {device.name}{' (default)' if device.is_default else ''}\n")
    except BackendNotInstalledError as error:
        report.failure(None, error)
        return USAGE
    except (AudioNotFoundError, OutputError) as error:
        report.failure(None, error)
        return SOME_FAILED
    return DONE
