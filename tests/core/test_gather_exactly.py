"""Who leads, who is taken along, and what each gets: in one thread, where every step can be seen."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hfasr import Attempt, Audio, BackendError, BackendLoadError
from hfasr._core import gather
from hfasr._core.gather import Gatherer, NobodyWaits, Seat
from tests.core.test_transport import wait_for

RATE = 100


def seat(
    seconds: float, alike: Any = "same", *, left: Callable[[], float] = lambda: math.inf, **options: Any
) -> Seat[str]:
    return Seat(Audio(np.zeros(int(seconds * RATE), np.float32), RATE), alike, left, **options)


class Engine:
    """Runs clips, and lets others get in line meanwhile: threads of their own, each of which waits."""

    def __init__(self) -> None:
        self.gatherer = Gatherer[str]()
        self.runs: list[list[float]] = []
        self.outcomes: dict[int, Any] = {}
        self._threads: list[threading.Thread] = []

    def work(self, clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        self.runs.append([len(clip.waveform) / RATE for clip in clips])
        return [f"{seconds:g}" for seconds in self.runs[-1]]

    def join(self, *seats: Seat[str], work: Any = None) -> None:
        """Let each of *seats* get in line, one after the other."""

        def one(index: int, own: Seat[str]) -> None:
            try:
                self.outcomes[index] = self.gatherer.run(self, own, work or self.work)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the outcome
                self.outcomes[index] = error

        for own in seats:
            n = len(self.line())
            thread = threading.Thread(target=one, args=(len(self._threads), own), daemon=True)
            self._threads.append(thread)
            thread.start()
            wait_for(lambda n=n: len(self.line()) > n)  # type: ignore[misc]  # its default binds it

    def line(self) -> list[Any]:
        return list(self.gatherer._lines.get(id(self), []))

    def lead(self, *others: Seat[str], own: Seat[str] | None = None, work: Any = None) -> Any:
        """Run *own* while *others* get in line behind it, then wait for all of them."""

        def first(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
            answers = self.work(clips, check)
            self.join(*others, work=work)
            return answers

        answer = self.gatherer.run(self, own or seat(1.0), first)
        for thread in self._threads:
            thread.join(10)
        assert self.gatherer._lines == {}
        return answer


def test_seat() -> None:
    """A seat knows the length of its clip, is checked by nobody unless asked, and stands in line."""
    own = seat(2.5)
    assert own.duration_s == 2.5
    assert (own.alone, own.answers, own.error, own.told.is_set()) == (False, [], None, False)
    own.check()


def test_goes_with() -> None:
    """Clips go together whose options are equal; none that must be run alone goes with any."""
    own = seat(1.0, ("a", 1))
    assert own.goes_with(seat(9.0, ("a", 1)))
    assert not own.goes_with(seat(1.0, ("a", 2)))
    other = seat(1.0, ("a", 1))
    other.alone = True
    assert not own.goes_with(other)
    assert not other.goes_with(own)


class OnlyByIdentity:
    """Options whose equality is no truth value, as that of arrays."""

    def __eq__(self, other: object) -> Any:
        raise AssertionError

    __hash__ = object.__hash__


def test_options_of_any_kind() -> None:
    """What is hashed by identity is not compared with anything else."""
    assert not seat(1.0, OnlyByIdentity()).goes_with(seat(1.0, OnlyByIdentity()))


def test_alone() -> None:
    """A call that finds the engine idle runs at once, alone, and leaves nothing behind."""
    engine = Engine()
    assert engine.lead() == "1"
    assert engine.runs == [[1.0]]


def test_longest_first() -> None:
    """Each gets its own answer, though clips are run by length, the longest first."""
    engine = Engine()
    assert engine.lead(seat(2.0), seat(3.0), seat(0.5)) == "1"
    assert engine.runs == [[1.0], [3.0, 2.0, 0.5]]
    assert engine.outcomes == {0: "2", 1: "3", 2: "0.5"}


def test_nearest_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has waited longest takes along those nearest to it, the oldest of equals, up to the most clips."""
    monkeypatch.setattr(gather, "MAX_CLIPS", 3)
    engine = Engine()
    engine.lead(seat(5.0), seat(9.0), seat(4.0), seat(6.0), seat(5.5))
    assert engine.runs == [[1.0], [5.5, 5.0, 4.0], [9.0, 6.0]]


