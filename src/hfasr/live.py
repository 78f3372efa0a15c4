"""
Audio that is still coming in: blocks of PCM from anywhere, and the microphone.

Example:
    >>> from hfasr.live import LiveAudio
    >>> live = LiveAudio([bytes(3_200)], sampling_rate=16_000)
    >>> live.pause_s
    0.5
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, get_args

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .audio.live_pcm import SampleType
    from .audio.live_recorder import Recorder

__all__ = ["LiveAudio", "Microphone"]

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0
"""A shorter pause lies between any two words; a longer one would hold a phrase back for no use."""

MIN_BLOCK_S, MAX_BLOCK_S = 0.01, 1.0
"""Shorter ones are work for nothing; longer ones make text late."""

PAUSE_S = 0.5
"""
What ends a phrase, seconds. A silence up to 0.25 s belongs to articulation (Goldman-Eisler, *Psycholinguistics*, 1968);
twice that is surely a pause.
"""


class LiveAudio:
    """
    Audio as it comes in, for `ASRClient.transcribe_stream`: it is cut at pauses, and each phrase is sent as it ends.

    So from a telephone, a websocket or a program that records. A phrase that goes on and on is cut at 30 s
    (`Chunking.chunk_length_s`), where it is quiet; silence and steady noise are not sent. With
    ``Chunking(split="vad")`` Silero's detector tells speech from other sounds as well.

    Args:
        blocks: Bytes of interleaved little-endian samples, or numpy arrays of shape ``(n,)`` or ``(n, channels)``
            of int16, int32 or float32 in [-1, 1]. A block may have any size, and bytes may end in the middle of
            a sample. From an iterable, or an async one (`AsyncASRClient` only). It is read once, to its end.

        sampling_rate: Frames per second of PCM, Hz, from 1000 to 768000. ``None``: the blocks are bytes of an encoded
            stream, such as a browser's MediaRecorder (WebM, Ogg) or an internet radio (MP3) gives, and say
            themselves what they are (extra ``av``). FLAC and AAC make text come some seconds later.

        channels: 1 to 8; they are mixed, unless the client takes one (``channels=0``).

        dtype: What bytes hold: ``"int16"``, ``"int32"`` or ``"float32"``. An array says so itself.

        pause_s: What ends a phrase, seconds without speech, from 0.1 to 10. Text comes so much later; what is
            shorter cuts sentences apart.

    Raises:
        TypeError: *blocks* is no iterable, or one of bytes itself; a number that is none.

        ValueError: *dtype* or *pause_s* is out of range; *channels* or *dtype* of an encoded stream.

        UnsupportedAudioError: A sampling rate or a number of channels that is not of speech.

    Example:
        >>> from hfasr import ASRClient
        >>> from hfasr.testing import FakeBackend, ToneSpeech
        >>> speech = ToneSpeech().say_at([(0.5, "red"), (2.0, "boat")], duration=3.0)
        >>> blocks = [speech[start : start + 1_600] for start in range(0, len(speech), 1_600)]
        >>> live = LiveAudio(blocks, sampling_rate=16_000)
        >>> with ASRClient(backend=FakeBackend(None)) as asr, asr.transcribe_stream(live) as stream:
        ...     [segment.text for segment in stream]
        ['red', 'boat']

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        blocks: Iterable[Any] | AsyncIterable[Any],
        *,
        sampling_rate: int | None = None,
        channels: int = 1,
        dtype: SampleType = "int16",
        pause_s: float = PAUSE_S,
    ) -> None:
        from .audio.live_pcm import SampleType
        from .audio.waveforms import MAX_CHANNELS
        from .errors import UnsupportedAudioError

        if isinstance(blocks, bytes | bytearray | memoryview | str) or hasattr(blocks, "__array_interface__"):
            raise TypeError("live blocks are an iterable of bytes or arrays; for audio that is whole use transcribe")
        if not isinstance(blocks, Iterable | AsyncIterable):
            raise TypeError(f"live blocks are an iterable of bytes or arrays, not {type(blocks).__name__}")
        if dtype not in get_args(SampleType):
            raise ValueError(f"dtype must be one of {', '.join(get_args(SampleType))}, not {str(dtype)[:50]!r}")
        self._blocks = blocks
        if sampling_rate is None and (channels != 1 or dtype != "int16"):
            raise ValueError("channels and dtype are those of PCM: pass its sampling_rate; an encoded stream says them")
        self.sampling_rate = None if sampling_rate is None else _rate(sampling_rate)
        """Frames per second, Hz; ``None`` of an encoded stream."""
        self.channels = _whole("channels", channels)
        """Samples in a frame."""
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UnsupportedAudioError(f"{channels} channels are none of speech; give the true number, 1 to 8")
        self.dtype: SampleType = dtype
        """What bytes hold."""
        self.pause_s = _seconds("pause_s", pause_s, MIN_PAUSE_S, MAX_PAUSE_S)
        """What ends a phrase, seconds."""

    @property
    def blocks(self) -> Iterable[Any] | AsyncIterable[Any]:
        """What was given."""
        return self._blocks


