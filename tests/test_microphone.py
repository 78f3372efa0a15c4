"""
The microphone records into blocks, ends cleanly, and never loses anything without a word.

There are few sound cards where tests run: a stand-in behaves as sounddevice documents its streams. With
``HFASR_MICROPHONE=1`` the default device is recorded from as well, for a second.
"""

from __future__ import annotations

import _thread
import logging
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hfasr.audio import live_recorder
from hfasr.audio.live_sources import LivePhrases, phrases_of
from hfasr.audio.pieces import Cutting
from hfasr.errors import AudioNotFoundError, BackendNotInstalledError
from hfasr.live import Microphone
from tests.audio.live_kit import Given, heard, talk


class PortAudioError(Exception):
    """What sounddevice raises for whatever PortAudio says."""


@dataclass
class Flags:
    """sounddevice's CallbackFlags."""

    input_overflow: bool = False


class Card(types.ModuleType):
    """A module ``sounddevice`` with one device, whose own thread calls back; it plays what it is told."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.sound = b""
        self.faster = 50.0  # than real time
        self.overflow_at: set[int] = set()
        self.breaks_after: int | None = None
        self.refuses: Exception | None = None
        self.streams: list[Stream] = []

    def RawInputStream(self, **settings: Any) -> Stream:  # noqa: N802  # sounddevice's name
        if settings["device"] not in {None, 0, "built-in"}:
            raise ValueError(f"No input device matching {settings['device']!r}")
        self.streams.append(Stream(self, **settings))
        return self.streams[-1]


class Stream:
    """One stream of it."""

    def __init__(
        self,
        card: Card,
        *,
        samplerate: int,
        blocksize: int,
        device: object,
        channels: int,
        dtype: str,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
    ) -> None:
        assert (channels, dtype) == (1, "int16")
        self.card = card
        self.rate = samplerate
        self.n_frames = blocksize
        self.callback = callback
        self.finished_callback = finished_callback
        self.over = threading.Event()
        self.is_closed = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self) -> None:
        if self.card.refuses:
            raise self.card.refuses
        self.thread.start()

    def run(self) -> None:
        n_bytes = 2 * self.n_frames
        number = 0
        while not self.over.wait(self.n_frames / self.rate / self.card.faster):
            if number == self.card.breaks_after:
                break
            block = self.card.sound[number * n_bytes : (number + 1) * n_bytes].ljust(n_bytes, b"\0")
            memory = bytearray(block)
            self.callback(memory, self.n_frames, None, Flags(number in self.card.overflow_at))
            memory[:] = b"\xff" * n_bytes  # PortAudio uses its buffer again
            number += 1
        self.finished_callback()

    def abort(self, ignore_errors: bool = True) -> None:
        self.over.set()
        self.thread.join(5)
        assert not self.thread.is_alive()

    def close(self, ignore_errors: bool = True) -> None:
        self.is_closed = True


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """Put the stand-in at sounddevice's place; every stream of it must be closed in the end."""
    module = Card()
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    yield module
    assert all(stream.is_closed for stream in module.streams if module.refuses is None)


def numbered(n_blocks: int, n_frames: int) -> bytes:
    """Return blocks of which each sample holds its block's number, from 1."""
    return b"".join((number + 1).to_bytes(2, "little") * n_frames for number in range(n_blocks))


def test_blocks_in_order_until_it_is_stopped(card: Card) -> None:
    """Blocks have the length that was asked for, and stop ends the iteration after what was recorded."""
    card.sound = numbered(1_000, 800)
    with Microphone(block_s=0.05) as microphone:
        blocks = []
        for block in microphone:
            blocks.append(block)
            if len(blocks) == 20:
                microphone.stop()
    assert len(blocks) >= 20
    assert [int.from_bytes(block[:2], "little") for block in blocks] == list(range(1, len(blocks) + 1))
    assert {len(block) for block in blocks} == {1_600}
    assert microphone.n_dropped == 0
    assert list(microphone) == []  # a stopped one stays so


def test_it_records_from_the_with_on(card: Card) -> None:
    """What was said before anybody listened is there."""
    card.sound = numbered(1_000, 1_600)
    with Microphone("built-in") as microphone:
        time.sleep(0.1)
        assert next(iter(microphone))[:2] == b"\x01\x00"


def test_without_with(card: Card) -> None:
    """A bare iteration opens the device, and leaving it closes that."""
    blocks = iter(Microphone(0))
    next(blocks)
    assert not card.streams[0].is_closed
    blocks.close()  # type: ignore[attr-defined]  # a generator
    assert card.streams[0].is_closed


