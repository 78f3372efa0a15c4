"""
Read 16-bit PCM WAV, the commonest kind of all, without libsndfile: opening that takes longer than a short clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from . import headers
from .readers import BLOCK_FRAMES

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .source import Source

__all__ = ["PCMReader", "pcm_reader"]

_PCM = 1
_SCALE = np.float32(2.0**-15)


def pcm_reader(source: Source) -> PCMReader | None:
    """Return the reader of a plain 16-bit WAV file; ``None`` for other samples and for odd headers."""
    with source.open() as file:
        header = headers.wav_header(file)
    if header is None or header.big_endian or (header.format_tag, header.bits) != (_PCM, 16):
        return None
    if header.block_align != 2 * header.channels or header.data_bytes < header.block_align:
        return None
    return PCMReader(source, header)


class PCMReader:
    """Blocks of a WAV file, as long as its bytes last."""

    def __init__(self, source: Source, header: headers.WavHeader) -> None:
        self._header = header
        self._file = source.open()
        self.sampling_rate = header.sampling_rate
        self.channels = header.channels
        self.n_frames: int | None = header.data_bytes // header.block_align
        self.notes = header.length_notes

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        frame_bytes = self._header.block_align
        left = self._header.data_bytes // frame_bytes
        self._file.seek(self._header.data_start)
        while left > 0:
            data = self._file.read(min(left, BLOCK_FRAMES) * frame_bytes)
            n_frames = len(data) // frame_bytes
            if n_frames == 0:  # the file has become shorter meanwhile
                break
            samples = np.frombuffer(data, "<i2", n_frames * self.channels).astype(np.float32)
            samples *= _SCALE
            left -= n_frames
            yield samples.reshape(n_frames, self.channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
