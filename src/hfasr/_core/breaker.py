"""
A circuit breaker for each route: one that has failed call after call is left alone for a while.

Source:
    Nygard, *Release It!* (2007), "Circuit Breaker". Here a circuit keeps facts alone (how many calls in
    a row failed, and when the last one did); each client judges them by its own `RetryPolicy`.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfasr.errors import clean

if TYPE_CHECKING:
    from hfasr.types import RetryPolicy

__all__ = ["Breaker", "Permit"]

_MAX_CIRCUITS = 512  # a model a call, each failing, must not fill the memory
_MAX_REASON_CHARS = 200


@dataclass(slots=True)
class _Circuit:
    """What is known of a route that has failed of late. One that works has none."""

    n_failed: int = 0
    """Calls that failed in a row."""

    reason: str = ""
    """Of the last one."""

    since: float = 0.0
    """When it failed, on the calls' clock."""

    probe: Permit | None = None
    """The call that is trying the route again, if one is."""

    def is_open(self, policy: RetryPolicy) -> bool:
        return policy.breaker_threshold is not None and self.n_failed >= policy.breaker_threshold

    def wait(self, policy: RetryPolicy, now: float) -> float:
        """Return the seconds until a probe is due; may be negative."""
        return self.since + policy.breaker_recovery - now

    def shuts_out(self, policy: RetryPolicy, now: float) -> bool:
        return self.is_open(policy) and (self.probe is not None or self.wait(policy, now) > 0)


class Permit:
    """
    Leave for one call to take a route. Whoever gets one says how it went, or gives it back.

    Args:
        breaker: Whose it is.

        key: The route's.
    """

    def __init__(self, breaker: Breaker, key: Hashable) -> None:
        self._breaker = breaker
        self._key = key

    def succeeded(self) -> None:
        """The route answered: it is well, whatever was before."""
        self._breaker.forget(self._key)

    def failed(self, error: Exception, now: float) -> None:
        """The route failed at *now* for reasons of its own."""
        self._breaker.note(self._key, self, f"{type(error).__name__}: {error}", now)

    def release(self) -> None:
        """Let another call probe the route, where this one did and has not said how it went. May be called twice."""
        self._breaker.release(self._key, self)


class Breaker:
    """
    The circuits of a client's routes, shared with the clients made from it. Safe from many threads.

    Closed, a route is taken. Open, after `RetryPolicy.breaker_threshold` failures in a row, it is
    skipped for `RetryPolicy.breaker_recovery` seconds. Then it is half open: one call probes it, the
    others go on skipping it until that one has ended.
    """

    def __init__(self) -> None:
        self._circuits: OrderedDict[Hashable, _Circuit] = OrderedDict()
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Go on in a forked child, where no call of the parent's probes a route; see `hfasr._forks`."""
        self._lock = threading.Lock()
        for circuit in self._circuits.values():
            circuit.probe = None

    def enter(self, key: Hashable, policy: RetryPolicy, now: float, *, forced: bool) -> Permit | str:
        """
        Return leave to take the route of *key*, or why it is skipped.

        Args:
            key: What tells the route from others.

            policy: Whose threshold and recovery count.

            now: Seconds on the calls' clock.

            forced: There is no other route, so that skipping this one would help nobody.
        """
        permit = Permit(self, key)
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or not circuit.is_open(policy):
                return permit
            if circuit.shuts_out(policy, now):
                return permit if forced else _why(circuit, policy, now)
            circuit.probe = permit
            return permit

    def shuts_out(self, key: Hashable, policy: RetryPolicy, now: float) -> bool:
        """Whether `enter` would skip the route, were it not forced."""
        with self._lock:
            circuit = self._circuits.get(key)
            return circuit is not None and circuit.shuts_out(policy, now)

    def note(self, key: Hashable, permit: Permit, reason: str, now: float) -> None:
        """Count one failed call; the probe's own ends the probe."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            self._circuits.move_to_end(key)
            circuit.n_failed += 1
            circuit.reason = clean(reason, limit=_MAX_REASON_CHARS)
            circuit.since = now
            if circuit.probe is permit:
                circuit.probe = None
            if len(self._circuits) > _MAX_CIRCUITS:
                self._circuits.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Close the circuit: the route works."""
        with self._lock:
            self._circuits.pop(key, None)

    def release(self, key: Hashable, permit: Permit) -> None:
        """Give the probe's place back, where *permit* holds it."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is not None and circuit.probe is permit:
                circuit.probe = None


def _why(circuit: _Circuit, policy: RetryPolicy, now: float) -> str:
    again = (
        "another call is trying it again now"
        if circuit.probe is not None
        else f"it is tried again in {math.ceil(circuit.wait(policy, now))} s"
    )
    calls = "1 call failed" if circuit.n_failed == 1 else f"{circuit.n_failed} calls in a row failed"
    return f"skipped: {calls}, the last with {circuit.reason}; {again}"
