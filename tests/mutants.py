"""
How much of the code the tests notice when it is changed: `python -m tests.mutants`, from the root of a clone.

mutmut changes one thing at a time in `_core` and `_hosted` (`[tool.mutmut]`). All changes with all tests take days, so:

- a change that mypy refuses is not run, and not counted: it can never be committed;
- `--sample 1000` tries that many, drawn at random, and gives the share's 95 % interval;
- a change is tried with the tests that reach the fewest other functions, `--seconds` of them. More tests can only kill
  more, so the share is a lower bound; what survived is tried again when the command is run again.

Results are kept in `mutants/`, from which a run goes on: delete it when code or tests have changed.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import math
import os
import random
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MUTANTS = Path("mutants")
STATS = MUTANTS / "mutmut-stats.json"
ALL_TESTS = MUTANTS / "tests_by_function.json"
KILLED = {1, 3, 24, -24, 36, 152, 255}  # mutmut's exit codes: a test failed, or never ended
NOISE = {"unused-ignore", "ignore-without-code", "no-redef"}  # what mypy says of how mutmut writes its changes
SMALL = "hfasr._core.bells.xǁThreadBellǁ__init____mutmut_1"
SCRIPTS = sysconfig.get_path("scripts")


def command(name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run *name* of this environment. A test that fails is run once more: a busy machine can be enough for that."""
    path = SCRIPTS + os.pathsep + os.environ["PATH"]
    env = {**os.environ, "CI": "true", "PATH": path, "PYTEST_ADDOPTS": "--reruns 1"}
    return subprocess.run([name, *arguments], env=env, text=True, check=False, **options)


def exit_codes() -> dict[str, int | None]:
    """Return what is known of each change, by its name."""
    found: dict[str, int | None] = {}
    for path in sorted(MUTANTS.rglob("*.py.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def spans(path: Path) -> Iterator[tuple[range, str]]:
    """Yield the lines and the name of each changed function in *path*."""
    module = ".".join(path.relative_to(MUTANTS / "src").with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            yield range(node.lineno, (node.end_lineno or node.lineno) + 1), f"{module}.{node.name}"


def refused() -> set[str]:
    """Return the changes that mypy refuses."""
    changed = sorted(path.with_suffix("") for path in MUTANTS.rglob("*.py.meta"))
    inside = [str(path.relative_to(MUTANTS)) for path in changed]
    said = command("mypy", "--output", "json", *inside, cwd=MUTANTS, stdout=subprocess.PIPE).stdout
    errors: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)
    for error in map(json.loads, said.splitlines()):
        if error["severity"] == "error" and error["code"] not in NOISE:
            errors[error["file"]].append((error["line"], error["message"]))
    messages: dict[str, set[str]] = collections.defaultdict(set)
    for path, name in zip(changed, inside, strict=True):
        at = {line: function for lines, function in spans(path) for line in lines} if name in errors else {}
        for line, message in errors[name]:
            if line in at:
                messages[at[line]].add(message)
    # What is said of the unchanged function too is not of the change.
    return {name for name, said_of in messages.items() if said_of - messages.get(original(name), set())}


def original(name: str) -> str:
    return re.sub(r"__mutmut_\d+$", "__mutmut_orig", name)


def choose_tests(seconds: float) -> None:
    """Leave each function *seconds* of the tests that reach it, those first that reach little else."""
    if not ALL_TESTS.exists():
        ALL_TESTS.write_text(json.dumps(json.loads(STATS.read_text())["tests_by_mangled_function_name"]))
    stats, tests = json.loads(STATS.read_text()), json.loads(ALL_TESTS.read_text())
    n_reached = collections.Counter(test for reaching in tests.values() for test in reaching)
    durations: dict[str, float] = stats["duration_by_test"]
    for function, reaching in tests.items():
        chosen: list[str] = []
        total = 0.0
        for test in sorted(reaching, key=lambda test: (n_reached[test], durations.get(test, 0), test)):
            if not chosen or total + durations.get(test, 0) <= seconds:
                chosen.append(test)
                total += durations.get(test, 0)
        stats["tests_by_mangled_function_name"][function] = chosen
    STATS.write_text(json.dumps(stats))


def interval(n_killed: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (1927) of a share."""
    z, share = 1.96, n_killed / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def show(codes: dict[str, int | None], names: Iterable[str]) -> None:
    """Print how many of *names* were killed, by module and in all, and which survived."""
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    survivors = []
    for name in names:
        for row in (name.rsplit(".", 1)[0], name.rsplit(".", 2)[0], "all"):
            counts[row][0] += codes[name] in KILLED
            counts[row][1] += 1
        if codes[name] not in KILLED:
            survivors.append(name)
    print(*survivors, sep="\n")
    for row, (n_killed, n) in sorted(counts.items()):
        low, high = interval(n_killed, n)
        print(f"{row:40} {n_killed:5} of {n:5} killed, {n_killed / n:.1%} ({low:.1%} to {high:.1%})")


def main() -> int:
    """Change, test, count."""
    parser = argparse.ArgumentParser(description="How much of the code the tests notice when it is changed.")
    parser.add_argument("patterns", nargs="*", help="what the changes' names begin with; all otherwise")
    parser.add_argument("--sample", type=int, help="how many to try, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0, help="of tests for each change")
    parser.add_argument("--jobs", default="2", help="how many at once")
    args = parser.parse_args()
    if not STATS.exists() and command("mutmut", "run", SMALL).returncode:
        return 1
    known = exit_codes()
    typed = known.keys() - refused()
    print(f"{len(known)} changes, of which mypy refuses {len(known) - len(typed)}")
    names = sorted(n for n in typed if not args.patterns or n.startswith(tuple(args.patterns)))
    if args.sample is not None:
        names = sorted(random.Random(args.seed).sample(names, min(args.sample, len(names))))
    choose_tests(args.seconds)
    todo = [name for name in names if known[name] not in KILLED]
    if todo and command("mutmut", "run", "--max-children", args.jobs, *todo).returncode:
        return 1
    show(exit_codes(), names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
