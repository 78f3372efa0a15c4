"""Measuring two ways of doing one thing in the same run, so that a noisy machine is noisy for both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Line(NamedTuple):
    """One line of the table."""

    name: str
    figure: float | None
    """``None``: it was not measured."""
    target: str
    """Such as ``"at most 1.10"``; empty where there is none. Of what was not measured, why not."""


LINES: list[Line] = []
"""What was shown by this process, in order; kept by ``--save``."""


def ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, calls: int) -> float:
    """
    Return how many times longer *ours* takes than *theirs*.

    The two take turns, *rounds* times *calls* calls each. Each round is a comparison of its own, of which the median
    is taken: what else the machine does comes and goes, and within one short round falls on both.
    """
    for warm_up in (ours, theirs):
        warm_up()
    figures = []
    for index in range(rounds):
        # Who comes first changes, so that neither always has the other's leftovers.
        times = {}
        for mine in (True, False) if index % 2 else (False, True):
            work = ours if mine else theirs
            began = time.perf_counter()
            for _ in range(calls):
                work()
            times[mine] = time.perf_counter() - began
        figures.append(times[True] / times[False])
    return statistics.median(figures)


def show(name: str, figure: float, target: str) -> None:
    """Print one line of the table."""
    LINES.append(Line(name, figure, target))
    print(f"{name:58} {figure:6.2f}  {target}", flush=True)


def skip(name: str, reason: str) -> None:
    """Print that a line is not measured, and why."""
    LINES.append(Line(name, None, reason))
    print(f"{name:58}      -  {reason}", flush=True)
