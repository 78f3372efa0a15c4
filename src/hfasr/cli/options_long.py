"""More options, each declared once: of long audio, of `hfasr transcribe --stream` and of `hfasr listen`."""

from __future__ import annotations

from typing import Annotated

import typer

from hfasr.live import MAX_PAUSE_S, MIN_PAUSE_S
from hfasr.policies import MAX_CHUNKS_AT_ONCE, Split
from hfasr.types import OnChunkError

from .segments import StreamedFormat

ChunkLength = Annotated[
    float | None,
    typer.Option(
        "--chunk-length",
        help="Longest chunk of long audio, seconds, 1 or more; what the route takes if none is named.",
        show_default=False,
    ),
]
ChunkConcurrency = Annotated[
    int,
    typer.Option(
        "--chunk-concurrency",
        help="Chunks of one input in work at once.",
        min=1,
        max=MAX_CHUNKS_AT_ONCE,
        metavar="N",
    ),
]
SplitOption = Annotated[
    Split,
    typer.Option(
        "--split",
        help="Where long audio is cut: at quiet points; around speech, leaving out the rest (vad); or at fixed times.",
    ),
]
StrideLength = Annotated[
    float | None,
    typer.Option(
        "--stride-length",
        help="With --split none: seconds that a chunk shares with each neighbour; a sixth of it if none is named.",
        show_default=False,
    ),
]
OnChunkErrorOption = Annotated[
    OnChunkError,
    typer.Option("--on-chunk-error", help="What a chunk that fails leads to: failure of its input, or a marked gap."),
]
Channels = Annotated[
    str,
    typer.Option(
        "--channels",
        help="All channels mixed, each transcribed alone (split), or the number of one, from 0.",
        metavar="mix|split|N",
    ),
]
Stream = Annotated[
    bool,
    typer.Option("--stream", help="Print each segment of the only input as soon as it is done; a line each in txt."),
]
StreamedFormatOption = Annotated[
    StreamedFormat,
    typer.Option("--format", "-f", help="What to write: a line a phrase, or an object, each as soon as it is there."),
]
MicrophoneOption = Annotated[
    str | None,
    typer.Option(
        "--microphone",
        help="Number or a part of the name, as --list-devices shows them; the system's default if none is named.",
        show_default=False,
        metavar="N|NAME",
    ),
]
ListDevices = Annotated[bool, typer.Option("--list-devices", help="Print the microphones that there are, and exit.")]
Pcm = Annotated[
    int | None,
    typer.Option(
        "--pcm",
        help="Read raw PCM from standard input instead: 16 bits, little-endian, one channel, at so many Hz.",
        min=1_000,
        max=768_000,
        show_default=False,
        metavar="RATE",
    ),
]
Pause = Annotated[
    float,
    typer.Option(
        "--pause",
        help="What ends a phrase, seconds without speech.",
        min=MIN_PAUSE_S,
        max=MAX_PAUSE_S,
    ),
]
