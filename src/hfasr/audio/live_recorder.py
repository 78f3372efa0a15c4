"""
Record from a device, by sounddevice. Its thread puts blocks into a line, from which they are fetched.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from hfasr.errors import AudioNotFoundError, BackendNotInstalledError

__all__ = ["InputDevice", "Recorder", "input_devices"]

logger = logging.getLogger("hfasr")

WAITING_S = 60.0
"""So much is kept until it is fetched, seconds: 2 MB at 16 kHz. Requests are not waited for, so this is a lot."""

_LOOK_S = 0.2  # on Windows, Ctrl-C is not heard within a wait
_SAMPLE_BYTES = 2  # int16


class Recorder:
    """
    Mono 16-bit blocks of a device, from now on until `stop`.

    Args:
        device: Number, a part of its name, or ``None`` for the default.

        sampling_rate: Hz.

        n_frames: Frames in a block.

    Raises:
        BackendNotInstalledError: sounddevice or PortAudio is missing.

        AudioNotFoundError: There is no such device, or it cannot be used so.
    """

    def __init__(self, device: int | str | None, *, sampling_rate: int, n_frames: int) -> None:
        sounddevice = _library()
        self._most = max(2, round(WAITING_S * sampling_rate / n_frames))
        self._line: deque[tuple[int, bytes]] = deque()  # each block with the frames that were lost before it
        self._n_lost_frames = 0
        self._warn_at = 1
        self._changed = threading.Condition()
        self._closing = threading.Lock()
        self._is_stopped = self._is_over = False
        self.n_dropped = 0
        """Blocks that were lost."""
        try:
            self._stream: Any = sounddevice.RawInputStream(
                samplerate=sampling_rate,
                blocksize=n_frames,
                device=device,
                channels=1,
                dtype="int16",
                callback=self._take,
                finished_callback=self._end,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            which = "the default microphone" if device is None else f"the microphone {str(device)[:80]!r}"
            raise AudioNotFoundError(
                f"{which} cannot be opened at {sampling_rate} Hz ({error}); python -m sounddevice lists the devices"
            ) from error

    def __iter__(self) -> Iterator[bytes]:
        while (found := self._next()) is not None:
            n_lost_frames, block = found
            self._warn()
            while n_lost_frames > 0:
                n_frames = min(n_lost_frames, len(block) // _SAMPLE_BYTES)
                yield bytes(n_frames * _SAMPLE_BYTES)
                n_lost_frames -= n_frames
            yield block

    def stop(self) -> None:
        """Record no more. From any thread, and more than once."""
        with self._changed:
            self._is_stopped = True
        with self._closing:
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)
        self._end()

    def _take(self, data: Any, n_frames: int, _time: Any, status: Any) -> None:
        """Keep a block. In the device's thread."""
        block = bytes(data)
        with self._changed:
            self.n_dropped += bool(status.input_overflow)
            if len(self._line) >= self._most:
                self.n_dropped += 1
                self._n_lost_frames += n_frames
                return
            self._line.append((self._n_lost_frames, block))
            self._n_lost_frames = 0
            self._changed.notify()

    def _end(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _next(self) -> tuple[int, bytes] | None:
        with self._changed:
            while not self._line and not self._is_over:
                self._changed.wait(_LOOK_S)
            if self._line:
                return self._line.popleft()
            if not self._is_stopped:
                raise AudioNotFoundError("the microphone gives no more sound; check that it is plugged in")
            return None

    def _warn(self) -> None:
        n_dropped = self.n_dropped
        if n_dropped >= self._warn_at:
            self._warn_at = 2 * n_dropped  # not for each: whoever is too slow loses many
            logger.warning(
                "%d blocks of the microphone were lost; take them faster, or do less beside it",
                n_dropped,
            )


class InputDevice(NamedTuple):
    """A device that can be recorded from."""

    number: int
    name: str
    is_default: bool


def input_devices() -> list[InputDevice]:
    """
    Return the devices that can be recorded from, by their numbers.

    Raises:
        BackendNotInstalledError: sounddevice or PortAudio is missing.

        AudioNotFoundError: There is none.
    """
    sounddevice = _library()
    try:
        default = sounddevice.default.device[0]
        found = [
            InputDevice(number, str(device["name"]), number == default)
            for number, device in enumerate(sounddevice.query_devices())
            if device["max_input_channels"] > 0
        ]
    except sounddevice.PortAudioError as error:
        raise AudioNotFoundError(f"the sound devices cannot be listed ({error}); check the sound system") from error
    if not found:
        raise AudioNotFoundError("there is no microphone; plug one in")
    return found


def _library() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise BackendNotInstalledError(
            f'the microphone needs sounddevice, which cannot be imported ({error}); run: pip install "hfasr[mic]"'
        ) from error
    except OSError as error:
        raise BackendNotInstalledError(
            f"the microphone needs PortAudio ({error}); install it, on Debian and Ubuntu: apt install libportaudio2"
        ) from error
    return sounddevice
