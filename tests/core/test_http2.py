"""HTTP/2, which clients of the caller's own can speak, with a real server of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme

from hfasr import APIConnectionError, APIResponseError, DeadlineExceededError, RetryPolicy
from tests.colours import Session

Make = Callable[..., Session]
ROOT = Path(__file__).parents[2]
ONCE = RetryPolicy(max_attempts=1)
TEXT = "red boat green"


@dataclass(frozen=True)
class Server:
    """A speech recogniser behind hypercorn, over TLS."""

    url: str
    trust: ssl.SSLContext

    def asked(self) -> list[tuple[str, str, list[object]]]:
        """Return HTTP version, path and client of each request."""
        with httpx.Client(verify=self.trust) as client:
            found: list[tuple[str, str, list[object]]] = client.get(self.url).json()
        return found

    def versions(self) -> set[str]:
        return {version for version, _, _ in self.asked()}

    def n_connections(self) -> int:
        return len({tuple(client) for _, _, client in self.asked()})


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def server(running: Server) -> Server:
    """Give the server, which has been asked nothing."""
    with httpx.Client(verify=running.trust) as client:
        client.delete(running.url)
    return running


@pytest.fixture(scope="module")
def running(ca: trustme.CA, trust: ssl.SSLContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if sys.platform == "win32":
        pytest.skip("a listening socket is handed to another process")
    pytest.importorskip("hypercorn", reason="hypercorn, a server of HTTP/2, is not installed")
    folder = tmp_path_factory.mktemp("hypercorn")
    certificate = ca.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(folder / "chain.pem"), append=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [
            sys.executable, "-m", "hypercorn", "--bind", f"fd://{listening.fileno()}", "--log-level", "error",
            "--certfile", str(folder / "chain.pem"), "--keyfile", str(folder / "key.pem"),
            "tests.core.http2_app:app",
        ]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()]) as process:
            try:
                server = Server(f"https://127.0.0.1:{listening.getsockname()[1]}", trust)
                with httpx.Client(verify=trust) as client:
                    client.get(server.url, timeout=60)  # it is listened to from the beginning
                yield server
            finally:
                process.kill()


@pytest.fixture(params=["httpx", "httpx2"])
def make(request: pytest.FixtureRequest, caller: Make, trust: ssl.SSLContext) -> Make:
    """Make sessions whose client speaks HTTP/2."""
    return lambda **settings: caller(request.param, {"http2": True, "verify": trust}, dialect="hf", **settings)


def test_http2(make: Make, server: Server, wav: bytes) -> None:
    """The server is really spoken to in HTTP/2, with deadlines and without, on one connection."""
    asr = make(base_url=server.url)
    assert asr.transcribe(wav).text == TEXT
    assert asr.transcribe(wav, deadline=60).text == TEXT
    assert server.versions() == {"2"}
    assert server.n_connections() == 1


def test_own_connections_speak_http1(
    session: Make, server: Server, ca: trustme.CA, wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hfasr's own connections agree on HTTP/1.1 with a server that speaks both."""
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert session(base_url=server.url, dialect="hf").transcribe(wav).text == TEXT
    assert server.versions() == {"1.1"}


def test_batch_on_one_connection(make: Make, server: Server, wav: bytes) -> None:
    """Requests at the same time share one connection."""
    asr = make(base_url=server.url)
    assert asr.transcribe(wav).text == TEXT  # so that all know that it is HTTP/2
    items = list(asr.transcribe_many([wav] * 12, max_concurrency=6))
    assert [item.transcript.text for item in items if item.transcript] == [TEXT] * 12
    assert server.n_connections() == 1


def test_silent_stream(make: Make, server: Server, wav: bytes) -> None:
    """A stream that gives nothing is left at the deadline, and the client goes on."""
    asr = make(base_url=server.url)
    silent = asr.client.with_options(base_url=f"{server.url}/silent")
    asr.client, parent = silent, asr.client
    with pytest.raises(DeadlineExceededError):
        asr.transcribe(wav, deadline=0.7)
    asr.client = parent
    assert asr.transcribe(wav, deadline=60).text == TEXT


def test_endless_stream(make: Make, server: Server, wav: bytes) -> None:
    """A reply without end is left at the cap."""
    asr = make(base_url=f"{server.url}/endless", retry=ONCE)
    with pytest.raises(APIResponseError, match="larger than 8 MiB"):
        asr.transcribe(wav, deadline=60)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n\r\n", bytes(90), b""], ids=["HTTP/1.1", "zeros", "nothing"])
def test_server_that_does_not_speak_it(make: Make, ca: trustme.CA, wav: bytes, said: bytes) -> None:
    """A server that agrees on HTTP/2 and then speaks something else has failed; the caller is not at fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])

    def serve() -> None:
        with contextlib.suppress(OSError):
            plain, _ = listening.accept()
            with plain, context.wrap_socket(plain, server_side=True) as sock:
                sock.recv(100)
                sock.sendall(said)
                sock.settimeout(2)
                while sock.recv(65_536):
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(APIConnectionError, match="failed") as caught:
            make(base_url=url, retry=ONCE).transcribe(wav, deadline=30)
        thread.join(20)
    assert not caught.value.permanent
