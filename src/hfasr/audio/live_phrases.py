"""
Cut a stream of frames into phrases while it comes in. No I/O, no clock of its own, memory of one phrase.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hfasr.errors import AudioError

from .cutting import Held
from .downmix import Downmix
from .levelled import LevelledSource
from .live_cutters import cutter
from .mono import resampler
from .normalize import SILENT_PEAK, normalize
from .pieces import Piece

if TYPE_CHECKING:
    import numpy.typing as npt

    from .live_cutters import Stretch
    from .pieces import Cutting

__all__ = ["Phrase", "Phrases"]

_UNIT_S = 0.01  # less is gathered first, seconds
_UNIT_OF_MANY_S = 0.1  # the same for several channels: in less, nothing is said of how they fit together
_AT_ONCE_S = 0.5  # more is worked on in parts, seconds: the memory of a block of minutes stays that of its phrases


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece that has ended."""

    piece: Piece
    """Its samples, mono and levelled, and its times in the whole stream."""

    spoken_at: float
    """When the end of its speech had come in, seconds on the clock that `Phrases.feed` was told."""


class Phrases:
    """
    Takes frames as they come in, and gives each phrase as soon as it has ended.

    A phrase begins a little before its onset and ends a little after its last sound, once a pause of *pause_s* has
    followed. Speech that goes on is cut at *cutting*'s longest piece, at its quietest point; with
    ``split="none"`` everything is cut, into windows of that length.

    Args:
        given_rate: Frames per second of what comes in, Hz.

        channels: Of what comes in, 1 to 8; mixed to one. Of more than one, 0.1 s are looked at together.

        sampling_rate: Of the pieces, Hz.

        cutting: How speech is told, and the longest piece.

        pause_s: What ends a phrase, seconds, 0.1 or more.

        pick: Index of the only channel that is wanted, from 0; ``None``: all, mixed.

    Raises:
        AudioError: There is no channel *pick*.
    """

    def __init__(
        self,
        *,
        given_rate: int,
        channels: int,
        sampling_rate: int,
        cutting: Cutting,
        pause_s: float,
        pick: int | None = None,
    ) -> None:
        if pick is not None and not 0 <= pick < channels:
            raise AudioError(f"the live audio has {channels} channels, numbered from 0; there is no channel {pick}")
        self._given_rate = given_rate
        self._rate = sampling_rate
        self._downmix = Downmix(channels, sampling_rate=given_rate, pick=pick)
        self._resample = resampler(given_rate, sampling_rate)
        self._held = Held()
        self._cutter = cutter(cutting, given_rate=given_rate, sampling_rate=sampling_rate, pause_s=pause_s)
        self._unit = math.ceil(given_rate * (_UNIT_S if channels == 1 else _UNIT_OF_MANY_S))
        self._most = self._unit if channels > 1 else self._unit * round(_AT_ONCE_S / _UNIT_S)
        self._waiting: list[npt.NDArray[np.float32]] = []
        self._n_waiting = self._n_given = 0
        self._due: deque[Stretch] = deque()
        self._peak = 0.0

    def feed(self, block: npt.NDArray[np.float32], *, now: float) -> list[Phrase]:
        """
        Take what came in.

        Args:
            block: Frames of shape ``(n, channels)``, float32; copied. What is not finite becomes 0.

            now: When it came in, seconds on any clock that does not go back.

        Returns:
            The phrases that have ended.
        """
        self._waiting.append(block.copy())
        self._n_waiting += len(block)
        if self._n_waiting < self._unit:
            return []
        frames = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        whole = len(frames) - len(frames) % self._unit
        self._waiting = [frames[whole:].copy()]
        self._n_waiting = len(frames) - whole
        phrases: list[Phrase] = []
        for start in range(0, whole, self._most):
            phrases += self._take(frames[start : min(start + self._most, whole)], now)
        return phrases

    def finish(self, *, now: float) -> list[Phrase]:
        """Return what the end of the stream ends; nothing may be fed after it."""
        rest = np.concatenate(self._waiting) if self._waiting else np.zeros((0, 1), np.float32)
        self._waiting = []
        return self._take(rest, now, last=True)

    def _take(self, frames: npt.NDArray[np.float32], now: float, *, last: bool = False) -> list[Phrase]:
        mono = self._downmix(frames) if len(frames) else np.zeros(0, np.float32)
        self._held.append(self._resample(mono, last))
        self._due += self._cutter.cut(mono, self._held, now=now, ended=last)
        phrases = []
        while self._due and (last or self._due[0].stop <= self._held.stop):  # the resampler is a little behind
            phrases.append(self._phrase(self._due.popleft()))
        self._held.drop(self._due[0].start if self._due else self._cutter.needed)
        return phrases

    def _phrase(self, stretch: Stretch) -> Phrase:
        stop = min(stretch.stop, self._held.stop)
        samples, _, peak = normalize(self._held.copy(stretch.start, stop), peak_before=self._peak)
        self._peak = max(self._peak, peak)
        piece = Piece(
            index=self._n_given,
            source=LevelledSource(samples[:, None], sampling_rate=self._rate, name="the live audio"),
            start=stretch.start / self._rate,
            end=stop / self._rate,
            overlap_before=stretch.shared_before / self._rate,
            overlap_after=stretch.shared_after / self._rate,
            is_silent=peak <= SILENT_PEAK,
        )
        self._n_given += 1
        return Phrase(piece, stretch.spoken_at)
