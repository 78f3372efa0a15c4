"""PCM from standard input, block by block as it comes."""

from __future__ import annotations

import io
import os
import threading
from types import SimpleNamespace

import pytest

from hfasr import AudioNotFoundError
from hfasr.cli import streaming
from hfasr.cli.streaming import RawPCM


@pytest.mark.parametrize("system", ["posix", "nt"])
def test_blocks_come_to_the_end(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """What is in a pipe is given as it is, up to its end, also where nobody can ask whether there is something."""
    if os.name != "posix":
        pytest.skip("only sockets can be asked here")
    monkeypatch.setattr(streaming, "os", SimpleNamespace(name=system))
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"abc" * 1000)
    with os.fdopen(reading, "rb") as pipe:
        assert b"".join(RawPCM(pipe)) == b"abc" * 1000


@pytest.mark.skipif(os.name != "posix", reason="only sockets can be asked here")
def test_a_stop_ends_it_while_nothing_comes() -> None:
    """Whoever waits for a block is let go, and no block is needed for that."""
    reading, writing = os.pipe()
    got: list[bytes] = []
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
        blocks = RawPCM(pipe)
        waiting = threading.Thread(target=lambda: got.extend(blocks))
        waiting.start()
        blocks.stop()
        waiting.join(30)
        assert not waiting.is_alive()
    assert got == []


def test_a_pipe_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of standard input is told in one line."""

    class Broken(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(streaming, "os", SimpleNamespace(name="nt"))
    with pytest.raises(AudioNotFoundError, match=r"standard input cannot be read: .*; pipe PCM into it"):
        list(RawPCM(Broken()))  # type: ignore[arg-type]  # all that is asked of it is to be read
