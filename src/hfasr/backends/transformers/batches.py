"""Which clips the model takes together, and smaller ones where the memory does not suffice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from hfasr.errors import BackendError

from .devices import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .settings import BatchSize

__all__ = ["Batches"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

PADDED_S_PER_GIB = 40.0
"""
Padded seconds of a batch for each free GiB of an accelerator. Whisper-large-v3 in float16 keeps
0.25 GB of keys and values and some 0.1 GB of activations for a window of 30 s.
"""

MAX_PADDED_S = 3840.0
"""128 windows of Whisper, beyond which nothing is gained."""


class Batches:
    """
    Packs clips by their length, so that little is padded, and remembers what was too much.

    Args:
        batch_size: Clips at once, or ``"auto"``.

        device: Where the model is, a ``torch.device``.

        least_s: Seconds to which every clip is padded at least.

        cpu_clips: Clips at once on a CPU, where *batch_size* is ``"auto"``.
    """

    def __init__(self, batch_size: BatchSize, device: Any, *, least_s: float = 0.0, cpu_clips: int = 1) -> None:
        self._max_clips: int | None = None
        self._max_padded_s: float | None = None
        if batch_size != "auto":
            self._max_clips = batch_size
        elif device.type == "cuda":
            self._max_padded_s = _padded_seconds(device)
        else:
            self._max_clips = cpu_clips
        self._device = device
        self._least_s = least_s

    def run(
        self,
        durations: Sequence[float],
        work: Callable[[list[int]], Sequence[T]],
        check: Callable[[], object] = lambda: None,
    ) -> list[T]:
        """
        Call *work* for batch after batch, and return its results in the order of *durations*.

        Args:
            durations: Of the clips, seconds.

            work: Takes the numbers of some clips, the longest first, and returns a result for each. May
                be called again for the same clips where memory did not suffice.

            check: Called before each batch; what it raises ends the run.

        Raises:
            BackendError: The memory does not suffice for a single clip.
        """
        order = sorted(range(len(durations)), key=lambda index: (-durations[index], index))
        results: dict[int, T] = {}
        while order:
            check()
            size = self._size(durations[order[0]], len(order))
            batch = order[:size]
            if self._fits(batch, work, results):
                del order[:size]
            elif size == 1:
                raise BackendError(
                    f"not enough memory on {self._device} for {durations[batch[0]]:.0f} s of audio with this model; "
                    'cut the audio, free some memory, or use device="cpu" or a smaller model'
                )
            else:
                self._shrink(size, durations[order[0]])
        return [results[index] for index in range(len(durations))]

    def _fits(self, batch: list[int], work: Callable[[list[int]], Sequence[T]], results: dict[int, T]) -> bool:
        try:
            results.update(zip(batch, work(batch), strict=True))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            return True
        # Only here, outside the handler, is what the failed batch had allocated free to be given back.
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
        return False

    def _size(self, longest_s: float, n_left: int) -> int:
        size = n_left if self._max_clips is None else min(self._max_clips, n_left)
        if self._max_padded_s is not None:
            size = min(size, int(self._max_padded_s / max(longest_s, self._least_s, 0.1)))
        return max(size, 1)

    def _shrink(self, size: int, longest_s: float) -> None:
        padded = size // 2 * max(longest_s, self._least_s, 0.1)
        if self._max_padded_s is None:
            self._max_clips = size // 2
        else:
            self._max_padded_s = padded
        logger.warning("out of memory with %d clips at once; going on with %d", size, size // 2)


def _padded_seconds(device: Any) -> float:
    import torch

    free_bytes: float
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return min(max(free_bytes / 2**30 * PADDED_S_PER_GIB, 30.0), MAX_PADDED_S)
