"""
What was measured, kept in ``benchmarks/results/local.json`` and shown as a table in ``docs/local.md``.

    python -m benchmarks local --save  measures, and writes both
    python -m benchmarks.record        writes the table anew
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "local.json"
PAGE = ROOT / "docs" / "local.md"
BEGIN, END = "<!-- made by python -m benchmarks local -->\n", "<!-- end of it -->\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One model: medians of the seconds for a round."""

    name: str
    pipeline_s: dict[int, float]
    """By batch size."""
    engine_s: float
    """All files in one call of the engine."""
    client_s: float
    """A call of a client for each file."""

    @property
    def best(self) -> int:
        """The batch size that suits the pipeline best."""
        return min(self.pipeline_s, key=lambda size: self.pipeline_s[size])

    def ratio(self, ours_s: float) -> float:
        """Return how many times as fast as the pipeline at its best *ours_s* is."""
        return self.pipeline_s[self.best] / ours_s


def save(rows: Sequence[Row], *, n_clips: int, n_rounds: int, audio_s: float) -> None:
    """Write the figures, and the table from them."""
    import torch

    results = {
        "n_clips": n_clips,
        "n_rounds": n_rounds,
        "audio_s": round(audio_s, 1),
        "processor": _processor(),
        "n_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8", newline="\n")
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def page() -> str:
    """Return docs/local.md with the table of the figures that are kept."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return head + BEGIN + table(json.loads(RESULTS.read_text(encoding="utf-8"))) + END + rest.split(END)[1]


def table(results: dict[str, Any]) -> str:
    """Return *results* as a table, and a sentence that says where they come from."""
    lines = [
        "| shape | pipeline, best batch size | all files at once | one call for each file |",
        "|---|---|---|---|",
    ]
    for row in (Row(**{**row, "pipeline_s": _by_size(row["pipeline_s"])}) for row in results["rows"]):
        best = f"{row.pipeline_s[row.best]:.1f} s (batch size {row.best})"
        ours = [f"{seconds:.1f} s, {row.ratio(seconds):.2f} times as fast" for seconds in (row.engine_s, row.client_s)]
        lines.append(f"| {row.name} | {best} | {' | '.join(ours)} |")
    threads = f"{results['n_threads']} thread{'s' if results['n_threads'] > 1 else ''}"
    source = (
        f"Median of {results['n_rounds']} rounds, which share {results['n_clips']} FLAC files with "
        f"{results['audio_s']:.0f} s of audio; {threads} of {results['processor']}; Python "
        f"{results['python']}, torch {results['torch']}, transformers {results['transformers']}."
    )
    lines += ["", source]
    return "\n".join(lines) + "\n"


def _by_size(seconds: dict[str, float]) -> dict[int, float]:
    return {int(size): taken for size, taken in seconds.items()}  # JSON's keys are strings


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} ({os.cpu_count()} cores)"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
