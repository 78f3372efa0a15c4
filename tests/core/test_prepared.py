"""A call's audio: made once for each way to send it, never longer than is taken, and cut where that may help."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from hfasr import (
    AudioDecodeError,
    AudioTooLongError,
    BackendError,
    Chunking,
    DeadlineExceededError,
    PayloadTooLargeError,
)
from hfasr._core.io import run_sync
from hfasr._core.prepared import PreparedAudio
from hfasr.audio.source import BytesSource, PathSource, WaveformSource
from tests.conftest import clip
from tests.core.call_kit import NotedIO, call_of

if TYPE_CHECKING:
    from hfasr.audio import Source

ALL = frozenset({"flac", "wav", "ogg", "mp3"})
WORDS = "red boat green"
TOO_LONG, TOO_LARGE = AudioTooLongError("long"), PayloadTooLargeError("large", status_code=413)


class Prepared:
    """Audio of one call, and what was done for it."""

    def __init__(self, source: Source | bytes, *, deadline: float | None = None, **settings: Any) -> None:
        self.io = NotedIO()
        self.call = call_of(self.io, deadline=deadline, **settings)
        source = BytesSource(source, name="clip") if isinstance(source, bytes) else source
        self.audio = PreparedAudio(self.call, source)

    def upload(self, step: Any = "first", accepts: frozenset[str] = ALL, longest_s: float | None = None) -> Any:
        return run_sync(self.audio.upload(step, accepts, longest_s))

    def waveform(self, rate: int = 16_000, longest_s: float | None = None) -> Any:
        return run_sync(self.audio.waveform(rate, longest_s))


def silence(seconds: float, rate: int = 1_000, n_channels: int = 1) -> WaveformSource:
    n_frames = round(seconds * rate)
    return WaveformSource(np.zeros((n_frames, n_channels), np.float32), sampling_rate=rate, name="silence")


def test_nothing_is_known_before(wav: bytes) -> None:
    """Nothing is done, nor known, before a route asks for the audio."""
    audio = Prepared(wav).audio
    assert (audio.duration, audio.changes, audio.sha256, audio.is_silent) == (None, (), None, None)
    assert audio.sampling_rate == 16_000
    assert audio.source.name == "clip"
    assert audio.shorter(TOO_LARGE) == 120.0


def test_upload(wav: bytes) -> None:
    """What is made for a server is kept for the next that takes the same; what is known of it is told."""
    made = Prepared(wav)
    first = made.upload()
    assert first.format == "flac"
    assert made.upload() is first
    assert made.audio.duration == first.duration == pytest.approx(0.9, abs=0.01)
    assert made.audio.sha256 == hashlib.sha256(wav).hexdigest()
    assert made.audio.is_silent is False
    other = made.upload(accepts=frozenset({"wav"}))
    assert other is not first
    small = made.upload("opus")
    assert small.format == "opus"
    assert made.upload("opus") is small
    assert made.upload() is first
    assert made.io.offloaded == [(False, False)] * 3
    made.audio.forget()
    assert made.upload() is not first


def test_how_it_is_sent(wav: bytes) -> None:
    """The first way is the client's, the others are what a server's complaint calls for."""
    made = Prepared(wav, upload="wav")
    assert (made.upload().format, made.upload("flac").format) == ("wav", "flac")
    assert Prepared(wav, upload="original").upload().data is wav


def test_waveform() -> None:
    """What is made for an engine is kept by its rate; what is known of it is told."""
    made = Prepared(silence(1.0, 8_000, 2))
    first = made.waveform(8_000)
    assert len(first.audio.waveform) == 8_000
    assert first.changes == ("mixed 2 channels",)
    assert made.audio.changes == first.changes
    assert (made.audio.duration, made.audio.is_silent, made.audio.sampling_rate) == (1.0, True, 8_000)
    assert made.audio.sha256 == made.audio.source.sha256()
    second = made.waveform(16_000)
    assert len(second.audio.waveform) == 16_000
    assert second.changes == ("mixed 2 channels", "resampled 8000 to 16000 Hz")
    assert made.audio.changes == second.changes
    assert made.waveform(8_000) is first
    assert made.audio.changes == first.changes
    assert made.audio.sampling_rate == 8_000
    made.upload()
    assert made.audio.sampling_rate == 16_000
    assert made.audio.changes == second.changes
    assert made.audio.is_silent is True
    assert made.io.offloaded == [(False, False)] * 3
    made.audio.forget()
    assert made.waveform(8_000) is not first


def test_one_channel() -> None:
    """The client's channel goes to servers and engines alone."""
    two = np.zeros((16_000, 2), np.float32)
    two[:, 1] = np.sin(np.arange(16_000) / 8)
    source = WaveformSource(two, sampling_rate=16_000, name="two")
    for channel, is_silent in ((0, True), (1, False)):
        made = Prepared(source, channels=channel)
        assert made.audio.channels == channel
        assert (made.upload().is_silent, made.waveform().is_silent) == (is_silent, is_silent)
    assert Prepared(source).audio.channels == "mix"


