"""Real exchanges, recorded once and replayed: the server's answers by what was asked, without network or token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from ._attaching import Attached, tell_no_more, tell_of_new_clients
from ._cassette_file import check_writable, read, write
from ._tape import Mode, NotRecordedError, Tape
from .clock import FakeClock

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from hfasr import ASRClient, AsyncASRClient

    AnyClient = TypeVar("AnyClient", ASRClient, AsyncASRClient)

__all__ = ["Cassette", "NotRecordedError", "record", "replay"]


class Cassette:
    """
    A file of recorded exchanges, and the clients that are on it; from `record` or `replay`. A context manager.

    Within its block it answers every client that is made in this process, in any thread, and those that it is
    attached to. Answers are found by the audio's SHA-256 and the options (model, language, task, prompt,
    timestamps, parameters), and the server's place: never by bytes on the wire. A call gets all that its
    equal got, in the same order: failures, retries and refused parameters as well. Where a call is repeated
    more often than it was recorded, it gets what the last one got.

    Args:
        path: The file, JSON. Its folder is made.

        mode: ``"none"``: nothing is sent, and what is missing is a `NotRecordedError`; ``"new"``: what is
            missing is sent and added; ``"all"``: everything is sent, and the file replaced.

    .. versionadded:: 0.1.0
    """

    def __init__(self, path: str | PathLike[str], *, mode: Mode) -> None:
        if mode not in ("none", "new", "all"):
            raise ValueError(f'mode must be "none", "new" or "all", not {mode!r:.50}')
        self.path = Path(path)
        """The file."""
        self.mode: Mode = mode
        """What is recorded."""
        self.clock = FakeClock()
        """What clients wait on in a replay: no pause takes time, and each is written down in its ``sleeps``."""
        self._replaces = mode == "all"
        self._hidden: list[str] = []
        self._tape: Tape | None = None
        self._attached: Attached | None = None

    @property
    def n_replayed(self) -> int:
        """How many answers came from the file."""
        return 0 if self._tape is None else self._tape.n_replayed

    @property
    def n_recorded(self) -> int:
        """How many answers came from a server."""
        return 0 if self._tape is None else self._tape.n_recorded

    def attach(self, client: AnyClient) -> AnyClient:
        """
        Let *client*, made before the block, and those that share its connections, be answered; return it.

        Raises:
            RuntimeError: Outside of the block.
        """
        if self._attached is None:
            raise RuntimeError("this cassette is not open; attach clients inside its `with` block")
        self._attached.add(client)
        return client

    def hide(self, *texts: str) -> None:
        """
        Leave *texts* of 4 characters or more out of the file, wherever they come: an account's name, for instance.

        Credentials of requests are left out anyway: tokens, cookies, whom the request is billed to.
        """
        self._hidden += texts
        if self._tape is not None:
            self._tape.secrets.add(texts)

    def check(self) -> None:
        """
        Raise again what was missing first, also where the code under test has handled it. The block's end does so.

        Raises:
            NotRecordedError: Something was missing.
        """
        if self._tape is not None and self._tape.missed is not None:
            raise self._tape.missed

    def open(self) -> Self:
        """
        Begin. Entering the block does so.

        Raises:
            OSError: The file cannot be read, or what is recorded could not be written.
            ValueError: There is a file that is no cassette.
        """
        if self._attached is not None:
            raise RuntimeError("this cassette is open already; make another one")
        if self.mode != "none":
            check_writable(self.path)
        recorded = [] if self.mode == "all" else read(self.path)
        self._tape = Tape(recorded, mode=self.mode, name=self.path.name)
        self._tape.secrets.add(self._hidden)
        self._attached = Attached(self._tape, self.clock if self.mode == "none" else None)
        tell_of_new_clients(self._attached.add)
        return self

    def close(self) -> None:
        """
        Leave all clients as they were, and write what was recorded, all or nothing. May be called twice.

        Raises:
            OSError: The file cannot be written.
        """
        attached, tape = self._attached, self._tape
        if attached is None or tape is None:
            return
        self._attached = None
        tell_no_more(attached.add)
        attached.leave()
        if tape.n_recorded:
            write(self.path, tape.tracks([] if self._replaces else read(self.path)))

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.check()

    def __repr__(self) -> str:
        return f"Cassette({str(self.path)!r}, mode={self.mode!r})"


def record(path: str | PathLike[str], *, mode: Literal["new", "all"] = "all") -> Cassette:
    """
    Record what servers answer to the clients of a ``with`` block, into a small file to be committed.

    It holds answers with their times, digests of the audio and the options, and neither audio nor credentials.
    What was recorded is written at the end of the block, also where that is left by an error.

    Args:
        path: The file, JSON. Its folder is made.

        mode: ``"all"``: everything is sent, and the file replaced. ``"new"``: what the file has is
            replayed, and only the rest is sent, and added.

    Example:
        >>> import tempfile
        >>> from hfasr import ASRClient, Audio
        >>> from hfasr.testing import FakeASRServer, ToneSpeech, record, replay
        >>> clip = Audio(ToneSpeech().say("red boat"), 16_000)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = f"{folder.name}/boat.json"
        >>> with FakeASRServer() as server, record(path), ASRClient(router_url=server.router_url) as asr:
        ...     asr.transcribe(clip).text
        'red boat'
        >>> with replay(path), ASRClient() as asr:  # without the server, and without a token
        ...     asr.transcribe(clip).text
        'red boat'
        >>> folder.cleanup()

    .. versionadded:: 0.1.0
    """
    if mode not in ("new", "all"):
        raise ValueError(f'mode must be "new" or "all", not {mode!r:.50}; to record nothing use replay()')
    return Cassette(path, mode=mode)


def replay(path: str | PathLike[str]) -> Cassette:
    """
    Answer the clients of a ``with`` block from a file that `record` has written.

    No socket is opened, no token is needed, and no pause takes time. What the file lacks is a
    `NotRecordedError`, raised again at the end of the block where it was handled.

    Args:
        path: The file.

    Example:
        See `record`.

    Raises:
        ValueError: At the start of the block: it is no cassette. One that is not there holds nothing.

    .. versionadded:: 0.1.0
    """
    return Cassette(path, mode="none")
