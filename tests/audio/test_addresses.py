"""No spelling of a private address gets through."""

from __future__ import annotations

import ipaddress

import pytest

from hfasr.audio import check_url, is_public
from hfasr.audio.addresses import literal_address
from hfasr.errors import AudioURLError

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:168.63.129.16",
    "64:ff9b::192.0.0.192",
    "100::1",
    "100:0:0:1::1",
    "2001:1::1",
    "2001:3::1",
    "2001:20::1",
    "5f00::1",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::808:808",
    "2001:db8::1",
    "2001:0:7f00:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%1",
    "fec0::1",
    "ff02::1",
    "example.com",
    "127.1",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "168.63.129.17",
    "172.32.0.1",
    "192.0.1.1",
    "192.88.100.1",
    "2001:200::1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]
PRIVATE_HOSTS = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "api.localhost",
    "printer.local",
    "metadata.google.internal",
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "0177.0.0.1",
    "017700000001",
    "2130706433",
    "10.1",
    "0xa9fea9fe",
    "169.254.169.254",
    "①②⑦.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "loc%61lhost",
    "ⓛocalhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1%25eth0]",
    "[2002:7f00:1::]",
]


@pytest.mark.parametrize("ip", PRIVATE)
def test_what_is_not_public(ip: str) -> None:
    """Private, local, reserved and embedded addresses are not public, nor is what is no address."""
    assert not is_public(ip)


@pytest.mark.parametrize("ip", PUBLIC)
def test_what_is_public(ip: str) -> None:
    """Ordinary addresses are public, embedded ones, too."""
    assert is_public(ip)


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_urls_of_private_hosts_are_refused(host: str) -> None:
    """However it is spelt, a private host is refused, and the message says what to do."""
    with pytest.raises(AudioURLError, match=r"^the audio URL.*; (fetch it yourself|check)"):
        check_url(f"http://{host}:8080/a.flac")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.1", "printer.local"])
def test_private_hosts_can_be_allowed(host: str) -> None:
    """With allow_private_urls=True they are fetched."""
    assert check_url(f"http://{host}/a.flac", allow_private=True).path == "/a.flac"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.flac",
        "http://8.8.8.8/a.flac",
        "http://134744072/a.flac",
        "https://[2606:4700:4700::1111]:8443/a.flac",
        "https://bücher.example.com/a.flac?x=%20",
        "HTTPS://EXAMPLE.COM",
    ],
)
def test_public_urls_are_taken(url: str) -> None:
    """Ordinary URLs are not in the way."""
    assert check_url(url).hostname


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/a.flac", "begins with http"),
        ("file:///etc/passwd", "begins with http"),
        ("example.com/a.flac", "not nothing"),
        ("http://", "names no host"),
        ("http:///a.flac", "names no host"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:99999/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://user:secret@example.com/", "holds credentials"),
        ("http://example.com@127.0.0.1/", "holds credentials"),
        ("http://example.com\\@127.0.0.1/", "backslashes"),
        ("http://example.com/a b.flac", "blanks"),
        ("http://example.com/a\r\nHost: b", "control characters"),
        ("http://1.2.3.4.5/", "neither a name nor an address"),
        ("http://256.1.1.1/", "neither a name nor an address"),
        ("http://09.1.1.1/", "neither a name nor an address"),
        ("http://0xzz/", "neither a name nor an address"),
        ("http://exa%2fmple.com/", "characters that no host has"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_malformed_urls_are_refused(url: str, why: str, allow_private: bool) -> None:
    """What a parser and a network library may read differently is refused, and no secret is shown."""
    if allow_private and ("neither" in why or "characters that" in why):
        assert check_url(url, allow_private=True).hostname  # the resolver's to judge
        return
    with pytest.raises(AudioURLError, match=why) as caught:
        check_url(url, allow_private=allow_private)
    assert "secret" not in str(caught.value)


def test_literals_are_read_as_resolvers_read_them() -> None:
    """Short, octal and hexadecimal forms fill up the address from the right."""
    forms = {
        "1.2": "1.0.0.2",
        "1.2.3": "1.2.0.3",
        "1.2.65535": "1.2.255.255",
        "0x.1": "0.0.0.1",
        "010.8.8.8": "8.8.8.8",
    }
    assert {form: literal_address(form) for form in forms} == forms


@pytest.mark.parametrize(
    "ip",
    ["192.0.0.8", "192.88.99.1", "168.63.129.16", "2001:1::1", "2001:30::1", "2001:db8::1", "3fff::1", "5f00::1"],
)
@pytest.mark.parametrize("is_global", [True, False])
def test_no_release_of_python_decides_about_these(monkeypatch: pytest.MonkeyPatch, ip: str, is_global: bool) -> None:
    """What the interpreter's registry says of the blocks in which releases differ does not matter."""
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", is_global)
    assert not is_public(ip)
