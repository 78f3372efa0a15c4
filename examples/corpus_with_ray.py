"""
Transcribe a corpus on a Ray cluster, or on this machine alone, and write Parquet files.

    python examples/corpus_with_ray.py transcripts examples/audio/*.flac

Run again after a failure, it sends nothing again that was transcribed before: cache.sqlite, beside the results,
keeps it. Needs the extra ray and a token of Hugging Face, as HF_TOKEN on every machine of the cluster. Another model
and another server are two more entries of SETTINGS.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SETTINGS = {"max_concurrency": 8, "language_column": "language", "duration_column": "duration"}


def main(folder: str, paths: list[str]) -> None:
    """Write a row for each of *paths* into *folder*."""
    import ray

    from hfasr.integrations.ray import Transcriber

    Path(folder).mkdir(parents=True, exist_ok=True)
    cache = Path(folder, "cache.sqlite").absolute()  # on this machine's disk; for a cluster see docs/corpora.md
    rows = ray.data.from_items([{"path": str(Path(path).absolute())} for path in paths]).map_batches(
        Transcriber,
        fn_constructor_kwargs={**SETTINGS, "cache": str(cache)},
        compute=ray.data.ActorPoolStrategy(size=2),
        num_cpus=0.5,  # of a processor for each: they wait for a server
        batch_size=32,
    )
    rows = rows.materialize()
    table = Path(folder, "rows").absolute()
    shutil.rmtree(table, ignore_errors=True)  # of the run before: Ray would add its rows to those
    rows.write_parquet(str(table))

    failed = [row for row in rows.select_columns(["path", "error"]).iter_rows() if row["error"]]
    for row in failed:
        print(f"{row['path']}: {row['error']}", file=sys.stderr)
    print(f"{rows.count() - len(failed)} of {rows.count()} transcribed, {rows.sum('duration') or 0:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print("usage: python examples/corpus_with_ray.py FOLDER FILE ...", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[1], sys.argv[2:])
