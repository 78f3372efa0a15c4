"""The failure table again, with a real model on this machine as the way out: it says what was said."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hfasr
import hfasr.backends
from hfasr.testing import FakeASRServer, FakeClock, replies
from tests.colours import Session
from tests.core.test_failure_table import ROWS, Row, endless
from tests.tones import RATE, tone_audio

Make = Callable[..., Session]
SAID = "bad cab fed"


@pytest.fixture(scope="module")
def spoken() -> bytes:
    """*SAID* as a WAV file, which goes out encoded anew."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, tone_audio(SAID, seed=7), RATE, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _kept_loaded(tone_model: Path) -> Iterator[None]:
    """Hold a lease of the engine, so that each test's client shares it instead of loading it anew."""
    with hfasr.backends.load("transformers", str(tone_model)) as engine:
        engine.preload()
        yield


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, spoken: bytes, tone_model: Path
) -> None:
    """Each failure leads to the model here after the documented requests, with its reason; only bad audio is raised."""
    endless(asr_server, row)
    fallback = f"transformers:{tone_model}"
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=fallback)
    if row.raised_with_fallback:
        with pytest.raises(getattr(hfasr, row.error)):
            asr.transcribe(spoken)
    else:
        transcript = asr.transcribe(spoken)
        assert transcript.text == SAID
        origin = transcript.provenance
        assert origin is not None
        assert (origin.backend, origin.model) == ("transformers", str(tone_model))
        assert str(origin.fallback_reason).startswith(f"{row.error}: ")
        assert [a.error for a in origin.attempts] == [row.error] * row.n_requests + [None]
        assert origin.attempts[-1].route == "transformers"
    assert len(asr_server.requests) == row.n_requests
    assert fake_clock.sleeps == pytest.approx(row.sleeps)


def test_deadline_is_shared_with_the_model_here(
    session: Make, asr_server: FakeASRServer, spoken: bytes, tone_model: Path
) -> None:
    """A server that hangs has half of the deadline; the model here has the rest, and the call ends in time."""
    fallback = f"transformers:{tone_model}"
    asr = session(router_url=asr_server.router_url, fallback=fallback)
    asr.call("preload")
    asr_server.script(*[replies.Hang(10)] * 3)
    began = time.monotonic()
    transcript = asr.transcribe(spoken, deadline=4)
    assert transcript.text == SAID
    assert transcript.provenance is not None
    hosted = [a for a in transcript.provenance.attempts if a.route != "transformers"]
    assert sum(a.duration + a.waited for a in hosted) == pytest.approx(2, abs=0.5)
    assert time.monotonic() - began < 4
