"""Recordings with one speaker a channel: each is transcribed alone, and they are put together by time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hfasr import (
    Audio,
    BackendError,
    Chunking,
    DeadlineExceededError,
    PermissionDeniedError,
    RetryPolicy,
    Transcript,
    UnsupportedAudioError,
)
from hfasr.testing import FakeASRServer, FakeBackend, Hang, Normal, ToneSpeech, replies
from tests.colours import Session

Make = Callable[..., Session]

ASK = [(0.5, "red"), (0.8, "boat"), (6.0, "green"), (13.0, "horse")]
ANSWER = [(3.0, "river"), (3.3, "stone"), (9.0, "moon"), (15.0, "apple"), (15.3, "tree")]
DURATION = 18.0
SHORT = Chunking(chunk_length_s=5)
ONCE = RetryPolicy(max_attempts=1, breaker_threshold=None)


def recording(*channels: Sequence[tuple[float, str]]) -> Audio:
    """Return what is said on each channel."""
    said = [ToneSpeech().say_at(channel, duration=DURATION) for channel in channels]
    return Audio(np.stack(said), 16_000)


def file_of(audio: Audio) -> bytes:
    """Return it as a file."""
    file = io.BytesIO()
    soundfile.write(file, np.asarray(audio.waveform).T, 16_000, format="FLAC")
    return file.getvalue()


CALL = recording(ASK, ANSWER)


def heard(transcript: Transcript) -> list[tuple[int | None, str]]:
    """Return who said what, in order."""
    return [(segment.channel, segment.text) for segment in transcript.segments]


TURNS = [(0, "red boat"), (1, "river stone"), (0, "green"), (1, "moon"), (0, "horse"), (1, "apple tree")]


@pytest.mark.parametrize("chunking", [Chunking(), SHORT], ids=["whole", "chunks"])
@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_two_speakers(session: Make, asr_server: FakeASRServer, timestamps: Any, chunking: Chunking) -> None:
    """Segments come in the order of time and name their channel, also where no times were asked for."""
    asr = session(router_url=asr_server.router_url, channels="split", chunking=chunking)
    transcript = asr.transcribe(CALL, return_timestamps=timestamps)
    assert heard(transcript) == TURNS
    assert transcript.text == "red boat river stone green moon horse apple tree"
    for segment, start in zip(transcript.segments, [0.5, 3.0, 6.0, 9.0, 13.0, 15.0], strict=True):
        assert segment.start == pytest.approx(start, abs=0.01)
    words = [(round(word.start, 2), word.word) for word in transcript.words]
    assert words == (sorted(ASK + ANSWER) if timestamps == "word" else [])
    origin = transcript.provenance
    assert origin is not None
    assert len(origin.attempts) == len(asr_server.requests)
    assert origin.uploaded_bytes == sum(len(request.body) for request in asr_server.requests)
    assert origin.chunks >= (2 if chunking is not SHORT else 8)
    assert origin.audio_duration == transcript.duration == DURATION
    assert transcript.language is None
    assert transcript.warnings == ()


def test_provenance_is_that_of_the_file(session: Make, asr_server: FakeASRServer) -> None:
    """The digest is of the input, and what was done to each channel is told."""
    data = file_of(CALL)
    transcript = session(router_url=asr_server.router_url, channels="split", chunking=SHORT).transcribe(data)
    assert transcript.provenance is not None
    assert transcript.provenance.audio_sha256 == hashlib.sha256(data).hexdigest()
    assert transcript.provenance.backend == "hosted"
    assert any("channel 1" in change for change in transcript.provenance.audio_changes)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_other_numbers_of_channels(session: Make, n_channels: int) -> None:
    """One channel is a call with one speaker, three have three."""
    said = [[(1.0 + 2 * n, word)] for n, word in enumerate(["red", "boat", "moon"][:n_channels])]
    transcript = session(backend=FakeBackend(None), channels="split").transcribe(recording(*said))
    assert heard(transcript) == [(n, word) for n, [(_, word)] in enumerate(said)]


def test_too_many_channels(session: Make, asr_server: FakeASRServer) -> None:
    """More channels than are taken are refused before anything is sent."""
    audio = Audio(np.zeros((9, 16_000), np.float32) + 0.1, 16_000)
    with pytest.raises((UnsupportedAudioError, TypeError)):
        session(router_url=asr_server.router_url, channels="split").transcribe(audio)
    assert asr_server.requests == []


class NoTimes(FakeBackend):
    """Says what it hears, and not when."""

    def transcribe(self, batch: Any, options: Any) -> list[Transcript]:
        return [Transcript(one.text) for one in super().transcribe(batch, options)]


@pytest.mark.parametrize("longest", [None, 5.0])
def test_a_route_without_times(session: Make, longest: float | None) -> None:
    """Where a route gives no times, each channel's chunk is one segment, so that it is still known who spoke."""
    engine = NoTimes(None, max_duration_s=longest)
    transcript = session(backend=engine, channels="split").transcribe(CALL)
    of_each = [" ".join(text for channel, text in heard(transcript) if channel == number) for number in (0, 1)]
    assert of_each == ["red boat green horse", "river stone moon apple tree"]
    assert (len(transcript.segments) == 2) == (longest is None)
    assert [segment.start for segment in transcript.segments] == sorted(s.start for s in transcript.segments)
    assert all(segment.end is not None for segment in transcript.segments)


