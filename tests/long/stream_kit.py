"""A server that holds chosen words back, and what must be gone when a stream was left."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfasr import Audio, Chunking
from hfasr.testing import ToneSpeech

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hfasr.testing import FakeASRServer
    from hfasr.types import Segment, TranscribeOptions, Transcript
    from tests.colours import Session

    MakeSession = Callable[..., Session]

__all__ = [
    "AT_PAUSES",
    "AUDIO",
    "CHUNKS",
    "DATA",
    "RATE",
    "SAID",
    "STREAM",
    "TALK",
    "WORDS",
    "Ear",
    "anywhere",
    "make",
    "nothing_is_left",
    "soon",
    "take_all",
    "temporary_files",
]

WORDS = ["red", "boat", "green", "river", "sun", "moon", "lake", "stone", "tree", "water"]
CHUNKS = [f"{word} {word} {word}" for word in WORDS]  # 0.8 s each, and a pause of 0.7 s after it
STREAM = np.concatenate([ToneSpeech().say_at([(0.05, w), (0.35, w), (0.65, w)], duration=1.5) for w in WORDS])[:-8_000]
AUDIO = Audio(STREAM, 16_000)
AT_PAUSES = Chunking(chunk_length_s=1.7, max_concurrency=3)
RATE = 16_000  # Hz, of what is said live
SAID = [
    (1.0 + 2.0 * n + 0.3 * i, word) for n, word in enumerate(WORDS) for i in range(3)
]  # and a pause of 1.2 s after each phrase
TALK = ToneSpeech().say_at(SAID, duration=21.5)
DATA = (TALK * 32_767).astype("<i2").tobytes()


class Ear:
    """Hears tone speech, and holds back, slows down or refuses clips in which it hears a certain word."""

    def __init__(self) -> None:
        self.holds: dict[str, threading.Event] = {}
        self.refuses: set[str] = set()
        self.slow_s: dict[str, float] = {}

    def __call__(self, audio: Audio, options: TranscribeOptions) -> Transcript:
        heard = ToneSpeech().hear(audio, options)
        for word in {word.word for word in heard.words}:
            time.sleep(self.slow_s.get(word, 0.0))
            if word in self.holds:
                assert self.holds[word].wait(20)
            if word in self.refuses:
                raise ValueError("malformed soundfile")
        return heard

    def hold(self, *words: str) -> threading.Event:
        """Hold back the clips with any of *words* until the event that this returns."""
        event = threading.Event()
        self.holds.update(dict.fromkeys(words, event))
        return event


def make(session: MakeSession, server: FakeASRServer, **settings: Any) -> Session:
    """Return a client that cuts at each pause."""
    return session(router_url=server.router_url, token="x", **{"chunking": AT_PAUSES, **settings})


def soon(condition: Callable[[], object], *, within_s: float = 5.0) -> bool:
    """Whether *condition* comes true in time."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def nothing_is_left(server: FakeASRServer, *, within_s: float = 2.0) -> bool:
    """Whether no thread of ours runs, no temporary file is open, and no request is sent any more."""

    def gone() -> bool:
        gc.collect()  # a cancelled task's traceback may be in a cycle, with what it worked on
        threads = [t for t in threading.enumerate() if t.name.startswith("hfasr-transcription")]
        return not threads and not temporary_files()

    if not soon(gone, within_s=within_s):  # a thread that was decoding ends with its block
        return False
    n_requests = len(server.requests)
    time.sleep(0.1)
    return len(server.requests) == n_requests


def temporary_files() -> list[str]:
    """Return the large files without a name that this process has open; none where the system does not tell."""
    folder = Path("/proc/self/fd")
    found = []
    for link in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(link.readlink()).endswith("(deleted)") and link.stat().st_size > 2**20:
                found.append(link.name)
    return found


def anywhere(data: bytes = DATA, seed: int = 1) -> Iterator[bytes]:
    """Give *data* in blocks of any size, some of which end within a sample."""
    rng = random.Random(seed)
    start = 0
    while start < len(data):
        stop = start + rng.choice((1, 7, 320, 3_201, 6_400))
        yield data[start:stop]
        start = stop


def take_all(stream: Iterable[Segment], seen: list[Segment]) -> None:
    """Put into *seen* what comes before an error, too."""
    for segment in stream:
        seen.append(segment)  # noqa: PERF402  # extend would add nothing then
