"""Reading a reply's body under a cap, whatever the server claims or packs into it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hfasr.errors import APIResponseError

if TYPE_CHECKING:
    from hfasr.audio.spool import Spool

__all__ = ["BodyReader"]

_PACKED = {"gzip", "x-gzip", "deflate"}
_PLAIN = {"", "identity"}


class BodyReader:
    """
    Collects raw chunks, inflating on the way, and stops at a cap.

    Replies are asked for with ``accept-encoding: identity``; a server that packs them all the
    same is understood, but each chunk is inflated into what is left of the cap, never whole: a
    few kilobytes of gzip can hold gigabytes. With a *sink*, the body goes there: call `flush` whenever it is `due`.
    """

    def __init__(
        self, headers: Mapping[str, str], *, status_code: int, max_bytes: int, sink: Spool | None = None
    ) -> None:
        self._body = bytearray()
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
        # 32 + 15: zlib finds out by itself whether it is gzip or zlib.
        self._inflater = zlib.decompressobj(47) if encoding in _PACKED else None

    def feed(self, chunk: bytes) -> None:
        """Take the next raw chunk."""
        self._n_raw += len(chunk)  # packed bytes need not inflate to anything, and still cost time
        if self._n_raw > self._max_bytes:
            raise self._too_large()
        if self._inflater is not None:
            if self._inflater.eof:
                return  # what follows the end is kept by zlib, again and again
            room = self._max_bytes - self._n_body + 1
            try:
                chunk = self._inflater.decompress(chunk, room)
            except zlib.error as error:
                raise APIResponseError("the server's packed reply is damaged", status_code=self._status) from error
        self._n_body += len(chunk)
        if self._n_body > self._max_bytes:
            raise self._too_large()
        if self._sink is None:
            self._body += chunk
        else:
            self._sink.add(chunk)

    @property
    def due(self) -> bool:
        """Whether the sink has something to write."""
        return self._sink is not None and self._sink.due

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
        """Return the whole body; with a sink, nothing."""
        if self._inflater is not None and self._n_body and not self._inflater.eof:
            raise APIResponseError("the server's packed reply was cut off", status_code=self._status)
        return bytes(self._body)
