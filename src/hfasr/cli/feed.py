"""What a batch of the library reads, and what each item of it came from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hfasr.audio.spool import Spool
from hfasr.errors import AudioNotFoundError

from .console import reason
from .inputs import opened
from .walking import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

    from hfasr import BatchItem
    from hfasr.types import AudioInput

    from .inputs import Found

__all__ = ["CountedFeed", "Feed"]

_READ_BYTES = 2**20


class Feed:
    """
    What the library reads, in a thread of its own: audio, and beside it what each came from.

    Args:
        found: Inputs, and what could not be looked at.
    """

    def __init__(self, found: Iterable[Found | Failed]) -> None:
        self._found = found
        self._under_way: dict[int, Found] = {}
        self.failed: deque[Failed] = deque()

    def __iter__(self) -> Iterator[AudioInput]:
        n = 0
        for one in self._found:
            if isinstance(one, Failed):
                self.failed.append(one)
                continue
            try:
                audio = _audio(one)
            except Exception as error:  # noqa: BLE001  # one pipe that cannot be read is one that failed
                self.failed.append(Failed(one.name, error))
                continue
            self._under_way[n] = one
            n += 1
            yield audio

    def take(self, item: BatchItem) -> Found:
        """Return what *item* came from, once."""
        return self._under_way.pop(item.index)


class CountedFeed(Feed):
    """The same, of which it is known how many there are."""

    def __init__(self, found: Iterable[Found | Failed], n: int) -> None:
        super().__init__(found)
        self._n = n

    def __len__(self) -> int:
        return self._n


def _audio(found: Found) -> AudioInput:
    """
    Return what the library is to be given: of standard input and pipes a copy, made here and now.

    What was found, rather than named, is a path object: a pipe among it might block for ever.
    """
    if not isinstance(found.audio, str):
        return found.audio
    with opened(found.audio) as audio:
        return audio if isinstance(audio, str) else _copy(audio)


def _copy(pipe: IO[bytes]) -> IO[bytes]:
    """
    Read a pipe to its end, in the thread that feeds the batch; more than a little of it goes to the disk.

    Without the buffer, whose lock would be missed at the process's end where Ctrl-C left the thread behind.
    """
    raw: Any = getattr(pipe, "raw", pipe)
    with Spool() as spool:
        try:
            while piece := raw.read(_READ_BYTES):
                spool.write(piece)
        except OSError as error:
            raise AudioNotFoundError(f"the pipe cannot be read: {reason(error)}; name a file") from error
        return spool.source("the audio").open()
