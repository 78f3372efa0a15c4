"""
The Hub's page on automatic speech recognition, with hfasr.

https://huggingface.co/tasks/automatic-speech-recognition calls a model of the Hub as a service:
send `sample1.flac`, get ``{"text": …}``, and wait while the model is loading. It runs inference
with transformers on the reader's own machine, too. This file gains each further thing that the page
does as hfasr learns it.

    python examples/hub_page.py sample1.flac
    python examples/hub_page.py sample1.flac facebook/wav2vec2-base-960h
    python examples/hub_page.py --here sample1.flac openai/whisper-tiny

Needs a token of Hugging Face (`hf auth login`, or HF_TOKEN); with --here the extra "transformers" instead.
"""

from __future__ import annotations

import json
import sys

from hfasr import ASRClient, Transcript


def as_a_service(path: str, model: str | None = None) -> Transcript:
    """Send the file at *path* to *model* (``None``: the default), and wait out a loading model."""
    with ASRClient(model) as asr:
        return asr.transcribe(path)


def on_your_own(path: str, model: str | None = None) -> Transcript:
    """Run *model* (``None``: the default) on this machine, with transformers."""
    with ASRClient(model, backend="transformers") as asr:
        return asr.transcribe(path)


def main(path: str, model: str | None = None, *, here: bool = False) -> None:
    """Print what was heard in *path*, and on standard error what came before."""
    transcript = on_your_own(path, model) if here else as_a_service(path, model)
    print(json.dumps({"text": transcript.text}))
    for attempt in transcript.provenance.attempts if transcript.provenance else ():
        note = f"status {attempt.status}, {attempt.error or 'worked'}, after waiting {attempt.waited:.1f} s"
        print(f"{attempt.route}: {note}", file=sys.stderr)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--here"]
    if len(arguments) not in {1, 2}:
        print("usage: python examples/hub_page.py [--here] FILE [MODEL]", file=sys.stderr)
        sys.exit(2)
    main(*arguments, here="--here" in sys.argv)
