"""A microphone's words come phrase by phrase, and no recording outlives its stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hfasr import Microphone
from hfasr.errors import BadRequestError
from tests.long.stream_kit import CHUNKS, DATA, RATE, WORDS, make, nothing_is_left, soon
from tests.test_microphone import Card

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer
    from tests.long.stream_kit import Ear, MakeSession


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """Put a stand-in at sounddevice's place that says *TALK* 50 times faster than anybody."""
    card = Card()
    card.sound = DATA
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    yield card
    assert all(stream.is_closed for stream in card.streams)


def test_a_microphone(session: MakeSession, server: FakeASRServer, card: Card) -> None:
    """What is said into it comes phrase by phrase, and its stop ends the stream after what was recorded."""
    client = make(session, server)
    with Microphone(block_s=0.05) as microphone:
        stream = client.transcribe_stream(microphone)
        seen = [next(stream).text for _ in CHUNKS]
        microphone.stop()
        assert (seen, list(stream)) == (CHUNKS, [])
    assert card.streams[0].is_closed


@pytest.mark.parametrize("how", ["close", "forget", "fail"])
def test_a_stream_that_is_left_stops_the_microphone(
    session: MakeSession, server: FakeASRServer, ear: Ear, card: Card, how: str
) -> None:
    """However the stream ends, the recording ends at once, also while nobody speaks."""
    ear.refuses = {WORDS[1]}
    card.sound = DATA[: 2 * RATE * 5]  # then it is quiet
    stream = make(session, server).transcribe_stream(Microphone(block_s=0.05))
    assert next(stream).text == CHUNKS[0]
    if how == "fail":
        with pytest.raises(BadRequestError):
            next(stream)
    began = time.monotonic()
    if how == "close":
        stream.close()
        assert time.monotonic() - began < 0.5
    del stream
    assert soon(lambda: card.streams[0].is_closed, within_s=1.0)
    assert nothing_is_left(server)
