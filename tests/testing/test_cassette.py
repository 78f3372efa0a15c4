"""`record` and `replay`: what was answered once is answered again, whoever asks and however it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hfasr import (
    ASRClient,
    AsyncASRClient,
    Audio,
    AudioURLError,
    AuthenticationError,
    Chunking,
    DeadlineExceededError,
    LiveAudio,
    RateLimitError,
    RetryPolicy,
    Transcript,
)
from hfasr.testing import (
    FakeASRServer,
    FakeBackend,
    FakeClock,
    NotRecordedError,
    Reply,
    ToneSpeech,
    record,
    replay,
    replies,
)
from tests.testing.cassette_kit import Make, clip, comparable, entries, failure, long_clip, no_network

if TYPE_CHECKING:
    from tests.colours import Session


def test_what_was_recorded_is_replayed(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """A replay gives the same transcript and attempts, and opens no socket, though the client names the real router."""
    with record(tape) as made:
        asr = session(router_url=asr_server.router_url, token="hf_of_this_test")
        first = asr.transcribe(clip(), language="en", return_timestamps="word")
    assert made.n_recorded == len(asr_server.requests) == 2  # the router's server refuses base64 at first
    with no_network(), replay(tape) as played:
        again = session().transcribe(clip(), language="en", return_timestamps="word")
    assert comparable(again) == comparable(first)
    assert (again.text, [word.word for word in again.words]) == ("red boat", ["red", "boat"])
    assert (played.n_replayed, played.n_recorded) == (2, 0)


def test_a_socket_would_have_been_seen(asr_server: FakeASRServer, tape: Path) -> None:
    """The guard of the tests here does see a client that goes to the network."""
    once = RetryPolicy(max_attempts=1)
    with no_network(), record(tape), ASRClient(router_url=asr_server.router_url, retry=once) as asr:
        failure(asr, "AssertionError")


def test_failures_are_replayed_in_order_and_waits_take_no_time(
    session: Make, asr_server: FakeASRServer, tape: Path
) -> None:
    """Loading, a rate limit and a reset come again, each with its error, and their pauses pass on the cassette's clock."""
    asr_server.script(replies.loading(5.0), replies.Reset(), replies.rate_limited(retry_after=60), replies.Truncated())
    with record(tape):
        clock = FakeClock()  # of the test's own: it need not wait for a minute, either
        first = session(router_url=asr_server.router_url, clock=clock).transcribe(clip())
    began = time.monotonic()
    with replay(tape) as played:
        again = session().transcribe(clip())
    assert time.monotonic() - began < 30
    assert again.provenance is not None
    errors = [attempt.error for attempt in again.provenance.attempts]
    assert errors == ["ModelLoadingError", "APIConnectionError", "RateLimitError", "APIResponseError", None]
    assert comparable(again) == comparable(first)
    assert played.clock.slept >= 60
    assert 60.0 in played.clock.sleeps