class Microphone(LiveAudio):
    """
    A microphone of this machine (extra ``mic``), for `ASRClient.transcribe_stream`; an iterable of blocks.

    It records from the beginning of the ``with`` block, or else of the iteration, until `stop`, the end of the block
    or Ctrl-C. What nobody has fetched yet is kept for a minute; what comes after that is lost, and silence is put in
    its place, so that times stay right.

    Args:
        device: Number or a part of the name, as ``python -m sounddevice`` and ``hfasr listen --list-devices`` list
            them; ``None``: the system's default.

        sampling_rate: Hz; the system converts. Most models are made for 16000.

        block_s: Length of a block, seconds, from 0.01 to 1.

        pause_s: What ends a phrase, seconds without speech, from 0.1 to 10.

    Raises:
        BackendNotInstalledError: When it is opened: sounddevice or PortAudio is missing.

        AudioNotFoundError: When it is opened: there is no such device, or it cannot be used so; or while it records:
            the device is gone.

    Example:
        >>> Microphone(block_s=0.05).sampling_rate
        16000

    Source:
        sounddevice, https://python-sounddevice.readthedocs.io, upon PortAudio.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        sampling_rate: int = 16_000,
        block_s: float = 0.1,
        pause_s: float = PAUSE_S,
    ) -> None:
        if device is not None and (isinstance(device, bool) or not isinstance(device, int | str)):
            raise TypeError(f"device must be the number or the name of one, not {type(device).__name__}")
        super().__init__((), sampling_rate=sampling_rate, pause_s=pause_s)
        self._device = device
        self._rate = _rate(sampling_rate)
        self._n_frames = max(1, round(_seconds("block_s", block_s, MIN_BLOCK_S, MAX_BLOCK_S) * self._rate))
        self._lock = threading.Lock()
        self._recorder: Recorder | None = None
        self._is_stopped = False

    @property
    def blocks(self) -> Iterable[bytes]:
        """The microphone itself."""
        return self

    @property
    def n_dropped(self) -> int:
        """Blocks that were lost, as nobody fetched them in time or the system had no time for them; each is logged."""
        return 0 if self._recorder is None else self._recorder.n_dropped

    def __iter__(self) -> Iterator[bytes]:
        """Record, if that has not begun, and give the blocks: mono, 16 bits a sample."""
        recorder = self._opened()
        if recorder is None:
            return
        try:
            yield from recorder
        finally:
            self.stop()

    def stop(self) -> None:
        """
        Record no more; the iteration ends after what was recorded. From any thread, and more than once.

        A microphone that was stopped stays so; make another one.
        """
        with self._lock:
            self._is_stopped = True
            recorder = self._recorder
        if recorder is not None:
            recorder.stop()

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _opened(self) -> Recorder | None:
        from .audio.live_recorder import Recorder

        with self._lock:
            if self._recorder is None and not self._is_stopped:
                self._recorder = Recorder(self._device, sampling_rate=self._rate, n_frames=self._n_frames)
            return self._recorder


def _rate(value: object) -> int:
    from .audio.waveforms import MAX_SAMPLING_RATE_HZ, MIN_SAMPLING_RATE_HZ
    from .errors import UnsupportedAudioError

    whole = int(value) if isinstance(value, float) and value.is_integer() else value  # as librosa hands rates out
    rate = _whole("sampling_rate", whole)
    if not MIN_SAMPLING_RATE_HZ <= rate <= MAX_SAMPLING_RATE_HZ:
        raise UnsupportedAudioError(
            f"a sampling rate of {rate} Hz is none of speech; give the true one, "
            f"from {MIN_SAMPLING_RATE_HZ} to {MAX_SAMPLING_RATE_HZ} Hz"
        )
    return rate


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    return value.__index__()


def _seconds(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most} seconds, not {value!r}")
    return float(value)
