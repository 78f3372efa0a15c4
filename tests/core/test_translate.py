"""What an HTTP library raises: which of hfasr's errors it becomes, with which words, and what is kept of it."""

from __future__ import annotations

import ssl
from typing import Any

import h11
import httpx
import httpx2
import pytest

from hfasr import APIConnectionError, APITimeoutError, HfasrError
from hfasr._core.translate import causes, translate

URL = "https://user:pw@host.example:8443/a/b"
HOST = "host.example:8443"
CHECK = "check the address, the network and, where one is set, the proxy"
PRIVATE = "for a private CA set SSL_CERT_FILE, or give http_client its verify="
SETTINGS = "HTTPS_PROXY and HTTP_PROXY, or http_client's proxy="
ASKS = (
    f"the proxy asks for a user and password, or for other ones, to connect to {HOST}; put them into the proxy's URL: "
    f"{SETTINGS}"
)
REQUEST = httpx.Request("POST", "https://host.example")


def led_to(error: Exception, *links: BaseException) -> Exception:
    """Return *error* with *links* as its causes, the last of them the first to have been raised."""
    last: BaseException = error
    for link in links:
        last.__cause__ = link
        last = link
    return error


def unverified(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    return error


def broken_tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL] words of OpenSSL")
    error.reason = reason  # type: ignore[assignment]  # typeshed knows no None, which OpenSSL gives where it has none
    return error


def named(
    name: str, message: str = "", *, module: str = "httpcore._exceptions", base: type[Exception] = Exception
) -> Exception:
    """Return an error of a library's class of that name."""
    made: Exception = type(name, (Exception,), {"__module__": module})(message)
    return made


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_timeouts(library: Any) -> None:
    """Which wait was too long decides what to do; what was sent may have been done, and charged for."""
    busy = translate(library.PoolTimeout(""), URL)
    far = translate(library.ConnectTimeout(""), URL)
    slow = [translate(error, URL) for error in (library.ReadTimeout(""), library.WriteTimeout(""), TimeoutError())]
    assert str(busy) == "all connections of the pool were busy; give http_client a larger pool"
    assert str(far) == f"{HOST} could not be reached in time; check the address, or raise timeout="
    assert [str(each) for each in slow] == [f"{HOST} did not answer in time; raise timeout= or shorten the audio"] * 3
    errors = [busy, far, *slow]
    assert {type(error) for error in errors} == {APITimeoutError}
    assert [getattr(error, "maybe_billed", None) for error in errors] == [False, False, True, True, True]
    assert not any(getattr(error, "permanent", None) for error in errors)


@pytest.mark.parametrize(
    ("error", "message", "permanent"),
    [
        (
            led_to(named("ConnectError"), unverified("self-signed certificate")),
            f"the certificate of {HOST} was refused: self-signed certificate; {PRIVATE}",
            True,
        ),
        (
            unverified(""),
            f"the certificate of {HOST} was refused: it cannot be verified; {PRIVATE}",
            True,
        ),
        (
            UnicodeEncodeError("ascii", "hf_ä", 3, 4, "no"),
            f"a header or the address for {HOST} holds characters that HTTP cannot carry",
            True,
        ),
        (
            led_to(named("ConnectError"), broken_tls("WRONG_VERSION_NUMBER")),
            f"{HOST} broke off its TLS: WRONG_VERSION_NUMBER; check that https:// and the port are right",
            False,
        ),
        (
            led_to(named("ConnectError"), OSError("x"), broken_tls(None)),
            f"{HOST} broke off its TLS: SSLError; check that https:// and the port are right",
            False,
        ),
        (
            named("UnsupportedProtocol", "ftp"),
            f"the request to {HOST} cannot be sent (UnsupportedProtocol): check base_url, model and token",
            True,
        ),
        (
            h11.LocalProtocolError("Illegal header value b'hf_secret'"),
            f"the request to {HOST} cannot be sent (LocalProtocolError): check base_url, model and token",
            True,
        ),
        (
            httpx.InvalidURL("hf_secret"),
            f"the request to {HOST} cannot be sent (InvalidURL): check base_url, model and token",
            True,
        ),
        (
            ValueError("hf_secret"),
            f"the request to {HOST} cannot be sent (ValueError): check base_url, model and token",
            True,
        ),
        (
            led_to(named("LocalProtocolError"), named("StreamClosedError", module="h2.exceptions")),
            f"the connection to {HOST} failed: no reason given (LocalProtocolError); {CHECK}",
            False,
        ),
        (
            led_to(named("ConnectError", "[Errno 111] words"), OSError(111, "Connection refused")),
            f"the connection to {HOST} failed: Connection refused (ConnectError); {CHECK}",
            False,
        ),
        (OSError("plain"), f"the connection to {HOST} failed: plain (OSError); {CHECK}", False),
        (OSError(), f"the connection to {HOST} failed: no reason given (OSError); {CHECK}", False),
        (
            led_to(named("ReadError", "its own words"), OSError("no strerror"), OSError(104, "Connection reset")),
            f"the connection to {HOST} failed: Connection reset (ReadError); {CHECK}",
            False,
        ),
        (
            RuntimeError("Cannot send a request, as the client has been closed."),
            "the HTTP client has been closed; make a new one",
            True,
        ),
        (RuntimeError("hf_secret"), f"the HTTP client failed on {HOST} with RuntimeError", True),
        (KeyError("closed"), f"the HTTP client failed on {HOST} with KeyError", True),
        (named("ReadTimeout", module="mylib.httpx"), f"the HTTP client failed on {HOST} with ReadTimeout", True),
    ],
)
def test_connections(error: Exception, message: str, permanent: bool) -> None:
    """It is said what failed with whom, what to do, and whether trying again may help; nothing was charged for."""
    found = translate(error, URL)
    assert type(found) is APIConnectionError
    assert (str(found), found.permanent, found.maybe_billed) == (message, permanent, False)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("illegal status line: bytearray(b'hf_secret')", "illegal status line"),
        ("bad chunk b'hf_secret'", "bad chunk"),
        ("bad chunk bytearray(b'hf_secret')", "bad chunk"),
        ("bad header 'hf_secret'", "bad header"),
        ('bad header "hf_secret"', "bad header"),
        ("bad event <Data hf_secret>", "bad event"),
        ("bad event {hf_secret}", "bad event"),
        ("bad list [hf_secret]", "bad list"),
        ("peer's stream ended", "peer's stream ended"),
        ("'hf_secret'", "'hf_secret'"),
        ("<hf_secret>", "no reason given"),
    ],
)
def test_what_a_library_quotes(said: str, told: str) -> None:
    """What the other side sent is cut off."""
    found = translate(named("RemoteProtocolError", said), URL)
    told = told.replace("hf_secret", "hf_***")
    assert str(found) == f"the connection to {HOST} failed: {told} (RemoteProtocolError); {CHECK}"


