"""Which servers are believed to be who they say: certificates, private CAs, clients that have to show one."""

from __future__ import annotations

import datetime as dt
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from hfasr import APIConnectionError, RetryPolicy
from hfasr.testing import FakeASRServer
from tests.colours import Session

Make = Callable[..., Session]
TEXT = "red boat green"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(ca: trustme.CA) -> Iterator[FakeASRServer]:
    with serving(ca.issue_cert("127.0.0.1", "localhost")) as server:
        yield server


@pytest.fixture
def pem(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def serving(certificate: trustme.LeafCert) -> FakeASRServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return FakeASRServer(ssl_context=context)


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.mark.parametrize("library", ["own", "httpx", "httpx2"])
def test_unknown_ca(caller: Make, server: FakeASRServer, wav: bytes, library: str) -> None:
    """A CA that nobody knows is refused without a second try, with both remedies."""
    with pytest.raises(APIConnectionError, match=r"was refused: .*SSL_CERT_FILE.*verify=") as caught:
        caller(library, router_url=server.url).transcribe(wav)
    assert caught.value.permanent
    assert len(caught.value.attempts) == 1


def test_file(session: Make, server: FakeASRServer, pem: Path, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE makes a CA known, for addresses and names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        assert session(router_url=url).transcribe(wav).text == TEXT


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the names of files in SSL_CERT_DIR are made by openssl")
def test_folder(session: Make, server: FakeASRServer, pem: Path, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_DIR does so for a folder of certificates."""
    asked = ["openssl", "x509", "-noout", "-hash", "-in", str(pem)]
    name = subprocess.run(asked, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    (pem.parent / "certificates").mkdir()
    shutil.copy(pem, pem.parent / "certificates" / f"{name}.0")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)  # it goes before
    monkeypatch.setenv("SSL_CERT_DIR", str(pem.parent / "certificates"))
    assert session(router_url=server.url).transcribe(wav).text == TEXT


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_variables_of_others(
    session: Make, server: FakeASRServer, pem: Path, wav: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The variables of requests and curl are theirs: what is trusted here is said by SSL_CERT_FILE alone."""
    monkeypatch.setenv(name, str(pem))
    with pytest.raises(APIConnectionError, match="SSL_CERT_FILE"):
        session(router_url=server.url).transcribe(wav)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "not PEM"])
def test_bad_file(
    session: Make,
    server: FakeASRServer,
    tmp_path: Path,
    wav: bytes,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
) -> None:
    """A SSL_CERT_FILE that cannot be read is named as the fault, not the server, and not tried again."""
    if content is not None:
        (tmp_path / "bad.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bad.pem"))
    with pytest.raises(APIConnectionError, match="SSL_CERT_FILE names no file of certificates") as caught:
        session(router_url=server.url).transcribe(wav)
    assert caught.value.permanent
    assert len(caught.value.attempts) == 1


def test_certificate_of_another(
    session: Make, ca: trustme.CA, pem: Path, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate for another name, or one that has run out, is refused although its CA is known."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for certificate, reason in (
        (ca.issue_cert("other.example"), "IP address mismatch"),
        (ca.issue_cert("127.0.0.1", not_before=past, not_after=past + dt.timedelta(days=1)), "has expired"),
    ):
        with serving(certificate) as server, pytest.raises(APIConnectionError, match=reason) as caught:
            session(router_url=server.url).transcribe(wav)
        assert caught.value.permanent
        assert server.requests == []


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_client_with_its_own_trust(
    caller: Make, server: FakeASRServer, ca: trustme.CA, wav: bytes, library: str
) -> None:
    """A client of the caller's trusts what its verify= says."""
    asr = caller(library, {"verify": trusting(ca)}, router_url=server.url)
    assert asr.transcribe(wav).text == TEXT
    assert asr.transcribe(wav, deadline=60).text == TEXT


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_client_that_shows_a_certificate(caller: Make, ca: trustme.CA, wav: bytes, library: str) -> None:
    """A server that asks for the client's certificate serves those that have one, and is a typed error for others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    showing = trusting(ca)
    ca.issue_cert("client@example.org").configure_cert(showing)
    once = RetryPolicy(max_attempts=1)
    with FakeASRServer(ssl_context=context) as server:
        assert caller(library, {"verify": showing}, router_url=server.url).transcribe(wav).text == TEXT
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1:\d+ (broke off its TLS|failed)|connection to"):
            caller(library, {"verify": trusting(ca)}, router_url=server.url, retry=once).transcribe(wav)
        assert len(server.requests) == 1
