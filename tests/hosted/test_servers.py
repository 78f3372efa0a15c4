"""Addresses: which ones are made, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.servers import check_url, endpoint_server, is_hugging_face, openai_server, origin, router_server

HF, OPENAI = HFDialect(), OpenAIDialect()
ROUTER = "https://router.huggingface.co"
OWN_ENDPOINT = "https://x.us-east-1.aws.endpoints.huggingface.cloud"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("http://host:8000/v1/", "http://host:8000/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://host/a%20b", "https://host/a%20b"),
    ],
)
def test_good_urls(url: str, kept: str) -> None:
    """An absolute URL is kept, without its last slash."""
    assert check_url(url, "base_url") == kept


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with http"),
        ("host/path", "must begin with http"),
        ("ftp://host", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("http://", "must begin with http"),
        ("http:host", "must begin with http"),
        ("https:///path", "must begin with http"),
        ("http://host name", "must begin with http"),
        ("http://host\n", "must begin with http"),
        ("http://host\\path", "must begin with http"),
        ("http://host:port", "is not a URL"),
        ("http://host:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        (3, "is not a URL"),
        ("https://user:secret@host", "credential as token="),
        ("https://user@host", "credential as token="),
        ("https://:secret@host", "credential as token="),
        ("https://host?key=secret", "query or fragment"),
        ("https://host#secret", "query or fragment"),
    ],
)
def test_bad_urls(url: Any, message: str) -> None:
    """Anything else is refused by the setting's name, without showing a credential in it."""
    with pytest.raises(ValueError, match=rf"^base_url .*{message}") as caught:
        check_url(url, "base_url")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://host", ("https", "host", 443)),
        ("http://host/path", ("http", "host", 80)),
        ("https://HOST.:8443/x", ("https", "host", 8443)),
    ],
)
def test_origins(url: str, parts: tuple[str, str, int]) -> None:
    """The same server is the same however its address is written."""
    assert origin(url) == parts


@pytest.mark.parametrize("model", ["org/name", "gpt2", "openai/whisper-large-v3", "a.b_c/d-e.f"])
def test_router_addresses(model: str) -> None:
    """Behind the router, the model is part of the path."""
    server = router_server(ROUTER, "hf-inference", model)
    assert server.url == f"{ROUTER}/hf-inference/models/{model}"
    assert (server.model, server.name, server.endpoint, server.scales) == (model, "hf-inference", False, "no")


@pytest.mark.parametrize(
    "model",
    [
        *("", "a/b/c", "/absolute/path", "folder/", "../up", "a/../b", "./folder", "C:\\models", "~/model"),
        *("with space", "org/name?x=1", "org/name#x", "org/na%6De", "örg/name", "org/name\n", "x" * 97),
    ],
)
def test_what_is_no_model_id(model: str) -> None:
    """What is no id of the Hub, such as a folder, is refused before it gets into an address."""
    with pytest.raises(ValueError, match="not a Hub model id"):
        router_server(ROUTER, "hf-inference", model)


@pytest.mark.parametrize(
    ("base_url", "url", "scales"),
    [
        ("http://localhost:8000", "http://localhost:8000/", "if silent"),
        ("http://localhost:8000/predict", "http://localhost:8000/predict", "if silent"),
        (OWN_ENDPOINT, f"{OWN_ENDPOINT}/", "always"),
        ("https://endpoints.huggingface.cloud.evil.example", "https://endpoints.huggingface.cloud.evil.example/", "if silent"),
    ],
)  # fmt: skip
def test_endpoint_addresses(base_url: str, url: str, scales: str) -> None:
    """A toolkit server is posted to at its root; Hugging Face's own may be scaled to zero."""
    server = endpoint_server(base_url, "org/name")
    assert (server.url, server.scales) == (url, scales)
    assert (server.model, server.name, server.endpoint) == ("org/name", base_url, True)


@pytest.mark.parametrize(
    ("base_url", "prefix", "url"),
    [
        ("http://h", None, "http://h/v1/audio/transcriptions"),
        ("http://h/v1", None, "http://h/v1/audio/transcriptions"),
        ("http://h/v2", None, "http://h/v2/audio/transcriptions"),
        ("http://h/api/v1", None, "http://h/api/v1/audio/transcriptions"),
        ("http://h/v1beta", None, "http://h/v1beta/v1/audio/transcriptions"),
        ("http://h/v1/audio/transcriptions", None, "http://h/v1/audio/transcriptions"),
        ("http://h/any/audio/transcriptions", None, "http://h/any/audio/transcriptions"),
        ("http://h", "/v1", "http://h/v1/audio/transcriptions"),
        ("http://h", "/api/v1", "http://h/api/v1/audio/transcriptions"),
    ],
)
def test_openai_addresses(base_url: str, prefix: str | None, url: str) -> None:
    """The root, an address that ends in its version, and the whole address all lead to the same place."""
    server = openai_server(base_url, None, prefix=prefix)
    assert (server.url, server.model, server.name, server.endpoint) == (url, None, base_url, True)


def test_openai_servers_that_scale() -> None:
    """Only behind Hugging Face's proxy does every 503 of such a server mean that it starts."""
    assert openai_server(OWN_ENDPOINT, None).scales == "always"
    assert openai_server("http://localhost:8000", None).scales == "no"


@pytest.mark.parametrize(
    ("url", "own"),
    [
        *(("https://huggingface.co", True), ("https://router.huggingface.co/x", True), ("https://HuggingFace.co.", True)),
        *(("https://a.b.endpoints.huggingface.cloud", True), ("https://endpoints.huggingface.cloud:8443", True)),
        *(("http://huggingface.co", False), ("https://huggingface.cloud", False), ("https://nothuggingface.co", False)),
        *(("https://huggingface.co.evil.example", False), ("https://evil.example/huggingface.co", False), ("https:///", False)),
    ],
)  # fmt: skip
def test_who_may_see_a_token_that_was_found(url: str, own: bool) -> None:
    """Only Hugging Face's own hosts, over TLS."""
    assert is_hugging_face(url) is own


def test_addresses() -> None:
    """Hosts are compared without their last dot, and ports are known; a host may be missing."""
    assert origin("https://h.:1/x?y") == ("https", "h", 1)
    assert origin("file:///x") == ("file", "", 80)
    assert check_url("http://h//", "x") == "http://h"
    assert check_url("http://h/X", "x") == "http://h/X"
    for url in ("http://h\x1f", "http://h\x00", "http://h/ ", "http://h/\\"):
        with pytest.raises(ValueError, match=r"^x must begin with"):
            check_url(url, "x")
    for url in ("http://:@h", "http://@h", "http://a@h"):
        with pytest.raises(ValueError, match=r"^x holds a user name"):
            check_url(url, "x")
    with pytest.raises(ValueError, match="Hub model id") as caught:
        router_server("https://r", "p", "a" * 200)
    assert str(caught.value) == (
        f"{'a' * 100!r} is not a Hub model id like 'openai/whisper-large-v3'; "
        "for a folder on this machine choose a local backend="
    )
    assert HF.ready_url(endpoint_server("http://h/predict/X", None)) == "http://h/predict/X/health"
    assert HF.ready_url(endpoint_server("http://h/predict/", None)) == "http://h/health"
    assert OPENAI.ready_url(openai_server("http://h/api/v1", None)) == "http://h/api/health"
    assert openai_server("http://h", "org/name").model == "org/name"
    assert openai_server("http://h/v12", None).url == "http://h/v12/audio/transcriptions"
