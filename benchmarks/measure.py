"""Measuring two ways of doing one thing in the same run, so that a noisy machine is noisy for both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, calls: int) -> float:
    """
    Return how many times longer *ours* takes than *theirs*.

    The two take turns, *rounds* times *calls* calls each; the medians of the rounds are compared.
    """
    for warm_up in (ours, theirs):
        warm_up()
    times: dict[bool, list[float]] = {True: [], False: []}
    for index in range(rounds):
        # Who comes first changes, so that neither always has the other's leftovers.
        for mine in (True, False) if index % 2 else (False, True):
            work = ours if mine else theirs
            began = time.perf_counter()
            for _ in range(calls):
                work()
            times[mine].append(time.perf_counter() - began)
    return statistics.median(times[True]) / statistics.median(times[False])


def show(name: str, figure: float, target: str) -> None:
    """Print one line of the table."""
    print(f"{name:58} {figure:6.2f}  {target}")
