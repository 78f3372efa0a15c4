"""What one request costs: beside the HTTP library that others use, and beside the clients of others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httpx

from benchmarks.measure import ratio, show
from benchmarks.server import server
from benchmarks.sound import clip
from hfasr import ASRClient, AsyncASRClient

if TYPE_CHECKING:
    from huggingface_hub import InferenceClient

MODEL = "openai/whisper-large-v3"
CONCURRENCY = 16

_ROUNDS, _CALLS = 300, 10  # many short ones: what else the machine does then falls on both sides alike


def run() -> None:
    """Print the lines."""
    flac = clip(3.64, 16_000, 1, "FLAC")
    with server() as url:
        beside_httpx(url, flac)
        beside_huggingface_hub(url, flac)
        beside_openai(url, flac)
        at_once(url, flac)


def beside_httpx(url: str, flac: bytes) -> None:
    """One call on a kept-alive connection, over one bare ``httpx.Client.post`` of the same bytes."""
    with ASRClient(router_url=url) as asr, httpx.Client() as client:
        figure = ratio(
            lambda: asr.transcribe(flac),
            lambda: client.post(_address(url), content=flac, headers=_HEADERS).json(),
            rounds=_ROUNDS,
            calls=_CALLS,
        )
    show(f"one request of {len(flac) // 1000} kB / httpx.Client.post", figure, "at most 1.15")


def beside_huggingface_hub(url: str, flac: bytes) -> None:
    """``InferenceClient.automatic_speech_recognition``, over the same call."""
    from huggingface_hub import InferenceClient

    with ASRClient(router_url=url) as asr:
        client: InferenceClient = InferenceClient(_address(url), provider="hf-inference")
        figure = ratio(
            lambda: client.automatic_speech_recognition(flac),
            lambda: asr.transcribe(flac),
            rounds=_ROUNDS,
            calls=_CALLS,
        )
    show("huggingface_hub.InferenceClient / the same request", figure, "at least 0.95")


def beside_openai(url: str, flac: bytes) -> None:
    """The ``openai`` SDK's ``audio.transcriptions.create``, over the same call: multipart for both."""
    import openai

    with (
        ASRClient(MODEL, base_url=url, dialect="openai") as asr,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        figure = ratio(
            lambda: client.audio.transcriptions.create(model=MODEL, file=("audio.flac", flac)),
            lambda: asr.transcribe(flac),
            rounds=_ROUNDS,
            calls=_CALLS,
        )
    show("the openai SDK / the same request, multipart", figure, "at least 1.40")


def at_once(url: str, flac: bytes) -> None:
    """Many calls at once on one async client, over as many posts at once on one ``httpx.AsyncClient``."""

    async def post() -> None:
        (await client.post(_address(url), content=flac, headers=_HEADERS)).json()

    with asyncio.Runner() as runner:
        asr, client = AsyncASRClient(router_url=url), httpx.AsyncClient()
        try:
            figure = ratio(
                lambda: runner.run(_side_by_side(lambda: asr.transcribe(flac))),
                lambda: runner.run(_side_by_side(post)),
                rounds=60,
                calls=1,
            )
        finally:
            runner.run(asr.aclose())
            runner.run(client.aclose())
    show(f"async, {CONCURRENCY} requests at once / httpx.AsyncClient", figure, "at most 1.10")


_HEADERS = {"content-type": "audio/flac"}


def _address(url: str) -> str:
    return f"{url}/hf-inference/models/{MODEL}"


async def _side_by_side(call: Callable[[], Awaitable[object]], n_each: int = 4) -> None:
    async def worker() -> None:
        for _ in range(n_each):
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(worker())
