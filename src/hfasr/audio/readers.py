"""
Give a source's samples block by block: from a plain WAV file, libsndfile, PyAV, or the caller's own array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hfasr.errors import AudioDecodeError, UnsupportedAudioError

from .source import WaveformSource

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

    from .pyav import AVReader
    from .source import Source

__all__ = ["BLOCK_FRAMES", "Reader", "open_reader", "shortfall"]

BLOCK_FRAMES = 65_536
"""Frames per block: about a second and a half of CD audio, small enough for the processor's cache."""

# libmpg123, by which libsndfile reads these, writes to the process's standard error about frames that every
# decoder conceals, and cannot be told not to. PyAV gives the same samples, within 2e-6, and keeps quiet.
_NOISY = {"mp3", "mp2"}
_SLACK_S = 0.5  # headers count the padding that decoders drop, and round


class Reader(Protocol):
    """Samples that are read once, from the start."""

    sampling_rate: int
    """Hz, as the file says."""

    channels: int
    """Number of channels, as the file says."""

    n_frames: int | None
    """Number of frames that the header announces; not to be trusted."""

    notes: list[str]
    """What had to be worked around; complete after the last block."""

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        """Give blocks of shape ``(n_frames, channels)``, each valid until the next is asked for."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_reader(source: Source, *, check: Callable[[], None] | None = None) -> Reader:
    """
    Open *source* with whoever can read it: libsndfile first, then PyAV where it is installed.

    Args:
        source: What to read.

        check: Called while something is looked for in the file, which may be long; raises to stop.

    Raises:
        AudioDecodeError: Damaged.

        UnsupportedAudioError: Only PyAV can read it, and it is not installed; or nobody can.
    """
    if isinstance(source, WaveformSource):
        return WaveformReader(source)
    container = source.container
    assert container is not None
    if not container.libsndfile:
        av_reader = _av_reader()
        if av_reader is None:
            raise UnsupportedAudioError(
                f'{source.name} is {container.name}, which only PyAV decodes: pip install "hfasr[av]", or make it FLAC'
            )
        return av_reader(source, check=check)
    if container.name in _NOISY and (av_reader := _av_reader()) is not None:
        return av_reader(source, check=check)
    if container.name == "wav":
        from .pcm import pcm_reader

        reader = pcm_reader(source)
        if reader is not None:
            return reader
    from .libsndfile import SoundFileReader

    try:
        return SoundFileReader(source, check=check)
    except AudioDecodeError:
        av_reader = _av_reader()
        if av_reader is None:
            raise
        fallback = av_reader(source, check=check)
        fallback.notes.append("decoded by PyAV, as libsndfile could not open it")
        return fallback


def _av_reader() -> type[AVReader] | None:
    try:
        from .pyav import AVReader
    except ImportError:
        return None
    return AVReader


class WaveformReader:
    """Blocks of an array that is in memory."""

    def __init__(self, source: WaveformSource) -> None:
        self._frames = source.frames
        self.sampling_rate = source.sampling_rate
        self.n_frames: int | None
        self.n_frames, self.channels = source.frames.shape
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, len(self._frames), BLOCK_FRAMES):
            yield np.ascontiguousarray(self._frames[start : start + BLOCK_FRAMES])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def shortfall(missing_s: float) -> list[str]:
    """Return the note about *missing_s* seconds that a header promised, if they are more than rounding."""
    return [f"the file ends {missing_s:.1f} s before its header says"] if missing_s > _SLACK_S else []
