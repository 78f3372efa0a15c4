"""Which hosts NO_PROXY keeps away from the proxy."""

from __future__ import annotations

import pytest

from hfasr._core.no_proxy import is_excepted


@pytest.mark.parametrize(
    ("entries", "host", "port", "expected"),
    [
        ("", "h.test", 80, False),
        (",", "h.test", 80, False),
        ("", "xxxx", 80, False),
        ("*", "h.test", 80, True),
        ("*", "::1", 80, True),
        ("i.test,*", "h.test", 80, True),
        ("*.", "h.test", 80, False),
        ("h.test", "h.test", 80, True),
        ("H.Test", "h.test", 80, True),
        ("h.test", "a.b.h.test", 80, True),
        ("h.test", "ah.test", 80, False),
        ("*.h.test", "a.h.test", 80, True),
        (".h.test", "h.test", 80, True),
        ("h.test:81,i.test", "h.test", 80, False),
        ("h.test:81,h.test:80", "h.test", 80, True),
        ("h.test:", "h.test", 80, True),
        (" i.test , h.test ", "h.test", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.7/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8:80", "10.1.2.3", 80, True),
        ("10.0.0.0/8:81", "10.1.2.3", 80, False),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "h.test", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("nonsense/8, 10.0.0.0/8", "10.1.2.3", 80, True),
        ("nonsense/8, h.test", "10.1.2.3", 80, False),
        ("::1", "::1", 80, True),
        ("0:0:0:0:0:0:0:1", "::1", 80, True),
        ("[::1]", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:81", "::1", 80, False),
        ("[fd00::/8]:80", "fd00::5", 80, True),
        ("fd00::/8", "fd00::5", 80, True),
        ("fd00::/8", "10.1.2.3", 80, False),
        ("*", "a.example", 80, True),
        ("a.example", "a.example", 80, True),
        ("A.example", "a.example", 80, True),
        ("a.example", "b.a.example", 80, True),
        (".a.example", "b.a.example", 80, True),
        ("*.a.example", "b.a.example", 80, True),
        ("a.example", "aa.example", 80, False),
        ("a.example", "a.example.org", 80, False),
        ("x, a.example:8080 ,y", "a.example", 8080, True),
        ("x, a.example:8080 ,y", "a.example", 80, False),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1:81", "127.0.0.1", 80, False),
        ("10.0.0.0/8", "10.200.3.4", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("10.0.0.0/8", "a10.example", 80, False),
        ("10.0.0.0/99", "10.0.0.1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("", "a.example", 80, False),
        (",, ,", "a.example", 80, False),
    ],
)
def test_no_proxy(entries: str, host: str, port: int, expected: bool) -> None:
    """Names and those below them, addresses and networks, with a port or without, one of several."""
    assert is_excepted(entries, host, port) is expected
