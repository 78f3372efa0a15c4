"""The options of ``hfasr transcribe``, each declared once; the reference in the documentation is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from hfasr.types import Task

Format: TypeAlias = Literal["txt", "srt", "vtt", "tsv", "json"]
Detail: TypeAlias = Literal["segment", "word"]
Dialect: TypeAlias = Literal["auto", "hf", "openai"]
Dtype: TypeAlias = Literal["auto", "float32", "float16", "bfloat16"]
Upload: TypeAlias = Literal["auto", "original", "flac", "wav", "opus"]

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|URL|-", help="Audio files, URLs of audio, or - for standard input.", show_default=False
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
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="What to write.")]
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
