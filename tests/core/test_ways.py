"""Straight or through a proxy, with which certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import certifi
import pytest

from hfasr import APIConnectionError, AudioURLError
from hfasr._core import ways
from hfasr._core.target import target_of
from hfasr._core.ways import Ways

HTTP, HTTPS = target_of("http://h.test/"), target_of("https://h.test:444/x?y=1")


class Made:
    """What a kind was made with."""

    def __init__(self, kind: str, *args: Any, **settings: Any) -> None:
        self.kind, self.args, self.settings = kind, args, settings


def kind(name: str) -> Any:
    return lambda *args, **settings: Made(name, *args, **settings)


KINDS = (kind("straight"), kind("http"), kind("socks"), kind("through"))
BACKEND: Any = object()


def ways_with(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str] | None = None, *, guarded: bool = False, kinds: Any = KINDS
) -> Ways:
    monkeypatch.setattr(ways, "getproxies", lambda: proxies or {})
    monkeypatch.setattr(ways, "proxy_bypass", lambda host: host == "bypassed.test")
    return Ways(kinds, BACKEND, guarded=guarded)


def test_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without proxies there is one pool for each scheme, also where addresses are checked."""
    found = ways_with(monkeypatch, guarded=True)
    pool = found.pool(HTTP)
    assert (pool.kind, pool.args, pool.settings) == ("straight", (None, BACKEND), {})
    assert found.pool(target_of("http://i.test/")) is pool
    found.load_ssl()
    other = found.pool(HTTPS)
    assert other is not pool
    assert isinstance(other.args[0], ssl.SSLContext)
    assert list(found.pools.values()) == [pool, other]


@pytest.mark.parametrize(
    ("proxies", "target", "needs"),
    [({}, HTTP, False), ({}, HTTPS, True), ({"http": "p:1"}, HTTP, True), ({"no": "x"}, HTTP, True)],
)
def test_certificates_when_needed(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str], target: Any, needs: bool
) -> None:
    """They are loaded once, before the first request that may need them."""
    found = ways_with(monkeypatch, proxies)
    assert found.needs_ssl(target) is needs
    found.load_ssl()
    assert found.needs_ssl(target) is False


@pytest.mark.parametrize(
    ("proxies", "url", "expected"),
    [
        ({}, "http://h.test/", None),
        ({"http": "http://p.test:1"}, "http://h.test/", "http://p.test:1"),
        ({"http": "http://p.test:1"}, "https://h.test/", None),
        ({"https": "p.test:1"}, "https://h.test/", "http://p.test:1"),
        ({"all": "https://p.test"}, "https://h.test/", "https://p.test"),
        ({"all": "http://a.test", "http": "http://p.test"}, "http://h.test/", "http://p.test"),
        ({"all": "http://a.test", "http": ""}, "http://h.test/", "http://a.test"),
        ({"all": "http://a.test", "no": "h.test"}, "http://h.test/", None),
        ({"all": "http://a.test", "no": "h.test:80"}, "http://h.test/", None),
        ({"all": "http://a.test", "no": "h.test:80"}, "http://h.test:81/", "http://a.test"),
        ({"all": "http://a.test", "no": "i.test"}, "http://h.test/", "http://a.test"),
        ({"all": "http://a.test"}, "http://bypassed.test/", None),
        ({"all": "http://a.test"}, "http://xx/", "http://a.test"),
    ],
)
def test_which_proxy(monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str], url: str, expected: str | None) -> None:
    """The scheme's proxy, else that for all, unless the host is excepted; ``host:port`` alone is an HTTP proxy."""
    found = ways_with(monkeypatch, proxies)
    target = target_of(url)
    pool = found.pool(target)
    assert list(found.pools) == [(expected, target.scheme)]
    assert pool.kind == ("straight" if expected is None else "through")


