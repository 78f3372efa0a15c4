"""
Come back with a text even when the hosted service is down: an engine on this machine stands in.

    python examples/failover.py examples/audio/train.flac

Needs the extra "offline".
"""

from __future__ import annotations

import sys

from hfasr import ASRClient, RetryPolicy


def main(path: str) -> None:
    """Print the text of *path*, and which route gave it."""
    with ASRClient(fallback="pocketsphinx", retry=RetryPolicy(max_attempts=2), deadline=60) as asr:
        transcript = asr.transcribe(path)

    print(transcript.text)
    origin = transcript.provenance
    if origin is not None and origin.fallback_reason is not None:
        print(f"answered by {origin.backend}, because: {origin.fallback_reason}", file=sys.stderr)
        for attempt in origin.attempts:
            print(f"  {attempt.route}: {attempt.error or 'worked'} after {attempt.duration:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python examples/failover.py FILE", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[1])
