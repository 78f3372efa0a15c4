"""Out of memory: the batch halves and goes on, and a clip that can never fit is said to be too much."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import hfasr
from hfasr import ASRClient, Audio
from tests import tiny
from tests.backends.transformers.kit import RATE, Samples, engine, hear, sound, texts

if TYPE_CHECKING:
    from hfasr.backends.transformers import Transformers

TinyModel = Callable[..., Path]

LENGTHS_S = (1.0, 3.0, 0.5, 2.0, 4.0, 1.5)
FAMILIES = {
    "ctc": ((tiny.tiny_ctc, "wav2vec2"), "forward"),
    "parakeet-ctc": ((tiny.tiny_parakeet, "ctc"), "forward"),
    "whisper": ((tiny.tiny_whisper,), "generate"),
    "moonshine": ((tiny.tiny_moonshine,), "generate"),
    "parakeet-tdt": ((tiny.tiny_parakeet, "tdt"), "generate"),
}
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
]


def limit(model: Transformers, method: str, fits: int, error: BaseException) -> list[int]:
    """Let the loaded *model* fail above *fits* clips at once; return the sizes that it was asked for."""
    assert model._loaded is not None
    network, sizes = model._loaded[0].model, []
    original = getattr(network, method)

    def limited(*args: Any, **inputs: Any) -> Any:
        if "encoder_outputs" in inputs:
            sizes.append(len(inputs["encoder_outputs"].last_hidden_state))
        else:
            sizes.append(len(next(value for value in inputs.values() if isinstance(value, torch.Tensor))))
        if sizes[-1] > fits:
            raise error
        return original(*args, **inputs)

    setattr(network, method, limited)
    return sizes


def clips() -> list[Samples]:
    return [sound(seconds, seed=n) for n, seconds in enumerate(LENGTHS_S)]


@pytest.mark.parametrize("family", FAMILIES)
def test_halves(family: str, tiny_model: TinyModel, caplog: pytest.LogCaptureFixture) -> None:
    """Every family goes on with half the clips, gives the texts in order, and remembers what was too much."""
    made, method = FAMILIES[family]
    model = engine(tiny_model(*made), batch_size=6)
    expected = texts(hear(model, *clips(), tokens=8))
    sizes = limit(model, method, 2, ERRORS[0])
    with caplog.at_level(logging.WARNING, "hfasr"):
        assert texts(hear(model, *clips(), tokens=8)) == expected
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]
    # transformers lets its own log through to everybody's handlers where the variable CI is set.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("hfasr")]
    assert ours == [
        "out of memory with 6 clips at once; going on with 3",
        "out of memory with 3 clips at once; going on with 1",
    ]
    sizes.clear()
    assert texts(hear(model, *clips()[:2], tokens=8)) == expected[:2]
    assert sizes == [1, 1]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_kinds(error: Exception, tiny_model: TinyModel) -> None:
    """Whatever an allocator raises is known for what it is."""
    model = engine(tiny_model(tiny.tiny_ctc), batch_size=6)
    expected = texts(hear(model, *clips()))
    sizes = limit(model, "forward", 3, error)
    assert texts(hear(model, *clips())) == expected
    assert sizes == [6, 3, 3]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_single_clip(error: Exception, tiny_model: TinyModel) -> None:
    """A single clip that does not fit is an error with a remedy, and the engine can be used afterwards."""
    model = engine(tiny_model(tiny.tiny_ctc), batch_size=2)
    expected = texts(hear(model, *clips()))
    assert model._loaded is not None
    network = model._loaded[0].model
    limit(model, "forward", 0, error)
    with pytest.raises(hfasr.BackendError, match=r"^not enough memory on cpu for 4 s of audio with this model; cut"):
        hear(model, *clips())
    del network.forward
    assert texts(hear(model, *clips())) == expected


def test_other_failure(tiny_model: TinyModel) -> None:
    """Any other failure is not tried again, and comes as an error of ours."""
    model = engine(tiny_model(tiny.tiny_ctc), batch_size=6)
    model.preload()
    sizes = limit(model, "forward", 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied\nand more"))
    with pytest.raises(
        hfasr.BackendError, match=r"failed \(RuntimeError: mat1 and mat2 .* multiplied\); try .* model$"
    ) as caught:
        hear(model, *clips())
    assert sizes == [6]
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_failover(tiny_model: TinyModel) -> None:
    """A client whose engine has no memory left goes on to its next one."""
    folder = str(tiny_model(tiny.tiny_ctc))
    full = engine(Path(folder))
    full.preload()
    limit(full, "forward", 0, MemoryError())
    with ASRClient(folder, backend=full, fallback=f"transformers:{folder}") as asr:
        transcript = asr.transcribe(Audio(sound(1.0), RATE))
    assert transcript.text == hear(engine(Path(folder), dtype="auto"), sound(1.0))[0].text
    assert transcript.provenance is not None
    assert "not enough memory" in (transcript.provenance.fallback_reason or "")


REAL = """
import json, logging, resource, sys
import torch
torch.set_num_threads(1)
from hfasr.backends.transformers import Transformers
from tests.backends.transformers.kit import hear, sound, texts

class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

lines = []
logging.getLogger("hfasr").addHandler(Lines())
logging.getLogger("hfasr").setLevel(logging.WARNING)
clips = [sound(20.0 - n / 10, seed=n) for n in range(12)]
alone = texts(hear(Transformers(sys.argv[1], device="cpu", dtype="float32", batch_size=1), *clips))
model = Transformers(sys.argv[1], device="cpu", dtype="float32", batch_size=12)
hear(model, clips[0])
with open("/proc/self/status", encoding="ascii") as status:
    used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20, resource.RLIM_INFINITY))
print(json.dumps({"same": texts(hear(model, *clips)) == alone, "lines": lines}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are kept by Linux only")
def test_for_real(tmp_path: Path) -> None:
    """A process that may not have the memory for 12 clips at once transcribes them all the same."""
    # Layers so wide that each clip needs 32 MB for every one of their results.
    folder = tiny.tiny_ctc(tmp_path / "wide", intermediate_size=8_192)
    done = subprocess.run(
        [sys.executable, "-c", REAL, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    answer = json.loads(done.stdout)
    assert answer["same"]
    assert answer["lines"][0] == "out of memory with 12 clips at once; going on with 6"
    assert len(answer["lines"]) == len(set(answer["lines"])) <= 3
