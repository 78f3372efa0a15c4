"""Local engines as backend and fallback, and the life of a client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import hfasr
from hfasr import ASRClient, Audio, TranscribeOptions, Transcript
from hfasr.testing import FakeASRServer, FakeBackend, replies
from tests.colours import Session

Make = Callable[..., Session]


class Broken:
    """An engine that returns what it is told to."""

    name = "broken"
    sampling_rate = 16_000
    max_duration_s = None

    def __init__(self, result: object) -> None:
        self.result = result

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        return self.result  # type: ignore[return-value]  # that is what is broken

    def close(self) -> None:
        return None


@pytest.mark.parametrize("result", [[], None, ["text"], [Transcript("a"), Transcript("b")]])
def test_engine_that_breaks_its_promise(session: Make, wav: bytes, result: object) -> None:
    """An engine that does not return one transcript per clip is named as the fault."""
    with pytest.raises(hfasr.BackendError, match="broken"):
        session(backend=Broken(result)).transcribe(wav)


def test_engine_error_is_typed(session: Make, wav: bytes) -> None:
    """What an engine raises becomes a BackendError with the original as its cause."""
    with pytest.raises(hfasr.BackendError, match="RuntimeError: boom") as caught:
        session(backend=FakeBackend(error=RuntimeError("boom"))).transcribe(wav)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert [a.route for a in caught.value.attempts] == ["fake"]


def test_engine_gets_what_was_asked(session: Make, wav: bytes) -> None:
    """An engine gets mono samples at its own rate, and the options without model and deadline."""
    engine = FakeBackend("x", sampling_rate=8_000)
    session(backend=engine).transcribe(wav, language="de", return_timestamps="word", deadline=9, model="org/name")
    (call,) = engine.calls
    (audio,) = call.batch
    assert audio.sampling_rate == 8_000
    assert audio.waveform.ndim == 1
    assert audio.waveform.dtype.name == "float32"
    assert call.options == {"language": "de", "return_timestamps": "word"}


def test_too_long_for_an_engine(session: Make, wav: bytes) -> None:
    """Audio longer than an engine takes is cut for it, and goes to no other."""
    short, never = FakeBackend("short", max_duration_s=0.5), FakeBackend("long", name="long")
    transcript = session(backend=short, fallback=never).transcribe(wav)
    assert set(transcript.text.split()) == {"short"}
    lengths = [len(clip.waveform) for call in short.calls for clip in call.batch]
    assert sum(lengths) == 14_400
    assert max(lengths) <= 8_000
    assert never.calls == []


def test_engine_by_name(session: Make, wav: bytes) -> None:
    """An engine that is named is loaded once and used as backend and as fallback."""
    asr = session(backend="pocketsphinx")
    asr.call("preload")
    first, second = asr.transcribe(wav), asr.transcribe(wav)
    assert first.provenance is not None
    assert first.provenance.backend == "pocketsphinx"
    assert first.provenance.provider is None
    assert first.provenance.uploaded_bytes is None
    assert first.text == second.text


def test_unknown_engine_and_model(session: Make, wav: bytes) -> None:
    """An engine or model that does not exist is named, with what there is."""
    for settings in ({"backend": "nothing"}, {"fallback": "pocketsphnix"}, {"fallback": ["nothing:model"]}):
        with pytest.raises(hfasr.BackendNotFoundError, match="there is: pocketsphinx"):
            ASRClient(**settings)
    with pytest.raises(hfasr.BackendLoadError):
        session(backend="pocketsphinx:no/such-model").transcribe(wav)


def test_servers_as_fallbacks(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A server's URL is one more hosted route."""
    asr_server.script(replies.forbidden())
    with FakeASRServer() as other:
        transcript = session(
            router_url=asr_server.router_url, fallback=[other.openai_url, FakeBackend("never")]
        ).transcribe(wav)
        assert transcript.text == "red boat green"
        assert transcript.provenance is not None
        assert transcript.provenance.backend == "hosted"
        assert transcript.provenance.provider == other.openai_url