def test_a_silent_channel(session: Make, asr_server: FakeASRServer) -> None:
    """Nothing of a silent channel is sent in chunks, and the result says that it is silent."""
    asr = session(router_url=asr_server.router_url, channels="split", chunking=SHORT)
    transcript = asr.transcribe(recording(ASK, []))
    assert heard(transcript) == [turn for turn in TURNS if turn[0] == 0]
    assert transcript.warnings == ("channel 1: the audio is silent, so none of it was transcribed",)
    assert transcript.provenance is not None
    assert transcript.provenance.upload_format == "flac"


def test_a_first_channel_that_is_silent(session: Make, asr_server: FakeASRServer) -> None:
    """The provenance is that of the channel on which something was said."""
    asr = session(router_url=asr_server.router_url, channels="split", chunking=SHORT)
    transcript = asr.transcribe(recording([], ANSWER))
    assert heard(transcript) == [turn for turn in TURNS if turn[0] == 1]
    assert transcript.provenance is not None
    assert transcript.provenance.upload_format == "flac"
    assert transcript.language is None


def test_channels_in_opposite_phase(session: Make) -> None:
    """Channels that would cancel each other in a mix are heard each for itself."""
    waveform = ToneSpeech().say_at(ASK, duration=DURATION)
    asr = session(backend=FakeBackend(None), channels="split")
    transcript = asr.transcribe(Audio(np.stack([waveform, -waveform]), 16_000))
    assert heard(transcript) == [(n, text) for text in ("red boat", "green", "horse") for n in (0, 1)]


def test_a_chunk_that_fails(session: Make, asr_server: FakeASRServer) -> None:
    """A gap is that of its channel alone; the other one is whole."""
    asr_server.script(Normal(), replies.server_error(500))
    chunking = Chunking(chunk_length_s=5, max_concurrency=1)
    asr = session(router_url=asr_server.router_url, channels="split", chunking=chunking, retry=ONCE)
    transcript = asr.transcribe(CALL, on_chunk_error="gap")
    [gap] = [segment for segment in transcript.segments if segment.error is not None]
    assert gap.channel == 0
    assert [text for channel, text in heard(transcript) if channel == 1] == ["river stone", "moon", "apple tree"]
    assert transcript.warnings[0].startswith("channel 0: 1 of ")
    srt = transcript.to_srt()
    assert srt.count("Channel 0: [not transcribed]") == 1
    assert Transcript.from_dict(transcript.to_dict()) == transcript


def no_horse(audio: Audio) -> str:
    """Fail where a word of the first channel is heard."""
    text = ToneSpeech().hear(audio).text
    if "horse" in text:
        raise BackendError("no horses here")
    return text


def test_a_channel_that_fails(session: Make) -> None:
    """An error names the channel; where gaps may be left, the whole channel is one, and the other is there."""
    asr = session(backend=FakeBackend(no_horse), channels="split")
    with pytest.raises(BackendError, match=r"^channel 0: no horses here$") as caught:
        asr.transcribe(CALL)
    assert [attempt.error for attempt in caught.value.attempts].count("BackendError") >= 1
    transcript = asr.transcribe(CALL, on_chunk_error="gap")
    assert heard(transcript) == [(0, ""), (1, "river stone moon apple tree")]
    gap = transcript.segments[0]
    assert (gap.start, gap.end, gap.error) == (0.0, DURATION, "BackendError: no horses here")
    assert transcript.warnings == ("channel 0 failed and left a gap: BackendError: no horses here",)


