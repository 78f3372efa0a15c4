"""
Captions of what is being said, phrase by phrase, each with the time that it took to come.

    python examples/live_captions.py examples/audio/train.flac
    python examples/live_captions.py examples/audio/train.flac pocketsphinx

The file stands for a call or a broadcast: its samples come as fast as they are played. With `Microphone()` in the
place of `LiveAudio(…)` you caption yourself (extra "mic"), with the messages of a websocket anybody. A backend may be
named: an engine on this machine, such as pocketsphinx (extra "offline"); else a token of Hugging Face is needed.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import soundfile

from hfasr import ASRClient, LiveAudio

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

BLOCK_S = 0.1


def as_played(file: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    """Give the samples of *file* in blocks, each at the time at which it has been played."""
    began = time.monotonic()
    for block in file.blocks(round(BLOCK_S * file.samplerate), dtype="float32"):
        due = began + file.tell() / file.samplerate
        time.sleep(max(0.0, due - time.monotonic()))
        yield block


def main(path: str, backend: str = "hosted") -> None:
    """Print what is said in *path* while it is being played, and how late the text was."""
    with soundfile.SoundFile(path) as file, ASRClient(backend=backend) as asr:
        asr.preload()  # not while somebody speaks
        live = LiveAudio(as_played(file), sampling_rate=file.samplerate, channels=file.channels)
        with asr.transcribe_stream(live, on_chunk_error="gap") as captions:
            for caption in captions:
                print(f"{caption.start:6.2f} s  {caption.error or caption.text}", flush=True)
                print(f"  {captions.delay:.2f} s after the end of the phrase", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        print("usage: python examples/live_captions.py FILE [BACKEND]", file=sys.stderr)
        sys.exit(2)
    main(*sys.argv[1:])
