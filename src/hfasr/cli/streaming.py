"""One input whose text is printed while it goes on: a file, a microphone, PCM from a pipe."""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from hfasr.errors import AudioNotFoundError

from .console import StdoutError, reason, write_stdout
from .lines import line
from .many import concerns_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from hfasr import ASRClient
    from hfasr.live import LiveAudio
    from hfasr.types import AudioInput, TranscribeOptions

    from .report import Report
    from .segments import Segments
    from .tally import Tally

__all__ = ["RawPCM", "first_interrupt", "print_segments"]

_BLOCK_BYTES = 65_536
_LOOK_S = 0.2


def print_segments(
    asr: ASRClient,
    audio: AudioInput | LiveAudio,
    *,
    name: str,
    is_live: bool,
    call: TranscribeOptions,
    segments: Segments,
    report: Report,
    tally: Tally,
) -> None:
    """
    Print what is said in *audio*, segment by segment.

    Raises:
        HfasrError: It would come again, whatever the input; what else fails is reported and counted.
        StdoutError: Standard output takes nothing more.
        BrokenPipeError: Nobody reads it any more.
    """
    try:
        segments.begin()
        with asr.transcribe_stream(audio, **call) as stream:
            for segment in stream:
                segments.write(segment)
                if is_live and segment.error is not None:
                    report.warning(name, f"from {segment.start:.1f} s on nothing was transcribed: {segment.error}")
            if is_live:
                for warning in stream.warnings:
                    report.warning(name, warning)
            else:
                report.explain(name, stream.transcript)
    except Exception as error:  # reported
        if concerns_all(error) or isinstance(error, (BrokenPipeError, StdoutError)):
            raise
        report.failure(name, error)
        tally.failed(name, error)
        if segments.is_lines:
            write_stdout(line(name, {}, error=error))


@contextmanager
def first_interrupt(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """
    Let the first Ctrl-C call *stop*, so that what was begun is finished; the second is an ordinary one.

    Gives what tells whether there was one.
    """
    pressed = threading.Event()
    before: Any = signal.getsignal(signal.SIGINT)

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        pressed.set()
        threading.Thread(target=stop, daemon=True).start()  # a lock that it needs may be held by what was interrupted

    if before not in {signal.SIG_IGN, None}:
        signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


class RawPCM:
    """
    Blocks of *file* as they come in, until it ends or `stop` is called.

    Args:
        file: Standard input.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._raw: Any = getattr(file, "raw", file)  # its read gives what is there, and does not wait for more
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End with the block that is being read; where the system cannot tell whether there is one, when it comes."""
        self._stopped.set()

    def __iter__(self) -> Iterator[bytes]:
        try:
            while not self._stopped.is_set():
                if self._has_come():
                    block = self._raw.read(_BLOCK_BYTES)
                    if not block:
                        return
                    yield block
        except OSError as error:
            raise AudioNotFoundError(f"standard input cannot be read: {reason(error)}; pipe PCM into it") from error

    def _has_come(self) -> bool:
        if os.name != "posix":  # elsewhere only sockets can be asked
            return True
        return bool(select.select([self._raw], [], [], _LOOK_S)[0])
