"""Segments of audio that has an end come in order, each as soon as it is done, and are those of `transcribe`."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from hfasr import DEFAULT_MODEL, ASRClient, Audio, Chunking, RetryPolicy
from hfasr.errors import APIConnectionError, AudioDecodeError, BadRequestError, DeadlineExceededError
from hfasr.testing import FakeASRServer, replies
from tests.long.kit import speech
from tests.long.stream_kit import AT_PAUSES, AUDIO, CHUNKS, STREAM, WORDS, make, take_all

if TYPE_CHECKING:
    from pathlib import Path

    from hfasr.types import Segment
    from tests.long.stream_kit import Ear, MakeSession


def texts(segments: list[Segment]) -> str:
    return " ".join(segment.text for segment in segments)


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_in_order_as_soon_as_each_is_done(
    session: MakeSession, server: FakeASRServer, ear: Ear, timestamps: Any
) -> None:
    """The first segment comes while the server holds the others back, and in the end all is as `transcribe` has it."""
    client = make(session, server)
    whole = client.transcribe(AUDIO, return_timestamps=timestamps)
    go_on = ear.hold(*WORDS[1:])
    stream = client.transcribe_stream(AUDIO, return_timestamps=timestamps)
    first = next(stream)
    assert first.text == CHUNKS[0]
    assert bool(first.words) == (timestamps == "word")
    assert stream.stream.duration == pytest.approx(1.2, abs=0.36)
    with pytest.raises(ValueError, match="not ended"):
        _ = stream.stream.transcript
    go_on.set()
    segments = [first, *stream]
    assert texts(segments) == whole.text == " ".join(CHUNKS)
    transcript = stream.stream.transcript
    assert (transcript.text, transcript.duration, transcript.language) == (whole.text, 14.5, whole.language)
    assert transcript.segments == whole.segments == (tuple(segments) if timestamps else ())
    assert transcript.provenance.audio_sha256 == whole.provenance.audio_sha256  # type: ignore[union-attr]  # both have it
    assert (stream.stream.duration, stream.stream.warnings, stream.stream.delay) == (14.5, (), None)
    assert list(stream) == []


def test_what_is_done_early_waits_for_its_turn(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A slow first chunk is given before the quick ones that follow it."""
    ear.slow_s = {WORDS[0]: 0.4, WORDS[4]: 0.2}
    assert [segment.text for segment in make(session, server).transcribe_stream(AUDIO)] == CHUNKS


@pytest.mark.parametrize("chunk_length_s", [4.0, 7.3])
def test_overlapping_cuts(session: MakeSession, server: FakeASRServer, chunk_length_s: float) -> None:
    """Where chunks overlap each word is given once, at its time in the whole."""
    said = speech(5, 60.0)
    client = make(session, server, chunking=Chunking(chunk_length_s=chunk_length_s, split="none"))
    words = [w for s in client.transcribe_stream(said.audio(), return_timestamps="word") for w in s.words]
    assert [word.word for word in words] == said.words
    assert [word.start for word in words] == pytest.approx([one.start for one in said.said], abs=0.01)


