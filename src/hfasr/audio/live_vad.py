"""
Tell speech from pauses in a live stream with Silero's detector (extra ``vad``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .live_endpoints import Frame, Margins
from .vad import NO_SPEECH, PAD_S, SPEECH, Detector

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Voices"]


class Voices(Detector):
    """
    Gives a `Frame` for each 32 ms; its scores are probabilities.

    Raises:
        InvalidOptionError: The extra is not installed.
    """

    margins = Margins(before_s=PAD_S, after_s=PAD_S, least_s=0.1)

    def __init__(self, sampling_rate: int) -> None:
        super().__init__(sampling_rate)
        self.frame_s = self._window_s
        self._frames: list[Frame] = []

    def __call__(self, mono: npt.NDArray[np.float32], *, ended: bool = False) -> Iterator[Frame]:
        """Take finite samples of shape ``(n,)``; give the frames that are whole, and in the end what is left, too."""
        self.listen(mono)
        if ended:
            self.finish()
        frames, self._frames = self._frames, []
        yield from frames

    def is_noise(self, scores: Sequence[float]) -> bool:  # noqa: ARG002  # the model has judged
        """Return no: what the model takes for speech may be steady."""
        return False

    def _step(self, probability: float) -> None:
        self._n_windows += 1
        self._frames.append(Frame(probability, probability, SPEECH, NO_SPEECH))