def encoded(format: str, **how: Any) -> bytes:  # noqa: A002  # soundfile's name
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 16_000, format=format, **how)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "upload", "is_quick"),
    [
        (encoded("FLAC", subtype="PCM_16"), "auto", True),
        (encoded("OGG"), "auto", True),
        (encoded("MP3"), "auto", True),
        (encoded("FLAC", subtype="PCM_16"), "flac", False),
        (encoded("WAV"), "auto", False),
        (encoded("WAV"), "original", False),
    ],
)
def test_small_originals_are_dealt_with_on_the_spot(data: bytes, upload: Any, is_quick: bool) -> None:
    """What goes out as it is and takes under a millisecond needs no thread; all else gets one."""
    made = Prepared(data, upload=upload)
    sent = made.upload()
    assert made.io.offloaded == [(False, False)] * (not is_quick)
    assert sent.original is (is_quick or upload == "original")
    assert made.audio.sha256 == hashlib.sha256(data).hexdigest()


def test_what_may_have_to_be_decoded_gets_a_thread() -> None:
    """One channel of an original does, and a recording that does not tell its length and may be too long, by its size."""
    made = Prepared(encoded("FLAC", subtype="PCM_16"), channels=0)
    made.upload()
    assert made.io.offloaded == [(False, False)]
    untold = BytesSource(b"OggS" + bytes(24) + b"OpusHead" + bytes(5_000), name="note.opus")
    for longest_s, n_offloaded in ((2.0, 0), (1.0, 1)):
        made = Prepared(untold)
        with contextlib.suppress(AudioDecodeError):  # where something here tries to decode it
            made.upload(longest_s=longest_s)
        assert len(made.io.offloaded) == n_offloaded


@pytest.mark.parametrize("n_more", [0, 1])
def test_how_much_is_dealt_with_on_the_spot(n_more: int, tmp_path: Path) -> None:
    """In memory it is up to 512 KiB; of a file, as much as was read when it was found."""
    flac = encoded("FLAC", subtype="PCM_16")
    data = flac + bytes(2**19 + n_more - len(flac))
    made = Prepared(data, upload="original")
    assert made.upload().data is data
    assert len(made.io.offloaded) == n_more
    path = tmp_path / "clip.flac"
    path.write_bytes(data)
    made = Prepared(PathSource(path, check=lambda: None), upload="original")
    made.upload()
    assert len(made.io.offloaded) == n_more


def test_longest_for_a_server(wav: bytes) -> None:
    """Audio longer than a server takes is refused, also where it was made for another one already."""
    made = Prepared(wav)
    made.upload(longest_s=0.95)
    with pytest.raises(AudioTooLongError) as caught:
        made.upload(longest_s=0.25)
    assert str(caught.value) == "clip is 0.9 s long, and at most 0.25 s are taken; cut it"
    exact = Prepared(silence(0.5))
    exact.upload(longest_s=0.5)
    exact.upload(longest_s=0.5)
    with pytest.raises(AudioTooLongError):
        Prepared(wav).upload(longest_s=0.25)
    with pytest.raises(AudioTooLongError):
        Prepared(encoded("OGG")).upload(longest_s=0.5)


def test_longest_for_an_engine() -> None:
    """Audio longer than an engine takes is refused, also where it was made for another one already."""
    made = Prepared(silence(1.0))
    made.waveform(longest_s=1.0)
    made.waveform(longest_s=1.0)
    with pytest.raises(AudioTooLongError) as caught:
        made.waveform(longest_s=0.9)
    assert str(caught.value) == "silence is 1.0 s long, and at most 0.9 s are taken; cut it"
    with pytest.raises(AudioTooLongError):
        Prepared(silence(1.0)).waveform(longest_s=0.9)


def test_uncut() -> None:
    """Ten minutes go whole to a route that takes anything, and no more; an original of any length does."""
    made = Prepared(silence(600.0))
    made.waveform(1_000)
    made.upload()
    longer = Prepared(silence(600.1))
    with pytest.raises(AudioTooLongError):
        longer.waveform(1_000)
    with pytest.raises(AudioTooLongError):
        longer.upload()
    file = io.BytesIO()
    soundfile.write(file, np.zeros(600_100, np.int16), 1_000, format="WAV")
    assert Prepared(file.getvalue(), upload="original").upload().duration == 600.1
    with pytest.raises(AudioTooLongError):
        Prepared(file.getvalue(), upload="original").upload("flac")


