"""The body of a reply: joined from its parts, inflated, and no larger than its cap."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from hfasr._core.body import BodyReader
from hfasr.errors import APIResponseError

MIB = 2**20


class Sink:
    """In the place of a spool: it is due after each piece that ends with a full stop."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.n_flushed = 0
        self.due = False

    def add(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.due = piece.endswith(b".")

    def flush(self) -> None:
        self.n_flushed += 1
        self.due = False


def reader(
    encoding: str | None = None, *, max_bytes: int = MIB, status_code: int = 200, sink: Any = None
) -> BodyReader:
    headers = {} if encoding is None else {"content-encoding": encoding}
    return BodyReader(headers, status_code=status_code, max_bytes=max_bytes, sink=sink)


def feed(body: BodyReader, *chunks: bytes) -> int:
    """Feed *chunks*, and return how often a flush was due."""
    n_due = 0
    for chunk in chunks:
        for _ in body.feed(chunk):
            body.flush()
            n_due += 1
    return n_due


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_plain(encoding: str | None) -> None:
    """What is not packed is joined as it came, once."""
    body = reader(encoding)
    assert feed(body, b"one ", b"", b"two") == 0
    assert body.finish() == b"one two"


@pytest.mark.parametrize("n_bytes", [MIB - 1, MIB, MIB + 1, 3 * MIB + 5])
def test_parts_in_order(n_bytes: int) -> None:
    """A body of more than one part in memory is the same bytes in the same order."""
    data = bytes(i * i % 251 for i in range(4099)) * (n_bytes // 4099 + 1)
    data = data[:n_bytes]
    body = reader(max_bytes=n_bytes)
    feed(body, *(data[i : i + 300_000] for i in range(0, n_bytes, 300_000)))
    assert body.finish() == data


def test_grown_in_parts_of_a_mebibyte() -> None:
    """What has grown to a mebibyte is set aside as a part, so that it need not be moved when more comes."""
    body = reader(max_bytes=4 * MIB)
    feed(body, b"a" * (MIB - 1))
    assert (len(body._parts), len(body._tail)) == (0, MIB - 1)
    feed(body, b"b")
    assert (len(body._parts), len(body._tail)) == (1, 0)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"packed", mtime=0)),
        ("X-GZIP", gzip.compress(b"packed", mtime=0)),
        ("deflate", zlib.compress(b"packed")),
        ("deflate", zlib.compress(b"packed", level=9)),
        ("deflate", bare(b"packed")),
        ("gzip", zlib.compress(b"packed")),
        ("deflate", gzip.compress(b"packed", mtime=0)),
        ("gzip", gzip.compress(b"pac", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"ked", mtime=0)),
        ("gzip", gzip.compress(b"packed", mtime=0) + b"\0"),
        ("gzip", gzip.compress(b"packed", mtime=0) + bytes(99)),
        ("gzip", gzip.compress(b"packed", mtime=0) + zlib.compress(b"more")),
        ("deflate", zlib.compress(b"packed") + gzip.compress(b"more", mtime=0)),
        ("deflate", zlib.compress(b"packed") + zlib.compress(b"more")),
        ("deflate", bare(b"packed") + bare(b"more")),
        ("gzip", gzip.compress(b"packed", mtime=0) + b"xx" + gzip.compress(b"more", mtime=0)),
    ],
)
def test_packed(encoding: str, packed: bytes) -> None:
    """Each kind of packing is known by its first bytes; several members are one body, and what else follows is none."""
    body = reader(encoding)
    feed(body, packed)
    assert body.finish() == b"packed"
    slowly = reader(encoding)
    feed(slowly, *(packed[i : i + 1] for i in range(len(packed))))
    assert slowly.finish() == b"packed"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_packed_nothing(encoding: str) -> None:
    """A reply without a single byte is an empty body, also where it is said to be packed."""
    body = reader(encoding)
    feed(body, b"")
    assert body.finish() == b""


def test_bare_deflate() -> None:
    """Bare deflate is known by what it is not, though its first two bytes may be a multiple of 31 as zlib's are."""
    for data in (b"", *(b"%d" % n for n in range(200))):
        body = reader("deflate")
        feed(body, bare(data))
        assert body.finish() == data


