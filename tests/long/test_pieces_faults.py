"""Chunks that fail: each is tried again and fails over alone, and what came of it is told."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import hfasr
from hfasr import Audio, Chunking, RetryPolicy, Transcript
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Normal, Reply, ToneSpeech, replies
from tests.colours import Session
from tests.long.kit import bare, speech

Make = Callable[..., Session]

SAID = speech(6, 18.0)
AUDIO = SAID.audio()
ONE_BY_ONE = Chunking(chunk_length_s=5, max_concurrency=1)
TWICE = RetryPolicy(max_attempts=2, wait_initial=0, wait_max=0)
DOWN = replies.server_error(500)


def told(attempts: tuple[hfasr.Attempt, ...]) -> list[tuple[str, str | None, int | None]]:
    """Return what was tried, for which chunk."""
    return [(attempt.route, attempt.error, attempt.chunk) for attempt in attempts]


def origin_of(transcript: Transcript) -> hfasr.Provenance:
    assert transcript.provenance is not None
    return transcript.provenance


def test_a_chunk_is_tried_again_alone(session: Make, asr_server: FakeASRServer) -> None:
    """A chunk that fails once is sent once more, and no other is."""
    asr_server.script(Normal(), DOWN)
    transcript = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=TWICE).transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words
    origin = origin_of(transcript)
    hf = "hf-inference"
    assert told(origin.attempts)[:4] == [(hf, None, 0), (hf, "ServerError", 1), (hf, None, 1), (hf, None, 2)]
    assert len(origin.attempts) == len(asr_server.requests) == origin.chunks + 1
    assert (origin.fallback_reason, transcript.warnings) == (None, ())


def test_a_chunk_goes_to_the_fallback_alone(session: Make, asr_server: FakeASRServer) -> None:
    """A chunk that fails on every attempt is the only one that the fallback gets; the result says who did what."""
    asr_server.script(Normal(), DOWN, DOWN)
    engine = FakeBackend(None)
    asr = session(router_url=asr_server.router_url, fallback=engine, chunking=ONE_BY_ONE, retry=TWICE)
    transcript = asr.transcribe(AUDIO, return_timestamps="word")
    assert [word.word for word in transcript.words] == SAID.words
    assert len(engine.calls) == 1
    origin = origin_of(transcript)
    assert ("fake", None, 1) in told(origin.attempts)
    assert [attempt.chunk for attempt in origin.attempts] == sorted(attempt.chunk or 0 for attempt in origin.attempts)
    assert origin.fallback_reason is not None
    assert origin.fallback_reason.startswith("ServerError: ")
    assert transcript.warnings == (
        f"not all chunks were transcribed alike: {origin.chunks - 1} by hf-inference, 1 by fake",
    )
    sent = [len(request.body) for request in asr_server.requests if request.status == 200]
    assert origin.uploaded_bytes == sum(sent)
    assert (origin.backend, origin.provider, origin.upload_format) == ("hosted", "hf-inference", "flac")
    assert origin.audio_duration == transcript.duration == 18.0
    assert f"cut into {origin.chunks} chunks" in origin.audio_changes
    assert pickle.loads(pickle.dumps(transcript)) == transcript
    assert Transcript.from_dict(transcript.to_dict()) == transcript


def test_a_fallback_that_takes_less_cuts_again(session: Make, asr_server: FakeASRServer) -> None:
    """The chunk that a fallback gets is cut to what that takes, in the times of the whole."""
    asr_server.script(Normal(), DOWN, DOWN)
    engine = FakeBackend(None, max_duration_s=1.5, sampling_rate=8_000)
    asr = session(router_url=asr_server.router_url, fallback=engine, chunking=ONE_BY_ONE, retry=TWICE)
    transcript = asr.transcribe(AUDIO, return_timestamps="word")
    for word, one in zip(transcript.words, SAID.said, strict=True):
        assert word.word == one.word
        assert word.start == pytest.approx(one.start, abs=0.01)
    clips = [clip for call in engine.calls for clip in call.batch]
    assert len(clips) >= 3
    assert max(len(clip.waveform) for clip in clips) <= 1.5 * 8_000
    origin = origin_of(transcript)
    assert {attempt.chunk for attempt in origin.attempts if attempt.route == "fake"} == {1}
    assert transcript.warnings[-1].endswith(f"{origin.chunks - 1} by hf-inference, 1 by fake")


def test_a_fallback_gets_as_much_as_it_takes(session: Make, asr_server: FakeASRServer) -> None:
    """What a server failed on is cut to the fallback's own limit, and not into halves as if it had been refused."""
    asr_server.script(DOWN, DOWN)
    engine = FakeBackend(None, max_duration_s=16)
    transcript = session(router_url=asr_server.router_url, fallback=engine, retry=TWICE).transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words
    lengths = [len(clip.waveform) / 16_000 for call in engine.calls for clip in call.batch]
    assert len(lengths) == 2
    assert 9.0 < max(lengths) <= 16.0


