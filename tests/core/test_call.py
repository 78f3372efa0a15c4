"""One piece of audio over its routes: what becomes of the answer, and what is told of how it came about."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from hfasr import ASRClient, Attempt, Audio, BackendError, Provenance, RetryPolicy, Segment, Transcript, __version__
from hfasr._core.call import transcribe_piece
from hfasr._core.context import CallContext
from hfasr._core.failover import TakesLessError
from hfasr._core.io import run_sync
from hfasr._core.prepared import PreparedAudio
from hfasr._core.routes import LocalRoute, plan
from hfasr.audio.source import BytesSource, WaveformSource
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, replies
from tests.conftest import clip
from tests.core.call_kit import NotedIO, call_of

UNREADABLE = b"OggS" + bytes(24) + b"OpusHead"  # nobody here can tell how long it is


class Says(FakeBackend):
    """An engine that says what it runs, and gives a transcript as it is."""

    def __init__(self, transcript: Transcript, model: object = None, revision: object = None) -> None:
        super().__init__("")
        self.model = model
        self.revision = revision
        self._gives = transcript

    def _transcribe(self, audio: Audio, options: Any) -> Transcript:
        return self._gives


class Run:
    """One call over engines."""

    def __init__(self, wav: bytes, *, deadline: float | None = None, **settings: Any) -> None:
        self.io = NotedIO()
        self.call = call_of(self.io, deadline=deadline, **settings)
        self.audio = PreparedAudio(self.call, BytesSource(wav, name="clip"))

    def __call__(self, *engines: FakeBackend, **options: Any) -> Transcript:
        routes = tuple(LocalRoute(engine.name, "org/asked", engine) for engine in engines)
        return run_sync(transcribe_piece(self.call, routes, self.audio, options))  # type: ignore[arg-type]  # a TypedDict

    @property
    def n_offloaded(self) -> int:
        return len(self.io.offloaded)


def test_answer_of_an_engine(wav: bytes) -> None:
    """The provenance has all that is known of the engine, its audio and the attempts."""
    run = Run(wav)
    engine = Says(Transcript("text"), "org/loaded", "0123abc")
    transcript = run(engine, language="de", model="org/asked", deadline=5.0)
    assert transcript == Transcript(
        "text",
        duration=run.audio.duration,
        provenance=Provenance(
            backend="fake",
            provider=None,
            model="org/loaded",
            audio_sha256=hashlib.sha256(wav).hexdigest(),
            audio_duration=run.audio.duration,
            uploaded_bytes=None,
            upload_format=None,
            attempts=(Attempt("fake", None, None, None, 0.0, 0.0, 0.0),),
            fallback_reason=None,
            audio_changes=run.audio.changes,
            hfasr_version=__version__,
            revision="0123abc",
        ),
    )
    assert run.audio.duration == pytest.approx(0.9, abs=0.01)
    assert engine.calls[0].options == {"language": "de"}
    assert run.call.route == LocalRoute("fake", "org/asked", engine)


def test_what_was_done_to_the_audio() -> None:
    """Changes to the audio stand in the provenance."""
    provenance = Run(clip("red", sampling_rate=8_000))(FakeBackend("text")).provenance
    assert provenance is not None
    assert provenance.audio_changes == ("resampled 8000 to 16000 Hz",)


def test_why_it_fell_back(wav: bytes) -> None:
    """Why an earlier route gave no answer stands in the provenance, and each got its share of the time."""
    run = Run(wav, deadline=8.0)
    transcript = run(FakeBackend(name="ill", error=BackendError("broken")), FakeBackend("text"))
    assert transcript.provenance is not None
    assert transcript.provenance.fallback_reason == "BackendError: broken"
    assert [attempt.route for attempt in transcript.provenance.attempts] == ["ill", "fake"]
    assert run.io.windows == [4.0, 4.0, 8.0, 8.0]


def test_every_attempt_is_told_of(wav: bytes) -> None:
    """Who watches has heard of the last attempt, too, before the transcript is looked at."""
    told: list[str] = []
    run = Run(wav, on_attempt=lambda attempt: told.append(attempt.route))
    run(FakeBackend(name="ill", error=BackendError("broken")), FakeBackend("text"))
    assert told == ["ill", "fake"]


def test_what_takes_less(wav: bytes) -> None:
    """Audio that is too long for an engine leads to what it takes."""
    with pytest.raises(TakesLessError) as caught:
        Run(wav)(FakeBackend("text", max_duration_s=0.5))
    assert caught.value.longest_s == 0.5


@pytest.mark.parametrize(
    ("settings", "said", "wanted", "warnings"),
    [
        ({"backend": "pocketsphinx"}, "org/a", "org/b", ("fake runs 'org/a'; model='org/b' was not used",)),
        ({"backend": "pocketsphinx"}, "org/b", "org/b", ()),
        ({"backend": "pocketsphinx"}, None, "org/b", ()),
        ({"backend": "pocketsphinx"}, "org/a", None, ()),
        ({}, "org/a", "org/b", ()),  # a fallback is not the one that the model was meant for
        (
            {"backend": "pocketsphinx"},
            "a" * 100,
            "b" * 100,
            (f"fake runs '{'a' * 79}; model='{'b' * 79} was not used",),
        ),
    ],
)
def test_model_that_was_not_used(
    wav: bytes, settings: dict[str, Any], said: str | None, wanted: str | None, warnings: tuple[str, ...]
) -> None:
    """Where the first engine runs another model than was asked for, a warning names both."""
    transcript = Run(wav, **settings)(Says(Transcript("text"), said), model=wanted)
    assert transcript.warnings == warnings
    assert transcript.provenance is not None
    assert transcript.provenance.model == (said or "org/asked")


def test_revision_that_was_not_used(wav: bytes) -> None:
    """An engine that the caller loaded has the revision that it has; one that hfasr loads gets what was asked for."""
    given = Says(Transcript("text", warnings=("mine",)))
    transcript = Run(wav, revision="r" * 100)(given)
    warning = f"fake was loaded by the caller; revision='{'r' * 59} was not used"
    assert transcript.warnings == ("mine", warning)
    run = Run(wav, revision="v1")
    run.call.shared._engines["fake", None, "v1", None] = given
    routes = (LocalRoute("fake", None, None, "v1"),)
    assert run_sync(transcribe_piece(run.call, routes, run.audio, {})).warnings == ("mine",)


def test_it_is_looked_at(wav: bytes) -> None:
    """What nobody can have said in the time, or on silence, is left out."""
    assert Run(wav)(Says(Transcript("of the " * 200))).text == "of the"
    run = Run(wav)
    source = WaveformSource(np.zeros((16_000, 1), np.float32), sampling_rate=16_000, name="silence")
    run.audio = PreparedAudio(run.call, source)
    transcript = run(Says(Transcript("Thank you.")))
    assert (transcript.text, transcript.duration) == ("", 1.0)
    assert transcript.warnings == ("the audio is silent; what the model said was left out",)


@pytest.mark.parametrize(
    ("n_chars", "n_segments", "n_more"), [(5_000, 0, 0), (5_001, 0, 1), (1, 500, 0), (1, 501, 1), (5_001, 501, 1)]
)
def test_long_transcripts_are_looked_at_in_a_thread(wav: bytes, n_chars: int, n_segments: int, n_more: int) -> None:
    """Up to 5000 characters and 500 segments are looked at on the spot."""
    segments = tuple(Segment(0.0, 0.5, "x") for _ in range(n_segments))
    run = Run(wav)
    run(Says(Transcript("x" * n_chars, segments)))
    assert run.n_offloaded == 3 + n_more
    assert run.io.offloaded[3:] == [(False, False)] * n_more


# Servers


def hosted(asr: ASRClient, audio: bytes, *, deadline: float | None = None, **options: Any) -> Transcript:
    """Transcribe by *asr*'s routes."""
    call = CallContext(asr._io, asr._config, asr._shared, deadline)
    prepared = PreparedAudio(call, BytesSource(audio, name="clip"))
    asked: Any = options
    return run_sync(transcribe_piece(call, plan(asr._config, None), prepared, asked))