def test_unknown_packing() -> None:
    """A packing that was not asked for is named, with the status, before anything is read."""
    with pytest.raises(APIResponseError) as caught:
        reader("BR", status_code=206)
    assert str(caught.value) == (
        "the server packed its reply as 'br', though it was asked not to; look for a proxy in between that does so"
    )
    assert caught.value.status_code == 206


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"x" * 99, mtime=0)[:-1], gzip.compress(b"x", mtime=0)[:10], b"\x1f", bare(b"xyz")[:-1]]
)
def test_cut_off(packed: bytes) -> None:
    """A packed reply that ends before its packing does is an error, not half a body."""
    body = reader("gzip", status_code=203)
    feed(body, packed)
    with pytest.raises(APIResponseError) as caught:
        body.finish()
    assert str(caught.value) == "the server's packed reply was cut off"
    assert caught.value.status_code == 203


def test_damaged() -> None:
    """Bytes that cannot be inflated are an error that keeps the cause."""
    body = reader("gzip", status_code=203)
    with pytest.raises(APIResponseError) as caught:
        feed(body, b"\x1f\x8bnonsense")
    assert str(caught.value) == "the server's packed reply is damaged"
    assert caught.value.status_code == 203
    assert isinstance(caught.value.__cause__, zlib.error)


def test_cap() -> None:
    """A body of just the cap is taken; one byte more is an error that names the cap and the status."""
    body = reader(max_bytes=2 * MIB)
    feed(body, b"x" * MIB, b"x" * MIB)
    assert len(body.finish()) == 2 * MIB
    body = reader(max_bytes=2 * MIB, status_code=201)
    feed(body, b"x" * 2 * MIB)
    with pytest.raises(APIResponseError) as caught:
        feed(body, b"x")
    assert str(caught.value) == "the server's reply is larger than 2 MiB, so it was not read further"
    assert caught.value.status_code == 201


def test_cap_of_what_is_inflated() -> None:
    """The cap is of what a packed body inflates to as well, and nothing beyond it is kept."""
    exactly = reader("gzip", max_bytes=3 * MIB)
    feed(exactly, gzip.compress(bytes(3 * MIB)))
    assert len(exactly.finish()) == 3 * MIB
    sink = Sink()
    body = reader("gzip", max_bytes=3 * MIB, sink=sink)
    with pytest.raises(APIResponseError, match="larger than 3 MiB"):
        feed(body, gzip.compress(bytes(64 * MIB)))
    assert sum(map(len, sink.pieces)) == 3 * MIB
    assert max(map(len, sink.pieces)) <= MIB


def test_cap_of_what_came() -> None:
    """The cap is of the packed bytes, too, whatever they inflate to."""
    empty = gzip.compress(b"", mtime=0)
    body = reader("gzip", max_bytes=len(empty) * 3)
    feed(body, empty, empty, empty)
    with pytest.raises(APIResponseError, match="larger"):
        feed(body, empty)


@pytest.mark.parametrize(("n_members", "is_fine"), [(65, True), (66, True), (67, False)])
def test_members(n_members: int, is_fine: bool) -> None:
    """So many tiny members are taken: 64, and one for each 512 bytes; more are an attempt to keep a machine busy."""
    packed = gzip.compress(b"", mtime=0) * n_members
    assert (64 + len(packed) // 512 >= n_members) is is_fine  # 20 bytes each
    body = reader("gzip")
    if is_fine:
        feed(body, packed)
        assert body.finish() == b""
    else:
        with pytest.raises(APIResponseError, match="damaged") as caught:
            feed(body, packed)
        assert str(caught.value.__cause__) == "too many members"


def test_members_over_several_chunks() -> None:
    """They are counted against all that has come so far, not against the last chunk."""
    member = gzip.compress(bytes(range(256)) * 4, mtime=0)
    assert 200 < len(member) < 512
    body = reader("gzip")
    feed(body, *[member] * 120)
    assert body.finish() == bytes(range(256)) * 4 * 120


def test_sink() -> None:
    """With a sink the body goes there, a flush is due where the sink says so, and nothing is returned."""
    sink = Sink()
    body = reader(sink=sink)
    assert feed(body, b"one", b"two.", b"three", b"four.") == 2
    assert (sink.pieces, sink.n_flushed) == ([b"one", b"two.", b"three", b"four."], 2)
    assert body.finish() == b""


def test_sink_of_a_packed_body() -> None:
    """What is packed goes there inflated, a mebibyte at a time, and may be flushed in between."""
    sink = Sink()
    body = reader("gzip", max_bytes=8 * MIB, sink=sink)
    assert feed(body, gzip.compress(b"." * (2 * MIB + 7))) == 3
    assert [len(piece) for piece in sink.pieces if piece] == [MIB, MIB, 7]
    assert body.finish() == b""


def test_flush_without_a_sink() -> None:
    """Without a sink there is nothing to write, and to say so is no error."""
    reader().flush()
