"""What all ways to transcribe have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from hfasr.types import Transcript

    from .asked import Asked
    from .batches import Batches
    from .loading import Checkpoint

__all__ = ["Family"]


class Family(ABC):
    """
    A loaded model and how its clips are batched.

    Args:
        checkpoint: The model, its parts and where it is.

        batches: Packs its clips.
    """

    max_duration_s: float | None = None
    """Longest audio, seconds; ``None``: any."""

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        self._model = checkpoint.model
        self._features = checkpoint.feature_extractor
        self._tokenizer = checkpoint.tokenizer
        self._device = checkpoint.device
        self._dtype = checkpoint.dtypes.sums
        self._rate = checkpoint.sampling_rate
        self._batches = batches

    @abstractmethod
    def transcribe(self, waveforms: Sequence[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        """Transcribe *waveforms*, each of shape ``(n_samples,)``, float32."""

    def fetch(self, language: str | None, *, download: bool) -> None:  # noqa: B027  # most need nothing
        """Get the file of *language* ahead, where the model has one for each."""

    def _placed(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return *features* where the model is, and in what it computes in; masks keep their type."""
        return {
            name: value.to(self._device, self._dtype if value.is_floating_point() else None)
            for name, value in features.items()
        }
