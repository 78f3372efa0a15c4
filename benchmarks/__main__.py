"""Print ``name ratio target``, one line a benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks import batches, hosted, journal, limits, local, long

PARTS: dict[str, Callable[[], None] | None] = {
    "hosted": hosted.run,
    "batches": batches.run,
    "limits": limits.run,
    "journal": journal.run,
    "long": long.run,
    "local": None,  # has arguments of its own
}


def main() -> None:
    """Run what the arguments name, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="?", choices=PARTS, help="one part; all, where none is named")
    parser.add_argument("--clips", type=int, default=200, help="local: number of files (200)")
    parser.add_argument("--rounds", type=int, default=5, help="local: rounds that share them (5)")
    parser.add_argument("--threads", type=int, help="local: for both sides; 1 on a machine that others use, too")
    parser.add_argument("--models", nargs="+", choices=local.MODELS, help="local: some alone; --save keeps the others")
    parser.add_argument("--save", action="store_true", help="local: keep the figures, and put them into the docs")
    arguments = parser.parse_args()
    for name, run in PARTS.items():
        if run is not None and arguments.which in {name, None}:
            run()
    if arguments.which in {"local", None}:
        local.run(
            n_clips=arguments.clips,
            n_rounds=arguments.rounds,
            n_threads=arguments.threads,
            save=arguments.save,
            models=arguments.models or (),
        )


if __name__ == "__main__":
    main()
