"""
Calls that come to one engine at the same time, put together into batches.

There is no thread and no delay of its own: who finds the engine idle leads, and runs at once. Calls
that come meanwhile wait in line. When a run ends, the call that has waited longest leads the next
one, and takes those along that ask for the same and are nearest to its clip in length. So batches
grow with the load, nobody is passed over, and a call that is alone runs alone.

It blocks, so it is called where an engine is run: in the caller's thread, or in a worker thread.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from hfasr.errors import BackendError, BackendLoadError

if TYPE_CHECKING:
    from hfasr.types import Audio

__all__ = ["MAX_AUDIO_S", "MAX_CLIPS", "Gatherer", "NobodyWaits", "Seat"]

T = TypeVar("T")

MAX_CLIPS = 32
"""Of one run, so that who leads it does not wait long for the others."""

MAX_AUDIO_S = 600.0
"""Seconds of one run, each clip counted as long as the longest, to which an engine may pad it."""

_LOOK_S = 0.5
"""Pause between looks at whether there is still somebody to wait for; Windows sees Ctrl-C only then."""

Work: TypeAlias = Callable[[Sequence["Audio"], Callable[[], None]], Sequence[T]]
"""Runs the engine on clips, with a check for it to call, and returns an answer for each."""


class NobodyWaits(BackendError):  # noqa: N818  # it is no failure, and never leaves the core
    """All for whom a run was made have gone, or their time is up."""

    def __init__(self) -> None:
        super().__init__("nobody waits for this run any more; it was not begun, or not ended")


class _State(Enum):
    WAITING = "in line"
    LEADING = "runs the engine, or is about to"
    TAKEN = "part of another's run"
    DONE = "has an answer or an error"
    GONE = "no longer in line"


class Seat(Generic[T]):
    """
    One call's place in line.

    Args:
        clip: What it wants transcribed.

        alike: What it asks for: clips go together where this is equal.

        left: Returns the seconds for which it still waits, ``inf`` for ever. Once 0 or less it
            stays so. Called from any thread.

        check: Raises where it was cancelled. Called from the call's own thread, while that waits.
    """

    def __init__(
        self, clip: Audio, alike: Hashable, left: Callable[[], float], check: Callable[[], object] = lambda: None
    ) -> None:
        self.clip = clip
        self.left = left
        self.check = check
        self.duration_s = len(clip.waveform) / clip.sampling_rate
        self.alone = False  # a run with others failed
        self.state = _State.WAITING
        self.told = threading.Event()  # that it leads, or is done
        self.answers: list[T] = []  # one, once there is one
        self.error: BackendLoadError | None = None
        self._alike = hash(alike), alike

    def goes_with(self, other: Seat[T]) -> bool:
        """Whether both may be part of one run."""
        # By hash first: equality of what was made to be told by identity need not be a truth value.
        return not (self.alone or other.alone) and self._alike == other._alike


class Gatherer(Generic[T]):
    """
    The lines before engines. Safe from many threads; an engine is run by one of them at a time.

    Engines are told by their identity, and not kept alive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[int, list[Seat[T]]] = {}  # of engines in use; oldest first, those in a run included

    def renew(self) -> None:
        """Go on in a forked child, where none of the parent's threads wait, nor will answer; see `hfasr._forks`."""
        self._lock = threading.Lock()
        self._lines = {}

    def run(self, engine: object, seat: Seat[T], work: Work[T]) -> T:
        """
        Return the answer to *seat*, from a run of its own or another's. Blocks.

        A run of several that fails is no more than a reason to run each alone, so that one bad clip
        costs the others nothing; where the model cannot be loaded, all fail at once.

        Args:
            engine: Whose line it is.

            seat: A new one.

            work: Used where this call leads.

        Raises:
            NobodyWaits: Its time was up before it was run.
            BackendLoadError: The engine could not be loaded.
            Exception: What *work* raises for its clip alone, and `Seat.check`.
        """
        line = id(engine)
        try:
            self._enter(line, seat)
            self._wait(seat)
            if seat.error is not None:
                raise seat.error
            return seat.answers[0] if seat.answers else self._lead(line, seat, work)
        finally:
            self._leave(line, seat)

    def _enter(self, line: int, seat: Seat[T]) -> None:
        with self._lock:
            seats = self._lines.setdefault(line, [])
            seats.append(seat)
            if not any(other.state is _State.LEADING for other in seats):
                _let_lead(seat)

    def _wait(self, seat: Seat[T]) -> None:
        while True:
            left = seat.left() if seat.state is _State.WAITING else math.inf  # a run is waited for to its end
            if seat.told.wait(min(max(left, 0.0), _LOOK_S)):
                return
            if seat.state is _State.WAITING:
                seat.check()
            with self._lock:
                if seat.state is _State.WAITING and seat.left() <= 0:
                    raise NobodyWaits

    def _lead(self, line: int, seat: Seat[T], work: Work[T]) -> T:
        seat.check()
        run = self._gather(line, seat)
        try:
            answers = work([other.clip for other in run], lambda: _check(run))
        except BackendLoadError as error:
            self._settle(run, error)
            raise
        except Exception:
            if len(run) == 1:
                raise
            self._scatter(run)
        else:
            self._settle(run, answers)
            return answers[run.index(seat)]
        return self._lead(line, seat, work)  # alone, this time

    def _gather(self, line: int, seat: Seat[T]) -> list[Seat[T]]:
        """Return *seat* and those that go with it, the longest clip first."""
        with self._lock:
            if seat.left() <= 0:
                raise NobodyWaits
            waiting = [
                other
                for other in self._lines[line]
                if other.state is _State.WAITING and other.goes_with(seat) and other.left() > 0
            ]
            waiting.sort(key=lambda other: abs(other.duration_s - seat.duration_s))  # stable: the oldest of equals
            run, longest_s = [seat], seat.duration_s
            for other in waiting[: MAX_CLIPS - 1]:
                longest_s = max(longest_s, other.duration_s)
                if longest_s * (len(run) + 1) > MAX_AUDIO_S:
                    break
                other.state = _State.TAKEN
                run.append(other)
        return sorted(run, key=lambda other: -other.duration_s)

    def _settle(self, run: list[Seat[T]], outcome: Sequence[T] | BackendLoadError) -> None:
        """Tell those that were taken along what came of it."""
        with self._lock:
            for index, other in enumerate(run):
                if other.state is not _State.TAKEN:
                    continue
                if isinstance(outcome, BackendLoadError):
                    other.error = _again(outcome)
                else:
                    other.answers.append(outcome[index])
                other.state = _State.DONE
                other.told.set()

    def _scatter(self, run: list[Seat[T]]) -> None:
        """Let each of *run* be run alone: its leader now, the others when they lead."""
        with self._lock:
            for other in run:
                other.alone = True
                if other.state is _State.TAKEN:
                    other.state = _State.WAITING

    def _leave(self, line: int, seat: Seat[T]) -> None:
        """Take *seat* out of line, whatever became of it; what it led goes on to the next that still waits."""
        with self._lock:
            seats = self._lines.get(line, [])
            if seat in seats:
                seats.remove(seat)
            if seat.state is _State.LEADING:
                for other in seats:
                    if other.state is _State.TAKEN:
                        other.state = _State.WAITING
                following = (other for other in seats if other.state is _State.WAITING and other.left() > 0)
                if (first := next(following, None)) is not None:
                    _let_lead(first)
            seat.state = _State.GONE
            if not seats:
                self._lines.pop(line, None)


def _let_lead(seat: Seat[T]) -> None:
    seat.state = _State.LEADING
    seat.told.set()


def _check(run: list[Seat[T]]) -> None:
    """Raise where nobody of *run* waits any more; for the engine to call between pieces of work."""
    if all(seat.left() <= 0 for seat in run):
        raise NobodyWaits


def _again(error: BackendLoadError) -> BackendLoadError:
    """Return *error* for one more caller: each gets attempts of its own."""
    again = copy.copy(error)
    again.__cause__ = error.__cause__
    return again
