"""Hostile servers and unlucky moments: no secret crosses, nothing paid for is lost, every wait is bounded."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import hfasr
from hfasr import APIConnectionError, APIResponseError, ASRClient, AsyncASRClient, Audio, RetryPolicy, ServerError
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, ToneSpeech, replies
from tests.colours import Session
from tests.conftest import clip

Make = Callable[..., Session]
SECRET = "sk-secret-TOKEN-1234567890"


def test_cookies_are_not_kept(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A cookie goes neither to another token's calls nor to a fetch of audio."""
    asr_server.script(Reply(200, json={"text": "x"}, headers={"set-cookie": "sid=A; Path=/"}))
    asr_server.script(Reply(200, body=wav), path="/clip.wav")
    asr = session(base_url=asr_server.url, dialect="hf", token="A" * 20, allow_private_urls=True)
    asr.transcribe(wav)
    other = asr.client.with_options(token="B" * 20)
    asr.client, parent = other, asr.client
    asr.transcribe(wav)
    asr.transcribe(f"{asr_server.url}/clip.wav")
    asr.client = parent
    assert len(asr_server.requests) == 4
    assert all("cookie" not in request.headers for request in asr_server.requests)


@pytest.mark.parametrize(
    "action",
    [
        Reply(401, json={"error": {"message": f"Incorrect API key provided: {SECRET}"}}),
        Reply(500, body=f"oops {SECRET}", headers={"x-request-id": f"id-{SECRET}"}),
        Reply(200, json={"error": f"bad {SECRET}"}),
        Reply(400, json={"error": "x" * 270 + SECRET}),
        replies.NotHTTP(f"HTTP/1.1 {SECRET}\r\n\r\n".encode()),
    ],
)
def test_token_that_a_server_echoes(
    session: Make, asr_server: FakeASRServer, wav: bytes, action: replies.Action
) -> None:
    """A token of any form is hidden in errors, bodies, attempts and the fallback's reason."""
    asr_server.script(action, action)
    once = RetryPolicy(max_attempts=1)
    asr = session(base_url=asr_server.openai_url, token=SECRET, retry=once)
    with pytest.raises(hfasr.APIError) as caught:
        asr.transcribe(wav)
    error = caught.value
    assert SECRET.encode() not in pickle.dumps(error)
    assert SECRET[:20] not in f"{error} {vars(error)}"
    fallback = session(base_url=asr_server.openai_url, token=SECRET, retry=once, fallback=FakeBackend("here"))
    assert SECRET[:20] not in fallback.transcribe(wav).to_json()