def test_provenance(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Every field says how the transcript came about."""
    import hashlib

    transcript = session(router_url=asr_server.router_url).transcribe(wav)
    provenance = transcript.provenance
    assert provenance is not None
    assert (provenance.backend, provenance.provider, provenance.model) == (
        "hosted",
        "hf-inference",
        "openai/whisper-large-v3",
    )
    assert provenance.audio_sha256 == hashlib.sha256(wav).hexdigest()
    assert provenance.audio_duration == pytest.approx(0.9, abs=0.1)
    assert provenance.uploaded_bytes == len(asr_server.requests[0].body)
    assert provenance.upload_format == "flac"
    assert provenance.fallback_reason is None
    assert provenance.hfasr_version == hfasr.__version__
    (attempt,) = provenance.attempts
    assert attempt.request_id is not None
    assert attempt.duration > 0
    assert transcript.raw == {"text": " red boat green"}


def test_options_are_checked(session: Make, wav: bytes) -> None:
    """Unknown and wrong options are refused with the remedy, before anything is read."""
    options: Any
    asr = session(backend=FakeBackend("x"))
    with pytest.raises(TypeError, match="did you mean 'language'"):
        asr.transcribe(wav, langauge="en")
    for options in (
        {"task": "dance"},
        {"return_timestamps": "char"},
        {"return_timestamps": 1.5},
        {"language": ""},
        {"model": ""},
    ):
        with pytest.raises(ValueError, match="must"):
            asr.transcribe(wav, **options)
    for options in (
        {"language": 1},
        {"generation_parameters": [1]},
        {"extra_parameters": {1: 2}},
        {"deadline": "soon"},
    ):
        with pytest.raises(TypeError, match="must"):
            asr.transcribe(wav, **options)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"model": 1}, TypeError),
        ({"model": ""}, ValueError),
        ({"backend": 1}, TypeError),
        ({"fallback": 1}, TypeError),
        ({"fallback": [1]}, TypeError),
        ({"fallback": "hosted"}, ValueError),
        ({"fallback": "ftp://x"}, ValueError),
        ({"provider": "nobody"}, ValueError),
        ({"provider": []}, ValueError),
        ({"base_url": "localhost:8000"}, ValueError),
        ({"base_url": "http://user:pw@host"}, ValueError),
        ({"base_url": "http://host/?x=1"}, ValueError),
        ({"base_url": "http://ho st"}, ValueError),
        ({"router_url": "file:///etc"}, ValueError),
        ({"dialect": "klingon"}, ValueError),
        ({"upload": "zip"}, ValueError),
        ({"channels": -1}, ValueError),
        ({"channels": True}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"retry": 3}, TypeError),
        ({"bill_to": "a\nb"}, ValueError),
        ({"revision": 1}, TypeError),
        ({"revision": ""}, ValueError),
        ({"local_only": "no", "backend": "pocketsphinx"}, TypeError),
        ({"local_only": True}, ValueError),
        ({"local_only": True, "base_url": "http://localhost", "fallback": "http://localhost:1/v1"}, ValueError),
    ],
)
def test_settings_are_checked(settings: dict[str, object], error: type[Exception]) -> None:
    """A setting that makes no sense is refused when the client is made, in one line."""
    with pytest.raises(error) as caught:
        ASRClient(**settings)  # type: ignore[arg-type]  # that is what must fail
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("model", ["../../etc/passwd", "a/b/c", "a b", "x?y", "x#y", "/abs/folder", "a\nb", "x" * 200])
def test_model_that_is_no_hub_id(session: Make, asr_server: FakeASRServer, wav: bytes, model: str) -> None:
    """What is not a Hub id never becomes part of a URL."""
    with pytest.raises(ValueError, match="not a Hub model id"):
        session(router_url=asr_server.router_url).transcribe(wav, model=model)
    assert asr_server.requests == []


def test_provider_may_be_a_sequence(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """Providers are taken in order, each once."""
    asr = session(router_url=asr_server.router_url, provider=["hf-inference", "hf-inference"])
    assert asr.transcribe(wav).text == "red boat green"
    assert len(asr_server.requests) == 1


def test_router_url_of_the_environment(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HFASR_ROUTER_URL is the router where none is passed."""
    monkeypatch.setenv("HFASR_ROUTER_URL", asr_server.router_url)
    assert session().transcribe(wav).text == "red boat green"


def test_nothing_but_the_given_server_is_contacted(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With router_url or base_url, no other address is connected to or looked up."""
    import socket

    connect, asked = socket.socket.connect, set()

    def watched(self: socket.socket, address: object) -> object:
        asked.add(address)
        return connect(self, address)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(socket.socket, "connect", watched)
    session(router_url=asr_server.router_url, provider="hf-inference").transcribe(wav)
    session(base_url=asr_server.url).transcribe(wav)
    port = int(asr_server.url.rpartition(":")[2])
    assert asked <= {("127.0.0.1", port)}


def test_closed_client(session: Make, wav: bytes) -> None:
    """A closed client says so; what was made from it is closed with it, not the other way round."""
    asr = session(backend=FakeBackend("x"))
    child = asr.client.with_options(timeout=1)
    assert repr(child).startswith("A")
    close = "close" if asr.colour == "sync" else "aclose"
    parent, asr.client = asr.client, child
    asr.call(close)
    asr.client = parent
    assert asr.transcribe(wav).text == "x"
    asr.call(close)
    asr.call(close)
    with pytest.raises(RuntimeError, match="closed"):
        asr.transcribe(wav)
    with pytest.raises(RuntimeError, match="closed"):
        asr.call("preload")


def test_callers_engine_is_not_closed(session: Make, wav: bytes) -> None:
    """An engine that the caller made stays open."""
    engine = FakeBackend("x")
    asr = session(backend=engine)
    asr.transcribe(wav)
    asr.call("close" if asr.colour == "sync" else "aclose")
    assert not engine.closed


def test_with_options() -> None:
    """Unknown settings are refused; known ones change the new client alone."""
    with ASRClient(timeout=5) as asr:
        with pytest.raises(TypeError, match="colour"):
            asr.with_options(colour="red")
        other = asr.with_options(timeout=7, model="org/name")
        assert "timeout=7" in repr(other)
        assert "timeout=5" in repr(asr)
        assert other._io is asr._io


def test_one_engine_for_many_threads(wav: bytes) -> None:
    """Threads that call at once load an engine once."""
    with ASRClient(backend="pocketsphinx") as asr:
        loaded: set[int] = set()

        def call() -> None:
            asr.transcribe(wav)
            loaded.update(map(id, asr._shared._engines.values()))

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(loaded) == 1
        assert [engine.name for engine in asr._shared._engines.values()] == ["pocketsphinx"]