def test_a_chunk_between_two_routes_is_told_so(session: Make, asr_server: FakeASRServer) -> None:
    """Of a chunk that was cut again, and then done by two routes, the result says that both were at it."""
    asr_server.script(*[replies.too_large()] * 2, Normal(), replies.forbidden())
    asr = session(
        router_url=asr_server.router_url,
        fallback=FakeBackend(None),
        chunking=Chunking(chunk_length_s=12, max_concurrency=1),
        retry=TWICE,
    )
    transcript = asr.transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words
    assert [w for w in transcript.warnings if "alike" in w] == [
        "not all chunks were transcribed alike: 1 by hf-inference and fake, 1 by hf-inference"
    ]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (DOWN, hfasr.ServerError),
        (replies.forbidden(), hfasr.PermissionDeniedError),
        (replies.rate_limited(retry_after=900), hfasr.RateLimitError),
        (Reply(200, json={"error": "odd"}), hfasr.APIResponseError),
        (Reply(422, json={"error": "odd"}), hfasr.BadRequestError),
    ],
)
def test_error_says_where(session: Make, asr_server: FakeASRServer, reply: Reply, kind: type[hfasr.HfasrError]) -> None:
    """What a chunk fails with is raised as what it is, with its place, the attempts of all chunks, and it pickles."""
    asr_server.script(Normal(), *[reply] * 2)
    with pytest.raises(kind, match=r"^from \d\.\d to \d\.\d s: \w") as caught:
        session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=TWICE).transcribe(AUDIO)
    error = caught.value
    assert type(error) is kind
    assert len(str(error)) <= 500
    assert [attempt.chunk for attempt in error.attempts] in ([0, 1], [0, 1, 1])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.attempts) == (str(error), error.attempts)
    if isinstance(error, hfasr.APIStatusError):
        assert again.status_code == error.status_code == reply.status


def test_all_routes_of_a_chunk_fail(session: Make, asr_server: FakeASRServer) -> None:
    """Where there are fallbacks, a chunk's error names each route's."""
    asr_server.script(*[DOWN] * 99)
    engine = FakeBackend(error=RuntimeError("boom"))
    asr = session(router_url=asr_server.router_url, fallback=engine, chunking=ONE_BY_ONE, retry=TWICE)
    with pytest.raises(hfasr.AllRoutesFailedError, match=r"^from 0\.0 to .* s: all routes failed") as caught:
        asr.transcribe(AUDIO)
    assert [type(error).__name__ for error in caught.value.errors] == ["ServerError", "BackendError"]


def test_error_carries_every_chunks_attempts(session: Make, asr_server: FakeASRServer) -> None:
    """Chunks that were in work at the same time are in the error, too."""
    asr_server.script(*[replies.server_error(500) for _ in range(99)])
    chunking = Chunking(chunk_length_s=5, max_concurrency=4)
    with pytest.raises(hfasr.ServerError) as caught:
        session(router_url=asr_server.router_url, chunking=chunking, retry=TWICE).transcribe(AUDIO)
    assert len(caught.value.attempts) == len(asr_server.requests)


def test_an_engine_that_raises_one_error_over_and_over(session: Make) -> None:
    """An engine's own error object is left as it is, however many chunks and calls it ends."""
    error = hfasr.BackendError("boom")
    asr = session(backend=FakeBackend(error=error), chunking=ONE_BY_ONE)
    for _ in range(2):
        with pytest.raises(hfasr.BackendError, match=r"^from 0\.0 to \d\.\d s: boom$") as caught:
            asr.transcribe(AUDIO)
        assert len(caught.value.attempts) == 1
    assert str(error) == "boom"


