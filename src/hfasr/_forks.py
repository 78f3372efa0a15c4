"""
What a process that was forked may not take over from its parent, made anew in it.

Only the thread that forks goes on in the child: a lock that another one held stays locked for ever there, and a
socket has two owners.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForkedLock", "Renewed", "in_child", "renew_in_child"]


class Renewed(Protocol):
    """What has locks, sockets, or a place for other threads."""

    def renew(self) -> None:
        """Go on in a child: new locks, and nothing that the parent's threads or sockets are needed for."""
        ...


_renewed: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renew_in_child(one: Renewed) -> None:
    """Have *one* renewed in every child that is forked from now on, as long as it lives."""
    _renewed.add(one)


def in_child(function: Callable[[], object]) -> None:
    """Have *function* called in every child that is forked from now on."""
    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
        os.register_at_fork(after_in_child=function)


class ForkedLock:
    """A lock that is free in a child, whoever holds it in the parent: for modules, and what is used on in the child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_in_child(self)

    def renew(self) -> None:
        """See `Renewed`."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _renew_all() -> None:
    for one in list(_renewed):
        one.renew()


in_child(_renew_all)
