"""What all ways to transcribe have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .batches import Batches
    from .loading import Checkpoint

__all__ = ["Family"]


class Family:
    """
    A loaded model and how its clips are batched.

    Args:
        checkpoint: The model, its parts and where it is.

        batches: Packs its clips.
    """

    max_duration_s: float | None = None

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        self._model = checkpoint.model
        self._features = checkpoint.feature_extractor
        self._tokenizer = checkpoint.tokenizer
        self._device = checkpoint.device
        self._dtype = checkpoint.dtype
        self._rate = checkpoint.sampling_rate
        self._batches = batches

    def _placed(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return *features* where the model is, and in what it computes in; masks keep their type."""
        return {
            name: value.to(self._device, self._dtype if value.is_floating_point() else None)
            for name, value in features.items()
        }
