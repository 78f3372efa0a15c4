"""
Use a server of your own, or an Inference Endpoint, instead of a provider.

    python examples/own_server.py http://localhost:8000/v1 examples/audio/train.flac
    python examples/own_server.py https://<name>.<region>.aws.endpoints.huggingface.cloud examples/audio/train.flac

A server that speaks OpenAI's protocol and one that speaks Hugging Face's are told apart by asking.
"""

from __future__ import annotations

import sys

from hfasr import ASRClient, RetryPolicy


def main(base_url: str, path: str) -> None:
    """Print the segments of *path*."""
    # An endpoint that was scaled to zero takes minutes to start: wait for it.
    with ASRClient(base_url=base_url, retry=RetryPolicy(loading_timeout=900)) as asr:
        transcript = asr.transcribe(path, return_timestamps=True)

    for segment in transcript.segments:
        end = "?" if segment.end is None else f"{segment.end:.2f}"
        print(f"[{segment.start:.2f} - {end}] {segment.text}")
    for warning in transcript.warnings:
        print("warning:", warning, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: python examples/own_server.py URL FILE", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[1], sys.argv[2])
