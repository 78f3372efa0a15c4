"""A batch of long files: how many chunks are sent at once, and that nothing waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hfasr import Audio, Chunking, Transcript
from hfasr.testing import FakeASRServer, ToneSpeech, replies
from tests.colours import Session

if TYPE_CHECKING:
    from hfasr.types import TranscribeOptions

Make = Callable[..., Session]

CHUNK_S = 6.0
TEXT = " ".join(["red boat green apple"] * 20)  # 24 s: four chunks


@pytest.fixture
def slow() -> Iterator[FakeASRServer]:
    """Serve, slowly enough for requests to meet."""
    with FakeASRServer(delay=0.05) as server:
        yield server


def long_clip(text: str = TEXT) -> Audio:
    """Return speech of several chunks."""
    return Audio(ToneSpeech().say(text), 16_000)


def chunking(n_at_once: int) -> Chunking:
    """Cut into short chunks."""
    return Chunking(chunk_length_s=CHUNK_S, max_concurrency=n_at_once)


@pytest.mark.parametrize(("n_items", "n_chunks"), [(1, 3), (3, 1), (3, 3), (1, 1)])
def test_chunks_of_all_items_share_their_seats(session: Make, slow: FakeASRServer, n_items: int, n_chunks: int) -> None:
    """Items at once times chunks at once are not what is sent: no more than the larger of the two is, and that many are."""
    asr = session(router_url=slow.router_url, chunking=chunking(n_chunks))
    items = list(asr.transcribe_many([long_clip()] * 4, max_concurrency=n_items))
    assert [item.transcript.text for item in items if item.transcript] == [TEXT] * 4
    assert slow.peak_concurrency == max(n_items, n_chunks)


def test_one_long_item_among_short_ones(session: Make, slow: FakeASRServer, wav: bytes) -> None:
    """A long item has all seats where no other one is long."""
    asr = session(router_url=slow.router_url, chunking=chunking(4))
    items = list(asr.transcribe_many([wav, long_clip(), wav], max_concurrency=2))
    assert [item.transcript.text for item in items if item.transcript] == ["red boat green", TEXT, "red boat green"]
    assert slow.peak_concurrency >= 4


def test_chunks_that_are_cut_again_keep_their_seat(session: Make) -> None:
    """A chunk that the server finds too long is cut again within its own seat: with one seat for all, too."""

    with FakeASRServer(max_duration_s=None, max_body_bytes=200_000) as server:
        asr = session(base_url=server.url, upload="wav", chunking=Chunking(chunk_length_s=12, max_concurrency=1))
        items = list(asr.transcribe_many([long_clip()] * 2, max_concurrency=1))
    assert [item.transcript.text for item in items if item.transcript] == [TEXT] * 2
    assert any(request.status == 413 for request in server.requests)


def test_channels_share_their_seats(session: Make, slow: FakeASRServer) -> None:
    """Channels of files take seats as well, and do not hold one while their chunks wait."""
    left = ToneSpeech().say(TEXT)
    stereo = Audio(np.stack([left, left[::-1] * 0], axis=1), 16_000)
    asr = session(router_url=slow.router_url, chunking=chunking(1), channels="split")
    items = list(asr.transcribe_many([stereo] * 3, max_concurrency=1))
    assert [item.transcript.text for item in items if item.transcript] == [TEXT] * 3
    assert slow.peak_concurrency == 1


@pytest.mark.parametrize("on_chunk_error", ["raise", "gap"])
def test_a_chunk_that_fails_gives_its_seat_back(session: Make, slow: FakeASRServer, on_chunk_error: str) -> None:
    """Whatever becomes of a chunk, the next ones are sent."""
    slow.script(*[replies.malformed_audio()] * 3)
    asr = session(router_url=slow.router_url, chunking=chunking(1))
    batch = asr.transcribe_many([long_clip()] * 5, max_concurrency=2, on_chunk_error=on_chunk_error)
    texts = [item.transcript.text if item.transcript else None for item in batch]
    assert len(texts) == 5
    assert TEXT in texts
    assert set(texts) != {TEXT}


def test_leaving_while_chunks_wait_for_a_seat(session: Make) -> None:
    """A batch that is closed ends at once, with chunks on the wire and others that wait."""

    def hear(audio: Audio, options: TranscribeOptions) -> Transcript:
        time.sleep(0.2)
        return ToneSpeech().hear(audio, options)

    with FakeASRServer(hear) as server:
        asr = session(router_url=server.router_url, chunking=chunking(2))
        batch = asr.transcribe_many([long_clip()] * 20, max_concurrency=4)
        next(batch)
        began = time.monotonic()
        batch.close()
        assert time.monotonic() - began < 2.0
        n_requests = len(server.requests)
        time.sleep(0.5)
        assert len(server.requests) == n_requests
