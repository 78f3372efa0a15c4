"""Multipart bodies: exactly the bytes of RFC 7578."""

from __future__ import annotations

import pytest

from hfasr._hosted.multipart import encode


def body_of(fields: list[tuple[str, str]], data: bytes = b"data", filename: str = "audio.flac") -> bytes:
    """Return the body, with its boundary written as B."""
    body, kind = encode(fields, filename=filename, content_type="audio/flac", data=data)
    prefix = "multipart/form-data; boundary="
    assert kind.startswith(prefix)
    boundary = kind.removeprefix(prefix).encode()
    assert body.count(boundary) == len(fields) + 2
    return body.replace(boundary, b"B")


FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\nContent-Type: audio/flac\r\n\r\n'


def test_file_alone() -> None:
    """The file's bytes stand unchanged between its head and the end."""
    data = b"\r\n--B--\r\n\x00\xff\r\n"
    assert body_of([], data) == FILE + data + b"\r\n--B--\r\n"


def test_fields_keep_their_order() -> None:
    """Fields follow the file in order, repeated names too, as UTF-8."""
    assert body_of([("b", "1"), ("a", "ü"), ("b", "")]) == (
        FILE
        + b'data\r\n--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n1'
        + b'\r\n--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xbc'
        + b'\r\n--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n'
        + b"\r\n--B--\r\n"
    )


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ('a"; filename="x', b"a%22; filename=%22x"),
        ("a\r\nX-Evil: 1", b"a%0D%0AX-Evil: 1"),
        ("a\nb", b"a%0Ab"),
        ("a\rb", b"a%0Db"),
        ("timestamps[]", b"timestamps[]"),
    ],
)
def test_names_cannot_end_their_header(name: str, quoted: bytes) -> None:
    """Quotes and line breaks in names are written as browsers write them, so that they add no header."""
    assert b'name="' + quoted + b'"\r\n\r\nv\r\n' in body_of([(name, "v")])
    assert b'filename="' + quoted + b'"\r\nContent-Type' in body_of([], filename=name)


@pytest.mark.parametrize("value", ['say "hi"', "two\r\nlines", "\n", "100%", "--B--"])
def test_values_stand_as_they_are(value: str) -> None:
    """A value needs no quoting: only the boundary ends it."""
    assert b'name="a"\r\n\r\n' + value.encode() + b"\r\n--B--\r\n" in body_of([("a", value)])


def test_boundary_is_new_each_time() -> None:
    """No two bodies share a boundary: who knows one cannot smuggle it into the audio."""
    kinds = {encode([], filename="a", content_type="b", data=b"")[1] for _ in range(50)}
    assert len(kinds) == 50
