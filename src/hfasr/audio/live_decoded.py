"""
Decode an encoded stream while it comes in, by PyAV: what a browser records, internet radio.

FFmpeg asks for bytes when it wants them; here they come when they come. So it has a thread of its own, which waits
in its read for the next ones, and whoever brings them waits until it asks for more.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

from hfasr.errors import (
    AudioDecodeError,
    AudioError,
    BackendNotInstalledError,
    EmptyAudioError,
    UnsupportedAudioError,
)

from .mono import refuse_odd
from .sniff import HEAD_BYTES, identify
from .source import AudioInfo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .containers import Container

__all__ = ["LiveDecoder"]

_NAME = "the live audio"
_ENOUGH_BYTES = (1_024, 8_192, HEAD_BYTES)  # to tell what it is: the first is enough for most kinds
_MAX_HEAD_BYTES = 2**20  # of tags with pictures, or an index
_CLOSING_S = 0.5

_LOST_BYTES = 2**18
"""FFmpeg skips what it does not know. So much is no hiccup, and more than any kind holds back: ten frames of FLAC."""

_LOST_AT_END_BYTES = 2**15
"""The same at the end, where nothing is held back, and indexes and tags may stand."""


class LiveDecoder:
    """
    Takes bytes, and gives the frames that they are; in the order of the calls, from one thread at a time.

    Raises:
        BackendNotInstalledError: PyAV is missing.
    """

    def __init__(self) -> None:
        try:
            import av  # noqa: F401  # needed later, in the thread
        except ImportError as error:
            raise BackendNotInstalledError(
                f"encoded live audio needs PyAV, which cannot be imported ({error}); "
                'run: pip install "hfasr[av]", or pass PCM with its sampling_rate'
            ) from error
        self._pipe = _Pipe()
        self._thread: threading.Thread | None = None
        self._found: list[npt.NDArray[np.float32]] = []
        self.sampling_rate = self.channels = 0  # until the first frame
        self._is_last = False
        self._n_lost = 0  # bytes since the last frame
        self.error: BaseException | None = None
        """Why nothing comes any more, after the frames before it."""

    def push(self, data: bytes | memoryview) -> list[npt.NDArray[np.float32]]:
        """Take what came in; return the frames, of shape ``(n, channels)``, that have become whole."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hfasr-transcription-decode", daemon=True)
            self._thread.start()
        self._pipe.put(data)
        found, self._found = self._found, []
        self._watch(len(data), is_heard=bool(found))
        return found

    def finish(self) -> list[npt.NDArray[np.float32]]:
        """Return the frames that the end makes whole; nothing may be pushed after it."""
        self._is_last = True
        self._pipe.end()
        return self.push(b"")

    def close(self) -> None:
        """Decode no more. From any thread, and more than once."""
        self._pipe.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_S)

    def _watch(self, n_bytes: int, *, is_heard: bool) -> None:
        """See that something is heard in what comes in."""
        self._n_lost = 0 if is_heard else self._n_lost + n_bytes
        most = _LOST_AT_END_BYTES if self._is_last else _LOST_BYTES
        if self._n_lost > most and self.sampling_rate and self.error is None:
            self.error = AudioDecodeError(f"{_NAME} is damaged: {self._n_lost} bytes held no sound; begin anew")
            self._pipe.end()

    def _run(self) -> None:
        try:
            self._decode()
        except BaseException as error:  # noqa: BLE001  # raised to whoever pushes
            self.error = self.error or error
        finally:
            self._pipe.leave()

    def _decode(self) -> None:
        from .pyav import AVReader

        source = _Incoming(self._pipe)
        with AVReader(source, is_live=True) as reader:
            refuse_odd(source, reader, None)
            self.sampling_rate, self.channels = reader.sampling_rate, reader.channels
            n_blocks = 0
            for block in reader:
                self._found.append(block)
                n_blocks += 1
        if not n_blocks:
            raise EmptyAudioError(f"{_NAME} has not one sample; check that the recording works")


class _Pipe:
    """Bytes on their way from who brings them to FFmpeg; not to be sought in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = bytearray()
        self._head = b""  # given again, after it was looked at
        self._ended = self._hungry = self._left = False

    def put(self, data: bytes | memoryview) -> None:
        """Give *data*, and wait until more is asked for, or nobody reads any more."""
        with self._changed:
            if self._left:
                return
            self._bytes += data
            self._hungry = self._hungry and not data and not self._ended
            self._changed.notify_all()
            while not self._hungry and not self._left:
                self._changed.wait()

    def end(self) -> None:
        """Say that no more comes."""
        with self._changed:
            self._ended = True
            self._hungry = False
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that nothing is read any more."""
        with self._changed:
            self._left = True
            self._bytes.clear()
            self._changed.notify_all()

    def read(self, n_bytes: int) -> bytes:
        """Return some bytes, as soon as there are any; none at the end."""
        if self._head:
            data, self._head = self._head[:n_bytes], self._head[n_bytes:]
            return data
        with self._changed:
            while not self._bytes and not self._ended:
                self._hungry = True
                self._changed.notify_all()
                self._changed.wait()
            data = bytes(self._bytes[:n_bytes])
            del self._bytes[:n_bytes]
            return data

    def close(self) -> None:
        """Nothing is open."""

    def look(self) -> Container:
        """
        Tell what comes, from as few bytes as that takes.

        Raises:
            AudioError: It is nothing that is known.
        """
        for enough in _ENOUGH_BYTES:
            try:
                return identify(functools.partial(self._read_at, enough), _NAME)
            except UnsupportedAudioError as error:
                if self._ended or enough == HEAD_BYTES:
                    raise UnsupportedAudioError(f"{str(error)[:400]}; of live PCM, pass the sampling_rate") from error
        raise AssertionError("unreachable")

    def _read_at(self, most: int, offset: int, n_bytes: int) -> bytes:
        stop = min(offset + min(n_bytes, most), _MAX_HEAD_BYTES)
        head, self._head = self._head, b""
        while len(head) < stop and (data := self.read(stop - len(head))):
            head += data
        self._head = head
        return head[offset:stop]


class _Incoming:
    """A `Source` that can be opened once."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe
        self.name = _NAME
        self.size = 0
        self.container: Container | None = pipe.look()

    def open(self) -> BinaryIO:
        return cast("BinaryIO", self._pipe)

    def read(self) -> bytes:
        raise AudioError(f"{_NAME} is not read as a whole")

    def sha256(self) -> str | None:
        return None

    def info(self) -> AudioInfo:
        return AudioInfo()
