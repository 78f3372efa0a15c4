"""Other clients for speech to text, each as one call against a server on loopback that fails as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import assemblyai
import httpx
import huggingface_hub
import openai

from hfasr import ASRClient
from hfasr.testing import FakeASRServer, FakeClock, Reply

if TYPE_CHECKING:
    from hfasr.testing.replies import Action

__all__ = ["KEY", "PEERS", "Peer", "peer"]

KEY = "abcd-1234-efgh-5678"
"""What each client is given as its credential."""

DEEPGRAM = {"channels": [{"alternatives": [{"transcript": "red boat", "confidence": 1.0, "words": []}]}]}
ASSEMBLYAI = {"id": "1", "status": "completed", "text": "red boat", "audio_url": "https://example.invalid/1"}


class Peer:
    """
    One client, and the server that it talks to.

    Args:
        how: How it is used.

        server: Speaks the protocols of Hugging Face and OpenAI; what Deepgram and AssemblyAI answer is scripted.

        clock: Takes the pauses of hfasr; those of the others are taken from ``time.sleep``.
    """

    def __init__(self, how: How, server: FakeASRServer, clock: FakeClock) -> None:
        self.how = how
        self.server = server
        self._clock = clock

    def after(self, *actions: Action) -> None:
        """Let these happen to the next requests that carry audio, and normal answers follow."""
        self.server.script(*actions, path=self.how.path)

    def transcribe(self, audio: Any, timeout: float = 30.0) -> str:
        """Return the text of *audio*; a `Path` is passed as this client's users would."""
        if self.how.path == "/v1/listen":
            self.server.script(Reply(json={"metadata": {}, "results": DEEPGRAM}), path=self.how.path)
        if self.how.path == "/v2/upload":
            self.server.script(Reply(json={"upload_url": ASSEMBLYAI["audio_url"]}), path=self.how.path)
            for path in ("/v2/transcript", "/v2/transcript/1"):
                self.server.script(Reply(json=ASSEMBLYAI), path=path)
        given = self.how.usual(audio) if isinstance(audio, Path) else audio
        return self.how.call(self.server, self._clock, given, timeout).strip()

    @property
    def uploads(self) -> list[bytes]:
        """The bodies that carried audio."""
        return [r.body for r in self.server.requests if r.method == "POST" and self.how.path in {None, r.path}]


@contextmanager
def peer(name: str, clock: FakeClock) -> Iterator[Peer]:
    """Give the client *name*, with a server of its own."""
    with FakeASRServer() as server:
        yield Peer(PEERS[name], server, clock)


def _hfasr(server: FakeASRServer, clock: FakeClock, audio: Any, timeout: float) -> str:
    settings: dict[str, Any] = {"router_url": server.router_url, "token": KEY, "timeout": timeout}
    with clock.attach(ASRClient(**settings, deadline=None)) as asr:
        return asr.transcribe(audio).text


def _huggingface_hub(server: FakeASRServer, _: FakeClock, audio: Any, timeout: float) -> str:
    url = f"{server.router_url}/hf-inference/models/openai/whisper-large-v3"
    client = huggingface_hub.InferenceClient(model=url, token=KEY, timeout=timeout)
    try:
        return client.automatic_speech_recognition(audio).text
    finally:
        huggingface_hub.close_session()


def _openai(server: FakeASRServer, _: FakeClock, audio: Any, timeout: float) -> str:
    with openai.OpenAI(base_url=server.openai_url, api_key=KEY, timeout=timeout) as client:
        return client.audio.transcriptions.create(model="whisper-1", file=audio).text


def _deepgram(server: FakeASRServer, _: FakeClock, audio: Any, timeout: float) -> str:
    import deepgram  # which warns of another package's deprecations
    from deepgram.environment import DeepgramClientEnvironment

    url = server.url
    there = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    with httpx.Client(timeout=timeout) as http:
        client = deepgram.DeepgramClient(api_key=KEY, environment=there, httpx_client=http, timeout=timeout)
        answer: Any = client.listen.v1.media.transcribe_file(request=audio)
        text: str = answer.results.channels[0].alternatives[0].transcript
        return text


def _assemblyai(server: FakeASRServer, _: FakeClock, audio: Any, timeout: float) -> str:
    settings = assemblyai.Settings(base_url=server.url, api_key=KEY, http_timeout=timeout)
    client = assemblyai.Client(settings=settings)
    try:
        return assemblyai.Transcriber(client=client).transcribe(audio).text or ""
    finally:
        client.http_client.close()


@dataclass(frozen=True)
class How:
    """How a client is used."""

    call: Callable[[FakeASRServer, FakeClock, Any, float], str]
    path: str | None = None
    """Where audio goes, if the fake server does not know it."""
    usual: Callable[[Path], Any] = str
    """Makes of a path what its users pass."""


PEERS = {
    "hfasr": How(_hfasr),
    "huggingface_hub": How(_huggingface_hub),
    "openai": How(_openai, usual=lambda path: path),
    "deepgram-sdk": How(_deepgram, "/v1/listen", Path.read_bytes),
    "assemblyai": How(_assemblyai, "/v2/upload"),
}