@pytest.mark.parametrize(
    ("others", "seconds", "runs"),
    [
        ([5.0, 10.0], 20.0, [[10.0, 5.0]]),
        ([5.0, 10.0], 19.99, [[5.0], [10.0]]),
        ([5.0, 10.0, 6.0], 19.99, [[6.0, 5.0], [10.0]]),
        ([5.0, 10.0, 6.0], 30.0, [[10.0, 6.0, 5.0]]),
        ([5.0, 1.0, 4.0], 15.0, [[5.0, 4.0, 1.0]]),
        ([5.0, 1.0, 4.0], 14.0, [[5.0, 4.0], [1.0]]),
    ],
)
def test_most_audio(
    others: list[float], seconds: float, runs: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run holds so much audio, each clip counted as long as the longest."""
    monkeypatch.setattr(gather, "MAX_AUDIO_S", seconds)
    engine = Engine()
    engine.lead(*map(seat, others))
    assert engine.runs == [[1.0], *runs]


def test_turns() -> None:
    """Of different options the oldest comes next, and takes along what goes with it."""
    engine = Engine()
    engine.lead(seat(2.0, "a"), seat(3.0, "b"), seat(4.0, "a"), seat(5.0, "c"), seat(6.0, "b"))
    assert engine.runs == [[1.0], [4.0, 2.0], [6.0, 3.0], [5.0]]


def test_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose time is up is not run, neither as the first nor along with others; the message says why."""
    monkeypatch.setattr(gather, "_LOOK_S", 0.01)
    engine = Engine()
    with pytest.raises(NobodyWaits) as caught:
        engine.gatherer.run(engine, seat(1.0, left=lambda: 0.0), engine.work)
    assert str(caught.value) == "nobody waits for this run any more; it was not begun, or not ended"
    assert isinstance(caught.value, BackendError)
    assert engine.line() == []
    left = [5.0]
    late = seat(4.0, left=lambda: left[0])
    engine.lead(seat(2.0, check=lambda: left.__setitem__(0, 0.0)), late)
    assert [type(outcome) for outcome in engine.outcomes.values()] == [str, NobodyWaits]
    assert engine.runs == [[1.0], [2.0]]


def test_time_ends_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits no longer than it has leaves the line, and takes nothing from the others."""
    monkeypatch.setattr(gather, "_LOOK_S", 0.01)
    engine = Engine()
    times = iter([5.0, 0.0])
    engine.lead(seat(2.0, left=lambda: next(times, 0.0)), seat(3.0))
    assert isinstance(engine.outcomes[0], NobodyWaits)
    assert engine.outcomes[1] == "3"
    assert engine.runs == [[1.0], [3.0]]


def test_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has any time left is waited for, in line and when its turn comes."""
    monkeypatch.setattr(gather, "_LOOK_S", 0.01)
    engine = Engine()
    looks: list[None] = []
    other = seat(2.0, left=lambda: 0.5, check=lambda: looks.append(None))

    def first(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        engine.join(other)
        wait_for(lambda: len(looks) > 1)
        return engine.work(clips, check)

    assert engine.gatherer.run(engine, seat(1.0, left=lambda: 0.5), first) == "1"
    wait_for(lambda: engine.outcomes == {0: "2"})


def test_time_ends_in_a_run() -> None:
    """A run of which all have lost patience is told so when it asks; one that somebody waits for is not."""
    engine = Engine()
    left = {"own": 5.0}

    def work(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        check()
        left["own"] = 0.0
        check()
        raise AssertionError

    with pytest.raises(NobodyWaits):
        engine.gatherer.run(engine, seat(1.0, left=lambda: left["own"]), work)
    gather._check([seat(1.0, left=lambda: 0.0), seat(1.0, left=lambda: 0.1)])
    with pytest.raises(NobodyWaits):
        gather._check([seat(1.0, left=lambda: 0.0), seat(1.0, left=lambda: -1.0)])


def test_cancelled_before_it_leads() -> None:
    """A call that was cancelled is not run, and the next one goes on."""
    engine = Engine()

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.gatherer.run(engine, seat(1.0, check=check), engine.work)
    assert (engine.runs, engine.line()) == ([], [])
    assert engine.lead() == "1"


def test_one_bad_clip() -> None:
    """A run of several that fails is run again one by one, and only what fails alone fails."""
    engine = Engine()

    def picky(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        answers = engine.work(clips, check)
        if "3" in answers:
            raise ValueError("no")
        return answers

    engine.lead(seat(2.0), seat(3.0), seat(4.0), work=picky)
    assert engine.runs == [[1.0], [4.0, 3.0, 2.0], [2.0], [3.0], [4.0]]
    assert (engine.outcomes[0], engine.outcomes[2]) == ("2", "4")
    assert isinstance(engine.outcomes[1], ValueError)


def test_model_that_cannot_be_loaded() -> None:
    """All of a run fail with the same error, each with one of its own; the next in line tries again."""
    engine = Engine()
    cause = OSError("disk")

    def broken(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        engine.work(clips, check)
        raise BackendLoadError("cannot load") from cause

    engine.lead(seat(2.0), seat(3.0), seat(4.0, "other"), work=broken)
    assert engine.runs == [[1.0], [3.0, 2.0], [4.0]]
    errors = [engine.outcomes[i] for i in range(3)]
    assert [(type(error), str(error), error.__cause__) for error in errors] == [
        (BackendLoadError, "cannot load", cause)
    ] * 3
    assert len(set(map(id, errors))) == 3
    errors[0].attempts = (Attempt("a", None, None, None, 0.0, 0.0, 0.0),)
    assert errors[1].attempts == ()


def test_interrupted_leader() -> None:
    """A leader that is interrupted leaves those that it took along to the next of them."""
    engine = Engine()
    runs: list[int] = []

    def interrupted(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        runs.append(len(clips))
        if len(runs) == 1:
            raise KeyboardInterrupt
        return engine.work(clips, check)

    engine.lead(seat(2.0), seat(3.0), seat(4.0), work=interrupted)
    assert runs == [3, 2]
    assert isinstance(engine.outcomes[0], KeyboardInterrupt)
    assert (engine.outcomes[1], engine.outcomes[2]) == ("3", "4")


def test_child_process() -> None:
    """After a fork the lines are empty: nobody waits in there."""
    gatherer = Gatherer[str]()
    lock = gatherer._lock
    gatherer._lines[5] = [seat(1.0)]
    gatherer.renew()
    assert gatherer._lines == {}
    assert gatherer._lock is not lock