def test_all_channels_fail(session: Make, asr_server: FakeASRServer) -> None:
    """Where every channel fails the first one's error is raised, with the attempts of all."""
    asr_server.script(*[replies.forbidden()] * 2)
    asr = session(router_url=asr_server.router_url, channels="split")
    with pytest.raises(PermissionDeniedError, match=r"^channel 0: hf-inference answered 403") as caught:
        asr.transcribe(CALL, on_chunk_error="gap")
    assert len(caught.value.attempts) == 2


def test_place_in_a_channel(session: Make) -> None:
    """Of a long channel an error names the place, too."""
    asr = session(backend=FakeBackend(no_horse, max_duration_s=5), channels="split")
    with pytest.raises(BackendError, match=r"^channel 0: from \d+\.\d to \d+\.\d s: no horses here$"):
        asr.transcribe(CALL)


def test_deadline(session: Make, asr_server: FakeASRServer) -> None:
    """The deadline is that of the call, and not of each channel."""
    asr_server.script(*[Hang()] * 4)
    asr = session(router_url=asr_server.router_url, channels="split")
    with pytest.raises(DeadlineExceededError) as caught:
        asr.transcribe(CALL, deadline=0.5, on_chunk_error="gap")
    assert len(caught.value.attempts) >= 1


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_no_more_at_once_than_asked(session: Make, at_once: int) -> None:
    """Channels share what may be in work at once."""
    with FakeASRServer(delay=0.05) as server:
        chunking = Chunking(chunk_length_s=3, max_concurrency=at_once)
        transcript = session(router_url=server.router_url, channels="split", chunking=chunking).transcribe(CALL)
        assert heard(transcript) == TURNS
        assert server.peak_concurrency <= at_once


def test_fallback_for_one_channel(session: Make, asr_server: FakeASRServer) -> None:
    """The result says that the channels were not transcribed alike."""
    asr_server.script(replies.forbidden())
    asr = session(
        router_url=asr_server.router_url,
        fallback=FakeBackend(None),
        channels="split",
        chunking=Chunking(max_concurrency=1),
    )
    transcript = asr.transcribe(CALL)
    assert heard(transcript) == TURNS
    assert transcript.warnings[-1] == "not all channels were transcribed alike: 1 by fake, 1 by hf-inference"
    assert transcript.provenance is not None
    assert "PermissionDeniedError" in (transcript.provenance.fallback_reason or "")


def test_subtitles_name_the_channel(session: Make) -> None:
    """Every format that shows segments tells who spoke."""
    transcript = session(backend=FakeBackend(None), channels="split").transcribe(CALL)
    assert "Channel 1: river stone" in transcript.to_srt()
    assert "<v Channel 1>river stone" in transcript.to_vtt()
    assert "Channel 1" in transcript.to_tsv()
    again = Transcript.from_dict(transcript.to_dict())
    assert heard(again) == heard(transcript)


@pytest.mark.parametrize("kept_in", ["journal", "cache"])
def test_kept(session: Make, asr_server: FakeASRServer, tmp_path: Path, kept_in: str) -> None:
    """A batch that is run again sends what failed in one channel, and then nothing."""
    path = tmp_path / "call.flac"
    path.write_bytes(file_of(CALL))
    how: dict[str, Any] = {kept_in: tmp_path / "kept", "on_chunk_error": "gap"}
    chunking = Chunking(chunk_length_s=5, max_concurrency=1)
    asr = session(router_url=asr_server.router_url, channels="split", chunking=chunking, retry=ONCE)
    asr_server.script(Normal(), replies.server_error(500))
    counts, items = [], []
    for _ in range(3):
        before = len(asr_server.requests)
        items += list(asr.transcribe_many([path], **how))
        counts.append(len(asr_server.requests) - before)
    assert counts[1:] == [1, 0]
    for item in items[1:]:
        assert item.transcript is not None
        assert heard(item.transcript) == TURNS
    mixed = session(router_url=asr_server.router_url, chunking=chunking)
    [item] = mixed.transcribe_many([path], **how)
    assert item.transcript is not None
    assert {segment.channel for segment in item.transcript.segments} <= {None}