@pytest.mark.parametrize(
    ("address", "kind", "url", "auth"),
    [
        ("http://p.test:8080", "http", (b"http", b"p.test", 8080), None),
        ("https://p.test", "http", (b"https", b"p.test", None), None),
        ("socks5://p.test:1080", "socks", (b"socks5", b"p.test", 1080), None),
        ("socks5h://p.test", "socks", (b"socks5h", b"p.test", None), None),
        ("http://u%40x:p%2Fw@p.test:1", "http", (b"http", b"p.test", 1), (b"u@x", b"p/w")),
        ("http://u@p.test:1", "http", (b"http", b"p.test", 1), (b"u", b"")),
        ("http://:w@p.test:1", "http", (b"http", b"p.test", 1), (b"", b"w")),
        ("http://ü.test:1/path?x#y", "http", (b"http", b"xn--tda.test", 1), None),
    ],
)
def test_a_proxy(
    monkeypatch: pytest.MonkeyPatch, address: str, kind: str, url: tuple[Any, ...], auth: tuple[bytes, bytes] | None
) -> None:
    """A pool is made of the proxy's address, its user and password, and limits that are wide enough for a batch."""
    found = ways_with(monkeypatch, {"all": address})
    found.load_ssl()
    through = found.pool(HTTPS)
    assert through.kind == "through"
    ((pool,), context) = through.args, found._ssl_context
    assert pool.kind == kind
    assert context is not None
    its = pool.settings.pop("proxy_url")
    assert (its.scheme, its.host, its.port, its.target) == (*url, b"/")
    assert pool.settings == {
        "max_connections": None,
        "max_keepalive_connections": 256,
        "keepalive_expiry": 30.0,
        "ssl_context": context,
        "network_backend": BACKEND,
        "proxy_auth": auth,
        **({"proxy_ssl_context": context} if address.startswith("https") else {}),
    }
    assert found.pool(HTTPS) is through


@pytest.mark.parametrize(
    "address", ["ftp://p.test", "http://", "http://p.test:x", "http://[p", "socks4://p.test:1", "http://u:secret@"]
)
def test_no_proxy_at_all(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """An address that cannot be used is a failure that does not pass, and is not quoted."""
    found = ways_with(monkeypatch, {"all": address})
    with pytest.raises(APIConnectionError) as caught:
        found.pool(HTTP)
    error = caught.value
    assert str(error) == "the environment's proxy is not a URL that can be used; correct HTTPS_PROXY and HTTP_PROXY"
    assert (error.permanent, error.__cause__, error.__suppress_context__) == (True, None, True)
    assert found.pools == {}


def test_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy addresses cannot be checked, so there is no way where they must be."""
    found = ways_with(monkeypatch, {"all": "http://p.test:1"}, guarded=True)
    with pytest.raises(AudioURLError) as caught:
        found.pool(HTTPS)
    assert str(caught.value) == (
        "h.test would be fetched through a proxy, where its address cannot be checked; "
        "set NO_PROXY for it, or pass allow_private_urls=True"
    )


@pytest.mark.parametrize("error", [ImportError("no socksio"), RuntimeError("no socksio")])
def test_socks_without_its_package(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A SOCKS proxy names the package that it needs."""

    def fail(**_: Any) -> Any:
        raise error

    found = ways_with(monkeypatch, {"all": "socks5://p.test"}, kinds=(*KINDS[:2], fail, KINDS[3]))
    with pytest.raises(APIConnectionError) as caught:
        found.pool(HTTPS)
    assert str(caught.value) == 'a SOCKS proxy needs one more package: pip install "httpcore[socks]"'
    assert caught.value.permanent
    assert caught.value.__cause__ is error


class Context:
    """In the place of a context of TLS."""

    def __init__(self, **trusted: Any) -> None:
        self.trusted = trusted
        self.protocols: list[str] = []

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        self.protocols = protocols


@pytest.mark.parametrize(
    ("environment", "trusted"),
    [
        ({}, {"cafile": certifi.where()}),
        ({"SSL_CERT_FILE": "f.pem"}, {"cafile": "f.pem"}),
        ({"SSL_CERT_DIR": "d"}, {"capath": "d"}),
        ({"SSL_CERT_FILE": "f.pem", "SSL_CERT_DIR": "d"}, {"cafile": "f.pem"}),
        ({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}, {"cafile": certifi.where()}),
    ],
)
def test_certificates(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], trusted: dict[str, str]) -> None:
    """The environment's file goes before its folder, and both before certifi's; HTTP/1.1 alone is spoken."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ssl, "create_default_context", Context)
    found = ways_with(monkeypatch)
    found.load_ssl()
    context: Any = found._ssl_context
    assert (context.trusted, context.protocols) == (trusted, ["http/1.1"])


def test_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of certificates that cannot be read is named by its variable, with the reason."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(APIConnectionError) as caught:
        ways_with(monkeypatch).load_ssl()
    assert str(caught.value) == (
        "SSL_CERT_FILE names no file of certificates that can be read (FileNotFoundError); correct it"
    )
    assert caught.value.permanent
    assert isinstance(caught.value.__cause__, FileNotFoundError)
