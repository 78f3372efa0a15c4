"""
What was measured, kept in ``benchmarks/results/local.json`` and shown as a table in ``docs/local.md``.

    python -m benchmarks local --save  measures, and writes both
    python -m benchmarks.record        writes the table anew, and those of docs/benchmarks.md
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import table as tables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "local.json"
PAGE = ROOT / "docs" / "local.md"
BEGIN, END = "<!-- made by python -m benchmarks local -->\n", "<!-- end of it -->\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One model: medians of the seconds for a round."""

    name: str
    dtype: str
    """Of the engine."""
    n_threads: int
    """For both sides."""
    pipeline_s: dict[int, float]
    """As it comes, in float32, by batch size."""
    told_s: dict[int, float]
    """The pipeline told to compute in *dtype*, by batch size; empty where that is float32."""
    engine_s: float
    """All files in one call of the engine."""
    client_s: float
    """A call of a client for each file."""

    def ratio(self, ours_s: float) -> float:
        """Return how many times as fast as the pipeline as it comes, at its best batch size, *ours_s* is."""
        return min(self.pipeline_s.values()) / ours_s

    def ratio_told(self, ours_s: float) -> float:
        """Return the same for the pipeline told to compute in *dtype*."""
        return min((self.told_s or self.pipeline_s).values()) / ours_s


def save(rows: Sequence[Row], *, n_clips: int, n_rounds: int, audio_s: float) -> None:
    """Write the figures, and the table from them; rows of other models that were measured alike stay."""
    setting = {
        "n_clips": n_clips,
        "n_rounds": n_rounds,
        "audio_s": round(audio_s, 1),
        "processor": tables.processor(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results = {**setting, "rows": merged(before, setting, rows)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8", newline="\n")
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def merged(before: Mapping[str, Any], setting: Mapping[str, Any], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return *rows*, after those of other models in the results *before* where these are of the same *setting*."""
    names = {row.name for row in rows}
    same = all(before.get(name) == value for name, value in setting.items())
    kept = [row for row in before.get("rows", ()) if row["name"] not in names] if same else []
    return sorted([*kept, *(asdict(row) for row in rows)], key=lambda row: str(row["name"]))


def page() -> str:
    """Return docs/local.md with the table of the figures that are kept."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return head + BEGIN + table(json.loads(RESULTS.read_text(encoding="utf-8"))) + END + rest.split(END)[1]


def table(results: dict[str, Any]) -> str:
    """Return *results* as a table, and a sentence that says where they come from."""
    lines = [
        "| shape, type, threads | pipeline as it comes | pipeline told the type | all files at once | a call each |",
        "|---|---|---|---|---|",
    ]
    for row in (_row(stored) for stored in results["rows"]):
        theirs = [_best(row.pipeline_s), _best(row.told_s) if row.told_s else "the same"]
        ours = [f"{seconds:.1f} s: {_ratios(row, seconds)}" for seconds in (row.engine_s, row.client_s)]
        lines.append(f"| {row.name}, {row.dtype}, {row.n_threads} | {' | '.join([*theirs, *ours])} |")
    source = (
        f"Median of {results['n_rounds']} rounds, which share {results['n_clips']} FLAC files with "
        f"{results['audio_s']:.0f} s of audio; {results['processor']}; Python "
        f"{results['python']}, torch {results['torch']}, transformers {results['transformers']}."
    )
    lines += ["", source]
    return "\n".join(lines) + "\n"


def _row(stored: Mapping[str, Any]) -> Row:
    by_size = {  # JSON's keys are strings
        name: {int(size): seconds for size, seconds in stored[name].items()} for name in ("pipeline_s", "told_s")
    }
    return Row(**{**stored, **by_size})


def _best(by_size: Mapping[int, float]) -> str:
    size = min(by_size, key=lambda size: by_size[size])
    return f"{by_size[size]:.1f} s (batch size {size})"


def _ratios(row: Row, seconds: float) -> str:
    told = f" and {row.ratio_told(seconds):.2f}" if row.told_s else ""
    return f"{row.ratio(seconds):.2f}{told} times as fast"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    tables.write()
