"""Pieces of a source as an ordinary iterable, opened when it is read and closed where that is left."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from hfasr._core.stitch import Span
from hfasr.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfasr.audio import Source
    from hfasr.audio.pieces import Cutting, Piece
    from hfasr.policies import Chunking

__all__ = ["Cutter", "cutting_of"]

_STRIDE_SHARE = 1 / 6  # of a chunk, on each side: the default of transformers' pipeline for speech
_MOST_STRIDE_SHARE = 1 / 3  # else little of a chunk is new


def cutting_of(chunking: Chunking, longest_s: float) -> Cutting:
    """Return where to cut into pieces of at most *longest_s* seconds."""
    from hfasr.audio.pieces import Cutting

    if chunking.split != "none":
        return Cutting(longest_s, chunking.split)
    wanted_s = chunking.stride_length_s
    stride_s = longest_s * _STRIDE_SHARE if wanted_s is None else wanted_s
    return Cutting(longest_s, "none", min(stride_s, longest_s * _MOST_STRIDE_SHARE))


class Cutter:
    """
    Cuts *source*; iterating blocks.

    Args:
        source: What to cut.

        sampling_rate: Of the pieces, Hz.

        channels: ``"mix"``, or the index of one.

        chunking: Where to cut.

        longest_s: Longest piece, seconds.

        check: Called between blocks; raises to stop.
    """

    def __init__(
        self,
        source: Source,
        *,
        sampling_rate: int,
        channels: Literal["mix"] | int,
        chunking: Chunking,
        longest_s: float,
        check: Callable[[], None],
    ) -> None:
        self._source = source
        self._sampling_rate = sampling_rate
        self._channels: Literal["mix"] | int = channels
        self._chunking = chunking
        self._longest_s = longest_s
        self._check = check
        self._stopped = threading.Event()
        self.was_opened = False
        """Whether anybody here can decode the audio; known with the first piece."""
        self.reached_s = 0.0
        """Up to where pieces were given out, seconds."""
        self.duration: float | None = None
        """Seconds, known after the last piece."""
        self.changes: tuple[str, ...] = ()
        """What was done to the audio, known after the last piece."""

    def __iter__(self) -> Iterator[Piece]:
        from hfasr.audio.pieces import Pieces

        with Pieces(
            self._source,
            sampling_rate=self._sampling_rate,
            channels=self._channels,
            cutting=cutting_of(self._chunking, self._longest_s),
            check=self._go_on,
        ) as pieces:
            self.was_opened = True
            for piece in pieces:
                self.reached_s = piece.end
                yield piece
            self.duration, self.changes = pieces.duration, pieces.changes

    def rest(self) -> Span:
        """Return what was not given out: up to the end of the audio, where that is known."""
        end = self._source.info().duration
        return Span(self.reached_s, self.reached_s if end is None else max(self.reached_s, end))

    def stop(self) -> None:
        """Read no more than the block that is being read. From any thread."""
        self._stopped.set()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise BatchError("the transcription was closed before the end of the audio; run it again")
        self._check()
