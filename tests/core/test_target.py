"""Where a URL leads, and how it is written."""

from __future__ import annotations

import pytest

from hfasr._core.target import Target, ascii_host, target_of


@pytest.mark.parametrize(
    ("url", "own_port"), [("http://h", None), ("http://h:443", 443), ("https://h:443", None), ("https://h:80", 80)]
)
def test_own_port(url: str, own_port: int | None) -> None:
    """A port is said only where it is not the scheme's."""
    assert target_of(url).own_port == own_port


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h:0/", ("http", "h", 0, "h:0", "/")),
        ("http://h/a.b", ("http", "h", 80, "h", "/a.b")),
        ("http://h/a/./b/../c?d=/./e", ("http", "h", 80, "h", "/a/c?d=/./e")),
        ("http://h//x/../y", ("http", "h", 80, "h", "//x/../y")),
        ("http://h?a=%4g&b=%4F", ("http", "h", 80, "h", "/?a=%254g&b=%4F")),
        ("https://[::1]", ("https", "::1", 443, "[::1]", "/")),
        ("http://h/#a?b", ("http", "h", 80, "h", "/")),
        ("http://h/!$&'()*+,-.:;=@_~|/[\\]", ("http", "h", 80, "h", "/!$&'()*+,-.:;=@_~|/[\\]")),
    ],
)
def test_target(url: str, target: tuple[str, str, int, str, str]) -> None:
    """Path and query are escaped where they must be and nowhere else."""
    assert target_of(url) == Target(*target)


@pytest.mark.parametrize("url", ["ftp://h/", "//h/x", "http://", "https:///x"])
def test_no_target(url: str) -> None:
    """What is not http(s) or names no host is told in these words."""
    with pytest.raises(ValueError, match=r"^neither http:// nor https://, or without a host$"):
        target_of(url)


@pytest.mark.parametrize(("host", "spelt"), [("a.b", "a.b"), ("A_b", "A_b"), ("ü.example", "xn--tda.example")])
def test_ascii_host(host: str, spelt: str) -> None:
    """An ASCII name stays as it is; another is spelt as it is looked up."""
    assert ascii_host(host) == spelt
