"""Servers and engines in one line of routes: who is asked, whose faults are raised, how time is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hfasr
from hfasr import RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, replies
from tests.colours import Session

Make = Callable[..., Session]
ONCE = RetryPolicy(max_attempts=1)


def routes_of(transcript: hfasr.Transcript) -> list[tuple[str, str | None]]:
    assert transcript.provenance is not None
    return [(attempt.route, attempt.error) for attempt in transcript.provenance.attempts]


def test_servers_and_engines_in_order(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Engines and servers may be mixed; they are tried in the order given, each as often as the policy says."""
    asr_server.script(replies.server_error(500))
    ill = FakeBackend(name="ill", error=RuntimeError("boom"))
    with FakeASRServer() as second, FakeASRServer() as third:
        second.script(*[replies.overloaded()] * 9)
        asr = session(
            router_url=asr_server.router_url,
            fallback=[ill, second.openai_url, third.openai_url, FakeBackend("never")],
            retry=ONCE,
        )
        transcript = asr.transcribe(wav)
        assert transcript.text == "red boat green"
        failures = [(route, error) for route, error in routes_of(transcript) if error]
        assert failures == [
            ("hf-inference", "ServerError"),
            ("ill", "BackendError"),
            (second.openai_url, "ServerError"),
        ]
        assert routes_of(transcript)[-1] == (third.openai_url, None)
        assert transcript.provenance is not None
        assert transcript.provenance.provider == third.openai_url
        assert len(ill.calls) == 1


def test_engine_first_then_server(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """An engine may come first: where it fails the audio goes to a server."""
    ill = FakeBackend(name="ill", error=hfasr.BackendLoadError("corrupt"))
    transcript = session(backend=ill, fallback=asr_server.openai_url).transcribe(wav)
    assert transcript.text == "red boat green"
    assert transcript.provenance is not None
    assert transcript.provenance.backend == "hosted"
    assert transcript.provenance.fallback_reason == "BackendLoadError: corrupt"


@pytest.mark.parametrize("audio", [b"", b"this is no audio at all", "nowhere.wav"])
def test_bad_audio_is_raised(session: Make, asr_server: FakeASRServer, audio: Any) -> None:
    """Audio that cannot be used is the caller's fault: no route is tried."""
    fallback = FakeBackend("never")
    with pytest.raises(hfasr.AudioError) as caught:
        session(router_url=asr_server.router_url, fallback=fallback).transcribe(audio)
    assert not isinstance(caught.value, hfasr.AllRoutesFailedError)
    assert (asr_server.requests, fallback.calls) == ([], [])


@pytest.mark.parametrize("first", [True, False])
def test_wrong_option_is_raised(session: Make, asr_server: FakeASRServer, wav: bytes, first: bool) -> None:
    """A value that an engine cannot take is the caller's fault: it is raised as it is, with what was tried before."""
    asr_server.script(replies.forbidden())
    error = hfasr.InvalidOptionError("num_beams must be 1 or more, not 0")
    engine, never = FakeBackend(error=error), FakeBackend("never")
    settings: dict[str, Any] = {"backend": engine, "fallback": never}
    if not first:
        settings = {"router_url": asr_server.router_url, "fallback": [engine, never]}
    with pytest.raises(hfasr.InvalidOptionError) as caught:
        session(**settings).transcribe(wav, generation_parameters={"num_beams": 0})
    assert caught.value is error
    assert isinstance(caught.value, ValueError)
    assert [attempt.error for attempt in error.attempts] == ["PermissionDeniedError"] * (not first) + [
        "InvalidOptionError"
    ]
    assert never.calls == []


def test_wrong_parameters_are_raised(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """An option that is none is refused before any route is tried."""
    fallback = FakeBackend("never")
    asr = session(router_url=asr_server.router_url, fallback=fallback)
    with pytest.raises(TypeError, match="langauge"):
        asr.transcribe(wav, langauge="en")
    with pytest.raises(ValueError, match="task must be"):
        asr.transcribe(wav, task="dance")
    assert (asr_server.requests, fallback.calls) == ([], [])


def test_deadline_is_shared(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes) -> None:
    """Of three routes the first gets a third of the deadline, the second a half of what is left."""
    retry = RetryPolicy(max_attempts=99, wait_initial=1, wait_max=1)
    asr_server.script(*[replies.server_error(500)] * 99)
    with FakeASRServer() as other:
        other.script(*[replies.server_error(500)] * 99)
        asr = session(
            router_url=asr_server.router_url,
            fallback=[other.openai_url, FakeBackend("here")],
            clock=fake_clock,
            retry=retry,
        )
        transcript = asr.transcribe(wav, deadline=12)
    assert transcript.text == "here"
    assert transcript.provenance is not None
    waited = dict.fromkeys(("hf-inference", other.openai_url, "fake"), 0.0)
    for attempt in transcript.provenance.attempts:
        waited[attempt.route] += attempt.waited
    assert waited == {"hf-inference": 3.0, other.openai_url: 4.0, "fake": 0.0}  # of 4 s, and of 4.5 s


def test_failed_engine_after_a_server_that_refuses_the_audio(
    session: Make, asr_server: FakeASRServer, wav: bytes
) -> None:
    """A request that a server complains of goes on to the engine, which needs no such form."""
    asr_server.script(Reply(400, json={"error": "something else"}))
    assert session(router_url=asr_server.router_url, fallback=FakeBackend("here")).transcribe(wav).text == "here"


def test_fallback_with_a_model_of_its_own(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """An engine that has one model answers with that, whatever model and revision the call was for."""
    asr_server.script(replies.payment_required())
    asr = session("openai/whisper-small", revision="v1", fallback="pocketsphinx", router_url=asr_server.router_url)
    provenance = asr.transcribe(wav).provenance
    assert provenance is not None
    assert (provenance.backend, provenance.model) == ("pocketsphinx", "en-us")
