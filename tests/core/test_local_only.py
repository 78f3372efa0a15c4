"""With local_only=True no socket is opened, no name is looked up, and no token is sought."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import huggingface_hub
import pytest

import hfasr
from hfasr import ASRClient, RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend
from tests.colours import Session

Make = Callable[..., Session]


class Network:
    """The network of this process, which can be cut off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uses: list[str] = []
        self._monkeypatch = monkeypatch

    def cut(self) -> None:
        """Cut it off, and note who uses it all the same; to be called when event loops, which need sockets, run."""
        for owner, names in (
            (socket.socket, ("connect", "connect_ex", "sendto", "bind")),
            (socket, ("getaddrinfo", "gethostbyname", "create_connection")),
            (huggingface_hub, ("get_token",)),
        ):
            for name in names:
                self._monkeypatch.setattr(owner, name, self._refusing(name))

    def _refusing(self, name: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            self.uses.append(name)
            raise OSError(f"{name}: no network")

        return refuse


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def test_the_network_is_really_cut_off(session: Make, wav: bytes) -> None:
    """What the tests below rely on: a client that may use the network is seen to try."""
    for settings in ({"router_url": "http://127.0.0.1:9"}, {"base_url": "http://example.com"}, {}):
        asr = session(retry=RetryPolicy(max_attempts=1), **settings)
        with pytest.MonkeyPatch.context() as patch:
            cut = Network(patch)
            cut.cut()
            with pytest.raises(hfasr.HfasrError):
                asr.transcribe(wav)
        assert cut.uses != []


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "pocketsphinx"},
        {"backend": FakeBackend("x")},
        {"fallback": [FakeBackend("x")]},
        {"base_url": "http://localhost:1", "fallback": ["http://localhost:2/v1", "pocketsphinx"]},
        {"model": "org/name", "token": "hf_secret", "fallback": ["http://localhost:2/v1", FakeBackend("x")]},
    ],
)
def test_no_socket_is_opened(session: Make, network: Network, wav: bytes, settings: dict[str, Any]) -> None:
    """Servers are left out of the routes, wherever they stand, and engines answer without a network."""
    asr = session(local_only=True, **settings)
    network.cut()
    asr.call("preload")
    asr.call("wait_until_ready", timeout=5)
    transcript = asr.transcribe(wav)
    assert transcript.provenance is not None
    assert transcript.provenance.backend in {"fake", "pocketsphinx"}
    assert transcript.provenance.fallback_reason is None
    assert network.uses == []


URLS = [
    "http://127.0.0.1:1/a.wav",
    "https://example.com/a.wav",
    "HTTPS://EXAMPLE.COM/a.wav",
    "s3://bucket/a.wav",
    "hf://datasets/a/b/c.wav",
    "ftp://example.com/a.wav",
    "simplecache::https://example.com/a.wav",
    "file://a.zip::https://example.com/a.zip",
    {"path": "https://example.com/a.wav"},
    {"bytes": None, "path": "s3://bucket/a.wav"},
]


@pytest.mark.parametrize("url", URLS, ids=str)
@pytest.mark.parametrize("private", [False, True])
def test_audio_by_url_is_refused(session: Make, network: Network, url: Any, private: bool) -> None:
    """A URL that leads off this machine is refused before a socket is opened, with the remedy."""
    engine = FakeBackend("never")
    asr = session(backend=engine, local_only=True, allow_private_urls=private)
    network.cut()
    with pytest.raises(hfasr.AudioURLError, match="local_only=True forbids; download it yourself"):
        asr.transcribe(url)
    assert engine.calls == []
    assert network.uses == []


def test_urls_of_this_machine(session: Make, network: Network, wav: bytes, tmp_path: Any) -> None:
    """A file:// or memory:// URL, where such are allowed at all, leads nowhere else."""
    import fsspec  # type: ignore[import-untyped]  # has no types of its own

    path = tmp_path / "clip.wav"
    path.write_bytes(wav)
    with fsspec.open("memory://clip.wav", "wb") as file:
        file.write(wav)
    asr = session(backend=FakeBackend(None), local_only=True, allow_private_urls=True)
    network.cut()
    for url in (path.as_uri(), "memory://clip.wav", str(path)):
        assert asr.transcribe(url).text == "red boat green"
    assert network.uses == []


def test_with_options(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A client may be made local, and back; nothing reaches the server while it is."""
    asr = session(router_url=asr_server.router_url, fallback=FakeBackend("here"))
    parent = asr.client
    asr.client = parent.with_options(local_only=True)
    assert asr.transcribe(wav).text == "here"
    assert asr_server.requests == []
    asr.client = asr.client.with_options(local_only=False)
    assert asr.transcribe(wav).text == "red boat green"
    asr.client = parent
    with pytest.raises(ValueError, match=r'local_only=True leaves no route.*backend="transformers"'):
        ASRClient(router_url=asr_server.router_url).with_options(local_only=True)


def test_folder_as_a_model_needs_no_hub_id(session: Make, wav: bytes) -> None:
    """What only the router would refuse, such as a folder's path, is no matter where it is left out."""
    asr = session("/models/mine", fallback=FakeBackend("here"), local_only=True)
    assert asr.transcribe(wav).text == "here"


def test_nothing_from_import_to_close() -> None:
    """A whole program, import and interpreter included, opens no socket and looks up no name."""
    program = textwrap.dedent(
        """
        import sys

        def watch(event, args):
            if event.startswith("socket.") and event not in {"socket.__new__", "socket.gethostname"}:
                raise SystemExit(f"{event}{args!r}")

        sys.addaudithook(watch)
        import numpy as np
        from hfasr import ASRClient, Audio
        from hfasr.testing import FakeBackend
        audio = Audio(np.random.default_rng(0).standard_normal(16_000, np.float32) * np.float32(0.1), 16_000)
        with ASRClient(fallback=["pocketsphinx", FakeBackend("x")], local_only=True) as asr:
            asr.preload()
            print(asr.transcribe(audio, deadline=60).provenance.backend)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_TOKEN": "hf_secret"},
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "pocketsphinx"), done.stderr