def test_clients_chunks() -> None:
    """The client's longest chunk counts where it is the shorter one."""
    made = Prepared(silence(1.5), chunking=Chunking(chunk_length_s=1))
    with pytest.raises(AudioTooLongError):
        made.waveform(longest_s=2.0)
    with pytest.raises(AudioTooLongError):
        made.upload()
    assert made.audio.shorter(TOO_LONG) == 1.0
    with pytest.raises(AudioTooLongError):
        made.upload(longest_s=0.5)
    assert made.audio.shorter(TOO_LONG) == 0.5


def test_it_stops_when_the_time_is_up(wav: bytes) -> None:
    """Decoding looks at the deadline, for servers and engines."""
    for use in ("upload", "waveform"):
        made = Prepared(wav, deadline=5.0)
        made.io.time.advance(5.0)
        with pytest.raises(DeadlineExceededError, match="while reading the audio"):
            getattr(made, use)()


def test_original_that_does_not_tell_its_length() -> None:
    """Where a later upload does not know the duration, the earlier one's stays."""
    made = Prepared(clip(WORDS))
    made.waveform()
    known = made.audio.duration
    assert known is not None
    noise = Prepared(BytesSource(b"OggS" + bytes(24) + b"OpusHead", name="note.opus"))
    noise.audio.duration = known
    noise.upload()
    assert noise.audio.duration == known


def test_what_no_cutting_mends() -> None:
    """Only what was refused for its length may be mended by less of it."""
    assert Prepared(silence(90.0)).audio.shorter(BackendError("no")) is None


@pytest.mark.parametrize(
    ("seconds", "longest_s", "error", "shorter_s"),
    [
        (90.0, 30.0, TOO_LONG, 30.0),  # it is known to be too long
        (90.0, 40.0, TOO_LARGE, 40.0),
        (90.0, 0.01, TOO_LONG, 0.01),
        (90.0, 0.009, TOO_LONG, None),  # such an engine is wrong
        (90.0, None, TOO_LONG, 30.0),  # by all that was known it was short enough
        (90.0, None, TOO_LARGE, 30.0),
        (90.0, 100.0, TOO_LARGE, 30.0),
        (90.0, 90.0, TOO_LARGE, 30.0),
        (61.0, None, TOO_LARGE, 30.0),
        (60.0, None, TOO_LARGE, 30.0),
        (59.0, None, TOO_LARGE, 29.5),
        (59.0, None, TOO_LONG, 30.0),
        (31.0, None, TOO_LONG, 30.0),
        (30.0, None, TOO_LONG, 15.0),
        (10.0, None, TOO_LONG, 5.0),
        (9.9, None, TOO_LONG, None),
        (9.9, None, TOO_LARGE, None),
    ],
)
def test_shorter(seconds: float, longest_s: float | None, error: Any, shorter_s: float | None) -> None:
    """What was refused may pass in pieces that the route takes; else in 30 s, or halves, down to 5 s."""
    made = Prepared(silence(seconds))
    if longest_s is None or longest_s >= seconds:
        made.waveform(1_000, longest_s)
    else:
        made.waveform(1_000)
        with pytest.raises(AudioTooLongError):
            made.waveform(1_000, longest_s)
    assert made.audio.shorter(error) == shorter_s


def test_shorter_for_a_server() -> None:
    """What was made for a server counts like what was made for an engine, until it is forgotten."""
    made = Prepared(silence(10.0))
    made.upload()
    assert made.audio.shorter(TOO_LONG) == 5.0
    made.audio.forget()
    assert made.audio.shorter(TOO_LONG) == 120.0


def test_shorter_where_nothing_was_made() -> None:
    """Audio that was refused unread goes out in pieces of what the route takes, or else of two minutes."""
    made = Prepared(silence(601.0))
    with pytest.raises(AudioTooLongError):
        made.waveform(1_000)
    assert made.audio.shorter(TOO_LONG) == 120.0
    with pytest.raises(AudioTooLongError):
        made.waveform(1_000, 20.0)
    assert made.audio.shorter(TOO_LONG) == 20.0
    made = Prepared(silence(101.0))
    with pytest.raises(AudioTooLongError):
        made.upload(longest_s=100.0)
    assert made.audio.shorter(TOO_LONG) == 100.0


def test_shorter_of_unknown_length() -> None:
    """Where nobody knows how long it is, pieces are 30 s, or what the route takes where that is less."""
    made = Prepared(BytesSource(b"OggS" + bytes(24) + b"OpusHead", name="note.opus"))
    made.upload(longest_s=20.0)
    assert made.audio.shorter(TOO_LARGE) == 20.0
    made.upload(longest_s=40.0)
    assert made.audio.shorter(TOO_LARGE) == 30.0
    assert made.audio.duration is None