def test_token_is_not_in_a_cause(session: Make, colour: str, wav: bytes) -> None:
    """With a client of the caller's own, the library's error, which holds the request, is not kept."""
    client = httpx.Client() if colour == "sync" else httpx.AsyncClient()
    asr = session(base_url="http://127.0.0.1:1/v1", token=SECRET, http_client=client, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(APIConnectionError) as caught:
        asr.transcribe(wav)
    error: BaseException | None = caught.value
    while error is not None:
        assert not hasattr(error, "_request")
        error = error.__cause__ or error.__context__
    asr.close_http(client)


def test_own_token_stays_away_from_hugging_face() -> None:
    """A token passed for a server of one's own does not go to an endpoint that is its fallback."""
    from hfasr._core.config import Config
    from hfasr._core.routes import HostedRoute, plan

    endpoint = "https://x.endpoints.huggingface.cloud"
    routes = plan(Config(base_url="https://asr.mycorp.example", token=SECRET, fallback=endpoint), None)
    assert [isinstance(r, HostedRoute) and r.explicit_token for r in routes] == [SECRET, None]
    routes = plan(Config(token=SECRET, fallback=endpoint), None)
    assert [isinstance(r, HostedRoute) and r.explicit_token for r in routes] == [SECRET, SECRET]


@pytest.mark.parametrize("tail", [b"\0" * 40_000_000, b"\x00\x00\x00\xff\xff" * 8_000_000])
def test_packed_reply_with_a_tail(asr_server: FakeASRServer, wav: bytes, tail: bytes) -> None:
    """What follows the end of a packed reply, or inflates to nothing, counts against the cap."""
    asr_server.script(Reply(200, body=gzip.compress(b'{"text":"hi"}') + tail, headers={"content-encoding": "gzip"}))
    began = time.monotonic()
    once = RetryPolicy(max_attempts=1)
    with (
        ASRClient(router_url=asr_server.router_url, retry=once) as asr,
        pytest.raises(APIResponseError, match="larger"),
    ):
        asr.transcribe(wav)
    assert time.monotonic() - began < 5


def test_slow_look_up(session: Make, colour: str, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that takes long to look up does not outlive the deadline."""
    real = socket.getaddrinfo

    def slow(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002  # the system's names
        if host not in {"slow.example", b"slow.example"}:
            return real(host, port, family, type, proto, flags)
        if flags & socket.AI_NUMERICHOST:  # trio asks so first, on its own thread
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        time.sleep(1.5)
        return real("127.0.0.1", port, family, type, proto, flags)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    asr = session(router_url="http://slow.example:9")
    began = time.monotonic()
    with pytest.raises((hfasr.DeadlineExceededError, APIConnectionError)):
        asr.transcribe(wav, deadline=0.3)
    assert time.monotonic() - began < 1.2


def test_form_is_kept_across_attempts(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """A body that was refused is not sent again by the next attempt."""
    refused = Reply(400, json={"error": "[Errno 36] File name too long: 'QUJD'"})
    asr_server.script(refused, *[replies.server_error(500)] * 3)
    session(router_url=asr_server.router_url, clock=fake_clock).transcribe(wav, language="en")
    kinds = [request.headers["content-type"] for request in asr_server.requests]
    assert kinds == ["application/json"] + ["audio/flac"] * 4


def test_compressing_harder_must_help(session: Make, wav: bytes) -> None:
    """After a 413 a body that is no smaller is not sent."""
    opus = clip("red boat green", format="OGG", subtype="OPUS", sampling_rate=48_000)
    with FakeASRServer(max_body_bytes=100) as server:
        with pytest.raises(hfasr.PayloadTooLargeError):
            session(router_url=server.router_url, upload="opus").transcribe(opus)
        assert len(server.requests) == 1


def test_file_that_is_gone_after_sending(session: Make, asr_server: FakeASRServer, wav: bytes, tmp_path: Path) -> None:
    """A file may be deleted once it has been read: the transcript still comes back, with its hash."""
    path = tmp_path / "clip.flac"
    path.write_bytes(clip("red boat green", format="FLAC"))
    asr_server.script(replies.Normal(delay=0.3))
    threading.Timer(0.15, path.unlink).start()
    transcript = session(router_url=asr_server.router_url).transcribe(path)
    assert not path.exists()
    assert transcript.provenance is not None
    assert len(str(transcript.provenance.audio_sha256)) == 64


def test_closing_during_a_call(asr_server: FakeASRServer, wav: bytes) -> None:
    """A call under way when the client is closed ends with an error, and opens nothing new."""
    asr_server.script(replies.server_error(500), replies.Hang(3))
    asr = ASRClient(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0.5))
    threading.Timer(0.2, asr.close).start()
    with pytest.raises(hfasr.APIError):
        asr.transcribe(wav)
    assert len(asr_server.requests) == 1
    pools = asr._io.http._pools
    assert pools is not None
    assert pools._senders == {}


def test_one_async_client_in_two_event_loops(asr_server: FakeASRServer, wav: bytes) -> None:
    """A client that outlives its event loop makes new connections in the next."""
    asr = AsyncASRClient(router_url=asr_server.router_url)

    async def call() -> str:
        text = (await asr.transcribe(wav)).text
        assert asr._io.http._pools is not None
        for sender in asr._io.http._pools._senders.values():
            await sender.aclose()  # so that the loop leaves no socket behind
        return text

    async def call_and_close() -> str:
        async with asr:
            return (await asr.transcribe(wav)).text

    assert asyncio.run(call()) == "red boat green"
    assert anyio.run(call, backend="trio") == "red boat green"
    assert asyncio.run(call_and_close()) == "red boat green"


def test_loading_an_engine_counts_against_the_deadline(
    session: Make, colour: str, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is slow to load does not outlive the deadline of an async call."""
    from hfasr import backends

    def slow(name: str, model: str | None = None) -> FakeBackend:
        time.sleep(0.8)
        return FakeBackend("late")

    monkeypatch.setattr(backends, "load", slow)
    began = time.monotonic()
    with pytest.raises(hfasr.DeadlineExceededError):
        session(backend="pocketsphinx").transcribe(wav, deadline=0.3)
    assert time.monotonic() - began < (1.5 if colour == "sync" else 0.7)


def test_wait_until_ready_through_rate_limits(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock) -> None:
    """A rate limit is waited out as asked, and a cut-off reply is asked for again."""
    asr_server.script(replies.rate_limited(retry_after=7), replies.Truncated(3))
    session(router_url=asr_server.router_url, clock=fake_clock).call("wait_until_ready", timeout=60)
    assert fake_clock.sleeps == pytest.approx([7.0, 1.5])


def test_wait_until_ready_lets_the_proxy_hold(session: Make, asr_server: FakeASRServer) -> None:
    """The endpoint's proxy may hold the request for most of the time that there is."""
    session(base_url=asr_server.url, dialect="hf", timeout=50).call("wait_until_ready", timeout=600)
    assert asr_server.requests[0].headers["x-scale-up-timeout"] == "45"


def test_wait_until_ready_with_a_server_that_refuses_audio(session: Make, asr_server: FakeASRServer) -> None:
    """A refusal of the silence is a typed error like any other."""
    asr_server.script(replies.malformed_audio())
    with pytest.raises(hfasr.BadRequestError):
        session(router_url=asr_server.router_url).call("wait_until_ready", timeout=5)


def test_login_that_cannot_be_read(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the Hub's client raises for the token becomes a typed error."""
    import huggingface_hub

    def broken() -> str:
        raise RuntimeError("OIDC exchange failed")

    monkeypatch.setattr(huggingface_hub, "get_token", broken)
    with pytest.raises(hfasr.AuthenticationError, match="hf auth login"):
        session().transcribe(wav)


def test_fallback_limits_hold_for_audio_decoded_before(session: Make, wav: bytes) -> None:
    """An engine's own limit holds, also when another has had the audio decoded already."""
    broken = FakeBackend(name="broken", error=RuntimeError("boom"))
    short = FakeBackend("short", name="short", max_duration_s=0.5)
    transcript = session(backend=broken, fallback=short).transcribe(wav)
    assert set(transcript.text.split()) == {"short"}
    assert transcript.provenance is not None
    assert transcript.provenance.fallback_reason == "BackendError: broken failed: RuntimeError: boom"
    assert max(len(clip.waveform) for call in short.calls for clip in call.batch) <= 8_000


def test_translation_says_that_language_is_left_out(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """The translations address takes no language, and the result says so."""
    transcript = session(base_url=asr_server.openai_url).transcribe(wav, task="translate", language="fr")
    assert transcript.warnings == (f"{asr_server.openai_url} cannot take language; it was left out",)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"generation_parameters": {"temperature": object()}}, TypeError),
        ({"prompt": "\ud800"}, ValueError),
        ({"extra_parameters": {"x": {1, 2}}}, TypeError),
        ({"extra_parameters": {"return_timestamps": True}}, ValueError),
        ({"extra_parameters": {"response_format": "srt"}}, ValueError),
    ],
)
def test_options_that_no_server_can_be_sent(
    session: Make, asr_server: FakeASRServer, wav: bytes, options: Any, error: type[Exception]
) -> None:
    """What JSON or UTF-8 cannot carry, and what has an option of its own, is named."""
    with pytest.raises(error, match=next(iter(options))):
        session(router_url=asr_server.router_url).transcribe(wav, **options)
    assert asr_server.requests == []


