"""What the journal of a batch costs: opening a large one, finding in it, and writing to it."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.measure import show
from hfasr import BatchItem, Transcript
from hfasr._batch.journal import Journal
from hfasr._batch.journal_lines import encode, header
from hfasr.types import Attempt, Provenance

_N_FOUND = 10_000
_N_WRITTEN = 20_000
_BLOCK_LINES = 1_000


def run(n_lines: int = 1_000_000) -> None:
    """Print what it takes to open a journal of *n_lines* (1 GB for a million), to find and to write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.jsonl")
        keys = make(path, n_lines)
        journal = Journal(path)
        before, began = _peak_bytes(), time.perf_counter()
        journal.open()
        show(f"journal of {n_lines:,} lines of 1 kB: seconds to open", time.perf_counter() - began, "below 10")
        show("the same: MB of memory at the peak", (_peak_bytes() - before) / 1e6, "below 200")
        began = time.perf_counter()
        if any(journal.find(key) is None for key in keys):
            raise RuntimeError("a record that was written is not found")
        show("the same: microseconds to find and read a record", 1e6 * (time.perf_counter() - began) / len(keys), "")
        began = time.perf_counter()
        write(journal)
        show("the same: microseconds to append one", 1e6 * (time.perf_counter() - began) / _N_WRITTEN, "")
        journal.close()


def item() -> BatchItem:
    """Return a finished item whose line has about 1 kB."""
    attempt = Attempt("hf-inference", 200, None, "Root=1-65a1b2c3-0123456789abcdef", 0.012, 0.431, 0.0)
    provenance = Provenance(
        "hosted", "hf-inference", "openai/whisper-large-v3", "ab" * 32, 5.0, 82_000, "flac", (attempt,)
    )
    text = "and so my fellow listeners ask not what your journal can do for you "
    return BatchItem(0, "corpus/speaker/chapter/0001.flac", Transcript(6 * text, (), "en", 5.0, provenance))


def make(path: Path, n_lines: int) -> list[str]:
    """Write a journal of *n_lines* to *path*; return some of its keys."""
    line = encode("0" * 32, item())
    before, after = line[:8], line[40:]
    kept = []
    path.touch(0o600)
    with path.open("wb") as file:
        file.write(header())
        for first in range(0, n_lines, _BLOCK_LINES):
            keys = [os.urandom(16).hex() for _ in range(min(_BLOCK_LINES, n_lines - first))]
            kept += keys[:: max(1, n_lines // _N_FOUND)]
            file.writelines(before + key.encode() + after for key in keys)
    return kept


def write(journal: Journal) -> None:
    """Append many items from one thread, and wait until the last one is on the disk."""
    done = threading.Event()
    one = item()
    for n in range(_N_WRITTEN):
        last = n == _N_WRITTEN - 1
        journal.append(os.urandom(16).hex(), one, (lambda _: done.set()) if last else (lambda _: None))
    done.wait()


def _peak_bytes() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
