"""
Measure hfasr against its peers, in one run on one machine: one line each, ``name figure target``.

Without a name everything runs but `long` and `local`, which take an hour together: name them, or say --all.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from typing import Any, NamedTuple

from benchmarks import measure, table


class Part(NamedTuple):
    """A module with a function ``run``."""

    libraries: tuple[str, ...]
    """Whose versions stand beside the figures."""
    usual: bool = True
    """Whether it runs without being named."""


_HTTP = ("httpx", "httpcore")
PARTS = {
    "imports": Part(_HTTP),
    "audio": Part(("numpy", "soundfile", "soxr", "av", "librosa")),
    "hosted": Part((*_HTTP, "anyio", "huggingface_hub", "openai")),
    "batches": Part((*_HTTP, "anyio")),
    "limits": Part(_HTTP),
    "journal": Part(()),
    "size": Part(()),
    "long": Part((*_HTTP, "numpy", "soundfile", "soxr"), usual=False),
    "local": Part((), usual=False),  # keeps its figures by itself, in docs/local.md
}


def main() -> int:
    """Run what the arguments name; return how many parts failed."""
    arguments = _arguments()
    failed = 0
    for name, part in PARTS.items():
        wanted = name in arguments.parts if arguments.parts else part.usual or arguments.all
        if wanted:
            print(f"-- {name}", flush=True)
            failed += not _run(name, part, arguments)
    return failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; see above where none is named")
    parser.add_argument("--all", action="store_true", help="long and local as well")
    parser.add_argument("--save", action="store_true", help="keep the figures of each part, and put them into the docs")
    parser.add_argument("--clips", type=int, default=200, help="local: number of files (200)")
    parser.add_argument("--rounds", type=int, default=5, help="local: rounds that share them (5)")
    parser.add_argument("--threads", type=int, help="local: for both sides; 1 on a machine that others use, too")
    parser.add_argument("--models", nargs="+", default=(), help="local: some alone; --save keeps the others")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return arguments


def _run(name: str, part: Part, arguments: argparse.Namespace) -> bool:
    """Run one part, and keep its figures; where it fails those of before stay, and the other parts still run."""
    del measure.LINES[:]
    complete = True
    try:
        run = importlib.import_module(f"benchmarks.{name}").run
        run(**_local(arguments) if name == "local" else {})
    except ModuleNotFoundError as error:
        print(f"{name} ends here: {error.name} is not installed", flush=True)
        complete = False
    except Exception:  # noqa: BLE001  # whatever it is, an hour of the others is not lost to it
        traceback.print_exc()
        return False
    if arguments.save and measure.LINES and name != "local":
        table.save(name, measure.LINES, libraries=part.libraries, complete=complete)
        table.write()
    return True


def _local(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "n_clips": arguments.clips,
        "n_rounds": arguments.rounds,
        "n_threads": arguments.threads,
        "save": arguments.save,
        "models": arguments.models,
    }


if __name__ == "__main__":
    sys.exit(main())
