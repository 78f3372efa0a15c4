"""
What was measured, kept in ``benchmarks/results/{part}.json`` and shown as tables in ``docs/benchmarks.md``.

    python -m benchmarks --save  measures, and writes both
    python -m benchmarks.record  writes the tables anew
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.measure import Line

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PLACE = re.compile(r"(<!-- (\w+): made by python -m benchmarks --save -->\n).*?(<!-- end of it -->\n)", re.DOTALL)
_FIGURE_DIGITS = 4  # that are kept
_ABOUT = 0.1  # of the figure


def save(part: str, lines: Sequence[Line], *, libraries: Sequence[str], complete: bool) -> None:
    """
    Keep what was measured of *part*.

    Of what was left out now, an earlier figure stays where it is of the same machine and versions: of lines that
    were skipped, and, where the part is not *complete*, of those that it did not come to.
    """
    setting = {
        "processor": processor(),
        "n_processors": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: found for name in libraries if (found := _version(name))},
    }
    path = FOLDER / f"{part}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    today = dt.datetime.now(dt.UTC).date()
    results = {**setting, "lines": merged(before, setting, lines, today=today, complete=complete)}
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8", newline="\n")


def merged(
    before: Mapping[str, Any],
    setting: Mapping[str, Any],
    lines: Sequence[Line],
    *,
    today: dt.date,
    complete: bool,
) -> list[dict[str, Any]]:
    """Return *lines* as they are kept, with what `save` takes from the results *before*, of the same *setting*."""
    same = all(before.get(name) == value for name, value in setting.items())
    old = before.get("lines", ()) if same else ()
    earlier = dict(zip(_places([line["name"] for line in old]), old, strict=True))
    kept, places = [], _places([line.name for line in lines])
    for place, (name, figure, target) in zip(places, lines, strict=True):
        if figure is None:
            kept.append(earlier.get(place, {"name": name, "figure": None, "target": target}))
        else:
            rounded = float(f"{figure:.{_FIGURE_DIGITS}g}")
            kept.append({"name": name, "figure": rounded, "target": target, "date": today.isoformat()})
    groups = {group for group, _ in places}
    return kept + [line for (group, _), line in earlier.items() if not complete and group not in groups]


def page() -> str:
    """Return docs/benchmarks.md with the tables of the figures that are kept."""

    def filled(place: re.Match[str]) -> str:
        path = FOLDER / f"{place[2]}.json"
        made = table(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else "Not measured yet.\n"
        return place[1] + made + place[3]

    return PLACE.sub(filled, PAGE.read_text(encoding="utf-8"))


def write() -> None:
    """Write the page anew."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def table(results: Mapping[str, Any]) -> str:
    """Return the *results* of a part as a table, and a sentence that says where they come from."""
    rows = ["| what | target | measured | reached |", "|---|---|---|---|"]
    rows += [_row(line["name"], line["figure"], line["target"]) for line in results["lines"]]
    dates = sorted({line["date"] for line in results["lines"] if "date" in line})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "never"
    versions = [f"{name} {found}" for name, found in {"Python": results["python"], **results["libraries"]}.items()]
    where = f"{results['processor']}, {results['n_processors']} processors, {results['system']}"
    source = f"Measured {when} on {where}; {', '.join(versions)}."
    return "\n".join([*rows, "", source]) + "\n"


def reached(figure: float, target: str) -> bool | None:
    """
    Whether *figure* is what *target* asks for; ``None`` where it asks for nothing.

    Raises:
        ValueError: It is not known what *target* asks for.
    """
    if not target:
        return None
    words, _, number = target.rpartition(" ")
    bound = float(number)
    match words:
        case "at most":
            return figure <= bound
        case "below" | "under":
            return figure < bound
        case "at least":
            return figure >= bound
        case "about":
            return abs(figure - bound) <= _ABOUT * bound
    raise ValueError(f"a target is at most, below, under, at least or about a number, not {target!r}")


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _row(name: str, figure: float | None, target: str) -> str:
    shown = f"… {name.strip()}" if name.startswith(" ") else name  # it goes with the line above
    shown = shown.replace("|", "\\|")
    if figure is None:
        return f"| {shown} | | not measured: {target} | |"
    verdict = {True: "yes", False: "**no**", None: ""}[reached(figure, target)]
    return f"| {shown} | {target} | {_number(figure)} | {verdict} |"


def _number(figure: float) -> str:
    is_count = figure.is_integer() and figure >= 10
    digits = 0 if is_count or abs(figure) >= 1_000 else 1 if abs(figure) >= 10 else 3
    return f"{figure:,.{digits}f}"


def _places(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return each name with the one above that it goes with: an indented one may be there more than once."""
    places, group = [], ""
    for name in names:
        group = group if name.startswith(" ") else name
        places.append((group, name))
    return places


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
