"""Clips packed by length, and what happens where memory does not suffice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hfasr
from hfasr.backends.transformers.batches import MAX_PADDED_S, PADDED_S_PER_GIB, Batches

if TYPE_CHECKING:
    from hfasr.backends.transformers.settings import BatchSize

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Work:
    """Gives each clip its own number, and remembers what was asked; fails above *fits* clips at once."""

    def __init__(self, fits: int | None = None, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.fits, self.error = fits, error
        self.asked: list[list[int]] = []

    def __call__(self, batch: list[int]) -> list[int]:
        self.asked.append(list(batch))
        if self.fits is not None and len(batch) > self.fits:
            raise self.error("DefaultCPUAllocator: can't allocate memory")
        return list(batch)

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.asked]


@pytest.fixture
def free_gib(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The free memory of a GPU that is not there, GiB, to be set."""
    free = [0.0]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free[0] * 2**30), 2**40))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return free


@given(
    durations=st.lists(st.floats(0, 100), max_size=20),
    size=st.integers(1, 8) | st.just("auto"),
    fits=st.none() | st.integers(1, 4),
    cpu_clips=st.integers(1, 4),
)
def test_each_clip_once(durations: list[float], size: BatchSize, fits: int | None, cpu_clips: int) -> None:
    """Every clip gets its result, in the order of the clips, and no batch is larger than asked for."""
    work = Work(fits)
    assert Batches(size, CPU, cpu_clips=cpu_clips).run(durations, work) == list(range(len(durations)))
    assert max(work.sizes(), default=0) <= (cpu_clips if size == "auto" else size)
    done = [n for batch in work.asked if fits is None or len(batch) <= fits for n in batch]
    assert sorted(done) == list(range(len(durations)))


def test_longest_first() -> None:
    """Clips of like length go together, the longest first, so that what does not fit shows at once."""
    work = Work()
    Batches(2, CPU).run([1.0, 9.0, 2.0, 8.0, 2.0], work)
    assert work.asked == [[1, 3], [2, 4], [0]]


def test_nothing() -> None:
    """No clips, no work."""
    work = Work()
    assert Batches(4, CPU).run([], work) == []
    assert work.asked == []


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_halves(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """A batch that does not fit is halved until it does, with a warning for each time, and that is remembered."""
    work, batches = Work(2, error), Batches(8, CPU)
    with caplog.at_level(logging.WARNING):
        assert batches.run([1.0] * 10, work) == list(range(10))
    assert work.sizes() == [8, 4, 2, 2, 2, 2, 2]
    assert caplog.messages == [
        "out of memory with 8 clips at once; going on with 4",
        "out of memory with 4 clips at once; going on with 2",
    ]
    batches.run([1.0] * 4, again := Work(2, error))
    assert again.sizes() == [2, 2]


def test_single_clip_does_not_fit() -> None:
    """Where not even one clip fits, the error names its length and what to do."""
    with pytest.raises(hfasr.BackendError, match=r"^not enough memory on cpu for 7 s of audio .*; cut the audio, "):
        Batches(4, CPU).run([1.0, 7.0], Work(0))


def test_other_errors() -> None:
    """Any other error is not tried again."""
    work = Work(1, ValueError)
    with pytest.raises(ValueError, match="allocate"):
        Batches(4, CPU).run([1.0, 1.0], work)
    assert work.sizes() == [2]


def test_by_seconds_on_a_gpu(free_gib: list[float]) -> None:
    """On a GPU a batch is as many padded seconds as its free memory holds, so short clips are many."""
    free_gib[0] = 2.0
    work = Work()
    Batches("auto", CUDA).run([40.0, 40.0, 10.0, 10.0, 1.0], work)
    assert 2 * PADDED_S_PER_GIB == 80
    assert work.asked == [[0, 1], [2, 3, 4]]


def test_windows_on_a_gpu(free_gib: list[float]) -> None:
    """A clip that is padded to a window counts as one."""
    free_gib[0] = 1.0
    work = Work()
    Batches("auto", CUDA, least_s=30.0).run([1.0, 1.0], work)
    assert work.sizes() == [1, 1]


@pytest.mark.parametrize(("gib", "clips"), [(0.01, 1), (1_000.0, int(MAX_PADDED_S / 30))])
def test_bounds_on_a_gpu(gib: float, clips: int, free_gib: list[float]) -> None:
    """One window is always tried, and beyond 128 nothing is gained."""
    free_gib[0] = gib
    work = Work()
    Batches("auto", CUDA).run([30.0] * 130, work)
    assert max(work.sizes()) == clips


def test_halves_seconds_on_a_gpu(free_gib: list[float]) -> None:
    """What did not fit is remembered in seconds: clips half as long may be twice as many."""
    free_gib[0] = 2.0
    batches = Batches("auto", CUDA)
    batches.run([20.0] * 4, work := Work(2))
    assert work.sizes() == [4, 2, 2]
    batches.run([10.0] * 8, short := Work())
    assert short.sizes() == [4, 4]
