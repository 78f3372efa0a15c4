"""
Transcribe files with a hosted model, and show how each text came about.

    python examples/quickstart.py examples/audio/train.flac

Needs a token of Hugging Face: `hf auth login`, or HF_TOKEN.
"""

from __future__ import annotations

import sys

from hfasr import ASRClient, HfasrError


def main(paths: list[str]) -> int:
    """Transcribe *paths*; return the number that failed."""
    failed = 0
    with ASRClient() as asr:
        for path in paths:
            try:
                transcript = asr.transcribe(path)
            except HfasrError as error:
                failed += 1
                print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            print(transcript.text)
            origin = transcript.provenance
            if origin is not None:
                print(
                    f"  {origin.model} at {origin.provider}, {origin.uploaded_bytes} bytes of {origin.upload_format}, "
                    f"{len(origin.attempts)} request(s)"
                )
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: python examples/quickstart.py FILE ...", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if main(sys.argv[1:]) else 0)
