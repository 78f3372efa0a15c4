"""Proxies: the environment's for hfasr's own connections, the client's own for a client of the caller's."""

from __future__ import annotations

import gc
import importlib.util
import logging
import socket
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from hfasr import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AudioURLError,
    DeadlineExceededError,
    HfasrError,
    RetryPolicy,
)
from hfasr.testing import FakeASRServer, Reply
from tests.colours import Session
from tests.core.proxy_kit import Proxy

Make = Callable[..., Session]
ONCE = RetryPolicy(max_attempts=1)
TEXT = "red boat green"
USER, WORD = "operator", "p@ss word-1234567890"
CREDENTIALS = "operator:p%40ss%20word-1234567890"
PATH = "/hf-inference/models/openai/whisper-large-v3"
HAS_SOCKS = importlib.util.find_spec("socksio") is not None


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["http", "https"])
def server(
    request: pytest.FixtureRequest, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeASRServer]:
    """Give a server that only a proxy finds, as api.example."""
    with FakeASRServer(ssl_context=context_for(ca, "api.example") if request.param == "https" else None) as server:
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        yield server


def context_for(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


def scheme(server: FakeASRServer) -> str:
    return server.url.partition(":")[0]


def router(server: FakeASRServer) -> str:
    return f"{scheme(server)}://api.example"


def names(server: FakeASRServer) -> dict[str, int]:
    return {"api.example": int(server.url.rpartition(":")[2])}


def said(server: FakeASRServer) -> str:
    """Return what the proxy is asked for."""
    return f"POST http://api.example{PATH}" if scheme(server) == "http" else "CONNECT api.example:443"


@pytest.mark.parametrize("name", ["{}_PROXY", "{}_proxy", "ALL_PROXY"])
def test_environment(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The proxy of the scheme, or that for all, is used: a tunnel for https, whose certificate is checked as ever."""
    name = name.format(scheme(server).upper() if name.isupper() else scheme(server))
    with Proxy(names(server)) as proxy:
        monkeypatch.setenv(name, proxy.url())
        asr = session(router_url=router(server), retry=ONCE)
        assert asr.transcribe(wav).text == TEXT
        assert asr.transcribe(wav, deadline=60).text == TEXT
        assert proxy.asked[0] == said(server)
        if scheme(server) == "https":
            assert len(proxy.asked) == 1  # the tunnel is kept


def test_address_without_a_scheme(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``host:port`` alone is an HTTP proxy, as it is for other programs."""
    with Proxy(names(server)) as proxy:
        monkeypatch.setenv(f"{scheme(server)}_proxy", f"127.0.0.1:{proxy.port}")
        assert session(router_url=router(server), retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.asked == [said(server)]


def test_credentials(session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password of the proxy's URL are unquoted, given to the proxy, and to nobody else."""
    with Proxy(names(server), user=f"{USER}:{WORD}") as proxy:
        monkeypatch.setenv(f"{scheme(server)}_proxy", proxy.url(user=CREDENTIALS))
        assert session(router_url=router(server), retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.users == {f"{USER}:{WORD}"}
        assert "proxy-authorization" not in server.requests[0].headers


def untold(error: BaseException, log: str) -> None:
    """See that no part of the credentials is in the error, what it came from, or the log."""
    told = "".join(traceback.format_exception(error)) + log
    link: BaseException | None = error
    while link is not None:
        told += repr(link) + str(vars(link))
        link = link.__cause__ or link.__context__
    for secret in (WORD, CREDENTIALS, "p%40ss", "b3BlcmF0b3I6"):
        assert secret not in told


REFUSALS = {
    "407": (b"HTTP/1.1 407 {given}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "user and password", True),
    "403": (b"HTTP/1.1 403 Not there {given}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "403", True),
    "502": (b"HTTP/1.1 502 Bad {given}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "502", False),
    "garbage": (b"{given} no HTTP\r\n\r\n", "failed", False),
    "close": (b"", "failed", False),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_proxy_that_refuses(
    session: Make,
    server: FakeASRServer,
    wav: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """Each refusal is a typed error that says so, and never what the proxy was given, even where it echoes it."""
    caplog.set_level(logging.DEBUG, logger="hfasr")
    answer, message, permanent = REFUSALS[kind]
    with Proxy(answer=answer) as proxy:
        monkeypatch.setenv(f"{scheme(server)}_proxy", proxy.url(user=CREDENTIALS))
        with pytest.raises(APIError, match=message) as caught:
            session(router_url=router(server), retry=RetryPolicy(max_attempts=2, wait_initial=0)).transcribe(wav)
    error = caught.value
    untold(error, caplog.text)
    if isinstance(error, APIStatusError):  # of http the proxy's answer is the server's
        assert (scheme(server), str(error.status_code)) == ("http", kind)
    else:
        assert isinstance(error, APIConnectionError)
        assert len(error.attempts) == (1 if permanent else 2)
    assert server.requests == []


@pytest.mark.parametrize("pause", [None, 0.05], ids=["silent", "dripping"])
def test_proxy_that_is_slow(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, pause: float | None
) -> None:
    """A proxy that says nothing, or a byte at a time, does not outlive the deadline."""
    answer = b"" if pause is None else b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_000
    with Proxy(answer=b"HTTP/1.1 200 OK\r\n" if pause is None else answer, pause=pause or 30) as proxy:
        monkeypatch.setenv(f"{scheme(server)}_proxy", proxy.url())
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            session(router_url=router(server), retry=ONCE).transcribe(wav, deadline=0.7)
        assert time.monotonic() - began < 15


def test_proxy_that_is_down(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that does not run is a failed connection, whose message points to the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv(f"{scheme(server)}_proxy", f"http://{CREDENTIALS}@127.0.0.1:{port}")
    with pytest.raises(APIConnectionError, match="the proxy") as caught:
        session(router_url=router(server), retry=ONCE).transcribe(wav)
    untold(caught.value, caplog.text)


@pytest.mark.parametrize("address", ["http://{}@[bad", "ftp://{}@127.0.0.1:1", "http://{}@127.0.0.1:port", "http://"])
def test_proxy_that_is_no_url(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """An address that cannot be used is named as such, unquoted, and not tried again."""
    monkeypatch.setenv(f"{scheme(server)}_proxy", address.format(CREDENTIALS))
    with pytest.raises(APIConnectionError, match="HTTPS_PROXY") as caught:
        session(router_url=router(server)).transcribe(wav)
    assert caught.value.permanent
    untold(caught.value, "")


def test_proxy_over_tls(
    session: Make, server: FakeASRServer, ca: trustme.CA, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is spoken to over TLS is known by the same certificates."""
    with Proxy(names(server), ssl_context=context_for(ca, "127.0.0.1")) as proxy:
        monkeypatch.setenv(f"{scheme(server)}_proxy", proxy.url("https"))
        assert session(router_url=router(server), retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.asked == [said(server)]


@pytest.mark.skipif(not HAS_SOCKS, reason="httpcore[socks] is not installed")
@pytest.mark.parametrize("user", ["", CREDENTIALS], ids=["open", "user"])
def test_socks(session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """A SOCKS5 proxy is used, with user and password where it asks for them; it looks the name up itself."""
    with Proxy(names(server), user=f"{USER}:{WORD}" if user else None, socks=True) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url("socks5", user))
        assert session(router_url=router(server), retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.asked == [f"SOCKS api.example:{80 if scheme(server) == 'http' else 443}"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore leaves its socket open then
@pytest.mark.skipif(not HAS_SOCKS, reason="httpcore[socks] is not installed")
def test_socks_that_refuses(
    session: Make, server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password is no matter of trying again; a server that the proxy cannot reach may be."""
    with Proxy(names(server), user="other:one", socks=True) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url("socks5", CREDENTIALS))
        with pytest.raises(APIConnectionError, match="user and password") as caught:
            session(router_url=router(server)).transcribe(wav)
        assert caught.value.permanent
        untold(caught.value, caplog.text)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Proxy({"api.example": port}, socks=True) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url("socks5"))
        with pytest.raises(APIConnectionError, match=r"did not connect to api\.example: Connection refused") as caught:
            session(router_url=router(server), retry=ONCE).transcribe(wav)
        assert not caught.value.permanent
    del caught
    gc.collect()  # within reach of the mark


NO_SOCKS = """
import sys
sys.modules["socksio"] = None
import anyio, hfasr
url = "http://api.example"
try:
    if sys.argv[1] == "sync":
        hfasr.ASRClient(router_url=url).transcribe(sys.argv[2])
    else:
        async def main():
            async with hfasr.AsyncASRClient(router_url=url) as asr:
                await asr.transcribe(sys.argv[2])
        anyio.run(main, backend=sys.argv[1])
except hfasr.APIConnectionError as error:
    print(len(error.attempts), error)
"""


def test_socks_without_its_package(colour: str, wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that speaks SOCKS the error says how to get it, at once."""
    (tmp_path / "clip.wav").write_bytes(wav)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", NO_SOCKS, colour, str(tmp_path / "clip.wav")],
        capture_output=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == '1 a SOCKS proxy needs one more package: pip install "httpcore[socks]"\n'


@pytest.mark.parametrize("form", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:{port}", "*", "localhost,127.0.0.1"])
def test_no_proxy_of_the_environment(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A server that NO_PROXY names is reached straight."""
    monkeypatch.setenv("NO_PROXY", form.format(port=asr_server.url.rpartition(":")[2]))
    with Proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        assert session(router_url=asr_server.url, retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.asked == []
        monkeypatch.setenv("NO_PROXY", "127.0.0.1:1")
        assert session(router_url=asr_server.url, retry=ONCE).transcribe(wav).text == TEXT
        assert proxy.asked == [f"POST {asr_server.url}{PATH}"]


def test_audio_that_is_fetched(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an address cannot be checked, behind a proxy, audio is fetched only if it may come from anywhere."""
    asr_server.script(Reply(200, body=wav), path="/clip.wav")
    url = "http://93.184.216.34/clip.wav"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Proxy({"93.184.216.34": int(asr_server.url.rpartition(":")[2])}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        with pytest.raises(AudioURLError, match=r"through a proxy.*allow_private_urls=True"):
            session(router_url=asr_server.url).transcribe(url)
        assert proxy.asked == []
        assert session(router_url=asr_server.url, allow_private_urls=True).transcribe(url).text == TEXT
        assert proxy.asked == [f"GET {url}"]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_proxy_of_a_client(
    caller: Make, server: FakeASRServer, ca: trustme.CA, wav: bytes, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """A client of the caller's own goes through its own proxy, and its refusals are told alike, without the secret."""
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    with Proxy(names(server), user=f"{USER}:{WORD}") as proxy:
        client: dict[str, Any] = {"verify": trusting, "proxy": proxy.url(user=CREDENTIALS), "trust_env": False}
        assert caller(library, client, router_url=router(server)).transcribe(wav, deadline=60).text == TEXT
        assert proxy.asked == [said(server)]
        client["proxy"] = proxy.url(user=CREDENTIALS + "-wrong")
        with pytest.raises(HfasrError, match=r"407|user and password") as caught:
            caller(library, client, router_url=router(server), retry=ONCE).transcribe(wav)
        untold(caught.value, "")