def test_stop_wakes_whoever_waits(card: Card) -> None:
    """Stop from another thread ends a wait at once."""
    card.faster = 0.01
    microphone = Microphone()
    threading.Timer(0.2, microphone.stop).start()
    began = time.monotonic()
    assert list(microphone) == []
    assert time.monotonic() - began < 2


def test_stopped_before_it_began(card: Card) -> None:
    """Stop is not forgotten where it comes first."""
    microphone = Microphone()
    microphone.stop()
    assert list(microphone) == []
    assert card.streams == []


def test_an_interrupt_while_waiting(card: Card) -> None:
    """Ctrl-C comes through, and the device is closed."""
    card.faster = 0.01
    microphone = Microphone()
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        list(microphone)
    assert card.streams[0].is_closed


def test_nothing_is_lost_silently(
    card: Card, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody fetches is counted and logged, and silence stands for it, so that times stay right."""
    monkeypatch.setattr(live_recorder, "WAITING_S", 1.0)
    card.sound = numbered(60, 1_600)
    microphone = Microphone()
    with microphone:
        blocks = iter(microphone)
        next(blocks)
        while microphone.n_dropped < 20:
            time.sleep(0.01)
        card.faster = 5.0  # so that no more is lost
        got = [1]
        with caplog.at_level(logging.WARNING, "hfasr"):
            while len(got) < 11 + microphone.n_dropped + 3:
                got.append(int.from_bytes(next(blocks)[:2], "little"))
    assert got[:11] == list(range(1, 12))
    n_lost = got.index(next(number for number in got[11:] if number)) - 11
    assert got[11 : 11 + n_lost] == [0] * n_lost
    assert n_lost >= 20
    assert got[11 + n_lost :] == [12 + n_lost, 13 + n_lost, 14 + n_lost]
    assert any("blocks of the microphone were lost" in record.message for record in caplog.records)


def test_what_the_system_lost_is_counted(card: Card, caplog: pytest.LogCaptureFixture) -> None:
    """PortAudio's own overflow is counted and logged as well."""
    card.overflow_at = {2}
    with caplog.at_level(logging.WARNING, "hfasr"), Microphone() as microphone:
        blocks = iter(microphone)
        for _ in range(5):
            next(blocks)
    assert microphone.n_dropped == 1
    assert len(caplog.records) == 1


def test_a_device_that_goes_away(card: Card) -> None:
    """Unplugged, it gives what was recorded, then says so."""
    card.breaks_after = 3
    blocks: list[bytes] = []
    with pytest.raises(AudioNotFoundError, match="plugged in"):
        blocks.extend(Microphone())
    assert len(blocks) == 3


def test_no_such_device(card: Card) -> None:
    """A device that is not there, or cannot be used so, is a typed error that says where to look."""
    with pytest.raises(AudioNotFoundError, match=r"'nothing'.*python -m sounddevice"):
        next(iter(Microphone("nothing")))
    card.refuses = PortAudioError("Invalid sample rate [PaErrorCode -9997]")
    with pytest.raises(FileNotFoundError, match=r"default microphone.*Invalid sample rate"), Microphone():
        pass


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sounddevice, or without PortAudio, the error says what to install."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(BackendNotInstalledError, match=r"pip install \"hfasr\[mic\]\""), Microphone():
        pass

    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ImportError, match="apt install libportaudio2"), Microphone():
        pass


def test_phrases_of_a_microphone(card: Card) -> None:
    """It is a live source: what is said into it comes in phrases, and stopping them stops it."""
    card.sound = (talk([(0.5, ["sun", "moon"]), (2.5, ["lake"])], 4.0) * 32_767).astype("<i2").tobytes()
    microphone = Microphone(block_s=0.02)
    phrases = phrases_of(microphone, sampling_rate=16_000, cutting=Cutting(30.0), clock=time.monotonic)
    assert isinstance(phrases, LivePhrases)
    assert heard([Given(next(phrases), 0.0), Given(next(phrases), 0.0)]) == ["sun", "moon", "lake"]
    threading.Timer(0.1, phrases.stop).start()
    assert list(phrases) == []
    assert card.streams[0].is_closed


@pytest.mark.skipif(not os.environ.get("HFASR_MICROPHONE"), reason="HFASR_MICROPHONE is not set")
def test_the_real_one() -> None:
    """PortAudio's default device gives blocks until it is stopped."""
    with Microphone(block_s=0.05) as microphone:
        timer = threading.Timer(3.0, microphone.stop)
        timer.start()
        blocks = list(microphone)
        timer.join()
    assert {len(block) for block in blocks} == {1_600}
    assert len(blocks) >= 10
    with pytest.raises(AudioNotFoundError), Microphone("no such microphone"):
        pass