def test_gap(session: Make, asr_server: FakeASRServer) -> None:
    """A chunk that fails may leave a gap: a segment with the error, a warning, and a line in subtitles."""
    asr_server.script(Normal(), DOWN, DOWN)
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=TWICE)
    transcript = asr.transcribe(AUDIO, return_timestamps=True, on_chunk_error="gap")
    [gap] = [segment for segment in transcript.segments if segment.error is not None]
    assert gap.error is not None
    assert gap.error.startswith("ServerError: hf-inference answered 500")
    assert (gap.text, gap.words) == ("", ())
    assert gap.end is not None
    kept = [one.word for one in SAID.said if one.end <= gap.start or one.start >= gap.end]
    assert bare(transcript.text) == kept
    origin = origin_of(transcript)
    assert transcript.warnings[0].startswith(
        f"1 of {origin.chunks} chunks failed and left a gap, {gap.start:.1f} to {gap.end:.1f} s: ServerError"
    )
    assert transcript.to_srt().count("[not transcribed]") == transcript.to_vtt().count("[not transcribed]") == 1
    assert "[not transcribed]" not in transcript.text
    assert Transcript.from_dict(transcript.to_dict()) == transcript
    assert told(origin.attempts)[1:3] == [("hf-inference", "ServerError", 1)] * 2


def test_gap_without_times(session: Make, asr_server: FakeASRServer) -> None:
    """Also where no times were asked for a gap is told by segments, one for each chunk."""
    asr_server.script(DOWN, DOWN)
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=TWICE)
    transcript = asr.transcribe(AUDIO, on_chunk_error="gap")
    assert len(transcript.segments) == origin_of(transcript).chunks
    assert [segment.error is not None for segment in transcript.segments].index(True) == 0
    assert transcript.segments[0].start == 0.0


def test_gap_of_a_chunk_that_was_cut_again(session: Make, asr_server: FakeASRServer) -> None:
    """Where a part of a chunk that was cut again fails, the chunk is a gap, and every attempt is kept."""
    asr_server.script(DOWN, DOWN)
    calls = iter([None, RuntimeError("boom")])

    def say(audio: Audio) -> str:
        if error := next(calls, None):
            raise error
        return ToneSpeech().hear(audio).text

    engine = FakeBackend(say, max_duration_s=1.5)
    asr = session(router_url=asr_server.router_url, fallback=engine, chunking=ONE_BY_ONE, retry=TWICE)
    transcript = asr.transcribe(AUDIO, on_chunk_error="gap")
    assert [segment.error is not None for segment in transcript.segments][:2] == [True, False]
    first = [(route, error) for route, error, chunk in told(origin_of(transcript).attempts) if chunk == 0]
    assert first == [("hf-inference", "ServerError")] * 2 + [("fake", None), ("fake", "BackendError")]


@pytest.mark.parametrize("silence", [0.0, 20.0])
def test_nothing_but_gaps_is_an_error(session: Make, asr_server: FakeASRServer, silence: float) -> None:
    """Where no chunk was transcribed the first one's error is raised; silence between them is nothing either."""
    asr_server.script(*[replies.server_error(500) for _ in range(99)])
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, retry=TWICE)
    audio = Audio(np.concatenate([AUDIO.waveform, np.zeros(round(silence * 16_000), np.float32)]), 16_000)
    with pytest.raises(hfasr.ServerError) as caught:
        asr.transcribe(audio, on_chunk_error="gap")
    assert len(caught.value.attempts) == len(asr_server.requests)


def test_retry_after_holds_up_all_chunks(session: Make, asr_server: FakeASRServer) -> None:
    """Chunks pass their host's gate like calls: a 429 with a time keeps the others back as well."""
    clock = FakeClock()
    asr_server.script(replies.rate_limited(retry_after=3))
    asr = session(router_url=asr_server.router_url, chunking=ONE_BY_ONE, clock=clock)
    transcript = asr.transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words
    assert clock.slept == pytest.approx(3.0, abs=0.1)
    assert sum(attempt.waited for attempt in origin_of(transcript).attempts) == pytest.approx(3.0, abs=0.1)


def test_breaker_spares_the_chunks_that_follow(session: Make, asr_server: FakeASRServer) -> None:
    """After some chunks that failed in a row the route is skipped, then probed by one chunk, and used again."""
    clock = FakeClock()
    retry = RetryPolicy(max_attempts=1, breaker_threshold=2, breaker_recovery=30)
    asr_server.script(DOWN, DOWN)

    def say(audio: Audio) -> str:
        if len(engine.calls) == 3:
            clock.pause(31)
        return ToneSpeech().hear(audio).text

    engine = FakeBackend(say)
    asr = session(router_url=asr_server.router_url, fallback=engine, chunking=ONE_BY_ONE, retry=retry, clock=clock)
    transcript = asr.transcribe(AUDIO)
    assert bare(transcript.text) == SAID.words
    hf = [(error, chunk) for route, error, chunk in told(origin_of(transcript).attempts) if route == "hf-inference"]
    assert hf[:4] == [("ServerError", 0), ("ServerError", 1), ("skipped", 2), (None, 3)]