def test_an_error_comes_after_the_segments_before(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A chunk that fails ends the stream, once what was said before it has been given; it stays ended."""
    ear.refuses = {WORDS[2]}
    stream = make(session, server).transcribe_stream(AUDIO)
    assert [next(stream).text, next(stream).text] == CHUNKS[:2]
    with pytest.raises(BadRequestError, match=r"from [23]\.\d to 4\.\d s"):
        next(stream)
    assert list(stream) == []
    with pytest.raises(ValueError, match="not ended"):
        _ = stream.stream.transcript
    stream.close()


def test_a_gap(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """Where it may leave one, a chunk that fails is a segment with an error, and the rest comes."""
    ear.refuses = {WORDS[2]}
    stream = make(session, server).transcribe_stream(AUDIO, on_chunk_error="gap")
    segments = list(stream)
    assert [segment.text for segment in segments] == [*CHUNKS[:2], "", *CHUNKS[3:]]
    assert (segments[2].error or "").startswith("BadRequestError")
    assert "1 of 10 chunks failed" in stream.stream.warnings[0]
    assert stream.stream.transcript.segments == tuple(segments)


def test_nothing_but_gaps(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """Where nothing at all was transcribed the first error is raised in the end, as by `transcribe`."""
    ear.refuses = set(WORDS)
    stream = make(session, server).transcribe_stream(AUDIO, on_chunk_error="gap")
    seen: list[Segment] = []
    with pytest.raises(BadRequestError) as caught:
        take_all(stream, seen)
    assert [segment.error is not None for segment in seen] == [True] * 10
    assert len(caught.value.attempts) == len(server.requests)


def damaged(tmp_path: Path) -> Path:
    """Return a FLAC file that nobody can read after its first half."""
    path = tmp_path / "damaged.flac"
    rng = np.random.default_rng(1)
    soundfile.write(path, STREAM + rng.normal(0, 0.003, len(STREAM)), 16_000)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = rng.bytes(len(data) - half)
    path.write_bytes(data)
    return path


def test_damage_on_the_way(session: MakeSession, server: FakeASRServer, tmp_path: Path) -> None:
    """What can be read comes, then the error, or a gap up to the end: as by `transcribe`."""
    client, path = make(session, server), damaged(tmp_path)
    seen: list[Segment] = []
    with pytest.raises(AudioDecodeError):
        take_all(client.transcribe_stream(path), seen)
    assert [segment.text for segment in seen[:3]] == CHUNKS[:3]
    options = {"on_chunk_error": "gap", "return_timestamps": True}
    with_gap = client.transcribe_stream(path, **options)
    *_, last = with_gap
    assert (last.error or "").startswith("AudioDecodeError")
    whole = client.transcribe(path, **options)
    assert with_gap.stream.transcript.segments == whole.segments
    assert with_gap.stream.transcript.text == whole.text


def test_a_deadline_is_of_all_of_it(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """When it has passed the stream ends with an error, after the segments before."""
    ear.hold(*WORDS[3:])
    stream = make(session, server).transcribe_stream(AUDIO, deadline=1.0)
    seen: list[Segment] = []
    with pytest.raises(DeadlineExceededError):
        take_all(stream, seen)
    assert [segment.text for segment in seen] == CHUNKS[:3]


def test_chunks_given_once(session: MakeSession, server: FakeASRServer) -> None:
    """An iterable that can be read only once is enough, in every colour one of its own kind."""
    file = io.BytesIO()
    soundfile.write(file, STREAM, 16_000, format="FLAC")
    data = file.getvalue()
    parts = [data[start : start + 10_000] for start in range(0, len(data), 10_000)]
    client = make(session, server)

    async def awaited() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    for given in (iter(parts), *([] if client.colour == "sync" else [awaited()])):
        stream = client.transcribe_stream(given)
        assert [segment.text for segment in stream] == CHUNKS
        assert stream.stream.transcript.text == " ".join(CHUNKS)


def test_one_channel(session: MakeSession, server: FakeASRServer) -> None:
    """One channel of many is given where it is asked for; split channels are refused at once."""
    both = Audio(np.stack([STREAM[::-1], STREAM], axis=1), 16_000)
    segments = list(make(session, server, channels=1).transcribe_stream(both, return_timestamps=True))
    assert texts(segments) == " ".join(CHUNKS)
    with pytest.raises(ValueError, match="channels=0"):
        make(session, server, channels="split").transcribe_stream(both)


def test_what_cannot_be_read(session: MakeSession, server: FakeASRServer, tmp_path: Path) -> None:
    """A file that is not there is an error at the first segment, and the stream is over."""
    stream = make(session, server).transcribe_stream(tmp_path / "none.wav")
    with pytest.raises(FileNotFoundError):
        next(stream)
    assert list(stream) == []


def test_options_are_checked_at_once(session: MakeSession, server: FakeASRServer) -> None:
    """A wrong option is told where it is given, before anything is read."""
    with pytest.raises(TypeError, match="langauge"):
        make(session, server).transcribe_stream(AUDIO, langauge="en")
    with pytest.raises(ValueError, match="on_chunk_error"):
        make(session, server).transcribe_stream(AUDIO, on_chunk_error="skip")


def test_a_closed_client(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """It begins no stream, and one that goes on ends with an error that says so."""
    client = make(session, server, chunking=Chunking(chunk_length_s=1.7, max_concurrency=1))
    later = client.transcribe_stream(AUDIO)
    stream = client.transcribe_stream(AUDIO)
    next(stream)
    client.call("close" if client.colour == "sync" else "aclose")
    with pytest.raises(RuntimeError, match="closed"):
        list(later)
    with pytest.raises(RuntimeError, match="closed"):
        client.transcribe_stream(AUDIO)
    with pytest.raises((RuntimeError, APIConnectionError), match="closed"):  # the latter if a request was on its way
        list(stream)


def test_it_stays_in_its_process() -> None:
    """It is not pickled, and the message names no setting: a token may be among them."""
    stream = ASRClient(token="secret").transcribe_stream(b"RIFF")
    with pytest.raises(TypeError, match="use its segments") as caught:
        pickle.dumps(stream)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(stream)


def test_a_file_that_the_server_fails_for_a_while(session: MakeSession, server: FakeASRServer) -> None:
    """Chunks are tried again by themselves."""
    server.script(*[replies.server_error()] * 2)
    with contextlib.closing(make(session, server).transcribe_stream(AUDIO)) as stream:
        assert [segment.text for segment in stream] == CHUNKS


def test_a_later_error_waits_for_its_turn(session: MakeSession, server: FakeASRServer, ear: Ear) -> None:
    """A chunk that fails while one before it is tried again loses nothing of that one; none after it is begun."""
    server.script(replies.server_error(), path=f"/hf-inference/models/{DEFAULT_MODEL}")
    ear.refuses = set(WORDS[1:3])
    seen: list[Segment] = []
    with pytest.raises(BadRequestError, match=r"from 1\.\d to"):
        take_all(make(session, server, retry=RetryPolicy(wait_initial=0.4)).transcribe_stream(AUDIO), seen)
    assert [segment.text for segment in seen] == CHUNKS[:1]
    assert len(server.requests) <= 1 + AT_PAUSES.max_concurrency * 2
