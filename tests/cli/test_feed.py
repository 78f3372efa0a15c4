"""What a batch reads of pipes."""

from __future__ import annotations

import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import soundfile

from hfasr.audio.spool import IN_MEMORY_BYTES
from hfasr.cli.feed import Feed
from hfasr.cli.inputs import Found
from hfasr.testing import ToneSpeech

BLOCK = bytes(2**20)
N_BLOCKS = 48


def made_fifo(folder: Path) -> Path:
    if sys.platform == "win32":
        pytest.skip("Windows has no named pipes in folders")
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    return fifo


def sound() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, ToneSpeech().say("red boat"), 16_000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("n_blocks", [0, N_BLOCKS])
def test_pipe_of_any_size(n_blocks: int, tmp_path: Path) -> None:
    """A pipe is read to its end when its turn comes, and a long one needs no memory."""
    fifo = made_fifo(tmp_path)

    def write() -> None:
        with fifo.open("wb") as pipe:
            pipe.write(sound())
            for _ in range(n_blocks):
                pipe.write(BLOCK)

    writer = threading.Thread(target=write)
    writer.start()
    tracemalloc.start()
    try:
        feed = Feed([Found(str(fifo), str(fifo), "fifo")])
        (audio,) = feed
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        writer.join()
    given: Any = audio
    assert given.read(len(sound())) == sound()
    assert sum(len(block) for block in iter(lambda: given.read(2**20), b"")) == n_blocks * len(BLOCK)
    assert list(feed.failed) == []
    assert peak < 3 * IN_MEMORY_BYTES


def test_pipe_that_is_no_audio(tmp_path: Path) -> None:
    """A pipe that gives no audio fails by itself, and the next input is read."""
    fifo = made_fifo(tmp_path)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"<html>no</html>",))
    writer.start()
    feed = Feed([Found(str(fifo), str(fifo), "fifo"), Found("x", tmp_path / "x.wav", "x")])
    assert list(feed) == [tmp_path / "x.wav"]
    writer.join()
    ((name, error),) = feed.failed
    assert name == str(fifo)
    assert type(error).__name__ == "UnsupportedAudioError"