def test_answer_of_a_server(asr_server: FakeASRServer, wav: bytes) -> None:
    """The provenance has all that is known of the server, and of what was uploaded; nothing is known of a revision."""
    with ASRClient("org/a", router_url=asr_server.router_url) as asr:
        transcript = hosted(asr, wav)
    (request,) = asr_server.requests
    provenance = transcript.provenance
    assert provenance is not None
    assert (transcript.text, transcript.warnings) == ("red boat green", ())
    assert transcript.duration == pytest.approx(0.9, abs=0.01)
    assert (provenance.backend, provenance.provider, provenance.model) == ("hosted", "hf-inference", "org/a")
    assert provenance.audio_sha256 == hashlib.sha256(wav).hexdigest()
    assert provenance.audio_duration == transcript.duration
    assert provenance.upload_format == "flac"
    assert provenance.uploaded_bytes is not None
    assert 0 < provenance.uploaded_bytes <= len(request.body)
    assert (provenance.revision, provenance.chunks, provenance.hfasr_version) == (None, 1, __version__)
    assert [(attempt.route, attempt.status) for attempt in provenance.attempts] == [("hf-inference", 200)]


def test_revision_of_a_server(asr_server: FakeASRServer, wav: bytes) -> None:
    """A server runs the revision that it runs, and that is said."""
    with ASRClient(router_url=asr_server.router_url, revision="r" * 100) as asr:
        transcript = hosted(asr, wav)
    assert transcript.warnings == (f"hf-inference runs a revision of its own; revision='{'r' * 59} was not used",)


def test_audio_of_unknown_duration(asr_server: FakeASRServer) -> None:
    """Where nobody here knows how long the audio is, the transcript does not say so either."""
    asr_server.script(Reply(200, json={"text": "hello"}))
    with ASRClient(base_url=asr_server.openai_url, dialect="openai") as asr:
        transcript = hosted(asr, UNREADABLE, language="de")
    assert (transcript.text, transcript.duration) == ("hello", None)
    assert transcript.provenance is not None
    assert transcript.provenance.audio_duration is None
    assert transcript.provenance.upload_format == "ogg (original)"
    assert b'name="language"\r\n\r\nde\r\n' in asr_server.requests[0].body


def test_share_of_a_server(asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """A server with a route behind it is asked again only within its share of the time."""
    asr_server.script(*[replies.server_error(500)] * 9)
    retry = RetryPolicy(max_attempts=9, wait_initial=1, wait_max=1)
    with ASRClient(router_url=asr_server.router_url, fallback=FakeBackend("here"), retry=retry) as asr:
        fake_clock.attach(asr)
        assert hosted(asr, wav, deadline=5.0).text == "here"
    assert fake_clock.sleeps == [1.0, 1.0]
