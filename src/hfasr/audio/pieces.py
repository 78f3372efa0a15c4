"""
Cut audio of any length into pieces, in one pass and constant memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hfasr.errors import AudioError

from .cutting import AtFixedTimes, AtQuietPoints, Cuts, Cutting, Held
from .levelled import LevelledSource
from .mono import MonoStream, no_check
from .normalize import SILENT_PEAK, normalize
from .readers import BLOCK_FRAMES

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .source import Source, WaveformSource

__all__ = ["Cutting", "Piece", "Pieces"]

_AHEAD_S = 2  # held beyond a piece, and a block

_KINDS = {  # by the first word of what `normalize` says
    "set": "set non-finite samples to 0",
    "scaled": "scaled down",
    "removed": "removed DC",
    "raised": "raised",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A contiguous stretch of long audio."""

    index: int
    """Which one, from 0."""

    source: WaveformSource
    """Mono samples at the wanted rate, levelled, and nobody else's memory."""

    start: float
    """Seconds from the start of the audio: its first sample, divided by the rate."""

    end: float
    """Seconds from the start of the audio, of the sample after its last."""

    overlap_before: float
    """Seconds that it shares with the piece before, 0 or more."""

    overlap_after: float
    """Seconds that it shares with the piece after, 0 or more."""

    is_silent: bool
    """Digital silence, which never leaves one step of 24-bit audio: it need not be sent."""


class Pieces:
    """
    Iterates over the pieces of *source*, decoding as it goes. Blocks; not safe to use from two threads at once.

    About one piece is held, beside the one that was given out last. The level of each is corrected as `decode` would
    correct it, but never by more than the loudest sound so far calls for.

    Args:
        source: From `load`.

        sampling_rate: Wanted rate, Hz.

        channels: ``"mix"``: their mean, as in `decode`; or the index of one, from 0.

        cutting: Where to cut.

        check: Called between blocks; raises to stop.

    Raises:
        AudioError: As `decode` raises. What the header shows is raised at once; damage, when it is reached: after
            the pieces before it, and what can be read of the last.

        InvalidOptionError: ``"vad"`` was asked for, and the extra is not installed.

    Example:
        >>> import numpy as np
        >>> from hfasr.audio.source import WaveformSource
        >>> minute = WaveformSource(np.zeros((480_000, 1), np.float32), sampling_rate=8_000, name="silence")
        >>> with Pieces(minute, sampling_rate=16_000, channels="mix", cutting=Cutting(25.0)) as pieces:
        ...     print([(piece.start, piece.end) for piece in pieces], pieces.duration)
        [(0.0, 25.0), (25.0, 50.0), (50.0, 60.0)] 60.0
    """

    def __init__(
        self,
        source: Source,
        *,
        sampling_rate: int,
        channels: Literal["mix"] | int,
        cutting: Cutting,
        check: Callable[[], None] = no_check,
    ) -> None:
        self.duration: float | None = None
        """Seconds of the original; known after the last piece."""
        self.changes: tuple[str, ...] = ()
        """What was done to the audio, as `Decoded.changes`; complete after the last piece."""
        self._name = source.name
        self._rate = sampling_rate
        self._n_shared = cutting.n_shared(sampling_rate)
        self._cuts = _cuts(cutting, sampling_rate)
        self._held = Held(cutting.n_longest(sampling_rate) + _AHEAD_S * sampling_rate + 2 * BLOCK_FRAMES)
        self._n_pieces = 0
        self._n_given = 0  # samples that are in a piece
        self._peak = 0.0
        self._corrections: dict[str, tuple[str | None, int]] = {}
        self._stream = MonoStream(source, sampling_rate=sampling_rate, channels=channels, check=check)
        self._work = self._cut()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece:
        return next(self._work)

    def _cut(self) -> Generator[Piece]:
        failure: AudioError | None = None
        with self._stream:
            blocks = iter(self._stream)
            while True:
                try:
                    block = next(blocks, None)
                except AudioError as error:
                    failure = error
                    break
                if block is None:
                    break
                self._cuts.listen(block)
                self._held.append(block)
                del block  # it may be the last of a piece that is dropped below
                yield from self._ready(ended=False)
            yield from self._ready(ended=True)
            self.changes = (*self._stream.changes(), *self._left_out(), *self._corrected())
            if failure is not None:
                raise failure
            self.duration = self._stream.duration

    def _ready(self, *, ended: bool) -> Iterator[Piece]:
        for first, stop in self._cuts.spans(self._held, ended=ended):
            yield self._piece(first, stop, is_last=ended and stop == self._held.stop)
        self._held.drop(self._cuts.needed)

    def _piece(self, first: int, stop: int, *, is_last: bool) -> Piece:
        waveform = self._held.take(first, stop, self._cuts.needed)
        waveform, changes, peak = normalize(waveform, peak_before=self._peak)
        self._peak = max(self._peak, peak)
        for change in changes:
            self._note(change)
        index, self._n_pieces = self._n_pieces, self._n_pieces + 1
        shared = self._n_shared / self._rate
        self._n_given += stop - first - (self._n_shared if index else 0)
        return Piece(
            index=index,
            source=LevelledSource(waveform[:, None], sampling_rate=self._rate, name=self._name),
            start=first / self._rate,
            end=stop / self._rate,
            overlap_before=shared if index else 0.0,
            overlap_after=0.0 if is_last else shared,
            is_silent=peak <= SILENT_PEAK,
        )

    def _left_out(self) -> list[str]:
        seconds = (self._held.stop - self._n_given) / self._rate
        return [f"left out {seconds:.1f} s without speech"] if seconds else []

    def _note(self, change: str) -> None:
        kind = change.split(maxsplit=1)[0]
        first, n_pieces = self._corrections.get(kind, (change, 0))
        self._corrections[kind] = (first if first == change else None, n_pieces + 1)

    def _corrected(self) -> list[str]:
        """Say what `normalize` did: in its words where it did the same to all pieces, else to how many of them."""
        return [
            change if change and n == self._n_pieces else f"{_KINDS[kind]} in {n} of {self._n_pieces} pieces"
            for kind, (change, n) in self._corrections.items()
        ]

    def close(self) -> None:
        """Close the file; there are no more pieces then. May be called twice."""
        self._work.close()
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _cuts(cutting: Cutting, sampling_rate: int) -> Cuts:
    n_longest = cutting.n_longest(sampling_rate)
    if cutting.split == "none":
        return AtFixedTimes(n_longest, cutting.n_shared(sampling_rate))
    if cutting.split == "silence":
        return AtQuietPoints(n_longest, sampling_rate)
    from .vad import AroundSpeech

    return AroundSpeech(n_longest, sampling_rate)
