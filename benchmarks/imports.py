"""What importing hfasr costs a program, beside the HTTP library under it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.measure import show

STATEMENTS = {"nothing": "pass", "hfasr": "from hfasr import ASRClient", "httpx": "import httpx"}


def run(*, rounds: int = 25) -> None:
    """Print the line, from *rounds* of three fresh interpreters that take turns: one imports nothing."""
    taken: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for number in range(rounds + 1):
        for name in reversed(STATEMENTS) if number % 2 else STATEMENTS:
            taken[name].append(_seconds(STATEMENTS[name]))
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}  # the first compiles
    ours, httpx = (medians[name] - medians["nothing"] for name in ("hfasr", "httpx"))
    show("from hfasr import ASRClient / import httpx", ours / httpx, "at most 0.50")


def _seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    run()