def test_model_of_an_own_server_is_not_made_up(session: Make, asr_server: FakeASRServer) -> None:
    """A server of one's own may run anything: no model is claimed, and no limit assumed."""
    speech = ToneSpeech()
    audio = Audio(speech.say(speech.vocabulary * 2), speech.sampling_rate)
    transcript = session(base_url=asr_server.openai_url).transcribe(audio)
    assert len(transcript.text.split()) == 128
    assert transcript.provenance is not None
    assert transcript.provenance.model is None


def test_handshake_that_never_ends(session: Make, wav: bytes) -> None:
    """A server that accepts and stays silent is left on time, with no socket behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asr = session(base_url=f"https://127.0.0.1:{silent.getsockname()[1]}/v1")
        began = time.monotonic()
        with pytest.raises(hfasr.DeadlineExceededError):
            asr.transcribe(wav, deadline=0.5)
        assert time.monotonic() - began < 1.5


def test_empty_503_of_an_openai_server_is_no_scaling(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes
) -> None:
    """Only Hugging Face's endpoints scale up with an empty 503: others fail and are tried a few times."""
    asr_server.script(*[replies.scaling_up()] * 6)
    with pytest.raises(ServerError):
        session(base_url=asr_server.openai_url, clock=fake_clock).transcribe(wav)
    assert len(asr_server.requests) == 5
