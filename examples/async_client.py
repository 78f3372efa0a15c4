"""
Transcribe several files at the same time, at most four of them.

    python examples/async_client.py examples/audio/*.flac

Needs a token of Hugging Face: `hf auth login`, or HF_TOKEN. Runs on trio as well as on asyncio.
"""

from __future__ import annotations

import sys

import anyio

from hfasr import AsyncASRClient


async def main(paths: list[str]) -> None:
    """Print the text of each of *paths*, in order."""
    texts = [""] * len(paths)
    limit = anyio.CapacityLimiter(4)

    async with AsyncASRClient() as asr:

        async def one(index: int) -> None:
            async with limit:
                texts[index] = (await asr.transcribe(paths[index])).text

        async with anyio.create_task_group() as tasks:
            for index in range(len(paths)):
                tasks.start_soon(one, index)

    for path, text in zip(paths, texts, strict=True):
        print(f"{path}: {text}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: python examples/async_client.py FILE ...", file=sys.stderr)
        sys.exit(2)
    anyio.run(main, sys.argv[1:])
