"""
Come back with a text even when the hosted service is down: an engine on this machine stands in.

    python examples/failover.py examples/audio/train.flac
    python examples/failover.py examples/audio/train.flac transformers:openai/whisper-tiny

Needs the extra "offline" for the engine pocketsphinx, "transformers" for models of the Hub.
"""

from __future__ import annotations

import sys

from hfasr import ASRClient, RetryPolicy


def main(path: str, engine: str = "pocketsphinx") -> None:
    """Print the text of *path*, and which route gave it."""
    with ASRClient(fallback=engine, retry=RetryPolicy(max_attempts=2), deadline=60) as asr:
        asr.preload()  # a call with a deadline never downloads a model
        transcript = asr.transcribe(path)

    print(transcript.text)
    origin = transcript.provenance
    if origin is not None and origin.fallback_reason is not None:
        print(f"answered by {origin.backend}, because: {origin.fallback_reason}", file=sys.stderr)
        for attempt in origin.attempts:
            print(f"  {attempt.route}: {attempt.error or 'worked'} after {attempt.duration:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        print("usage: python examples/failover.py FILE [ENGINE]", file=sys.stderr)
        sys.exit(2)
    main(*sys.argv[1:])
