"""
Run a model of the Hub on this machine: no server, no token, and after the download no network.

    python examples/on_this_machine.py examples/audio/train.flac
    python examples/on_this_machine.py examples/audio/train.flac facebook/wav2vec2-base-960h

Needs the extra "transformers". The model, openai/whisper-tiny if none is named, is fetched by the first run.
"""

from __future__ import annotations

import sys

from hfasr import ASRClient


def main(path: str, model: str = "openai/whisper-tiny") -> None:
    """Print the words of *path* with their times, and how sure the model is of each."""
    with ASRClient(model, backend="transformers") as asr:
        asr.preload()  # fetches and loads; the first call would do it, too
        transcript = asr.transcribe(path, return_timestamps="word")

    print(transcript.text)
    for word in transcript.words:
        sure = "" if word.confidence is None else f"{word.confidence:4.0%}"
        end = "?" if word.end is None else f"{word.end:.2f}"
        print(f"  {word.start:6.2f} - {end:>6} {sure} {word.word}")
    origin = transcript.provenance
    if origin is not None:
        print(f"{origin.model} at {origin.revision}, {origin.attempts[-1].duration:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        print("usage: python examples/on_this_machine.py FILE [MODEL]", file=sys.stderr)
        sys.exit(2)
    main(*sys.argv[1:])
