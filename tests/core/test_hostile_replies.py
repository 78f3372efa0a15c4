"""Whatever a server says: a typed error by the deadline, in little memory, with any client, in each colour."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from hfasr import AudioError, DeadlineExceededError, HfasrError, RetryPolicy
from tests.colours import Session
from tests.core.adversary import FAULTS, Adversary
from tests.core.conftest import LIBRARIES

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer

Make = Callable[..., Session]
ROOT = Path(__file__).parents[2]
DEADLINE_S = 1.0
PATIENCE_S = 30.0  # for faults that end by themselves, on a machine that does other work as well
ONCE = RetryPolicy(max_attempts=1)


MAX_BYTES = 50 * 10**6


@pytest.fixture(scope="module")
def clips(wav: bytes) -> dict[str, Any]:
    """Give audio that fits into the sockets' buffers, and some that does not."""
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (48_000 * 60, 2)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 48_000, format="WAV")
    return {"small": wav, "large": file.getvalue()}


# Neither httpx nor httpx2 closes the socket of a handshake that is cancelled; the garbage collector does.
_LEAKY = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def _marks(name: str, library: str) -> list[pytest.MarkDecorator]:
    """Leave a caller's own client, which takes minutes for all of them, to the slow tests."""
    if library == "own":
        return []
    return [pytest.mark.slow, _LEAKY] if name == "no handshake" else [pytest.mark.slow]


CASES = [pytest.param(name, library, marks=_marks(name, library)) for name in FAULTS for library in LIBRARIES]


@pytest.mark.parametrize(("name", "library"), CASES)
def test_reply(caller: Make, clips: dict[str, Any], name: str, library: str) -> None:
    """Each fault ends in its typed error by the deadline; what is no fault gives the transcript."""
    fault = FAULTS[name]
    with Adversary(fault) as server:
        asr = caller(library, base_url=server.url, dialect="hf", retry=ONCE, upload="original")
        deadline = DEADLINE_S if fault.error is DeadlineExceededError else PATIENCE_S
        if fault.error is None:
            assert asr.transcribe(clips[fault.upload], deadline=deadline).text == "ok"
            return
        began = time.monotonic()
        with pytest.raises(fault.error, match=fault.says) as caught:
            asr.transcribe(clips[fault.upload], deadline=deadline)
        assert time.monotonic() - began < PATIENCE_S
    assert isinstance(caught.value, HfasrError)
    assert len(str(caught.value)) <= 500
    if fault.scheme == "https":
        del caught
        gc.collect()  # within reach of the mark


@pytest.mark.parametrize("name", FAULTS)
def test_audio_that_is_fetched(session: Make, asr_server: FakeASRServer, name: str) -> None:
    """A server of audio that misbehaves so ends in an error of the audio, or at the deadline."""
    fault = FAULTS[name]
    deadline = DEADLINE_S if fault.error is DeadlineExceededError else PATIENCE_S
    asr = session(base_url=asr_server.url, dialect="hf", allow_private_urls=True)
    with Adversary(fault) as server, pytest.raises((AudioError, DeadlineExceededError)) as caught:
        asr.transcribe(f"{server.url}/clip.flac", deadline=deadline)
    assert isinstance(caught.value, AudioError) or fault.error is DeadlineExceededError or fault.upload == "large"
    assert asr_server.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_memory(colour: str, library: str, wav: bytes, tmp_path: Path) -> None:
    """What aims at the memory gets 50 MB of it at most, from a process that has made a call before."""
    found = in_a_process(colour, library, wav, tmp_path)
    assert {name: error for name, (error, _) in found.items()} == {
        name: fault.error.__name__ for name, fault in FAULTS.items() if fault.bomb and fault.error is not None
    }
    assert {name: n_bytes for name, (_, n_bytes) in found.items() if n_bytes > MAX_BYTES} == {}


@pytest.mark.slow
def test_memory_of_audio_that_is_fetched(colour: str, wav: bytes, tmp_path: Path) -> None:
    """The same of a server of audio, whatever ends up on the disk."""
    found = in_a_process(colour, "own", wav, tmp_path, fetched=True)
    assert {error for error, _ in found.values()} <= {"AudioURLError", "UnsupportedAudioError", "DeadlineExceededError"}
    assert {name: n_bytes for name, (_, n_bytes) in found.items() if n_bytes > MAX_BYTES} == {}


def in_a_process(
    colour: str, library: str, wav: bytes, folder: Path, *, fetched: bool = False
) -> dict[str, tuple[str, int]]:
    """Call a server of each fault that aims at the memory, or fetch audio from it; return error and bytes of each."""
    if sys.platform != "linux":
        pytest.skip("a process's peak of memory is read, and reset, in Linux's /proc")
    bombs = {name: fault for name, fault in FAULTS.items() if fault.bomb}
    (folder / "clip.wav").write_bytes(wav)
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(Adversary(fault)).url for name, fault in bombs.items()}
        task = {
            "colour": colour,
            "library": library,
            "fetched": fetched,
            "audio": str(folder / "clip.wav"),
            "warm": stack.enter_context(Adversary(FAULTS["HTTP/1.0"])).url,
            "urls": urls,
            "late": [urls[name] for name, fault in bombs.items() if fault.error is DeadlineExceededError],
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.core.hostile_client"],
            input=json.dumps(task), capture_output=True, encoding="utf-8", cwd=ROOT, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[str, int]] = json.loads(done.stdout)
    print(json.dumps({name: round(n_bytes / 1e6, 1) for name, (_, n_bytes) in found.items()}))
    return found
