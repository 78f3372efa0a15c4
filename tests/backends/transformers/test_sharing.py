"""One model for all who load it: `hfasr.backends.load` with the engine of transformers."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import hfasr
from hfasr import backends
from tests import tiny

TinyModel = Callable[..., Path]


def test_threads_load_one_model(tiny_model: TinyModel, loaded: list[weakref.ref[Any]]) -> None:
    """Two threads that load and preload one model at once get one; the last close frees its memory."""
    folder = str(tiny_model(tiny.tiny_ctc))
    start = threading.Barrier(2)

    def load(_: int) -> backends.Lease:
        start.wait()
        lease = backends.load("transformers", folder, device="cpu")
        lease.preload(download=False)
        return lease

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(load, range(2))
    assert len(loaded) == 1
    first.close()
    assert loaded[0]() is not None
    second.preload(download=False)
    second.close()
    gc.collect()
    assert loaded[0]() is None
    with backends.load("transformers", folder, device="cpu") as again:
        again.preload(download=False)
        assert len(loaded) == 2


def test_a_model_for_each_option(tiny_model: TinyModel, loaded: list[weakref.ref[Any]]) -> None:
    """The same model in other numbers is another one."""
    folder = str(tiny_model(tiny.tiny_ctc))
    with (
        backends.load("transformers", folder, dtype="float32") as one,
        backends.load("transformers", folder, dtype="bfloat16") as other,
    ):
        one.preload(download=False)
        other.preload(download=False)
        assert len({id(model()) for model in loaded}) == 2
        assert (one.model, one.revision) == (folder, None)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "gpu"}, ValueError, "^device must be"),
        ({"batch_size": "many"}, TypeError, "^batch_size must be"),
        ({"devise": "cpu"}, hfasr.BackendLoadError, r"takes no option 'devise'; it takes: revision, device, dtype"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Bad options are named when the engine is made, before anything is imported or fetched."""
    with pytest.raises(error, match=message):
        backends.load("transformers", **options)
