"""The arguments of ``hfasr``, and what they mean for the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from hfasr import __version__
from hfasr.formats import TIMED_FORMATS

from . import options as opt  # typer reads the annotations
from . import options_long as opt_long
from .console import prepare_streams
from .inputs import STDIN, are_several
from .listen import listen
from .many import JOURNAL_FILE
from .outputs import Output
from .report import Report
from .run import run, run_stream
from .segments import Segments, StreamedFormat
from .settings import channels_of, chunking_of, client_settings, engine_of, timestamps_of

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.types import TranscribeOptions

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help reads the same on every console
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hfasr {__version__}")
        raise typer.Exit


@app.callback()
def hfasr(
    version: Annotated[  # noqa: ARG001 # its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Speech to text with models of the Hugging Face Hub, servers of your own, and engines on this machine."""
    prepare_streams()


app.command()(listen)


@app.command()
def transcribe(
    inputs: opt.Inputs,
    *,
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
    chunk_length: opt_long.ChunkLength = None,
    chunk_concurrency: opt_long.ChunkConcurrency = 8,
    split: opt_long.SplitOption = "silence",
    stride_length: opt_long.StrideLength = None,
    on_chunk_error: opt_long.OnChunkErrorOption = "raise",
    channels: opt_long.Channels = "mix",
    stream: opt_long.Stream = False,
    format: opt.FormatOption = None,  # noqa: A002 # the option's name
    output_dir: opt.OutputDir = None,
    jobs: opt.Jobs = 8,
    journal: opt.Journal = None,
    resume: opt.Resume = False,
    retry_failed: opt.RetryFailed = None,
    cache: opt.Cache = None,
    verify: opt.VerifyOption = "stat",
    unordered: opt.Unordered = False,
    progress: opt.ProgressOption = None,
    deadline: opt.Deadline = None,
    timeout: opt.Timeout = 60.0,
    upload: opt.UploadOption = "auto",
    allow_private_urls: opt.AllowPrivateURLs = False,
    json_errors: opt.JSONErrors = False,
) -> None:
    """
    Print what is said in each FILE or URL, and in each file of a FOLDER.

    The token is read from HF_TOKEN or from the login of `hf auth login`; the key of a server of your
    own from HFASR_TOKEN. Text goes to standard output, everything else to standard error. Exit
    status: 0 all done, 1 some failed, 2 usage.
    """
    formats = [one.value for one in dict.fromkeys(format or [opt.Format.txt])]
    several = are_several(inputs)
    _refuse_mixtures(inputs, formats, several=several, has_folder=output_dir is not None)
    if journal is None and output_dir is not None and (several or resume):
        journal = output_dir / JOURNAL_FILE
    if journal is None and resume:
        raise typer.BadParameter("--resume goes on with a journal; add --output-dir or --journal")
    engine = engine_of(backend, {"device": device, "dtype": dtype, "batch_size": batch_size})
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
        allow_private_urls=allow_private_urls,
        channels=channels_of(channels),
        chunking=chunking_of(chunk_length, chunk_concurrency, split, stride_length),
    )
    call: TranscribeOptions = {
        "language": language,
        "task": task,
        "prompt": prompt,
        "return_timestamps": timestamps_of(timestamps, formats),
        "on_chunk_error": on_chunk_error,
    }
    report = Report(as_json=json_errors)
    if stream:
        _refuse_beside_stream(formats, channels, several=several, kept=(output_dir, journal, cache))
        document: StreamedFormat = formats[0]  # type: ignore[assignment]  # the check has seen it
        raise typer.Exit(run_stream(inputs[0], client, call, Segments(document, inputs[0]), report, engine=engine))
    batch: dict[str, Any] = {
        "max_concurrency": jobs,
        "ordered": not unordered,
        "journal": journal,
        "cache": cache,
        "progress": progress,
        "verify": verify,
        "retry_failed": retry_failed,
    }
    is_batch = several or journal is not None or cache is not None
    status = run(
        inputs,
        client,
        call,
        Output(formats, output_dir, several=several, kept=journal is not None),
        report,
        engine=engine,
        batch=batch if is_batch else None,
        resume=resume,
    )
    raise typer.Exit(status)


def _refuse_mixtures(inputs: list[str], formats: list[str], *, several: bool, has_folder: bool) -> None:
    if sum(name in STDIN for name in inputs) > 1:
        raise typer.BadParameter("standard input (-) can be read only once")
    if has_folder:
        return
    if len(formats) > 1:
        raise typer.BadParameter("several formats do not go to one standard output; add --output-dir")
    if several and formats[0] in TIMED_FORMATS:
        raise typer.BadParameter(f"several inputs do not make one {formats[0]} file; add --output-dir")


def _refuse_beside_stream(formats: list[str], channels: str, *, several: bool, kept: tuple[Path | None, ...]) -> None:
    if several:
        raise typer.BadParameter("--stream takes one file, URL or standard input (-)")
    if any(one is not None for one in kept):
        raise typer.BadParameter("--stream writes to standard output alone; leave out --output-dir, --journal, --cache")
    if formats[0] not in get_args(StreamedFormat):
        raise typer.BadParameter(f"--stream does not write {formats[0]}; choose {', '.join(get_args(StreamedFormat))}")
    if channels == "split":
        raise typer.BadParameter("--stream takes one channel or the mix; name one with --channels, or leave it out")
