"""The options of ``hfasr transcribe``, each declared once; the reference in the documentation is made of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from hfasr.types import Task

Detail: TypeAlias = Literal["segment", "word"]
Dialect: TypeAlias = Literal["auto", "hf", "openai"]
Dtype: TypeAlias = Literal["auto", "float32", "float16", "bfloat16"]
Verify: TypeAlias = Literal["stat", "hash"]
Upload: TypeAlias = Literal["auto", "original", "flac", "wav", "opus"]


class Format(StrEnum):
    """What to write; typer takes no list of a ``Literal``."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    tsv = "tsv"
    json = "json"
    jsonl = "jsonl"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|URL|FOLDER|-",
        help="Audio files, URLs of audio, folders, patterns such as *.wav, manifests (.jsonl), - for standard input.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Model, by its id on the Hub, or a folder for an engine here; openai/whisper-large-v3 if none is named.",
        show_default=False,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        "--revision",
        help="Branch, tag or commit of the model, for engines on this machine.",
        show_default=False,
    ),
]
Provider = Annotated[str, typer.Option("--provider", help="Company that runs the model, such as hf-inference.")]
BaseURL = Annotated[
    str | None,
    typer.Option(
        "--base-url", help="A server of your own or an Inference Endpoint, instead of a provider.", metavar="URL"
    ),
]
DialectOption = Annotated[Dialect, typer.Option("--dialect", help="What the server of --base-url speaks.")]
RouterURL = Annotated[
    str | None,
    typer.Option(
        "--router-url",
        help="Where providers are reached, instead of Hugging Face's router.",
        metavar="URL",
        show_default=False,
    ),
]
BillTo = Annotated[
    str | None, typer.Option("--bill-to", help="Organisation that pays.", show_default=False, metavar="NAME")
]
Backend = Annotated[
    str,
    typer.Option("--backend", "-b", help="hosted, or an engine on this machine, such as transformers or pocketsphinx."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Where the engine of --backend computes: auto, cpu, cuda, cuda:1 or mps.",
        show_default=False,
    ),
]
DtypeOption = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="Numbers that the engine of --backend computes with.", show_default=False),
]
BatchSize = Annotated[
    str | None,
    typer.Option(
        "--batch-size",
        help="Clips that the engine of --backend takes at once: auto, or a number.",
        show_default=False,
        metavar="auto|N",
    ),
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(
        "--fallback",
        help="Engine or server URL to try when the backend has failed; may be repeated.",
        show_default=False,
    ),
]
LocalOnly = Annotated[
    bool, typer.Option("--local-only", help="Open no socket: engines and models on this machine only.")
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        "-l",
        help="Language spoken, such as en; the model finds out if none is named.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    Task | None, typer.Option("--task", help="Keep the language, or translate into English.", show_default=False)
]
Prompt = Annotated[
    str | None, typer.Option("--prompt", help="Names and spellings to expect.", show_default=False, metavar="TEXT")
]
Timestamps = Annotated[
    Detail | None,
    typer.Option(
        "--timestamps",
        "-t",
        help="Times of segments, or of words too; srt, vtt and tsv ask for segments.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    list[Format] | None,
    typer.Option(
        "--format",
        "-f",
        help="What to write: txt if none is named; may be repeated with --output-dir. jsonl has a line for each input.",
        show_default=False,
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        "-o",
        help="Write one file for each input into this folder, instead of standard output.",
        file_okay=False,
        show_default=False,
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", help="Files in work at once.", min=1, max=1024, metavar="N", show_default="8")
]
Journal = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        help="File that keeps what is finished; .hfasr-journal.jsonl in --output-dir if none is named.",
        dir_okay=False,
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a journal that is there, and leave out what is done.")
]
RetryFailed = Annotated[
    bool | None,
    typer.Option(
        "--retry-failed/--no-retry-failed",
        help="With --resume, try again all that failed, or nothing; by default what may work.",
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="File that keeps transcripts by the content of the audio, for all runs.",
        dir_okay=False,
        show_default=False,
    ),
]
VerifyOption = Annotated[
    Verify,
    typer.Option(
        "--verify", help="How the journal knows a file again: by path, size and time (stat), or by content (hash)."
    ),
]
Unordered = Annotated[
    bool, typer.Option("--unordered", help="Write each text as soon as it is there, not in the order of the inputs.")
]
ProgressOption = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="Show a bar on standard error; by default where that is a terminal and there may be several files.",
        show_default=False,
    ),
]
Deadline = Annotated[
    float | None, typer.Option("--deadline", help="Seconds for each input, everything included.", show_default=False)
]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds for one network operation.")]
UploadOption = Annotated[Upload, typer.Option("--upload", help="How audio is sent.")]
AllowPrivateURLs = Annotated[
    bool, typer.Option("--allow-private-urls", help="Fetch audio from URLs in private networks, too.")
]
JSONErrors = Annotated[
    bool, typer.Option("--json-errors", help="Write errors and warnings as JSON, one object a line.")
]
