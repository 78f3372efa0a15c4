"""Reading a reply's body under a cap, whatever the server claims or packs into it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hfasr.errors import APIResponseError

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

__all__ = ["BodyReader"]

_PACKED = {"gzip", "x-gzip", "deflate"}
_PLAIN = {"", "identity"}
_GZIP = b"\x1f\x8b"  # RFC 1952 2.3.1
_PIECE_BYTES = 2**20
_MEMBERS_AT_ONCE = 64  # of whatever size
_MEMBER_BYTES = 512  # of more members, on average; a program that packs blocks makes them of 64 kB


class BodyReader:
    """
    Collects raw chunks, inflating on the way, and stops at a cap.

    Replies are asked for with ``accept-encoding: identity``; a server that packs them all the
    same is understood, but piece by piece, and no further than to the cap: a
    few kilobytes of gzip can hold gigabytes. With a *sink*, the body goes there.
    """

    def __init__(
        self, headers: Mapping[str, str], *, status_code: int, max_bytes: int, sink: Spool | None = None
    ) -> None:
        self._parts: list[bytes] = []
        self._tail = bytearray()
        self._sink = sink
        self._n_raw = self._n_body = 0
        self._status = status_code
        self._max_bytes = max_bytes
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in _PACKED | _PLAIN:
            raise APIResponseError(
                f"the server packed its reply as {encoding!r}, though it was asked not to; "
                "look for a proxy in between that does so",
                status_code=status_code,
            )
        self._inflater = _Inflater() if encoding in _PACKED else None

    def feed(self, chunk: bytes) -> Iterator[None]:
        """Take the next raw *chunk*; stops on the way wherever `flush` is due."""
        self._n_raw += len(chunk)  # packed bytes need not inflate to anything, and still cost time
        if self._n_raw > self._max_bytes:
            raise self._too_large()
        try:
            for piece in (chunk,) if self._inflater is None else self._inflater.inflate(chunk):
                self._take(piece)
                if self._sink is not None and self._sink.due:
                    yield
        except zlib.error as error:
            raise APIResponseError("the server's packed reply is damaged", status_code=self._status) from error

    def _take(self, piece: bytes) -> None:
        self._n_body += len(piece)
        if self._n_body > self._max_bytes:
            raise self._too_large()
        if self._sink is not None:
            self._sink.add(piece)
            return
        self._tail += piece
        if len(self._tail) >= _PIECE_BYTES:  # what grows further may be moved, and is in memory twice then
            self._parts.append(bytes(self._tail))
            self._tail.clear()

    def flush(self) -> None:
        """Let the sink write. Blocks."""
        if self._sink is not None:
            self._sink.flush()

    def _too_large(self) -> APIResponseError:
        return APIResponseError(
            f"the server's reply is larger than {self._max_bytes // 1024**2} MiB, so it was not read further",
            status_code=self._status,
        )

    def finish(self) -> bytes:
        """Return the whole body, once; with a sink, nothing."""
        if self._inflater is not None and self._n_raw and not self._inflater.is_whole:
            raise APIResponseError("the server's packed reply was cut off", status_code=self._status)
        parts, self._parts = [*self._parts, bytes(self._tail)], []
        return b"".join(parts)


class _Inflater:
    """
    Inflates gzip of one or several members (RFC 1952 2.2), zlib (RFC 1950), and bare deflate (RFC 1951).

    The last is no ``deflate`` for HTTP (RFC 9110 8.4.1.2), but what some servers send as one.
    """

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None
        self._held = b""  # the first byte of a member, which alone says nothing
        self._n_raw = self._n_members = 0
        self._is_gzip = self._is_over = False

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return self._is_over or (self._member is not None and self._member.eof)

    def inflate(self, packed: bytes) -> Iterator[bytes]:
        """
        Give what is in the next *packed* bytes, in pieces.

        Raises:
            zlib.error: They are damaged.
        """
        self._n_raw += len(packed)
        left = self._held + packed
        self._held = b""
        while left and not self._is_over:
            if self._member is None or self._member.eof:
                if len(left) < 2:
                    self._held = left
                    return
                self._begin(left)
                continue
            yield self._member.decompress(left, _PIECE_BYTES)
            left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def _begin(self, left: bytes) -> None:
        is_gzip = left.startswith(_GZIP)
        if self._member is not None and not (is_gzip and self._is_gzip):
            self._is_over = True  # padding; what follows the end is no part of it
            return
        is_zlib = left[0] & 15 == 8 and int.from_bytes(left[:2], "big") % 31 == 0  # RFC 1950 2.2
        self._member = zlib.decompressobj(31 if is_gzip else 15 if is_zlib else -15)
        self._is_gzip = is_gzip
        self._n_members += 1
        if self._n_members > _MEMBERS_AT_ONCE + self._n_raw // _MEMBER_BYTES:
            raise zlib.error("too many members")