def test_an_error_is_replayed(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """A call that failed fails again, with the same error, message and fields."""
    asr_server.script(replies.rate_limited(retry_after=3600))
    found = []
    for cassette, url in ((record(tape), asr_server.router_url), (replay(tape), None)):
        with cassette, pytest.raises(RateLimitError) as caught:
            session(router_url=url).transcribe(clip())
        found.append((str(caught.value), caught.value.retry_after, caught.value.status_code))
    assert found[0] == found[1]
    assert found[0][1:] == (3600.0, 429)


def test_a_failure_goes_on(asr_server: FakeASRServer, tape: Path) -> None:
    """A client that tries more often than the one that was recorded meets the last failure again."""
    asr_server.script(*[replies.server_error(500)] * 2)
    with record(tape), ASRClient(router_url=asr_server.router_url, retry=RetryPolicy(max_attempts=2)) as asr:
        failure(asr, "500")
    with replay(tape), ASRClient(retry=RetryPolicy(max_attempts=4)) as asr:
        assert len(failure(asr, "500").attempts) == 4


@pytest.mark.parametrize("dated", [True, False])
def test_a_date_to_wait_for_becomes_seconds(asr_server: FakeASRServer, tape: Path, *, dated: bool) -> None:
    """A date in Retry-After is as far away on any later day, whether or not the server said what time it is."""
    now = time.time() if dated else 1_700_000_000.0
    later = formatdate(now + 3600, usegmt=True)
    headers = {"retry-after": later, "date": formatdate(now, usegmt=True), "x-ratelimit-reset": str(time.time() + 50)}
    asr_server.script(Reply(429, json={"error": "too many"}, headers=headers))
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr, pytest.raises(RateLimitError) as caught:
        asr.transcribe(clip())
    assert caught.value.retry_after == pytest.approx(3600, abs=5)
    kept = entries(tape)[0]["takes"][0][0]["headers"]
    assert 3590 <= int(kept["retry-after"]) <= 3605
    assert 30 <= int(kept["x-ratelimit-reset"]) <= 50
    assert "date" not in kept
    with replay(tape), ASRClient() as asr, pytest.raises(RateLimitError) as caught:
        asr.transcribe(clip())
    assert caught.value.retry_after == int(kept["retry-after"])


@pytest.mark.parametrize(
    "settings",
    [{"upload": "wav"}, {"upload": "opus"}, {"bill_to": "someone"}, {"timeout": 5.0}, {"token": "another"}],
    ids=str,
)
def test_how_it_is_sent_does_not_matter(asr_server: FakeASRServer, tape: Path, settings: dict[str, Any]) -> None:
    """Another encoding, account or time limit finds what was recorded."""
    with record(tape), ASRClient(router_url=asr_server.router_url, upload="flac") as asr:
        asr.transcribe(clip())
    with replay(tape), ASRClient(**settings) as asr:
        assert asr.transcribe(clip()).text == "red boat"


def test_the_same_bytes_by_any_way(asr_server: FakeASRServer, tape: Path, wav: bytes, tmp_path: Path) -> None:
    """A file, its bytes and an open file are the same audio."""
    path = tmp_path / "any name.wav"
    path.write_bytes(wav)
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(path)
    with replay(tape), ASRClient() as asr, path.open("rb") as file:
        assert {asr.transcribe(given).text for given in (wav, str(path), file)} == {"red boat green"}


MISSES = [
    ({"language": "de"}, "language was 'en' and is 'de'"),
    ({"prompt": "Schiff"}, "prompt differs"),
    ({"return_timestamps": True}, "return_timestamps was None and is True"),
    ({"model": "openai/whisper-tiny"}, "model was 'openai/whisper-large-v3' and is 'openai/whisper-tiny'"),
    ({"generation_parameters": {"num_beams": 2}}, "generation_parameters differs"),
    ({"extra_parameters": {"top_k": 1}}, "extra_parameters differs"),
]


@pytest.mark.parametrize(("changes", "told"), MISSES, ids=[told for _, told in MISSES])
def test_what_was_not_recorded_says_what_differs(
    session: Make, asr_server: FakeASRServer, tape: Path, changes: dict[str, Any], told: str
) -> None:
    """Another option is another recording, and the error names it; the text of a prompt is not in it."""
    with record(tape):
        session(router_url=asr_server.router_url).transcribe(clip(), language="en")
    with pytest.raises(NotRecordedError, match="nothing is sent: record it") as caught, replay(tape):
        session().transcribe(clip(), **{"language": "en", **changes})
    assert f"(nearest: {told})" in str(caught.value)
    assert "Schiff" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_other_misses(asr_server: FakeASRServer, tape: Path) -> None:
    """Other audio, another channel, a server that was not asked and a missing file are told apart."""
    with pytest.raises(NotRecordedError, match=r"there is no recording in one\.json"), replay(tape), ASRClient() as asr:
        asr.transcribe(clip())
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(clip())
    with pytest.raises(NotRecordedError, match="none of this audio at all"), replay(tape), ASRClient() as asr:
        asr.transcribe(clip("green"))
    with pytest.raises(NotRecordedError, match="channel differs"), replay(tape), ASRClient(channels=0) as asr:
        asr.transcribe(clip())
    asr = ASRClient("openai/whisper-large-v3", base_url="http://localhost:8000")
    with pytest.raises(NotRecordedError, match="no recording of POST /v1/audio/transcriptions of server 1"):
        miss(tape, asr)
    with pytest.raises(NotRecordedError, match="asked of hf-inference, not of server 1"):
        miss(tape, asr.with_options(dialect="hf"))
    asr.close()


def miss(tape: Path, asr: ASRClient) -> None:
    with replay(tape) as cassette:
        cassette.attach(asr).transcribe(clip())


def test_no_fallback_hides_a_miss(session: Make, tape: Path) -> None:
    """What is missing is not answered by the next route: a test must not pass by an answer that nobody recorded."""
    fallback = FakeBackend("something else")
    with pytest.raises(NotRecordedError), replay(tape):
        session(fallback=fallback).transcribe(clip())
    assert fallback.calls == []


def test_a_miss_that_was_handled_is_raised_at_the_end(tape: Path) -> None:
    """Code that turns every error into a result does not hide what is missing, and its own error comes first."""

    def handle(then: Callable[[], object] = bool) -> None:
        with replay(tape), ASRClient() as asr:
            (item,) = asr.transcribe_many([clip()])
            assert isinstance(item.error, NotRecordedError)
            then()

    with pytest.raises(NotRecordedError):
        handle()
    with pytest.raises(ZeroDivisionError):
        handle(lambda: 1 / 0)


@pytest.mark.parametrize("cut", [{"split": "silence"}, {"split": "none", "stride_length_s": 1.0}], ids=str)
def test_long_audio_in_chunks(session: Make, asr_server: FakeASRServer, tape: Path, cut: dict[str, Any]) -> None:
    """Each chunk has its recording, by the digest of the whole and where it lies, so that they may come in any order."""
    chunking = Chunking(chunk_length_s=6.0, **cut)
    with record(tape):
        first = session(router_url=asr_server.router_url, chunking=chunking).transcribe(
            long_clip(), return_timestamps=True
        )
    with replay(tape) as played:
        again = session(chunking=chunking).transcribe(long_clip(), return_timestamps=True)
    assert again.text == first.text == "red boat green river apple leaf"
    assert played.n_replayed == len(entries(tape)) == first.provenance.chunks  # type: ignore[union-attr]  # it has one
    assert len({entry["audio"]["sha256"] for entry in entries(tape)}) == 1
    starts = [entry["audio"]["from_s"] for entry in entries(tape)]
    assert len(set(starts)) == len(starts) > 4
    other = Chunking(chunk_length_s=11.0, **cut)
    with pytest.raises(NotRecordedError, match="it was cut at other points"), replay(tape):
        session(chunking=other).transcribe(long_clip(), return_timestamps=True)


def test_chunks_cut_a_few_samples_apart_are_the_same(asr_server: FakeASRServer, tape: Path) -> None:
    """Where another machine cuts 20 ms later, the chunk is still found."""
    chunking = Chunking(chunk_length_s=6.0)
    with record(tape), ASRClient(router_url=asr_server.router_url, chunking=chunking) as asr:
        asr.transcribe(long_clip(3))
    text = json.loads(tape.read_text())
    for entry in text["recordings"]:
        entry["audio"]["to_s"] = round(entry["audio"]["to_s"] + 0.02, 2)
    tape.write_text(json.dumps(text))
    with replay(tape), ASRClient(chunking=chunking) as asr:
        assert asr.transcribe(long_clip(3)).text == "red boat green"


def test_chunks_that_are_cut_again(tape: Path) -> None:
    """A chunk that the server finds too large is cut again in the replay, as when it was recorded."""
    chunking = Chunking(chunk_length_s=16.0)
    settings: dict[str, Any] = {"dialect": "hf", "chunking": chunking, "upload": "wav"}
    with (
        FakeASRServer(max_body_bytes=180_000, max_duration_s=None) as server,
        record(tape),
        ASRClient(base_url=server.url, **settings) as asr,
    ):
        first = asr.transcribe(long_clip(6))
    statuses = [kept["status"] for entry in entries(tape) for take in entry["takes"] for kept in take]
    assert 413 in statuses
    with replay(tape), ASRClient(base_url="http://localhost:1", **settings) as asr:
        assert asr.transcribe(long_clip(6)).text == first.text


def test_channels(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """Each channel of a recording has its own answers."""
    left, right = (ToneSpeech().say_at([(0.5, word)], duration=2.0) for word in ("red", "green"))
    stereo = Audio(np.stack([left, right]), 16_000)
    with record(tape):
        session(router_url=asr_server.router_url, channels="split").transcribe(stereo)
    with replay(tape):
        segments = session(channels="split").transcribe(stereo).segments
    assert {(segment.channel, segment.text) for segment in segments} == {(0, "red"), (1, "green")}


def test_batches_in_any_order(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """What many workers have recorded, others replay in another order."""
    words = ["red", "boat", "green", "river", "apple", "leaf"]
    with record(tape):
        list(session(router_url=asr_server.router_url).transcribe_many([clip(w) for w in words], max_concurrency=6))
    with replay(tape):
        items = list(session().transcribe_many([clip(w) for w in words[::-1]], max_concurrency=3))
    assert [item.transcript and item.transcript.text for item in items] == words[::-1]


def test_the_file_does_not_depend_on_who_was_faster(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """Two recordings of the same inputs are the same file, whatever their order and the server's address."""
    clips = [clip(w) for w in ("red", "boat", "green", "river", "apple", "leaf")]
    for name, given in (("a.json", clips), ("b.json", clips[::-1])):
        with FakeASRServer() as server, record(tmp_path / name), ASRClient(base_url=server.url) as asr:
            list(asr.transcribe_many(given, max_concurrency=4))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_streams(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """Segments of a stream are replayed, of a file and of live audio."""
    chunking = Chunking(chunk_length_s=6.0)
    samples = np.asarray(long_clip(3).waveform)

    def live() -> LiveAudio:
        return LiveAudio((samples[i : i + 1600] for i in range(0, len(samples), 1600)), sampling_rate=16_000)

    def texts(asr: Session) -> list[list[str]]:
        return [[segment.text for segment in asr.transcribe_stream(audio)] for audio in (long_clip(3), live())]

    with record(tape):
        texts(session(router_url=asr_server.router_url, chunking=chunking))
    with replay(tape):
        assert texts(session(chunking=chunking)) == [["red", "boat", "green"]] * 2


def test_equal_calls_are_answered_one_by_one(asr_server: FakeASRServer, tape: Path) -> None:
    """The second of two equal calls gets what the second got; every further one, too."""
    asr_server.script(Reply(json={"text": "first"}), Reply(json={"text": "second"}))
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        assert [asr.transcribe(clip()).text for _ in range(2)] == ["first", "second"]
    with replay(tape), ASRClient() as asr:
        assert [asr.transcribe(clip()).text for _ in range(4)] == ["first", "second", "second", "second"]


def test_equal_calls_at_once_do_not_mix(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """Of equal calls at the same time, each gets the whole of one take: a failure and its end are not torn apart."""
    asr_server.script(*[replies.loading(0.1)] * 4)
    with record(tape):
        asr = session(router_url=asr_server.router_url, clock=FakeClock())
        assert {item.error for item in asr.transcribe_many([clip()] * 4, max_concurrency=4)} == {None}
    assert sorted(len(take) for take in entries(tape)[0]["takes"]) == [1, 1, 1, 5] or all(
        [kept["status"] for kept in take][-1] == 200 for take in entries(tape)[0]["takes"]
    )
    with replay(tape):
        items = list(session().transcribe_many([clip()] * 8, max_concurrency=4))
    assert [item.transcript and item.transcript.text for item in items] == ["red boat"] * 8


@pytest.mark.parametrize("speaks", ["openai", "toolkit"])
def test_servers_of_ones_own(session: Make, tape: Path, speaks: Any) -> None:
    """Which dialect a server speaks is asked once and replayed, at whatever address it stood."""
    with FakeASRServer(speaks=speaks) as server, record(tape):
        session(base_url=server.url).transcribe(clip(), return_timestamps=True)
    address = server.url.removeprefix("http://")
    assert address not in tape.read_text()
    with no_network(), replay(tape):
        again = session(base_url="https://example.com").transcribe(clip(), return_timestamps=True)
    assert [segment.text for segment in again.segments] == ["red boat"]


def test_a_fallback_server_has_its_own_answers(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """The same audio and options are told apart by the server's place among the routes."""
    asr_server.script(replies.forbidden())
    with FakeASRServer(lambda *_: Transcript("of the fallback")) as other, record(tape):
        session(base_url=asr_server.url, dialect="hf", fallback=other.openai_url).transcribe(clip())
    with replay(tape):
        again = session(base_url="http://localhost:1", dialect="hf", fallback="http://localhost:2/v1").transcribe(
            clip()
        )
    assert again.text == "of the fallback"
    assert again.provenance is not None
    assert again.provenance.fallback_reason is not None
    assert "PermissionDeniedError" in again.provenance.fallback_reason


def test_waiting_until_ready(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """Polling is replayed, poll by poll."""
    asr_server.script(*[replies.scaling_up()] * 2, path="/health")
    with record(tape):
        clock = FakeClock()
        session(base_url=asr_server.url, dialect="hf", clock=clock).call("wait_until_ready", timeout=100)
    with replay(tape) as played:
        session(base_url="http://localhost:1", dialect="hf").call("wait_until_ready", timeout=100)
    assert played.n_replayed == 3
    assert played.clock.sleeps == pytest.approx(clock.sleeps)
    assert entries(tape)[0]["request"] == "GET /health"


def test_each_call_can_be_replayed_alone(tape: Path) -> None:
    """A call that profited from what another one had taught is recorded as if it had been alone."""
    model = "facebook/wav2vec2-base-960h"
    with (
        FakeASRServer(model_kind="ctc") as server,
        record(tape),
        ASRClient(model, router_url=server.router_url) as asr,
    ):
        asr.transcribe(clip("apple"), return_timestamps=True)
        asr.transcribe(clip(), return_timestamps=True)
    with replay(tape), ASRClient(model) as asr:
        assert [s.text for s in asr.transcribe(clip(), return_timestamps=True).segments] == ["red boat"]
        assert [s.text for s in asr.transcribe(clip("apple"), return_timestamps=True).segments] == ["apple"]


def test_a_deadline_is_replayed(session: Make, tape: Path) -> None:
    """A server that did not answer in time uses up the time again, and none in truth."""
    with FakeASRServer() as server, record(tape):
        server.script(*[replies.Hang()] * 9)
        with pytest.raises(DeadlineExceededError):
            session(router_url=server.router_url, deadline=0.5, timeout=5.0).transcribe(clip())
    began = time.monotonic()
    with replay(tape) as played, pytest.raises(DeadlineExceededError):
        session(deadline=600.0, timeout=900.0).transcribe(clip())
    assert time.monotonic() - began < 60
    assert played.clock.now() >= 600


def test_redirects_are_followed(asr_server: FakeASRServer, tape: Path) -> None:
    """A redirect to another path of the same server is followed; one that leads away says nothing of where."""
    path = "/hf-inference/models/openai/whisper-large-v3"
    asr_server.script(Reply(307, headers={"location": f"{asr_server.url}{path}"}))
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(clip())
    assert entries(tape)[0]["takes"][0][0] == {
        "status": 307,
        "headers": {"content-type": "application/octet-stream", "location": path},
    }
    with replay(tape), ASRClient() as asr:
        assert asr.transcribe(clip()).text == "red boat"
    asr_server.script(Reply(307, headers={"location": "https://account.example/secret"}))
    with (
        record(tape),
        ASRClient(router_url=asr_server.router_url) as asr,
        pytest.raises(Exception, match="another server"),
    ):
        asr.transcribe(clip())
    assert "account" not in tape.read_text()
    with replay(tape), ASRClient() as asr, pytest.raises(Exception, match="another server"):
        asr.transcribe(clip())


@pytest.mark.parametrize("make", [record, replay])
def test_audio_by_url_is_refused(session: Make, tape: Path, make: Any) -> None:
    """Audio that would have to be fetched is refused when it is recorded already, and not only in a replay."""
    with make(tape), pytest.raises(AudioURLError, match="pass the file"):
        session(allow_private_urls=True).transcribe("http://localhost:1/a.flac")


def test_a_cancelled_request_is_no_failure(session: Make, asr_server: FakeASRServer, tape: Path) -> None:
    """What was cut off on its own side is not recorded as the server's failure."""
    with record(tape):
        asr = session(router_url=asr_server.router_url)
        asr_server.script(replies.Normal(), *[replies.Hang()] * 8)
        batch = asr.transcribe_many([clip(), clip("green"), clip("apple")], max_concurrency=1)
        next(batch)
        until = time.monotonic() + 30
        while len(asr_server.requests) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        batch.close()
    assert len(asr_server.requests) == 2
    assert [take for entry in entries(tape) for take in entry["takes"]] == [
        [{"status": 200, "headers": {"content-type": "application/json"}, "json": {"text": " red boat"}}]
    ]


def test_clients_made_before_the_block(asr_server: FakeASRServer, tape: Path) -> None:
    """A client that is attached is answered, with those made from it, and left as it was at the end."""
    with ASRClient(router_url=asr_server.router_url) as asr:
        english = asr.with_options(timeout=3.0)
        with record(tape) as cassette:
            assert cassette.attach(asr) is asr
            english.transcribe(clip(), language="en")
        assert len(entries(tape)[0]["takes"][0]) == 2
        n_sent = len(asr_server.requests)
        with replay(tape) as cassette:
            cassette.attach(english)
            cassette.attach(asr)  # once is enough
            assert asr.transcribe(clip(), language="en").text == "red boat"
        assert len(asr_server.requests) == n_sent
        asr.transcribe(clip(), language="en")
        asr.transcribe(clip("green"), language="en")
        assert len(asr_server.requests) == n_sent + 3  # the form that the first of them taught, the second uses


def test_clients_are_left_as_they_were(tape: Path) -> None:
    """Nothing of a replay stays in a client, or in the classes."""
    original = ASRClient.__init__
    client = AsyncASRClient()
    before = (dict(vars(client._io)), dict(vars(client._shared)))
    with replay(tape) as cassette:
        cassette.attach(client)
        assert ASRClient.__init__ is not original
        assert vars(client._io) != before[0]
    assert (vars(client._io), vars(client._shared)) == before
    assert ASRClient.__init__ is original


def test_a_client_that_is_made_at_the_end_is_left_alone(tape: Path) -> None:
    """A thread that heard of the block as it began to make a client does not put it on a tape that has ended."""
    client = ASRClient()
    with replay(tape) as cassette:
        told = cassette._attached
        assert told is not None
    before = (dict(vars(client._io)), dict(vars(client._shared)))
    told.add(client)
    assert (vars(client._io), vars(client._shared)) == before


def test_the_tests_own_clock_stays(asr_server: FakeASRServer, tape: Path, fake_clock: FakeClock) -> None:
    """A client that has a fake clock already keeps it."""
    asr_server.script(replies.rate_limited(retry_after=7))
    with record(tape), fake_clock.attach(ASRClient(router_url=asr_server.router_url)) as asr:
        asr.transcribe(clip())
    mine = FakeClock()
    with mine.attach(ASRClient()) as asr, replay(tape) as cassette:
        cassette.attach(asr).transcribe(clip())
    assert mine.sleeps == [7.0]
    assert cassette.clock.sleeps == []


def test_no_token_is_looked_up(asr_server: FakeASRServer, tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay asks neither the environment nor a login for a token, also after one was refused."""
    asr_server.script(replies.unauthorized())
    with record(tape), ASRClient(router_url=asr_server.router_url) as asr:
        with pytest.raises(AuthenticationError) as real:
            asr.transcribe(clip())
        asr.transcribe(clip("green"))

    def look() -> None:
        raise AssertionError("a token was looked up")

    monkeypatch.setattr("huggingface_hub.get_token", look)
    with replay(tape), ASRClient() as asr:
        with pytest.raises(AuthenticationError) as caught:
            asr.transcribe(clip())
        assert asr.transcribe(clip("green")).text == "green"
    assert str(caught.value) == str(real.value)


def test_threads_share_a_cassette(tape: Path, asr_server: FakeASRServer) -> None:
    """Clients that threads make, record and replay into one file without losing an answer."""
    words = ["red", "boat", "green", "river", "apple", "leaf"]

    def all_at_once(url: str | None) -> list[str]:
        heard: list[str] = []

        def work(word: str) -> None:
            with ASRClient(router_url=url) as asr:
                heard.extend(asr.transcribe(clip(word)).text for _ in range(3))

        threads = [threading.Thread(target=work, args=(word,)) for word in words]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(heard)

    with record(tape) as made:
        all_at_once(asr_server.router_url)
    assert made.n_recorded == 18
    assert [len(entry["takes"]) for entry in entries(tape)] == [1] * 6  # what was the same is there once
    with replay(tape):
        assert all_at_once(None) == sorted(words * 3)


def test_misuse(tape: Path) -> None:
    """Each misuse is told by one line."""
    with pytest.raises(ValueError, match='mode must be "new" or "all", not \'none\'; to record nothing use replay'):
        record(tape, mode="none")  # type: ignore[arg-type]  # that is what must fail
    cassette = replay(tape)
    assert (cassette.n_replayed, cassette.n_recorded, repr(cassette)) == (0, 0, f"Cassette({str(tape)!r}, mode='none')")
    cassette.check()
    cassette.close()
    with pytest.raises(RuntimeError, match="not open; attach clients inside"), ASRClient() as asr:
        cassette.attach(asr)
    with cassette, pytest.raises(RuntimeError, match="open already"):
        cassette.open()


def test_what_a_client_knew_before_is_asked_again(asr_server: FakeASRServer, tape: Path) -> None:
    """A client that knew what its server speaks asks again for the cassette, so that a new one can be replayed."""
    with ASRClient(base_url=asr_server.url) as asr:
        asr.transcribe(clip("green"))
        with record(tape) as cassette:
            cassette.attach(asr).transcribe(clip())
    with replay(tape), ASRClient(base_url="http://localhost:1") as asr:
        assert asr.transcribe(clip()).text == "red boat"
