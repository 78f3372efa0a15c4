"""
Blocks of PCM as they come in, of any size, as float32 frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hfasr.errors import UnsupportedAudioError

from .waveforms import scaled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PCM", "SampleType"]

SampleType: TypeAlias = Literal["int16", "int32", "float32"]


class PCM:
    r"""
    Turns blocks into frames; what is left of a sample or a frame goes before the next block.

    Args:
        channels: Number of channels, 1 to 8.

        dtype: What bytes hold, little-endian and interleaved. An array says so itself.

        slice_frames: Most frames that are given at once, so that a block of minutes is not converted as a whole.

    Example:
        >>> pcm = PCM(channels=1, dtype="int16")
        >>> [frames.tolist() for block in (b"\x00", b"\x40\x00", b"\xc0") for frames in pcm(block)]
        [[[0.5]], [[-0.5]]]
    """

    def __init__(self, *, channels: int, dtype: SampleType, slice_frames: int = 65_536) -> None:
        self._channels = channels
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._slice_frames = slice_frames
        self._rest = bytearray()

    def __call__(self, block: Any) -> Iterator[npt.NDArray[np.float32]]:
        """
        Give *block* as arrays of shape ``(n, channels)``, float32 and the caller's memory perhaps.

        Raises:
            TypeError: Neither bytes nor an array of samples.

            UnsupportedAudioError: An array of another shape, number of channels or type of samples; or an
                array after bytes that ended within a frame.
        """
        if isinstance(block, bytes | bytearray | memoryview):
            return self._from_bytes(memoryview(block))
        if isinstance(block, np.ndarray):
            return self._from_array(block)
        raise TypeError(f"a live block is bytes or a numpy array of samples, not {type(block).__name__}")

    @property
    def n_left_bytes(self) -> int:
        """Bytes of a frame that never became whole."""
        return len(self._rest)

    def _from_bytes(self, block: memoryview) -> Iterator[npt.NDArray[np.float32]]:
        view = block.cast("B") if block.c_contiguous else memoryview(block.tobytes())
        width = self._dtype.itemsize * self._channels
        if self._rest:
            missing = width - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
            if len(self._rest) < width:
                return
            first, self._rest = self._rest, bytearray()
            yield self._frames(first)
        whole = len(view) - len(view) % width
        self._rest += view[whole:]
        step = self._slice_frames * width
        for start in range(0, whole, step):
            yield self._frames(view[start : min(start + step, whole)])

    def _frames(self, data: memoryview | bytearray) -> npt.NDArray[np.float32]:
        return scaled(np.frombuffer(data, self._dtype).astype(self._dtype.newbyteorder("="), copy=False)).reshape(
            -1, self._channels
        )

    def _from_array(self, block: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
        if self._rest:
            raise UnsupportedAudioError("an array came after bytes that ended within a frame; pass whole frames")
        if block.dtype.name not in {"int16", "int32", "float32"}:
            raise UnsupportedAudioError(f"a live block of {block.dtype}; pass int16, int32 or float32")
        frames = block[:, None] if block.ndim == 1 else block
        if frames.ndim != 2 or frames.shape[1] != self._channels:
            raise UnsupportedAudioError(
                f"a live block of shape {block.shape}, where {self._channels} channels were announced; "
                f"pass (n, {self._channels}), or the true channels="
            )
        for start in range(0, len(frames), self._slice_frames):
            yield scaled(frames[start : start + self._slice_frames])