@pytest.mark.parametrize(
    ("said", "told", "permanent"),
    [
        ("407 whatever", None, True),
        ("Proxy Server could not connect: authentication failed.", None, True),
        ("USERNAME wanted", None, True),
        ("403 auth hf_secret", "it answered 403", True),
        ("400 x", "it answered 400", True),
        ("499 x", "it answered 499", True),
        ("399 x", "it answered 399", False),
        ("500 x", "it answered 500", False),
        ("408 x", "it answered 408", False),
        ("429 x", "it answered 429", False),
        ("4031 is no status", "4031 is no status", False),
        ("Proxy Server could not connect: Host unreachable.", "Host unreachable", False),
        ("a: b: c .", "c", False),
        ("way no " * 20, ("way no " * 20)[:100], False),
        ("", "no reason given", False),
    ],
)
def test_proxies(said: str, told: str | None, permanent: bool) -> None:
    """Of an HTTP proxy its status is told alone, of SOCKS the library's own words; a password may be what is missing."""
    found = translate(named("ProxyError", said), URL)
    assert type(found) is APIConnectionError
    assert str(found) == (ASKS if told is None else f"the proxy did not connect to {HOST}: {told}; check {SETTINGS}")
    assert found.permanent is permanent
    assert found.__cause__ is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h/x", "h"),
        ("http://u@h:1", "h:1"),
        ("http://a@b@h", "h"),
        ("nothing", "the server"),
        ("", "the server"),
    ],
)
def test_host(url: str, host: str) -> None:
    """A server is named by its host and port, without a user or password."""
    assert str(translate(TimeoutError(), url)).startswith(f"{host} did not answer")


def with_request() -> Exception:
    error = httpx.ReadError("x")
    error.request = REQUEST
    return error


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (OSError("x"), True),
        (named("ReadError", "x"), True),
        (RuntimeError("x"), True),
        (UnicodeEncodeError("ascii", "hf_ä", 3, 4, "no"), False),
        (httpx.ReadError("x"), False),
        (with_request(), False),
        (h11.LocalProtocolError("hf_secret"), False),
        (h11.RemoteProtocolError("hf_secret"), False),
        (named("ProxyError", "hf_secret"), False),
        (led_to(OSError("x"), h11.RemoteProtocolError("hf_secret")), False),
        (led_to(named("ReadError"), OSError("x")), True),
    ],
)
def test_what_is_kept_as_the_cause(error: Exception, kept: bool) -> None:
    """What may hold the request, or what the other side said, is not kept, wherever in the chain it is."""
    assert translate(error, URL).__cause__ is (error if kept else None)


def test_own_errors_stay() -> None:
    """An error of hfasr's own goes through as it is."""
    error = HfasrError("mine")
    assert translate(error, URL) is error


def test_causes() -> None:
    """A chain is gone through from its last error to its first, by causes before contexts, and each once."""
    first, second, third, aside = OSError("1"), OSError("2"), OSError("3"), OSError("aside")
    third.__cause__, third.__context__, second.__context__ = second, aside, first
    assert list(causes(third)) == [third, second, first]
    first.__context__ = third
    assert list(causes(second)) == [second, first, third]
    assert list(causes(None)) == []
